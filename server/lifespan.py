"""Start and end of the platform: everything that lives as long as the process, opened in order and closed in reverse."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import structlog

from core.database import Database, migrate
from core.keys import Hasher
from core.queue import Queue
from core.settings import Settings
from server.access.access import Access
from server.access.administrator import Greet, welcome_administrator
from server.access.keys import Keys
from server.access.sessions import BrowserSessions
from server.readiness import Readiness
from server.state import State

log = structlog.get_logger()

#: Seconds that running jobs get to finish at the end; what is cut off is taken up again at the next start.
JOB_GRACE_S = 5.0


@asynccontextmanager
async def running(settings: Settings, readiness: Readiness | None = None, greet: Greet | None = None) -> AsyncIterator[State]:
    """Start everything, give the state, stop everything. Models go on loading in the background.

    Raises:
        Conflict: `store_not_shareable`, another process has the data directory.
    """
    readiness = readiness or Readiness()
    async with AsyncExitStack() as stack:
        with readiness.starting("database"):
            await asyncio.to_thread(migrate, settings)
            database = Database(settings)
            stack.push_async_callback(database.close)
            access = await Access.open(settings, database)
            await welcome_administrator(settings, access, greet)
        with readiness.starting("broker"):
            redis_url = settings.redis_url or await _embedded_broker(settings, stack)
            queue = await asyncio.to_thread(Queue, redis_url)
            stack.callback(queue.close)
        with readiness.starting("store"):
            models, resources = await asyncio.to_thread(_tolerant, _open_stores, (None, None), settings)
            if models is not None:
                stack.push_async_callback(models.close)
                stack.push_async_callback(asyncio.to_thread, resources.close)
        state = await asyncio.to_thread(_assemble, settings, readiness, database, redis_url, queue, access, models, resources)
        if settings.jobs.embedded_worker:
            try:
                await _start_worker(settings, redis_url, resources, stack)
            except (ImportError, SyntaxError, AttributeError, TypeError) as error:
                log.error("part.missing", error=str(error))
        _in_background(stack, _warm(settings, state))
        if settings.handbook:
            _in_background(stack, _keep_handbook(state))
        yield state


async def _embedded_broker(settings: Settings, stack: AsyncExitStack) -> str:
    from core.valkey import EmbeddedValkey

    valkey = EmbeddedValkey(settings)
    url = await asyncio.to_thread(valkey.start)
    stack.push_async_callback(asyncio.to_thread, valkey.close)
    return url


def unstarted(settings: Settings) -> State:
    """A state whose parts are built but not started: enough to describe the application, not to serve."""
    from providers.models import Models

    database, redis_url = Database(settings), settings.redis_url or "redis://127.0.0.1:1"
    access = Access(Keys(database, hasher := Hasher(b"")), BrowserSessions(database, hasher, timedelta()))
    queue, models = Queue(redis_url), Models(settings)
    return _assemble(settings, Readiness(), database, redis_url, queue, access, models, None)


def _open_stores(settings: Settings) -> tuple[Any, Any]:
    """Models and stores. Imports most of what is heavy, so it runs in a thread."""
    from providers.models import Models
    from retrievers.library import open_resources

    models = Models(settings)
    return models, open_resources(settings, models)


def _assemble(
    settings: Settings,
    readiness: Readiness,
    database: Database,
    redis_url: str,
    queue: Queue,
    access: Access,
    models: Any,
    resources: Any,
) -> State:
    def conversations_() -> Any:
        from chains.conversations import Conversations

        return Conversations(database)

    def library_() -> Any:
        from retrievers.library import Library

        return Library.build(settings, database, resources, queue)

    return State(
        settings=settings,
        readiness=readiness,
        database=database,
        redis_url=redis_url,
        queue=queue,
        access=access,
        models=models,
        library=_tolerant(library_, None),
        conversations=_tolerant(conversations_, None),
    )


async def _start_worker(settings: Settings, redis_url: str, resources: Any, stack: AsyncExitStack) -> None:
    from jobs.worker import EmbeddedWorker

    worker = EmbeddedWorker(settings, redis_url, resources)
    await asyncio.to_thread(worker.start)
    stack.push_async_callback(asyncio.to_thread, worker.stop, JOB_GRACE_S)


async def _warm(settings: Settings, state: State) -> None:
    """Load the local models. One that cannot be loaded does not keep the others from serving: its state tells why."""
    try:
        if settings.local.warm:
            await state.models.warm()
    except Exception:  # the boundary of a background task
        log.exception("models.not_warm")
    finally:
        state.readiness.done("models")
        log.info("platform.ready")


async def _keep_handbook(state: State) -> None:
    try:
        from jobs.handbook import keep_handbook

        await keep_handbook(state.library)
    except Exception:  # the boundary of a background task
        log.exception("handbook.not_kept")


def _in_background(stack: AsyncExitStack, work: Any) -> None:
    """Run a coroutine until it ends or the platform does."""
    task = asyncio.ensure_future(work)

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(end)


def _tolerant(build: Any, missing: Any, *args: Any) -> Any:  # until every part is there
    try:
        return build(*args)
    except (ImportError, SyntaxError, AttributeError, TypeError) as error:
        log.error("part.missing", error=str(error))
        return missing
