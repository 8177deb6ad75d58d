"""The worker: Dramatiq's threads, and one event loop with its own database engine that all jobs run on.

Inside the server it is started by the lifespan; `python -m jobs.worker` runs it alone, where the stores can be shared.
"""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import dramatiq
import structlog

from core import alerts, audit, ledger
from core.alerts.book import Book
from core.background import ended, told
from core.batches import QUEUE as BATCHES
from core.contained import contained, keep_running
from core.data_requests import QUEUE as DATA_REQUESTS
from core.data_requests import SNAPSHOTS
from core.database import Database, keyring_of
from core.errors import PlatformError
from core.logs import close_logging, configure_logging
from core.per_loop import close_loop
from core.queue import INGESTION, Queue
from core.redis_clients import RedisClients
from core.schema import prepare
from core.settings import Settings, SettingsError
from core.traces.traced import traced
from evals.experiments.registered import ModelVersions
from evals.runs import QUEUE as EVALUATIONS
from jobs.alert_monitor import AlertMonitor
from jobs.alert_notices import Notices
from jobs.base import JobContext, JobSpec
from jobs.broker import worker_broker
from jobs.broker_reach import BrokerReach
from jobs.canaries import Canaries
from jobs.experiment_monitor import ExperimentMonitor
from jobs.joining import came_by
from jobs.live_grading import Grader
from jobs.sweeper import Sweeper
from jobs.watching import Watcher
from providers.parts import require_parts
from retrievers import STORES, require_stores
from retrievers.library import Library, Resources, open_resources
from retrievers.reindexing import QUEUE as REINDEXING
from retrievers.sources.crawls import QUEUE as CRAWLS
from retrievers.upkeep import QUEUE as UPKEEP

if TYPE_CHECKING:
    from providers.models import Models

log = structlog.get_logger()

#: Milliseconds between two looks into an empty queue, at most.
POLL_MS = 250
START_TIMEOUT_S = 30.0
EXECUTOR_THREADS = 8
#: Sources that one worker crawls at once: a slow site keeps another waiting, but no document.
CRAWLS_AT_ONCE = 2
#: Of the time that `stop` gives, the part in which running jobs may finish; the rest is for cutting them off.
GRACE = 0.6
#: What is left on the loop at its end, shielded from those who waited for it, has so long to go.
_LEFT_S = 2.0


class EmbeddedWorker:
    """Runs jobs in threads of this process. `start` and `stop` block; call them off the event loop.

    `alone`: no server is in this process, which would keep its word indexes up to date.
    """

    def __init__(self, settings: Settings, redis_url: str, resources: Resources, *, alone: bool = False) -> None:
        self._settings = settings
        self._alone = alone
        self._redis_url = redis_url
        self._resources = resources
        self._loop = asyncio.new_event_loop()
        self._executor = ThreadPoolExecutor(EXECUTOR_THREADS, thread_name_prefix="jobs")
        self._loop.set_default_executor(self._executor)
        self._thread = threading.Thread(target=self._run_loop, name="jobs", daemon=True)
        self._running: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._over = False
        self._context: JobContext | None = None
        self._background: list[asyncio.Task[None]] = []
        self._workers: list[dramatiq.Worker] = []

    def start(self) -> None:
        """Take what was left behind back into the queue, and start working."""
        self._thread.start()
        self._context = self._on_loop(self._open()).result(START_TIMEOUT_S)
        # batches take hours: with threads of their own they keep no document waiting
        reach = BrokerReach()
        for queues, threads in (
            ({INGESTION}, self._settings.jobs.threads + 1),  # for whom there is one more: see `jobs.ingestion`
            ({BATCHES}, self._settings.batches.at_once),
            ({EVALUATIONS}, self._settings.evaluations.at_once),
            ({DATA_REQUESTS}, 1),
            ({SNAPSHOTS}, 1),
            ({UPKEEP}, 1),
            ({CRAWLS}, CRAWLS_AT_ONCE),
            ({REINDEXING}, 1),
        ):
            broker = worker_broker(self._redis_url, self._run, reach)
            worker = dramatiq.Worker(broker, queues=queues, worker_timeout=POLL_MS, worker_threads=threads)
            worker.start()
            self._workers.append(worker)
        log.info("worker.started", threads=self._settings.jobs.threads)

    @property
    def works(self) -> bool:
        """Whether there is anybody to run jobs: its event loop runs."""
        return self._thread.is_alive()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Let running jobs finish for a while, then cut them off; what is cut off goes back into the queue and its try does
        not count. May be called again."""
        if self._stopping or not self._thread.is_alive():
            return
        self._stopping = True
        if self._workers:
            stopping = threading.Thread(target=self._stop_workers, args=(int(timeout_s * 1000),), name="jobs-stop")
            stopping.start()
            stopping.join(timeout_s * GRACE)
            if stopping.is_alive():
                self._on_loop(self._cut_off()).result(timeout_s)
                stopping.join(timeout_s * (1 - GRACE))
        self._on_loop(self._close()).result(timeout_s)
        self._loop.call_soon_threadsafe(self._end)
        self._thread.join(timeout_s)
        log.info("worker.stopped")

    def _stop_workers(self, timeout_ms: int) -> None:
        stopping = [threading.Thread(target=worker.stop, args=(timeout_ms,)) for worker in self._workers]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join()

    def _run(self, spec: JobSpec, args: tuple[object, ...], carried: str | None) -> None:
        """Called in Dramatiq's threads: run the job on the loop and wait for it."""
        if self._stopping:
            return  # the database still says what is to be done
        try:
            self._on_loop(self._work(spec, args, carried)).result()
        except CancelledError:
            log.info("job.cut_off")
        except Exception:  # the boundary of a message: a retry is the sweeper's, by what the database says
            log.exception("job.crashed")

    async def _work(self, spec: JobSpec, args: tuple[object, ...], carried: str | None) -> None:
        came_by.set(carried)
        task = asyncio.ensure_future(_contained(spec.run(self._context, *args)))
        self._running.add(task)
        try:
            await task
        finally:
            self._running.discard(task)

    async def _open(self) -> JobContext:
        database = Database(self._settings, self._resources.keyring)
        queue = Queue(self._redis_url)
        library = Library.build(self._settings, database, self._resources, queue)
        context = JobContext(self._settings, database, queue, library)
        changes = self._resources.models.changes
        await changes.load(database)
        sweeper = Sweeper(context)
        if not self._resources.shareable:
            await sweeper.take_back()
        monitor, notices = AlertMonitor(context), Notices(database, self._settings)
        listening = self._resources.models.listen()
        experiments = ExperimentMonitor(context, ModelVersions(database))
        works = [changes.run(database), listening, sweeper.run(), monitor.run(), notices.run(), experiments.run()]
        works += [Watcher(context).run(), Grader(context).run(), Canaries(database).run()]
        if self._alone:
            works += [library.following.run(), library.forgetting.run(), library.resources.asked.run(database)]
        for work in works:
            self._background.append(told(asyncio.ensure_future(_contained(work)), getattr(work, "__qualname__", "background")))
        return context

    async def _cut_off(self) -> None:
        await ended(self._running)

    async def _close(self) -> None:
        await self._cut_off()
        await ended(self._background)
        if self._context is not None:
            self._context.queue.close()
            await self._context.database.close()
        await close_loop()
        with suppress(TimeoutError):  # what does not end for it keeps the worker from nothing
            async with asyncio.timeout(_LEFT_S):
                await ended(asyncio.all_tasks() - {asyncio.current_task()})
        self._executor.shutdown(wait=False, cancel_futures=True)  # a thread that still computes does so for nobody

    def _on_loop(self, work: Any) -> "Future[Any]":
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _end(self) -> None:
        self._over = True
        self._loop.stop()

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            keep_running(self._loop, lambda: self._over)
        finally:
            self._loop.close()


async def _contained(work: Awaitable[None]) -> None:
    with contained():
        await work


def main() -> int:
    """Work until SIGTERM or SIGINT. 1 when the settings or the stores do not allow it."""
    os.umask(0o077)  # what is written is for the platform's user alone
    try:
        settings = Settings.load()
        configure_logging(settings.log, settings.tls)
        require_stores(settings.retrieval)
        require_parts(settings)
        if alone := [name for name in settings.retrieval.stores if not STORES.load(name).shareable]:
            print(  # noqa: T201 - to the person who typed the command
                f"store_not_shareable: the store {alone[0]!r} belongs to one process, the server, which has a "
                "worker of its own: GENAI_JOBS__THREADS sets how many documents it works on at once. With a store that several "
                "processes may share there may be more workers: GENAI_RETRIEVAL__STORE=pgvector is one.",
                file=sys.stderr,
            )
            return 1
        with traced(settings):
            _work_until_told(settings)
    except (SettingsError, PlatformError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    finally:
        close_logging()
    return 0


def _work_until_told(settings: Settings) -> None:
    from core.valkey import EmbeddedValkey
    from providers.models import Models

    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    prepare(settings)
    keyring = keyring_of(settings)
    keyring.check()
    valkey = None if settings.redis_url else EmbeddedValkey(settings)
    models = Models(settings)
    resources = open_resources(settings, models, keyring, searched=False)
    redis_url = settings.redis_url or (valkey.start() if valkey else "")
    clients = RedisClients(redis_url, connections=settings.redis.connections, wait_s=settings.redis.wait_s)
    models.connect(clients, keyring)
    alert_book = Book(settings, alerts.alerts().tell)
    alerts.connect(alert_book, settings.alerts.window_s)
    recorder = audit.Recorder(settings)
    audit.connect(recorder)
    book = ledger.Ledger(settings)
    ledger.connect(book)
    worker = EmbeddedWorker(settings, redis_url, resources, alone=True)
    try:
        with _measured(settings, redis_url, clients, book, models):
            worker.start()
            told.wait()
    finally:
        worker.stop()
        alerts.connect(None)
        alert_book.close()
        ledger.connect(None)
        book.close()
        audit.connect(None)
        recorder.close()
        resources.close()
        asyncio.run(models.close())
        if valkey is not None:
            valkey.close()


@contextmanager
def _measured(
    settings: Settings, redis_url: str, clients: RedisClients, book: ledger.Ledger, models: "Models"
) -> Iterator[None]:
    """Count for the block where somebody can see it: a worker has no other port to be scraped on than `GENAI_METRICS__PORT`."""
    if settings.metrics.port is None and settings.metrics.conventions is None:
        yield
        return
    from core.metrics.measured import measured
    from providers import readings

    with measured(settings, redis_url, clients, book) as exposition:
        exposition.sources.add("providers", lambda: readings.standings(models))
        exposition.sources.add("connections", lambda: readings.connections(models))
        yield


if __name__ == "__main__":
    sys.exit(main())
