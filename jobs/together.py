"""Things that come together are put down in the database in one transaction."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import structlog

log = structlog.get_logger()

T = TypeVar("T")


class Together(Generic[T]):
    """Puts things down in the database, those that come together in one transaction: what `put` does with them."""

    def __init__(self, put: Callable[[Sequence[T]], Awaitable[bool]]) -> None:
        self._put = put
        self._waiting: list[tuple[T, asyncio.Future[bool]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def write(self, one: T) -> bool:
        """True once it is put down; False when the lease was lost."""
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((one, written))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        return await written

    async def settled(self) -> None:
        """Wait until nothing is being put down any more."""
        if self._writing is not None:
            await self._writing

    async def _write(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            try:
                kept = await self._put([one for one, _ in group])
            except Exception as error:  # noqa: BLE001 - handed to those who wait for it
                if all(written.done() for _, written in group):
                    log.warning("together.not_written", error=type(error).__name__)  # whoever waited has been cut off
                for _, written in group:
                    if not written.done():
                        written.set_exception(error)
            else:
                for _, written in group:
                    if not written.done():
                        written.set_result(kept)
