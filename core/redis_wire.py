"""A connection to Redis or Valkey that scripts are sent over and answered on, many at a time: redis-py opens it (address, TLS,
credentials), and is not asked again. A fifth of the CPU time that its pipelines take, which every request under a budget pays.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import redis.asyncio as redis
from hiredis import ProtocolError, PushNotification, Reader, pack_command
from redis.exceptions import NoScriptError, ResponseError

#: What the answers came to, errors among them; or why there are none.
Heard = Callable[[Sequence[Any] | Exception], None]

#: In the place of an answer that has not come as a whole.
_MISSING: Final = object()


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
        self._reader = Reader(replyError=_error, notEnoughData=_MISSING)

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
        self._heard, self._number, self._answers = heard, number, []
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
        self._reader.feed(data)
        try:
            while len(self._answers) < self._number:
                answer = self._reader.gets()
                if answer is _MISSING:
                    return
                if not isinstance(answer, PushNotification):
                    self._answers.append(answer)
        except ProtocolError:
            self._end(Garbled("no answer of a script"))
            return
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


def packed(name: bytes, keys: Sequence[bytes], arguments: Sequence[Any]) -> bytes:
    """EVALSHA in Redis's protocol. Arguments are numbers or text."""
    command: bytes = pack_command((b"EVALSHA", name, len(keys), *keys, *arguments))
    return command


def _error(told: str) -> ResponseError:
    return (NoScriptError if told.startswith("NOSCRIPT") else ResponseError)(told)
