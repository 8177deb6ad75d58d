"""Tasks that go on beside requests, which nobody waits for: that one has failed is told when it happens."""

import asyncio
from typing import Any

import structlog

log = structlog.get_logger()


def told(task: "asyncio.Task[Any]", name: str) -> "asyncio.Task[Any]":
    """The task, whose failure is logged at once: who ends it later would find it over, and not why."""

    def tell(ended: "asyncio.Task[Any]") -> None:
        if not ended.cancelled() and (error := ended.exception()) is not None:
            log.error("background.failed", task=name, error=type(error).__name__, exc_info=error)

    task.add_done_callback(tell)
    return task
