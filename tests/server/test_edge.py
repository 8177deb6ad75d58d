"""The outermost layer: identifiers, headers, and answers to what nobody caught."""

import asyncio
import errno
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Annotated, Any

import pytest
from fastapi import Body, Request
from sqlalchemy.exc import OperationalError
from starlette.responses import Response, StreamingResponse
from structlog.testing import capture_logs

from core import ledger
from core.context import Usage, current
from core.errors import RateLimited, Unauthenticated
from core.keys import new_key
from server.edge import BrokenOff

MADE_BY_LOT = (
    "0b9a3f6e-5d1c-4e2b-9f3a-6c7d8e9f0a1b",
    "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "4bf92f3577b34da6a3ce929d0e0e4736",
    "req_0123456789abcdef01234567",
)
CHOSEN = ('a"b\\c{}', "Jane.Doe-has-HIV", "jane.doe.example.com", "4111111111111111", "x" * 32, "A" * 65, new_key())


async def test_a_request_id_that_was_drawn_is_kept_and_any_other_replaced(behind_edge) -> None:  # type: ignore[no-untyped-def]
    app, client = behind_edge()
    app.get("/")(lambda: current().request_id)
    for given in MADE_BY_LOT:
        kept = await client.get("/", headers={"x-request-id": given})
        assert kept.headers["x-request-id"] == kept.json() == given
    for given in CHOSEN:
        replaced = await client.get("/", headers={"x-request-id": given})
        assert replaced.headers["x-request-id"] == replaced.json() != given
        assert replaced.json().startswith("req_")


async def test_a_key_that_stands_in_the_path_is_not_logged(behind_edge) -> None:  # type: ignore[no-untyped-def]
    _, client = behind_edge()
    key, refresh = new_key(), new_key().replace("gk_", "gr_")
    cut = "/" + "x" * 150 + key  # the log ends within it
    with capture_logs() as told:
        for path in (f"/nothing/{key}", f"/{key}/{refresh}/more", f"/%67k_{key[3:]}?{key}", cut, f"/nothing/{key[:40]}"):
            assert (await client.get(path)).status_code == 404
    logged = [line["path"] for line in told if line["event"] == "request.finished"]
    assert logged == ["/nothing/gk_…", "/gk_…/gr_…/more", "/gk_…", "/" + "x" * 150 + "gk_…", "/nothing/gk_…"]
    assert key[3:11] not in str(told)


async def test_an_unexpected_exception_is_a_500_in_the_error_shape_without_its_text(behind_edge) -> None:  # type: ignore[no-untyped-def]
    app, client = behind_edge()

    @app.get("/")
    async def fail() -> None:
        raise ValueError("the-secret-cause")

    answer = await client.get("/")
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal_error"
    assert answer.json()["error"]["request_id"] == answer.headers["x-request-id"]
    assert "the-secret-cause" not in answer.text


@pytest.mark.parametrize(
    ("error", "status", "code", "header"),
    [
        (RateLimited("Later.", code="queue_full", retry_after_s=1.2), 429, "queue_full", ("retry-after", "2")),
        (Unauthenticated("Who?"), 401, "unauthenticated", ("www-authenticate", 'Bearer realm="genai"')),
        (OperationalError("select", {}, Exception("down")), 503, "database_unavailable", ("retry-after", "2")),
        (OSError(errno.ENOSPC, "No space left on device", "/var/lib/genai"), 503, "disk_full", ("retry-after", "60")),
    ],
)
async def test_errors_have_their_status_code_and_header(  # type: ignore[no-untyped-def]
    behind_edge, error: Exception, status: int, code: str, header: tuple[str, str]
) -> None:
    app, client = behind_edge()

    @app.get("/")
    async def fail() -> None:
        raise error

    answer = await client.get("/")
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.headers[header[0]] == header[1]


async def test_unknown_addresses_and_methods_have_the_error_shape(behind_edge) -> None:  # type: ignore[no-untyped-def]
    app, client = behind_edge()
    app.get("/")(lambda: 1)
    missing, wrong = await client.get("/nowhere"), await client.delete("/")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "GET"


async def test_a_refused_value_is_named_but_not_repeated(behind_edge) -> None:  # type: ignore[no-untyped-def]
    app, client = behind_edge()
    app.get("/")(_takes_number)
    answer = await client.get("/", params={"number": "private-words"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (422, "invalid_request", "number")
    assert "private-words" not in answer.text


async def test_a_field_that_is_called_query_is_named_too(behind_edge) -> None:  # type: ignore[no-untyped-def]
    app, client = behind_edge()
    app.post("/")(_takes_query)
    answer = await client.post("/", json={"query": 1})
    assert answer.json()["error"]["param"] == "query"


def _takes_number(number: int) -> int:
    return number


def _takes_query(query: Annotated[str, Body(embed=True)]) -> str:
    return query


async def test_the_headers_tell_of_the_model_call(behind_edge) -> None:  # type: ignore[no-untyped-def]
    app, client = behind_edge()

    @app.get("/")
    async def call() -> None:
        context = current()
        context.attempts += 1
        context.called(provider="local", model="m", usage=Usage(1, 2), cost_usd=Decimal("0.0000012"), seconds=0.0)

    headers = (await client.get("/")).headers
    assert (headers["x-genai-provider"], headers["x-genai-model"], headers["x-genai-attempts"]) == ("local", "m", "1")
    assert headers["x-genai-cost-usd"] == "0.0000012"
    assert float(headers["x-genai-overhead-ms"]) >= 0


async def test_an_answer_that_breaks_off_is_not_ended_as_if_it_were_whole(behind_edge) -> None:  # type: ignore[no-untyped-def]
    app, _ = behind_edge()

    async def half():  # type: ignore[no-untyped-def]
        yield b"half"
        raise ValueError

    @app.get("/")
    async def stream(_request: Request) -> StreamingResponse:
        return StreamingResponse(half())

    sent = []

    async def send(message) -> None:  # type: ignore[no-untyped-def]
        sent.append(message)

    async def receive() -> None:
        await asyncio.Event().wait()

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [], "root_path": ""}
    with pytest.raises((BrokenOff, ExceptionGroup)):
        await app(scope, receive, send)
    assert not any(message["type"] == "http.response.body" and not message.get("more_body") for message in sent)


class Book:
    """A ledger that takes its time, and what was sent when it was done."""

    def __init__(self) -> None:
        self.may_go_on = asyncio.Event()
        self.asked = asyncio.Event()

    async def settled(self) -> None:
        self.asked.set()
        await self.may_go_on.wait()


@pytest.fixture
def book() -> Iterator[Book]:
    opened: Any = Book()
    ledger.connect(opened)
    yield opened
    ledger.connect(None)


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
async def test_the_last_byte_waits_for_the_ledger(behind_edge, book: Book, streamed: bool) -> None:  # type: ignore[no-untyped-def]
    app, client = behind_edge()

    @app.get("/")
    async def answer() -> Response:
        current().attempts += 1

        async def pieces() -> AsyncIterator[bytes]:
            yield b"one"

        return StreamingResponse(pieces()) if streamed else Response(b"one")

    asking = asyncio.create_task(client.get("/"))
    await book.asked.wait()
    assert not asking.done()
    book.may_go_on.set()
    assert (await asking).text == "one"


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
async def test_what_cannot_be_put_on_record_is_an_error_as_long_as_nothing_has_left(  # type: ignore[no-untyped-def]
    behind_edge, book: Book, streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, client = behind_edge()

    async def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(book, "settled", full)

    @app.get("/")
    async def answer() -> Response:
        current().attempts += 1

        async def pieces() -> AsyncIterator[bytes]:
            yield b"one"

        return StreamingResponse(pieces()) if streamed else Response(b"one")

    with capture_logs() as told:
        refused = await client.get("/")
    broken_off = any(line["event"] == "answer.broken_off" for line in told)
    assert broken_off == streamed
    if not streamed:
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "disk_full")


async def test_what_called_no_provider_waits_for_nothing(behind_edge, book: Book) -> None:  # type: ignore[no-untyped-def]
    app, client = behind_edge()
    app.get("/")(lambda: 1)
    assert (await client.get("/")).json() == 1
    assert not book.asked.is_set()


async def test_tags_are_the_request_s_and_odd_ones_are_refused(behind_edge) -> None:  # type: ignore[no-untyped-def]
    app, client = behind_edge()
    app.get("/")(lambda: dict(current().tags))
    told = await client.get("/", headers={"x-genai-tags": "team=search, feature = long summaries"})
    assert told.json() == {"team": "search", "feature": "long summaries"}
    for wrong in ("team", "team=", "=x", "a=1,a=2", "te am=1", "a=" + "x" * 129, ",".join(f"a{n}=1" for n in range(17))):
        refused = await client.get("/", headers={"x-genai-tags": wrong})
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, "invalid_tags"), wrong
