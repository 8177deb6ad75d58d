"""Signs of life: a lease is renewed while its work runs, and the work ends once it is of no use."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog

from core.background import ended

log = structlog.get_logger()

#: Seconds between two signs of life, at most; each also tells whether the work is still wanted.
SIGN_OF_LIFE_S = 2.0
#: Signs of life in the time that a lease lasts, at least.
RENEWALS = 3


class LeaseLost(Exception):
    """The work is of no use any more: replaced, cancelled or deleted, or another worker has it."""


@contextlib.asynccontextmanager
async def kept_alive(renew: Callable[[], Awaitable[bool]], *, lease_s: float) -> AsyncIterator[None]:
    """Call `renew` several times within `lease_s` seconds while the block runs, and end the block once it gives False.

    Raises:
        LeaseLost: the block was ended.
    """
    work = asyncio.current_task()
    every_s = min(SIGN_OF_LIFE_S, lease_s / RENEWALS)
    lost = False

    async def keep() -> None:
        nonlocal lost
        while True:
            await asyncio.sleep(every_s)
            try:
                kept = await renew()
            except Exception as error:  # noqa: BLE001 - the database may be away for a moment; the lease may still hold
                log.warning("lease.not_renewed", error=type(error).__name__)
                continue
            if not kept and work is not None:
                lost = True
                work.cancel()
                return

    keeper = asyncio.create_task(keep())
    try:
        try:
            yield
        finally:
            await ended([keeper])  # which may end the work here, when the block is over
    except asyncio.CancelledError:
        if not lost:
            raise
        if work is not None:
            work.uncancel()
        raise LeaseLost from None
