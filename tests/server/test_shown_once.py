"""Answers that show a secret once: every one says so, and none is given or kept a second time."""

import re
from pathlib import Path
from typing import Any

from fastapi.routing import iter_route_contexts
from pydantic import BaseModel
from sqlmodel import select

from core.database import Database
from core.settings import Settings
from core.tables import IdempotencyRecord
from server.app import create_app
from server.lifespan import unstarted
from server.routes import tenants, users
from server.shown_once import ShownOnce, fields_of, shows_once
from tests.server.conftest import ON_SQLITE, Guarded

_SECRET = re.compile(r"(^|_)(key|secret|secrets|token|password|url|link|cookie|credential)$")
#: Named like secrets, and none: model, field. LangServe's tokens of feedback are in its document and given to nobody.
PLAIN = {
    ("AlertInfo", "key"),
    ("BudgetScope", "key"),
    ("DocumentInfo", "source_url"),
    ("FeedbackToken", "key"),
    ("FeedbackToken", "token_url"),
    ("UserInfo", "has_password"),
    ("SourceInfo", "has_secrets"),
}


class Within(BaseModel):
    """A secret that may not be there."""

    key: ShownOnce | None = None


class Outer(BaseModel):
    """Answers within an answer."""

    each: list[Within]
    name: str


def test_a_secret_is_found_however_deep_it_is() -> None:
    assert all(map(shows_once, (Within, Outer, list[Outer], Outer | None)))
    assert not any(map(shows_once, (None, str, dict[str, Any], list[str])))
    assert [(name, marked) for _, name, marked in fields_of(Outer)] == [("each", False), ("name", False), ("key", True)]


def test_every_field_of_an_answer_that_is_named_like_a_secret_says_what_it_is(tmp_path: Path) -> None:
    app = create_app(unstarted(Settings.load(data_dir=tmp_path)))
    named = {
        (model.__name__, name): marked
        for route in iter_route_contexts(app.routes)
        for model, name, marked in fields_of(getattr(route.original_route, "response_model", None))
        if _SECRET.search(name)
    }
    assert {field for field, marked in named.items() if not marked} == PLAIN
    assert ("MadeKey", "key") in named


@ON_SQLITE
async def test_no_secret_is_given_twice_or_kept(guarded: Guarded, database: Database) -> None:
    for module in (users, tenants):
        guarded.app.include_router(module.router)
    headers = guarded.headers | {"idempotency-key": "once"}

    async def post(path: str, body: Any = None) -> tuple[int, str]:
        answer = await guarded.client.post(f"/api/v1{path}", json=body, headers=headers)
        return answer.status_code, answer.text

    made: list[tuple[str, Any]] = [
        ("/keys", {"name": "x"}),
        ("/keys/key_administrator/rotate", {"overlap_s": 3600}),
        ("/tenants", {"id": "acme", "name": "Acme"}),
        ("/auth/sign-in-links", None),
    ]
    for path, body in made:
        (status, first), (again, second) = await post(path, body), await post(path, body)
        assert (status, again) == (201, 409), (path, first)
        assert "answer_not_kept" in second
    assert (await post("/users", {"name": "Ada"}))[1] == (await post("/users", {"name": "Ada"}))[1]
    async with database.session(all_tenants=True) as session:
        rows = (await session.exec(select(IdempotencyRecord))).all()
    assert sorted(bool(row.body) for row in rows) == [False] * len(made) + [True]
