"""A span for each command or pipeline that goes to Redis or Valkey: its name, never a key or a value."""

from collections.abc import Sequence
from typing import Any

import redis.asyncio as redis
from redis.asyncio.client import Pipeline

from core.traces import seam

_SYSTEM = {"db.system.name": "redis"}


class TracedRedis(redis.Redis):
    """The client, where tracing is on."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """One command."""
        name = str(args[0])
        with seam.span(name, _SYSTEM | {"db.operation.name": name}, kind=seam.Kind.CLIENT):
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]  # redis-py

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> "TracedPipeline":
        """Several commands that go together."""
        return TracedPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


class TracedPipeline(Pipeline):
    """Recorded as one."""

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send what was gathered."""
        names = {str(command[0][0]) for command in _gathered(self)}
        name = names.pop() if len(names) == 1 else "PIPELINE"
        told: dict[str, str | int] = {**_SYSTEM, "db.operation.name": name, "db.operation.batch.size": len(self)}
        with seam.span(name, told, kind=seam.Kind.CLIENT):
            return await super().execute(raise_on_error)


def _gathered(pipeline: Pipeline) -> Sequence[Any]:
    return pipeline.command_stack
