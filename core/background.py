"""Tasks that go on beside requests, which nobody waits for: that one has failed is told when it happens."""

import asyncio
from collections.abc import Iterable
from typing import Any

import structlog

log = structlog.get_logger()

#: What is cancelled has this long to put away what it holds.
_AGAIN_S = 8.0


def told(task: "asyncio.Task[Any]", name: str) -> "asyncio.Task[Any]":
    """The task, whose failure is logged at once: who ends it later would find it over, and not why."""

    def tell(ended: "asyncio.Task[Any]") -> None:
        if not ended.cancelled() and (error := ended.exception()) is not None:
            log.error("background.failed", task=name, error=type(error).__name__, exc_info=error)

    task.add_done_callback(tell)
    return task


async def ended(tasks: "Iterable[asyncio.Task[Any]]", *, again_s: float = _AGAIN_S) -> None:
    """Cancel the tasks and wait for their end; what they raise is not raised here.

    A task that goes on is cancelled again after a while: `asyncio.wait_for` of Python 3.11 loses a cancellation that comes in
    the moment in which what it waits for is there.
    """
    given = set(tasks)
    while left := {task for task in given if not task.done()}:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=again_s)
    await asyncio.gather(*given, return_exceptions=True)  # else asyncio would log that nobody asked how they ended
