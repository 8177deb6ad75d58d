"""Scripts over a connection to a real Valkey: answers in order, in any pieces, and an end that is told once."""

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha1
from typing import Any

import pytest
from redis.exceptions import ConnectionError as Closed
from redis.exceptions import NoScriptError, ResponseError

from core.redis_clients import RedisClients
from core.redis_wire import Garbled, Wire, packed

ALL_KINDS = "return {1, -2, ARGV[1], {KEYS[1], 3}, false}"


@pytest.fixture
async def clients(valkey_url: str) -> AsyncIterator[RedisClients]:
    made = RedisClients(valkey_url, wait_s=5)
    yield made
    await made.close()


@pytest.fixture
async def wire(clients: RedisClients) -> Wire:
    return await Wire.opened(clients.get())


async def asked(wire: Wire, *commands: bytes) -> Any:
    """The answers, or what went wrong."""
    heard: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    wire.ask(b"".join(commands), len(commands), heard.set_result)
    return await heard


async def script(clients: RedisClients, text: str) -> bytes:
    name = await clients.get().script_load(text)
    return name if isinstance(name, bytes) else str(name).encode()


async def test_answers_come_in_order_and_as_what_they_are(clients: RedisClients, wire: Wire) -> None:
    kinds, wrong = await script(clients, ALL_KINDS), await script(clients, "return redis.call('HGET', KEYS[1])")
    answers = await asked(
        wire, packed(kinds, ["schlüssel".encode()], ["text"]), packed(wrong, [b"k"], []), packed(kinds, [b"k"], [7])
    )
    assert answers[0] == [1, -2, b"text", ["schlüssel".encode(), 3], None]
    assert isinstance(answers[1], ResponseError)
    assert answers[2] == [1, -2, b"7", [b"k", 3], None]


async def test_a_script_that_the_server_does_not_know_is_told_apart(wire: Wire) -> None:
    unknown = sha1(b"never loaded", usedforsecurity=False).hexdigest().encode()
    (answer,) = await asked(wire, packed(unknown, [], []))
    assert isinstance(answer, NoScriptError)


async def test_answers_may_come_in_any_pieces(wire: Wire) -> None:
    heard: list[Any] = []
    wire.ask(b"", 3, heard.append)
    for byte in b"*3\r\n:1\r\n$4\r\na\r\nb\r\n_\r\n>2\r\n+pushed\r\n:9\r\n-ERR no\r\n$-1\r\n":
        assert not heard
        wire.data_received(bytes([byte]))
    assert heard[0][0] == [1, b"a\r\nb", None]
    assert isinstance(heard[0][1], ResponseError)
    assert heard[0][2] is None


async def test_what_is_no_answer_ends_the_connection(wire: Wire) -> None:
    heard: list[Any] = []
    wire.ask(b"", 1, heard.append)
    wire.data_received(b"HTTP/1.1 400 Bad Request\r\n")
    assert isinstance(heard[0], Garbled)
    assert not wire.is_open


async def test_a_connection_that_the_server_closes_is_told_once_and_given_back(clients: RedisClients, wire: Wire) -> None:
    heard: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    wire.ask(b"", 1, heard.set_result)
    await clients.get().client_kill_filter(_type="normal", skipme=True)
    assert isinstance(await heard, Closed)
    assert not wire.is_open
    await wire.give_back()
    again = await Wire.opened(clients.get())
    assert await asked(again, packed(await script(clients, "return 5"), [], [])) == [5]
