"""The response cache through every door: headers in, headers out, streams, RemoteRunnable, and dropping what is kept."""

import asyncio
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import httpx
import pytest
from langserve import RemoteRunnable
from starlette.middleware import Middleware

from core.database import Database
from core.principals import ROLE_SCOPES, SYSTEM, Principal, Role
from core.redis_clients import RedisClients
from core.settings import Settings
from providers.models import Models
from server.langserve_routes import register
from server.openai_door.routes import open_door
from server.routes import cache
from tests.fakes.openai import MODEL, OpenAIFake
from tests.fakes.wire import Reply
from tests.server.capabilities import built
from tests.server.serving import platform, served

WHOLE = Reply().text
ADMIN = replace(SYSTEM, id="admin", tenant="here")


class _As:
    """Lets a test say by header who calls: an administrator, or somebody without that right."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and (b"x-as", b"user") in scope["headers"]:
            user: Principal = replace(ADMIN, role=Role.USER, scopes=ROLE_SCOPES[Role.USER])
            scope["state"]["context"].principal = user
        await self._app(scope, receive, send)


@dataclass
class Platform:
    url: str
    provider: OpenAIFake
    client: httpx.Client

    def chat(self, said: str, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        body = {"messages": [{"role": "user", "content": said}], "temperature": 0} | more
        return self.client.post("/api/v1/chat", json=body, headers=headers)


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, valkey_url: str, with_schema: Callable[[Settings], Settings]
) -> Iterator[Platform]:
    with OpenAIFake() as provider:
        deployments = [{"provider": "openai", "model": MODEL}]
        settings = Settings.load(
            data_dir=tmp_path_factory.mktemp("data"),
            models=[
                {"alias": "default", "deployments": deployments, "cache": {"exact": True}},
                {"alias": "off", "deployments": deployments},
            ],
            providers={"openai": {"base_url": provider.base_url, "api_key": "sk-secret"}},
        )
        models = Models(settings)
        models.connect(RedisClients(valkey_url))
        with_schema(settings)
        app = platform(settings, principal=ADMIN, models=models, database=Database(settings))
        capabilities = built(settings, cast("Any", models), only=("chat", "completion"))
        register(app, capabilities)
        open_door(app, capabilities["chat"][1], capabilities["completion"][1], models)
        app.include_router(cache.router)
        app.user_middleware.append(Middleware(_As))  # the innermost, after who called is known
        with served(app) as url, httpx.Client(base_url=url, timeout=30) as client:
            yield Platform(url, provider, client)
        asyncio.run(models.close())


@pytest.fixture
def here(running: Platform) -> Platform:
    running.provider.clear()
    return running


@pytest.fixture
def said() -> str:
    """A message of the test's own."""
    return f"Hello {uuid.uuid4().hex}"


def used(answer: httpx.Response) -> list[str | None]:
    assert answer.status_code == 200, answer.text
    return [answer.headers.get(f"x-genai-{name}") for name in ("cache", "attempts", "cost-usd")]


def events(answer: httpx.Response) -> dict[str, Any]:
    """The last data of each kind of event."""
    found = {}
    for block in answer.text.strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n"))
        found[lines["event"]] = json.loads(lines["data"]) if "data" in lines else None
    return found


def test_rest_tells_by_header_what_the_cache_did(here: Platform, said: str) -> None:
    first, second = here.chat(said), here.chat(said)
    assert used(first) == ["miss", "1", "0.0000048"]
    assert used(second) == ["hit", "0", "0"]
    assert second.json()["output"] == WHOLE
    assert second.json()["usage"] == first.json()["usage"]
    assert second.headers["x-genai-model"] == first.headers["x-genai-model"] == MODEL
    assert used(here.chat(said, model="off"))[:2] == ["bypass", "1"]
    assert len(here.provider.sent) == 2


def test_cache_control_of_a_request_is_heeded(here: Platform, said: str) -> None:
    def use(control: str, **more: Any) -> str | None:
        return used(here.chat(said, {"cache-control": control}, **more))[0]

    assert [use("no-store"), use("no-cache"), use("max-age=60"), use("no-store")] == ["bypass", "miss", "hit", "bypass"]
    varied = {"temperature": 0.9}
    assert [use(control, **varied) for control in ("", "max-age=60", "max-age=60")] == ["bypass", "miss", "hit"]


def test_a_stream_tells_it_in_its_usage_event_and_its_headers(here: Platform, said: str) -> None:
    answers = [here.chat(said, stream=True) for _ in range(2)]
    assert [events(answer)["usage"]["cache"] for answer in answers] == ["miss", "hit"]
    assert [answer.headers["x-genai-cache"] for answer in answers] == ["miss", "hit"]
    told = events(answers[1])
    assert (told["done"]["output"], told["usage"]["attempts"], told["usage"]["cost_usd"]) == (WHOLE, 0, 0)
    assert told["usage"]["usage"] == events(answers[0])["usage"]["usage"]
    assert events(here.chat(said, stream=True, model="off"))["usage"]["cache"] == "bypass"


def test_langserve_and_rest_share_answers(here: Platform, said: str) -> None:
    asked = {"input": {"messages": [{"role": "user", "content": said}], "temperature": 0}}
    assert used(here.chat(said))[0] == "miss"
    assert used(here.client.post("/api/v1/chat/invoke", json=asked))[0] == "hit"
    streamed = here.client.post("/api/v1/chat/stream", json=asked)
    assert streamed.headers["x-genai-cache"] == "hit"
    batch = here.client.post("/api/v1/chat/batch", json={"inputs": [asked["input"]] * 3})
    assert used(batch) == ["hit", "0", "0"]
    assert len(here.provider.sent) == 1


def test_a_batch_tells_the_part_that_leant_on_the_cache_least(here: Platform, said: str) -> None:
    here.chat(said)
    inputs = [{"messages": [{"role": "user", "content": text}], "temperature": 0} for text in (said, said + "!")]
    assert used(here.client.post("/api/v1/chat/batch", json={"inputs": inputs}))[:2] == ["miss", "1"]


def test_openais_door_shares_them_too(here: Platform, said: str) -> None:
    asked = {"model": "default", "messages": [{"role": "user", "content": said}], "temperature": 0}
    first = here.client.post("/v1/chat/completions", json=asked)
    second = here.client.post("/v1/chat/completions", json=asked)
    assert [used(each)[0] for each in (first, second)] == ["miss", "hit"]
    assert second.json()["choices"] == first.json()["choices"]
    assert second.json()["usage"] == first.json()["usage"]
    assert second.json()["id"] != first.json()["id"]
    streamed = here.client.post("/v1/chat/completions", json=asked | {"stream": True})
    assert streamed.headers["x-genai-cache"] == "hit"
    assert len(here.provider.sent) == 1


def test_remote_runnable_says_it_by_its_headers(here: Platform, said: str) -> None:
    asked: Any = {"messages": [{"role": "user", "content": said}], "temperature": 0}
    for headers in ({}, {}, {"cache-control": "no-store"}):
        assert RemoteRunnable(f"{here.url}/api/v1/chat", headers=headers).invoke(asked).text == WHOLE
    assert len(here.provider.sent) == 2


def test_completions_are_given_again(here: Platform, said: str) -> None:
    asked = {"prompt": said, "temperature": 0}
    answers = [here.client.post("/api/v1/completion", json=asked) for _ in range(2)]
    assert [used(answer)[0] for answer in answers] == ["miss", "hit"]
    assert answers[0].json()["output"] == answers[1].json()["output"] == WHOLE


def test_an_administrator_drops_what_is_kept_and_nobody_else_may(here: Platform, said: str) -> None:
    here.chat(said)
    refused = here.client.delete("/api/v1/cache", headers={"x-as": "user"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
    assert used(here.chat(said))[0] == "hit"
    dropped = here.client.delete("/api/v1/cache")
    assert dropped.status_code == 200
    assert dropped.json()["entries"] >= 1
    assert used(here.chat(said))[0] == "miss"


def test_those_of_other_rights_in_the_tenant_get_no_answer_of_the_administrators(here: Platform, said: str) -> None:
    assert [used(here.chat(said, {"x-as": who}))[0] for who in ("admin", "user", "user", "admin")] == [
        "miss",
        "miss",
        "hit",
        "hit",
    ]
