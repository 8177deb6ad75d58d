"""Finds what was lost: messages that the broker never got or forgot, leases of dead workers, deletions cut short. Rolls the
ledger up as well."""

import asyncio
from datetime import timedelta

import structlog
from redis import RedisError
from sqlmodel import col, delete, select

from core import jobs
from core.batch_work import BatchWork
from core.batches import QUEUE as BATCHES
from core.batches import RUN_BATCH
from core.data_requests import QUEUE as DATA_REQUESTS
from core.data_requests import RUN_DATA_REQUEST, RUN_SNAPSHOT, SNAPSHOTS, DataRequests
from core.database import utc_now
from core.ledger.rollups import roll_up
from core.queue import INGESTION
from core.stored_files import drop_unclaimed
from core.tables import Document, Job, JobEvent, JobState, Source
from evals.run_work import RunWork
from evals.runs import QUEUE as EVALUATIONS
from evals.runs import RUN_EVALUATION
from jobs.base import JobContext
from jobs.retention import Retention
from jobs.scrubbing import Scrubbing
from retrievers.changes import forget_departures
from retrievers.documents import INGEST
from retrievers.fusion_checks import CHECK, FusionChecks
from retrievers.leases import PENDING
from retrievers.reindexing import QUEUE as REINDEXING
from retrievers.reindexing import WORK, Reindexing
from retrievers.sources.crawls import CRAWL
from retrievers.sources.crawls import QUEUE as CRAWLS
from retrievers.upkeep import QUEUE as UPKEEP
from retrievers.upkeep import RECONCILE, Upkeep

log = structlog.get_logger()

INTERVAL_S = 3.0
#: Documents that one pass sends or cleans up.
AT_ONCE = 1000
#: Entries of the ledger that one pass rolls up at most, so that a backlog keeps nothing else waiting.
ROLLED_AT_ONCE = 10_000
#: Collections that one pass has reconciled.
RECONCILED_AT_ONCE = 10
#: Generations of collections whose fusion one pass has looked at.
CHECKED_AT_ONCE = 20
#: Generations of collections that one pass has filled or dropped.
REINDEXED_AT_ONCE = 10
#: How long a finished job's events can be read again.
EVENTS_KEPT = timedelta(days=7)
_EVENTS_EVERY = 1000  # passes, somewhat less than an hour
_FUSION_EVERY = 20  # passes, about a minute


class Sweeper:
    """`run` sweeps until it is cancelled. Several may run at once: each pass may be repeated."""

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._passes = 0
        self._failing = self._broker_away = False
        self._batches = BatchWork(context.database, lease_s=context.settings.jobs.lease_s)
        self._runs = RunWork(context.database, lease_s=context.settings.jobs.lease_s)
        self._data_requests = DataRequests(context.database, lease_s=context.settings.jobs.lease_s)
        self._retention, self._scrubbing = Retention(context), Scrubbing(context)
        self._upkeep = Upkeep(context.database, lease_s=context.settings.jobs.lease_s)
        self._crawls = context.library.crawls
        self._fusion = FusionChecks(context.database, context.library.resources, context.library.following)
        self._reindexing = Reindexing(context.database, lease_s=context.settings.jobs.lease_s)

    async def take_back(self) -> None:
        """Take all leases back. For the start of a worker beside which no other can be alive: no need to wait until they
        run out."""
        taken = await self._context.library.documents.leases.expire(all_of_them=True)
        batches = await self._batches.waiting(all_of_them=True)
        requests = await self._data_requests.waiting(all_of_them=True)
        runs = await self._runs.waiting(all_of_them=True)
        await self._reindexing.take_back()
        if taken or batches or requests or runs:
            counts = {"batches": len(batches), "data_requests": len(requests), "evaluations": len(runs)}
            log.info("sweeper.taken_back", documents=taken, **counts)

    async def run(self) -> None:
        """Sweep now, then every few seconds."""
        while True:
            try:
                await self.sweep()
                self._failing = False
            except Exception:
                if not self._failing:
                    log.warning("sweeper.failing", exc_info=True)
                self._failing = True
            await asyncio.sleep(INTERVAL_S)

    async def sweep(self) -> None:
        """One pass."""
        expired = await self._context.library.documents.leases.expire()
        if expired:
            log.info("sweeper.leases_expired", documents=expired)
        if self._passes % _EVENTS_EVERY == 0:
            await self._forget_events()
            await drop_unclaimed(self._context.database, self._context.library.resources.files)
            await forget_departures(self._context.database)
        self._passes += 1
        await roll_up(self._context.database, most=ROLLED_AT_ONCE)
        await self._send_lost()
        await self._send_batches()
        await self._send_runs()
        await self._send_data_requests()
        await self._send_reconciliations()
        if self._passes % _FUSION_EVERY == 1:
            await self._send_fusion_checks()
        await self._send_crawls()
        await self._send_generations()
        await self._retention.apply_in_time()
        await self._clean_up()
        await self._scrubbing.apply_in_time()
        await self._close_jobs()

    async def _send_lost(self) -> None:
        """Send what waits in the database while nothing waits in the broker. While something does, it is not known what is
        lost, and sending it all again would fill the broker with doubles."""
        waiting = await self._context.library.documents.leases.queued(AT_ONCE)
        if not waiting:
            return
        if not await self._is_empty(INGESTION):
            return
        if await self._context.queue.send_all(INGEST, waiting, queue=INGESTION):
            log.info("sweeper.sent", documents=len(waiting))

    async def _send_batches(self) -> None:
        """Send the batches that no living worker has, where none waits in the broker."""
        waiting = await self._batches.waiting()
        if not waiting or not await self._is_empty(BATCHES):
            return
        await self._context.queue.send_all(RUN_BATCH, [(batch_id,) for batch_id in waiting], queue=BATCHES)

    async def _send_runs(self) -> None:
        """Send the runs that no living worker has, where none waits in the broker."""
        waiting = await self._runs.waiting()
        if not waiting or not await self._is_empty(EVALUATIONS):
            return
        await self._context.queue.send_all(RUN_EVALUATION, [(run_id,) for run_id in waiting], queue=EVALUATIONS)

    async def _send_data_requests(self) -> None:
        """Send erasures, exports and snapshots that no living worker has, and erasures that are to be looked at once more."""
        for actor, queue in ((RUN_DATA_REQUEST, DATA_REQUESTS), (RUN_SNAPSHOT, SNAPSHOTS)):
            waiting = await self._data_requests.waiting(queue=queue)
            if waiting and await self._is_empty(queue):
                await self._context.queue.send_all(actor, [(one,) for one in waiting], queue=queue)

    async def _send_reconciliations(self) -> None:
        """Send the collections that are to be reconciled, a few at a time."""
        due = await self._upkeep.due(every_s=self._context.settings.jobs.reconcile_every_s, limit=RECONCILED_AT_ONCE)
        if not due or not await self._is_empty(UPKEEP):
            return
        await self._context.queue.send_all(RECONCILE, [(one,) for one in due], queue=UPKEEP)

    async def _send_fusion_checks(self) -> None:
        """Send the generations whose search is to be checked, behind the reconciliations."""
        if not await self._is_empty(UPKEEP) or not (due := await self._fusion.due(CHECKED_AT_ONCE)):
            return
        await self._context.queue.send_all(CHECK, [(one,) for one in due], queue=UPKEEP)

    async def _send_crawls(self) -> None:
        """Send the sources that are to be crawled, those that were asked for and those whose time has come."""
        due = await self._crawls.due(AT_ONCE)
        if not due or not await self._is_empty(CRAWLS):
            return
        await self._context.queue.send_all(CRAWL, [(one,) for one in due], queue=CRAWLS)

    async def _send_generations(self) -> None:
        """Send the generations that are to be filled or dropped, a few at a time."""
        due = await self._reindexing.due(REINDEXED_AT_ONCE)
        if not due or not await self._is_empty(REINDEXING):
            return
        await self._context.queue.send_all(WORK, [(one,) for one in due], queue=REINDEXING)

    async def _is_empty(self, queue: str) -> bool:
        """Whether nothing waits in the broker. False where it does not answer, which is logged once."""
        try:
            waiting = await self._context.queue.waiting(queue)
        except RedisError as error:
            if not self._broker_away:
                log.warning("sweeper.broker_away", error=type(error).__name__)
            self._broker_away = True
            return False
        self._broker_away = False
        return waiting == 0

    async def _clean_up(self) -> None:
        library = self._context.library
        for shelf in await library.collections.deleted():
            await library.collections.purge(shelf)
        for document in await library.documents.leases.abandoned(AT_ONCE):
            await library.documents.tidy(document)
            await library.documents.leases.drop(document)

    async def _close_jobs(self) -> None:
        """Jobs that nothing is left of, and that nobody has closed."""
        pending = select(Document.id).where(Document.job_id == Job.id, col(Document.state).in_(PENDING)).exists()
        crawling = select(Source.id).where(Source.job_id == Job.id).exists()
        async with self._context.database.session(all_tenants=True) as session:
            found = await session.exec(
                select(Job.id).where(
                    Job.kind == "ingestion", col(Job.state).in_((JobState.QUEUED, JobState.RUNNING)), ~pending, ~crawling
                )
            )
            open_jobs = found.all()
        for job_id in open_jobs:
            async with self._context.database.transaction(all_tenants=True) as session:
                await jobs.count(session, job_id, pending=0)

    async def _forget_events(self) -> None:
        old = select(Job.id).where(col(Job.finished_at) < utc_now() - EVENTS_KEPT)
        async with self._context.database.transaction(all_tenants=True) as session:
            await session.exec(delete(JobEvent).where(col(JobEvent.job_id).in_(old)))
