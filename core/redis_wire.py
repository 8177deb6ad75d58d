"""A connection to Redis or Valkey that scripts are sent over and answered on, many at a time: redis-py opens it (address, TLS,
credentials), and is not asked again. A fifth of the CPU time that its pipelines take, which every request under a budget pays.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import redis.asyncio as redis
from redis.exceptions import NoScriptError, ResponseError

#: What the answers came to, errors among them; or why there are none.
Heard = Callable[[Sequence[Any] | Exception], None]

_END: Final = b"\r\n"


class Garbled(redis.ConnectionError):
    """What came is no answer of a script of ours."""


class Wire(asyncio.Protocol):
    """For one event loop. One batch at a time: `ask` again once `heard` was called."""

    def __init__(self, client: redis.Redis, connection: Any) -> None:
        self._pool, self._connection = client.connection_pool, connection
        self._transport: asyncio.Transport = connection._writer.transport  # noqa: SLF001 - redis-py gives it in no other way
        self._opener = self._transport.get_protocol()
        self._transport.set_protocol(self)
        self._heard: Heard | None = None
        self._answers: list[Any] = []
        self._number = 0
        self._rest = b""

    @classmethod
    async def opened(cls, client: redis.Redis) -> "Wire":
        """A connection of the client's pool, which closes it with its others.

        Raises:
            redis.RedisError, OSError: there is none to be had.
        """
        connection = await client.connection_pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py
        return cls(client, connection)

    @property
    def is_open(self) -> bool:
        return not self._transport.is_closing()

    def ask(self, commands: bytes, number: int, heard: Heard) -> None:
        """Send so many packed commands. `heard` is called once, unless it is given up before."""
        self._heard, self._number, self._answers, self._rest = heard, number, [], b""
        self._transport.write(commands)

    def give_up(self) -> None:
        """Close it. Nobody is told of answers that are still to come."""
        self._heard = None
        self._transport.abort()

    async def give_back(self) -> None:
        """Let the pool open another one in its place."""
        self.give_up()
        with suppress(redis.RedisError, OSError):
            await self._connection.disconnect(nowait=True)
        with suppress(KeyError):  # the pool was closed meanwhile
            await self._pool.release(self._connection)

    def data_received(self, data: bytes) -> None:
        """Of `asyncio.Protocol`."""
        data, at = self._rest + data if self._rest else data, 0
        try:
            while len(self._answers) < self._number:
                answer, at = _answer(data, at)
                if answer is not _PUSHED:
                    self._answers.append(answer)
        except IndexError:
            self._rest = data[at:]
            return
        except ValueError:
            self._end(Garbled("no answer of a script"))
            return
        self._rest = data[at:]
        self._tell(self._answers)

    def connection_lost(self, error: Exception | None) -> None:
        """Of `asyncio.Protocol`."""
        self._opener.connection_lost(error)  # whoever waits for its closing hears of it there
        self._tell(redis.ConnectionError("the connection was closed"))

    def _end(self, error: Exception) -> None:
        self._transport.abort()
        self._tell(error)

    def _tell(self, answers: Sequence[Any] | Exception) -> None:
        heard, self._heard = self._heard, None
        if heard is not None:
            heard(answers)


#: In the place of an answer: something that was not asked for.
_PUSHED: Final = object()


def packed(name: bytes, keys: Sequence[bytes], arguments: Sequence[Any]) -> bytes:
    """EVALSHA in Redis's protocol. Arguments are whole numbers or ASCII text."""
    given = "".join([f"${len(text)}\r\n{text}\r\n" for text in map(str, arguments)]).encode("ascii")
    named = b"".join([b"$%d\r\n%b\r\n" % (len(key), key) for key in keys])
    count = b"%d" % len(keys)
    total = 3 + len(keys) + len(arguments)
    return b"*%d\r\n$7\r\nEVALSHA\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (total, len(name), name, len(count), count) + named + given


def _answer(data: bytes, at: int) -> tuple[Any, int]:
    """The answer that begins at `at`, and where it ends.

    Raises:
        IndexError: it is not there as a whole.
        ValueError: it is none.
    """
    end = data.find(_END, at)
    if end < 0:
        raise IndexError
    kind, line, after = data[at : at + 1], data[at + 1 : end], end + 2
    if kind == b":":
        return int(line), after
    if kind in b"*>":
        found = []
        for _ in range(int(line)):
            each, after = _answer(data, after)
            found.append(each)
        return (found if kind == b"*" else _PUSHED), after
    if kind == b"-":
        return (NoScriptError if line.startswith(b"NOSCRIPT") else ResponseError)(line.decode(errors="replace")), after
    if kind == b"$" and line != b"-1":
        last = after + int(line)
        if len(data) < last + 2:
            raise IndexError
        return data[after:last], last + 2
    if kind == b"+":
        return line, after
    if kind in b"_$":
        return None, after
    raise ValueError(kind)
