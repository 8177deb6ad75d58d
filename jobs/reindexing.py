"""Working on a generation of a collection: filling it until it can take the place of the active one, or dropping it."""

import asyncio
import time
from dataclasses import replace
from typing import Any

import structlog

from core import jobs
from core.contained import contained
from core.context import RequestContext, serving
from core.errors import PlatformError
from core.principals import SYSTEM, Principal
from core.queue import INGESTION
from core.rights import REVOKED, REVOKED_MESSAGE, principal_now
from core.tables import GenerationState
from core.threads import run_to_end
from jobs.alive import LeaseLost, kept_alive
from jobs.base import JobContext, JobSpec
from jobs.joining import joined
from retrievers.filling import Filling
from retrievers.generations import note as note_generation
from retrievers.reindexing import QUEUE, GenerationLease, Reindexing

log = structlog.get_logger()

#: Seconds until the next try, where a store, the files or the embedding model does not answer.
REST_S = 10.0
#: Seconds that a generation which is to go is waited for, while somebody may write to it, and between two looks.
LET_GO_S, LOOK_EVERY_S = 30.0, 0.5


async def work_on_generation(context: JobContext, generation_id: str) -> None:
    """Fill or drop the generation, if no other worker does. May be repeated, and run at once by many."""
    settings = context.settings.jobs
    reindexing = Reindexing(context.database, lease_s=settings.lease_s)
    lease = await reindexing.take(generation_id)
    if lease is None:
        return
    # on behalf of whose data it is: their policy says which models may see it
    system = replace(SYSTEM, tenant=lease.row.tenant)
    kept = jobs.job_principal(lease.job) if lease.job is not None else system
    async with context.database.session(kept.tenant) as session:
        principal: Principal | None = await principal_now(session, kept) if lease.job is not None else kept
    request = RequestContext(
        request_id=lease.row.job_id or generation_id,
        principal=kept if kept.tenant == lease.row.tenant else system,
        capability=INGESTION,
    )
    bound = structlog.contextvars.bound_contextvars(job_id=lease.row.job_id, generation_id=generation_id)
    rest_s, counts = 0.0, False
    with joined(lease.job, "reindexing", lease.row.attempts), bound, serving(request):
        try:
            async with kept_alive(lambda: reindexing.renew(lease), lease_s=settings.lease_s):
                if lease.row.state == GenerationState.DROPPING:
                    rest_s = 0.0 if await _drop(context, reindexing, lease) else REST_S
                elif principal is None:
                    await reindexing.give_up(lease, REVOKED, REVOKED_MESSAGE)
                elif lease.row.attempts > settings.max_attempts:
                    text = "The worker was ended each time that it moved this collection, before it came any further."
                    await reindexing.give_up(lease, "interrupted", text)
                else:
                    with contained():
                        await _fill(context, reindexing, lease)
        except LeaseLost:
            log.info("generation.left")
        except PlatformError as error:
            log.warning("generation.waits" if error.retryable else "generation.given_up", code=error.code)
            rest_s = REST_S
            if not error.retryable:
                await reindexing.give_up(lease, error.code, error.message)
        except Exception:  # the boundary of a job: whatever a store raises
            log.exception("generation.crashed")
            rest_s, counts = REST_S, True
        finally:
            await asyncio.shield(reindexing.release(lease, rest_s=rest_s, counts=counts))


WORK_ON_GENERATION = JobSpec(queue=QUEUE, run=work_on_generation)


async def _fill(context: JobContext, reindexing: Reindexing, lease: GenerationLease) -> None:
    """Copy, catch up, compare, and switch once nothing is behind."""

    async def note(**values: Any) -> None:
        if not await reindexing.advance(lease, **values):
            raise LeaseLost

    library, row = context.library, lease.row
    source = await library.generations.current(lease.generation.collection)
    filling = Filling(context.database, library.indexer, source, lease.generation, note)
    if not row.copied:
        await filling.copy(row.cursor)

    async def catch_up() -> None:
        await filling.follow(row.number, await reindexing.number(source.collection))

    await catch_up()
    told = await filling.verify(row.number)
    await catch_up()
    while not (switched := await reindexing.switch(lease)):
        if switched is None:
            raise LeaseLost
        await catch_up()
    note_generation(library.resources, lease.generation)
    log.info("generation.switched", collection_id=row.collection_id, store=row.store, model=row.model, **told)


async def _drop(context: JobContext, reindexing: Reindexing, lease: GenerationLease) -> bool:
    """Delete a generation's chunks, and leave nothing of them in its store's files. False where somebody who has begun while
    it was active may still write to it: nobody would delete that."""
    generation = lease.generation
    if not await _let_go(reindexing, lease):
        log.info("generation.held", collection_id=lease.row.collection_id)
        return False
    store = context.library.generations.store(generation)
    await run_to_end(store.delete_collection, generation.shelf)
    await run_to_end(store.scrub)
    await reindexing.gone(lease)
    log.info("generation.dropped", collection_id=lease.row.collection_id, store=generation.store)
    return True


async def _let_go(reindexing: Reindexing, lease: GenerationLease) -> bool:
    """Wait for a while until all that may write to the generation now have ended. Who begins from now on writes to another."""
    if lease.row.switched_at is None:
        return True  # it never was active, and who was filling it had this lease
    until, holding = time.monotonic() + LET_GO_S, await reindexing.writers(lease)
    while holding and time.monotonic() < until:
        await asyncio.sleep(LOOK_EVERY_S)
        holding &= await reindexing.writers(lease)
    return not holding
