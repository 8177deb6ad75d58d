"""Reconciling a collection: its vectors with its documents, and then every server's word index."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import structlog

from core import jobs, metrics
from core.context import RequestContext, serving
from core.errors import PlatformError
from core.principals import SYSTEM, Principal
from core.queue import INGESTION
from core.rights import REVOKED, REVOKED_MESSAGE, principal_now
from core.tables import JobState
from jobs.alive import LeaseLost, kept_alive
from jobs.base import JobContext, JobSpec
from jobs.ingestion import let_go
from jobs.joining import joined
from retrievers.changes import compare_all
from retrievers.generations import Generation, GenerationChanged
from retrievers.reconciliation import Reconciliation
from retrievers.upkeep import QUEUE, Upkeep, UpkeepLease

log = structlog.get_logger()

#: Seconds until the next try, where a store, the files or the embedding model does not answer.
REST_S = 30.0


async def reconcile_collection(context: JobContext, collection_id: str) -> None:
    """Reconcile the collection, if it is to be and no other worker does. May be repeated, and run at once by many."""
    settings = context.settings.jobs
    upkeep = Upkeep(context.database, lease_s=settings.lease_s)
    lease = await upkeep.take(collection_id, every_s=settings.reconcile_every_s)
    if lease is None:
        return
    kept = jobs.job_principal(lease.job) if lease.job is not None else replace(SYSTEM, tenant=lease.shelf.tenant)
    principal: Principal | None = kept
    if lease.job is not None:
        async with context.database.session(lease.shelf.tenant) as session:
            principal = await principal_now(session, kept)
    name = lease.job.id if lease.job is not None else collection_id
    request = RequestContext(request_id=name, principal=principal or kept, capability=INGESTION)
    bound = structlog.contextvars.bound_contextvars(job_id=lease.job.id if lease.job is not None else None)
    rest_s = 0.0
    with joined(lease.job, "reconciliation"), bound, serving(request):
        try:
            async with kept_alive(lambda: upkeep.renew(lease), lease_s=settings.lease_s):
                if principal is None:
                    log.info("reconciliation.refused", code=REVOKED)
                    await upkeep.end(lease, JobState.FAILED, {"code": REVOKED, "message": REVOKED_MESSAGE})
                else:
                    while not await _reconciled(context, upkeep, lease):
                        log.info("reconciliation.moved", collection_id=collection_id)
        except LeaseLost:
            log.info("reconciliation.left", collection_id=collection_id)
        except PlatformError as error:
            rest_s = REST_S
            log.warning("reconciliation.waits", collection_id=collection_id, code=error.code)
        except Exception:
            log.exception("reconciliation.crashed", collection_id=collection_id)
            failed = {"code": "internal_error", "message": "The collection could not be reconciled."}
            await upkeep.end(lease, JobState.FAILED, failed)
        finally:
            await asyncio.shield(upkeep.release(lease, rest_s=rest_s))


RECONCILE_COLLECTION = JobSpec(queue=QUEUE, run=reconcile_collection)


async def _reconciled(context: JobContext, upkeep: Upkeep, lease: UpkeepLease) -> bool:
    """Reconcile the generation that is active. False where another one came to be meanwhile."""
    generation = await context.library.generations.current(lease.shelf)
    try:
        await _Run(context, upkeep, lease, generation).run()
    except GenerationChanged:
        return False
    return True


class _Run:
    """One run."""

    def __init__(self, context: JobContext, upkeep: Upkeep, lease: UpkeepLease, generation: Generation) -> None:
        self._context, self._upkeep, self._lease = context, upkeep, lease
        library = context.library
        self._leases, self._following = library.documents.leases, library.following
        self._work = Reconciliation(context.database, library.indexer, self._leases, generation)

    async def run(self) -> None:
        held = await self._work.held()
        done = 0
        async for number, suspects in self._work.suspects(held):
            await self._repair(suspects)
            done += number
            await self._tell(done)
        await self._repair(await self._work.others(held))
        await self._tell(done)
        await self._work.check_active()
        words = await self._following.compare(self._lease.shelf)
        async with self._context.database.transaction(self._lease.shelf.tenant) as session:
            await compare_all(session, self._lease.shelf.collection_id)
        counts = self._work.counts
        result = {**counts, "word_index": {kind: words[kind] for kind in ("missing", "orphans")}}
        if not await self._upkeep.end(self._lease, JobState.SUCCEEDED, result):
            raise LeaseLost
        for kind in ("missing", "orphans"):
            metrics.reconciled("vectors", kind, counts[kind])
            metrics.reconciled("words", kind, words[kind])
        log.info("reconciliation.finished", collection_id=self._lease.shelf.collection_id, **counts, words=dict(words))

    async def _repair(self, document_ids: Sequence[str]) -> None:
        for document_id in document_ids:
            lease = await self._leases.hold(document_id)
            if lease is None:
                self._work.skip(document_id)
                continue
            settings = self._context.settings.jobs
            try:
                async with kept_alive(partial(self._leases.renew_held, lease), lease_s=settings.lease_s):
                    await self._work.repair(lease)
            except LeaseLost:
                self._work.skip(document_id)
            finally:
                await asyncio.shield(let_go(self._context, lease))

    async def _tell(self, done: int) -> None:
        """How far it has come, to who asked for it."""
        if self._lease.job is None:
            return
        errors, self._work.errors = self._work.errors, []
        async with self._context.database.transaction(all_tenants=True) as session:
            await jobs.advance(session, self._lease.job.id, done=done, errors=errors)
