"""Start and end of the platform: everything that lives as long as the process, opened in order and closed in reverse.

What is heavy is imported where it is used, in threads: this module is loaded while the first requests for health are answered.
"""

import asyncio
import faulthandler
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy.exc import OperationalError

from core import alerts, audit, ledger
from core.alerts.book import Book
from core.background import ended, told
from core.child import close_children
from core.database import Database, keyring_of
from core.errors import InvalidRequest
from core.keys import Hasher, load_secret
from core.plugins import load_target
from core.principals import SYSTEM
from core.queue import Queue
from core.redis_clients import RedisClients
from core.schema import prepare
from core.settings import Settings, SettingsError
from core.traces.traced import traced
from server.access.access import Access
from server.access.administrator import Greet, welcome_administrator
from server.readiness import Readiness
from server.sole_server import sole_server
from server.state import State
from server.version import platform_version

if TYPE_CHECKING:
    from core.encryption.keyring import Keyring
    from core.metrics.exposition import Exposition
    from providers.models import Models
    from retrievers.library import Resources

log = structlog.get_logger()

#: Seconds that the end may take before standard error is told where each thread waits; who stops us often kills after thirty.
_SLOW_END_S = 15.0


@asynccontextmanager
async def running(
    settings: Settings, readiness: Readiness | None = None, greet: Greet | None = None, beside: str | None = None
) -> AsyncIterator[State]:
    """Start everything, give the state, stop everything. Models go on loading in the background.

    `greet` is told the administrator's key and sign-in link at the first start. `beside` (`package.module:name`) runs for as
    long as the state: an asynchronous context manager of settings, broker URL and library, which gives `State.worker_runs`.

    Raises:
        Conflict: `store_not_shareable`, another process has the data directory.
    """
    readiness = readiness or Readiness()
    async with AsyncExitStack() as stack:
        ends = stack.enter_context(_told_when_slow())
        tracing = traced(settings)
        await asyncio.to_thread(tracing.__enter__)
        stack.push_async_callback(asyncio.to_thread, tracing.__exit__, None, None, None)
        stack.push_async_callback(asyncio.to_thread, close_children)
        with readiness.starting("database"):
            await asyncio.to_thread(_migrated, settings)
            keyring = keyring_of(settings)
            await asyncio.to_thread(keyring.check)
            database = Database(settings, keyring)
            stack.push_async_callback(database.close)
            await stack.enter_async_context(sole_server(settings, database))
            recorder = await asyncio.to_thread(audit.Recorder, settings)
            stack.push_async_callback(asyncio.to_thread, recorder.close)
            audit.connect(recorder)
            stack.callback(audit.connect, None)
            await asyncio.to_thread(_note_start, settings)
            book = await asyncio.to_thread(ledger.Ledger, settings)
            stack.push_async_callback(asyncio.to_thread, book.close)
            ledger.connect(book)
            stack.callback(ledger.connect, None)
            told = await asyncio.to_thread(Book, settings, alerts.alerts().tell)
            stack.push_async_callback(asyncio.to_thread, told.close)
            alerts.connect(told, settings.alerts.window_s)
            stack.callback(alerts.connect, None)
            access = await Access.open(settings, database)
            await welcome_administrator(settings, access, greet)
        with readiness.starting("broker"):
            redis_url = settings.redis_url or await _embedded_broker(settings, stack)
            queue = await asyncio.to_thread(Queue, redis_url)
            stack.callback(queue.close)
        clients = RedisClients(redis_url, connections=settings.redis.connections, wait_s=settings.redis.wait_s)
        stack.push_async_callback(clients.close)
        models = await asyncio.to_thread(_models, settings)
        await _seeded(settings, database)
        await models.changes.load(database)
        _in_background(stack, access.watch(models.changes))
        stack.push_async_callback(models.close)
        models.connect(clients, keyring)
        exposition = await _measured(settings, redis_url, clients, book, models, stack) if settings.metrics.on else None
        _in_background(stack, models.prober.run())
        _in_background(stack, models.listen())
        # the chat model loads in a process of its own, while this one imports the stores
        _in_background(stack, _warm(settings, models, readiness))
        with readiness.starting("store"):
            resources = await asyncio.to_thread(_open_stores, settings, models, keyring)
            stack.push_async_callback(asyncio.to_thread, resources.close)
        state = await asyncio.to_thread(_assemble, settings, readiness, database, redis_url, queue, access, resources)
        state.metrics = exposition
        await state.library.generations.begin()
        stack.push_async_callback(asyncio.to_thread, state.analyser.close)
        _in_background(stack, state.library.following.run())
        _in_background(stack, resources.asked.run(database))
        _in_background(stack, state.library.forgetting.run())
        readiness.behind["words_behind"] = lambda: len(state.library.following.behind)
        if beside is not None:
            run_beside = await asyncio.to_thread(load_target, beside)
            state.worker_runs = await stack.enter_async_context(run_beside(settings, redis_url, state.library))
        try:
            yield state
        finally:
            ends()


@contextmanager
def _told_when_slow() -> Iterator[Callable[[], None]]:
    """Gives what is called when the end begins. Where the block goes on for too long after that, it is told where each thread
    and each task waits."""
    with ExitStack() as over:

        def ends() -> None:
            faulthandler.dump_traceback_later(_SLOW_END_S, file=sys.__stderr__ or sys.stderr)
            over.callback(faulthandler.cancel_dump_traceback_later)
            over.callback(asyncio.get_running_loop().call_later(_SLOW_END_S, _tell_tasks).cancel)

        yield ends


def _tell_tasks() -> None:
    """Where each task waits: of the thread that runs them all, its stack tells nothing."""
    for task in asyncio.all_tasks():
        waits = [f"{frame.f_code.co_filename}:{frame.f_lineno}" for frame in task.get_stack()]
        log.warning("server.slow_end", task=task.get_name(), waits=waits)


def _note_start(settings: Settings) -> None:
    """Put on record with which settings the platform starts: a digest tells whether they changed, secrets apart."""
    digest = Hasher(load_secret(settings)).digest("settings", settings.model_dump_json(exclude={"port"}))
    details: dict[str, audit.Detail] = {"settings": digest[:16], "version": platform_version()}
    audit.note(audit.Action.SETTINGS_STARTED, outcome=audit.Outcome.SUCCESS, details=details, principal=SYSTEM)


def unstarted(settings: Settings) -> State:
    """A state whose parts are built but not started: enough to describe the application, not to serve."""
    from retrievers.library import Resources

    missing: Any = None
    database = Database(settings)
    access = Access(settings, database, b"")
    redis_url = settings.redis_url or "redis://127.0.0.1:1"
    resources = Resources(store=missing, lexical=missing, files=missing, models=_models(settings), keyring=database.keyring)
    return _assemble(settings, Readiness(), database, redis_url, Queue(redis_url), access, resources)


def _migrated(settings: Settings) -> None:
    """Bring the database to the newest schema, or find it there.

    Raises:
        SettingsError: there is no answer from where `GENAI_DATABASE_URL` points, or the schema there is too old.
    """
    try:
        prepare(settings)
    except OperationalError as error:
        if settings.database_url is None:
            raise
        reason = str(error.orig).strip().splitlines()[0]
        raise SettingsError(f"GENAI_DATABASE_URL: the database does not answer: {reason}") from error


async def _embedded_broker(settings: Settings, stack: AsyncExitStack) -> str:
    from core.valkey import EmbeddedValkey

    valkey = EmbeddedValkey(settings)
    stack.push_async_callback(asyncio.to_thread, valkey.close)
    return await asyncio.to_thread(valkey.start)


def _models(settings: Settings) -> "Models":
    from providers.models import Models

    return Models(settings)


async def _seeded(settings: Settings, database: Database) -> None:
    from providers.registry.seeding import seed
    from server.registry import check_prompts

    try:
        check_prompts(settings.prompts)
    except InvalidRequest as error:
        raise SettingsError(f"prompts: {error.message}") from None
    await seed(database, settings.aliases, settings.prompts)


async def _measured(
    settings: Settings,
    redis_url: str,
    clients: RedisClients,
    book: ledger.Ledger,
    models: "Models",
    stack: AsyncExitStack,
) -> "Exposition":
    from core.metrics.measured import measured
    from providers import readings

    measuring = measured(settings, redis_url, clients, book)
    exposition = await asyncio.to_thread(measuring.__enter__)
    stack.push_async_callback(asyncio.to_thread, measuring.__exit__, None, None, None)
    exposition.sources.add("providers", lambda: readings.standings(models))
    exposition.sources.add("connections", lambda: readings.connections(models))
    return exposition


def _open_stores(settings: Settings, models: "Models", keyring: "Keyring") -> "Resources":
    from retrievers.library import open_resources

    return open_resources(settings, models, keyring)


def _assemble(
    settings: Settings,
    readiness: Readiness,
    database: Database,
    redis_url: str,
    queue: Queue,
    access: Access,
    resources: "Resources",
) -> State:
    from chains.conversations import Conversations
    from chains.protection.guarding import check_settings
    from providers import places
    from retrievers.library import Library

    check_settings(settings)
    places.check_settings(resources.models)
    return State(
        settings=settings,
        readiness=readiness,
        database=database,
        redis_url=redis_url,
        queue=queue,
        access=access,
        models=resources.models,
        library=Library.build(settings, database, resources, queue),
        conversations=Conversations(database),
        analyser=resources.models.privacy.analyser,
    )


async def _warm(settings: Settings, models: "Models", readiness: Readiness) -> None:
    """Load the local models, which readiness waits for, then what the other providers need, which it does not.

    One that cannot be loaded does not keep the rest from serving: its state tells why.
    """
    try:
        if settings.local.warm:
            await models.warm(local=True)
        readiness.done("models")
        await models.warm(local=False)
    except Exception:  # the boundary of a background task
        log.exception("models.not_warm")
    finally:
        readiness.done("models")


def _in_background(stack: AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine until it ends or the platform does."""
    task = told(asyncio.create_task(work), getattr(work, "__qualname__", "background"))

    stack.push_async_callback(ended, [task])
