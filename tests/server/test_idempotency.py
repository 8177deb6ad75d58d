"""Idempotency keys: the same answer again, and never the work."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import Request
from sqlmodel import col, func, select, update
from starlette.middleware import Middleware
from starlette.responses import StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core import answer_sources
from core.database import Database, utc_now
from core.errors import BudgetExceeded, NotFound, ProviderFailed, RateLimited
from core.principals import SYSTEM, Role
from core.tables import Collection, Document, IdempotencyRecord, User
from server.access.keys import KeyRights
from server.idempotency import Idempotency
from tests.server.conftest import ON_SQLITE, Guarded

#: An address that takes forms.
FORMS = "/api/v1/rag/collections/a/documents"


class Work:
    """A route that counts how often it has worked."""

    def __init__(self, guarded: Guarded) -> None:
        self.guarded = guarded
        self.done = 0
        self.raises: Exception | None = None
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.begun = asyncio.Event()
        for path in ("/api/v1/work", FORMS):
            guarded.app.post(path, status_code=201)(self._work)
        guarded.app.post("/api/v1/stream")(self._stream)

    async def _work(self, request: Request) -> dict[str, Any]:
        self.done += 1
        self.begun.set()
        await self.may_go_on.wait()
        if self.raises is not None:
            raise self.raises
        return {"number": self.done, "bytes": len(await request.body())}

    async def _stream(self) -> StreamingResponse:
        self.done += 1

        async def events() -> AsyncIterator[bytes]:
            yield b"event: token\ndata: 1\n\n"
            yield b"event: done\ndata: 2\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    async def __call__(self, key: str | None, path: str = "/api/v1/work", **more: Any) -> httpx.Response:
        headers = {**self.guarded.headers, **({"idempotency-key": key} if key else {}), **more.pop("headers", {})}
        return await self.guarded.client.post(path, headers=headers, **(more or {"json": {"a": 1}}))


@pytest.fixture
def work(guarded: Guarded) -> Work:
    return Work(guarded)


async def test_the_same_key_and_body_get_the_same_answer_once_worked_for(work: Work) -> None:
    first, again = await work("k"), await work("k")
    assert work.done == 1
    assert (again.status_code, again.content) == (first.status_code, first.content) == (201, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers


class RepeatedAtTheLastByte:
    """Middleware: repeats the request, once, when the last byte of its answer is about to leave."""

    def __init__(self, app: ASGIApp, repeat: Callable[[], Awaitable[None]]) -> None:
        self._app = app
        self._repeat = repeat
        self._repeated = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def before(message: Message) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body") and not self._repeated:
                self._repeated = True
                await self._repeat()
            await send(message)

        await self._app(scope, receive, before)


@pytest.mark.parametrize(
    ("path", "error", "status"),
    [("/api/v1/work", None, 201), ("/api/v1/work", RateLimited("later"), 429), ("/api/v1/stream", None, 200)],
    ids=["answered", "refused", "streamed"],
)
async def test_who_has_the_whole_answer_may_repeat_at_once(work: Work, path: str, error: Exception | None, status: int) -> None:
    repeated: list[httpx.Response] = []

    async def repeat() -> None:
        repeated.append(await work("k", path))

    work.guarded.app.add_middleware(RepeatedAtTheLastByte, repeat=repeat)
    work.raises = error
    first = await work("k", path)
    assert repeated[0].status_code == first.status_code == status


async def test_without_a_key_every_request_works(work: Work) -> None:
    await work(None)
    await work(None)
    assert work.done == 2


async def test_the_same_key_with_another_body_is_refused(work: Work) -> None:
    await work("k")
    refused = await work("k", json={"a": 2})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "idempotency_mismatch")
    assert work.done == 1


async def test_the_same_body_asking_for_errors_in_their_places_is_another_request(work: Work) -> None:
    assert (await work("k")).status_code == 201
    refused = await work("k", headers={"x-genai-return-exceptions": "true"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "idempotency_mismatch")


async def test_of_two_at_once_the_second_is_told_to_wait(work: Work) -> None:
    work.may_go_on.clear()
    first = asyncio.create_task(work("k"))
    await work.begun.wait()
    refused = await work("k")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "idempotency_in_progress")
    assert int(refused.headers["retry-after"]) >= 1
    work.may_go_on.set()
    assert (await first).status_code == 201
    assert (await work("k")).content == (await first).content


@pytest.mark.parametrize(
    "error", [RateLimited("later"), BudgetExceeded("full"), ProviderFailed("down"), ValueError("bug")], ids=str
)
async def test_a_failure_that_may_pass_is_tried_again(work: Work, error: Exception) -> None:
    work.raises = error
    assert (await work("k")).status_code >= 402
    work.raises = None
    assert (await work("k")).status_code == 201
    assert work.done == 2


async def test_a_refusal_that_stands_is_kept(work: Work) -> None:
    work.raises = NotFound("no")
    assert (await work("k")).status_code == 404
    work.raises = None
    assert (await work("k")).status_code == 404


async def test_a_stream_is_played_again_as_it_was(work: Work) -> None:
    first, again = await work("k", "/api/v1/stream"), await work("k", "/api/v1/stream")
    assert work.done == 1
    assert first.content == again.content
    assert again.headers["content-type"].startswith("text/event-stream")


async def test_a_caller_who_hangs_up_does_not_block_the_key(work: Work, database: Database) -> None:
    work.may_go_on.clear()
    first = asyncio.create_task(work("k"))
    await work.begun.wait()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    work.may_go_on.set()
    assert (await work("k")).status_code == 201
    async with database.session(all_tenants=True) as session:
        assert (await session.exec(select(func.count()).select_from(IdempotencyRecord))).one() == 1


@ON_SQLITE
async def test_of_an_answer_that_names_a_document_nothing_is_left_once_it_is_deleted(work: Work, database: Database) -> None:
    collection = Collection(name="papers")
    documents = [Document(collection_id=collection.id, name=name, content_hash="") for name in ("a.md", "b.md")]
    async with database.transaction(all_tenants=True) as session:
        session.add(collection)
        await session.flush()
        session.add_all(documents)
    gone, stays = (document.id for document in documents)

    async def answer(document: str) -> dict[str, Any]:
        return {"output": "28 days", "citations": [{"document_id": document}]}

    work.guarded.app.post("/api/v1/rag/{document}")(answer)
    for document in (gone, stays):
        await work(document, f"/api/v1/rag/{document}")
    sealer = await database.keyring.sealer(SYSTEM.tenant)
    async with database.transaction(SYSTEM.tenant) as session:
        await answer_sources.withhold(session, sealer, [gone])
    again = await work(gone, f"/api/v1/rag/{gone}")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "answer_not_kept")
    assert (await work(stays, f"/api/v1/rag/{stays}")).headers["idempotent-replayed"] == "true"
    # one that was deleted while it was answered
    await work("late", "/api/v1/rag/doc_departed")
    assert (await work("late", "/api/v1/rag/doc_departed")).json()["error"]["code"] == "answer_not_kept"
    async with database.session(all_tenants=True) as session:
        kept = (await session.exec(select(IdempotencyRecord).where(col(IdempotencyRecord.body).is_not(None)))).all()
    assert [record.document_ids for record in kept] == [[stays]]


async def test_another_key_holder_s_answer_is_not_given(work: Work) -> None:
    _, other = await work.guarded.access.keys.create(SYSTEM, "other", KeyRights(Role.ADMIN))
    await work("k")
    theirs = await work.guarded.client.post("/api/v1/work", json={"a": 1}, headers={"x-api-key": other, "idempotency-key": "k"})
    assert theirs.json()["number"] == 2


async def test_an_upload_counts_as_the_same_under_another_boundary(work: Work) -> None:
    def multipart(boundary: str, content: bytes) -> dict[str, Any]:
        part = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'.encode()
        body = part + content + f"\r\n--{boundary}--\r\n".encode()
        return {"content": body, "headers": {"content-type": f"multipart/form-data; boundary={boundary}"}}

    large = bytes(range(256)) * 10_000
    first = await work("k", FORMS, **multipart("b" * 30, large))
    again = await work("k", FORMS, **multipart("c" * 30, large))
    assert (first.status_code, again.content, work.done) == (201, first.content, 1)
    assert first.json()["bytes"] > len(large)
    assert (await work("k", FORMS, **multipart("d" * 30, large[:-1] + b"x"))).status_code == 422


async def test_a_key_is_free_again_after_its_time(work: Work, database: Database) -> None:
    await work("k")
    async with database.transaction(all_tenants=True) as session:
        await session.exec(update(IdempotencyRecord).values(expires_at=utc_now()))
    assert (await work("k")).json()["number"] == 2


@pytest.mark.parametrize("hold_s", [2.0])
async def test_a_request_keeps_its_key_for_as_long_as_it_takes(work: Work, hold_s: float) -> None:
    work.may_go_on.clear()
    first = asyncio.create_task(work("k", json={}))
    await work.begun.wait()
    await asyncio.sleep(2 * hold_s)
    second = await work("k", json={})
    assert (second.status_code, second.json()["error"]["code"]) == (409, "idempotency_in_progress")
    work.may_go_on.set()
    assert (await first).status_code == 201
    assert (await work("k", json={})).headers["idempotent-replayed"] == "true"
    assert work.done == 1


@pytest.mark.parametrize("hold_s", [0.2])
async def test_the_key_of_a_request_that_a_crash_has_ended_is_free_in_time(
    work: Work, hold_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crashed(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Idempotency, "_go_on_holding", crashed)
    work.may_go_on.clear()
    first = asyncio.create_task(work("k", json={}))
    await work.begun.wait()
    await asyncio.sleep(3 * hold_s)
    work.may_go_on.set()
    assert (await work("k", json={})).status_code == 201
    assert work.done == 2
    await first


@ON_SQLITE
@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256], ids=repr)
async def test_a_key_that_is_none_is_refused(work: Work, key: str) -> None:
    refused = await work(None, headers={"idempotency-key": key}, json={})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "invalid_idempotency_key")


@ON_SQLITE
async def test_nothing_is_kept_of_who_is_nobody_yet(behind_edge: Any, database: Database) -> None:
    """Two who have not signed in would share one name, and what they are given may be a way in."""
    app, client = behind_edge(Middleware(Idempotency, database=database, hold_s=60))
    done: list[int] = []

    @app.post("/api/v1/way-in")
    async def way_in() -> dict[str, int]:
        done.append(1)
        return {"number": len(done)}

    async with client:
        for number in (1, 2):
            answer = await client.post("/api/v1/way-in", headers={"idempotency-key": "k"})
            assert answer.json() == {"number": number}
    async with database.session(all_tenants=True) as session:
        assert (await session.exec(select(IdempotencyRecord))).all() == []


async def test_a_key_of_the_same_user_with_other_rights_gets_an_answer_of_its_own(work: Work, database: Database) -> None:
    async with database.transaction(SYSTEM.tenant) as session:
        session.add(User(id="usr_1", tenant=SYSTEM.tenant, name="Ada", role="admin"))
    keys = work.guarded.access.keys
    _, wide = await keys.create(SYSTEM, "wide", KeyRights(Role.ADMIN, user_id="usr_1"))
    _, narrow = await keys.create(SYSTEM, "narrow", KeyRights(Role.ADMIN, user_id="usr_1", collections=frozenset({"a"})))
    numbers = []
    for key in (wide, narrow, wide):
        headers = {"x-api-key": key, "idempotency-key": "k"}
        numbers.append((await work.guarded.client.post("/api/v1/work", json={}, headers=headers)).json()["number"])
    assert numbers == [1, 2, 1]


@ON_SQLITE
async def test_a_kept_answer_lies_sealed_and_one_that_was_swapped_for_another_is_refused(
    work: Work, database: Database
) -> None:
    await work("first")
    await work("second")
    async with database.transaction(all_tenants=True) as session:
        one, two = (await session.exec(select(IdempotencyRecord))).all()
        assert b"number" not in (one.body or b"") + (two.body or b"")
        one.body, two.body = two.body, one.body
    for key in ("first", "second"):
        answer = await work(key)
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "decryption_failed")
    assert work.done == 2
