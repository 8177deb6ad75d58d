"""Answers that the server's end cuts off: how they are known, and what their callers are told."""

import asyncio

from starlette.types import Scope

from core.errors import Unavailable
from server.readiness import Readiness


def is_cut_off(scope: Scope) -> bool:
    """Whether a request that is cancelled was cut off by the server's end."""
    readiness: Readiness | None = scope.get("state", {}).get("readiness")
    return readiness is not None and readiness.cut_off


def take_over() -> Unavailable:
    """Take the cancellation back, so that the caller can still be told; what to tell."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in a task
    task.uncancel()
    return Unavailable("The server is stopping, and cut this answer off. Ask again.", code="server_stopping", retry_after_s=1)
