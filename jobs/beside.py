"""What runs beside the server in its process: the embedded worker, and the handbook being kept.

`langserve_app.py` names it to the server, because `server` and `jobs` do not know each other.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from core.background import ended
from core.settings import Settings
from jobs.handbook import keep_handbook
from jobs.worker import EmbeddedWorker
from retrievers.library import Library

log = structlog.get_logger()

#: Seconds that running jobs get to finish at the end; what is cut off is taken up again at the next start.
GRACE_S = 5.0


@asynccontextmanager
async def beside(settings: Settings, redis_url: str, library: Library) -> AsyncIterator[Callable[[], bool] | None]:
    """Work for the block, sharing the server's opened stores; at its end, stop in order. It is given whether the worker runs;
    None where there is none here."""
    worker = EmbeddedWorker(settings, redis_url, library.resources) if settings.jobs.embedded_worker else None
    if worker is not None:
        await asyncio.to_thread(worker.start)
    keeping = asyncio.create_task(_keep_handbook(library)) if settings.handbook else None
    try:
        yield None if worker is None else lambda: worker.works
    finally:
        if keeping is not None:
            await ended([keeping])
        if worker is not None:
            await asyncio.to_thread(worker.stop, GRACE_S)


async def _keep_handbook(library: Library) -> None:
    try:
        await keep_handbook(library)
    except Exception:  # the boundary of a background task
        log.exception("handbook.not_kept")
