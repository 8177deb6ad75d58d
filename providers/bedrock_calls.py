"""Calls of boto3, which block a thread each, that can be ended from outside: by shutting the connection that they wait on.

botocore has no way to give a call up. Its connections are made by two pool classes, which are replaced by ones whose
connections tell the running call of themselves; a test at the wire holds that a call which is left frees its thread.
"""

import contextvars
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")
#: Held for an instant: between looking whose a connection is and shutting it, it must not become another call's.
_lock = threading.Lock()
_running: "contextvars.ContextVar[Call | None]" = contextvars.ContextVar("bedrock_call", default=None)


class Call:
    """A block on the event loop whose work goes on in a thread, and ends with the block."""

    def __init__(self) -> None:
        self.left = False
        self._connection: Any = None

    def runs(self, work: Callable[[], T]) -> Callable[[], T]:
        """`work` with this thread's context variables, as a part of this call."""
        context = contextvars.copy_context()
        context.run(_running.set, self)
        return lambda: context.run(work)

    def uses(self, connection: Any) -> None:
        """Raises ConnectionAbortedError where the call is over already."""
        with _lock:
            if self.left:
                raise ConnectionAbortedError
            self._connection = connection
            connection.call = self

    def done(self) -> None:
        """The provider has answered, or failed: the connection is back in its pool, perhaps with another call already."""
        with _lock:
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with _lock:
            self.left = True
            connection = self._connection
            if connection is None or connection.call is not self or connection.sock is None:
                return
            with suppress(OSError, ValueError):  # it is closed already
                connection.sock.shutdown(socket.SHUT_RDWR)


def watch_connections(client: Any) -> None:
    """Let the calls of this client be ended."""
    session = client._endpoint.http_session  # noqa: SLF001 - botocore has no public way
    session._pool_classes_by_scheme = _pools()  # noqa: SLF001
    session._manager.pool_classes_by_scheme = _pools()  # noqa: SLF001


@cache
def _pools() -> dict[str, type]:
    from botocore.awsrequest import AWSHTTPConnection, AWSHTTPConnectionPool, AWSHTTPSConnection, AWSHTTPSConnectionPool

    def watched(base: type) -> type:
        def request(self: Any, *arguments: Any, **options: Any) -> Any:
            if (call := _running.get()) is not None:
                call.uses(self)
            return base.request(self, *arguments, **options)  # type: ignore[attr-defined] # botocore's stubs leave it out

        return type(f"Watched{base.__name__}", (base,), {"request": request})

    def pool(base: type, connection: type) -> type:
        return type(f"Watched{base.__name__}", (base,), {"ConnectionCls": watched(connection)})

    return {
        "http": pool(AWSHTTPConnectionPool, AWSHTTPConnection),
        "https": pool(AWSHTTPSConnectionPool, AWSHTTPSConnection),
    }
