"""Crawling a source: lease it, look at what is there, hand over what is new, and say how that ended."""

import asyncio

import structlog

from core.contained import contained
from core.context import RequestContext, serving
from core.errors import PlatformError
from core.jobs import job_principal
from core.principals import Principal
from core.queue import INGESTION
from core.rights import REVOKED, REVOKED_MESSAGE, principal_now
from core.tables import Collection
from jobs.alive import LeaseLost, kept_alive
from jobs.base import JobContext, JobSpec
from jobs.ingestion import may_write
from jobs.joining import joined
from retrievers.base import Shelf
from retrievers.sources.crawls import QUEUE, CrawlLease
from retrievers.sources.handover import CrawlStopped

log = structlog.get_logger()


async def crawl_source(context: JobContext, source_id: str) -> None:
    """Crawl the source, if it is to be and no other worker does. May be repeated, and run at once by many."""
    crawls = context.library.crawls
    lease = await crawls.take(source_id)
    if lease is None:
        return
    kept = job_principal(lease.job)
    principal = await _may_now(context, lease, kept)
    request = RequestContext(request_id=lease.job.id, principal=principal or kept, capability=INGESTION)
    bound = structlog.contextvars.bound_contextvars(job_id=lease.job.id, source_id=source_id)
    with joined(lease.job, "crawl", lease.source.attempts), bound, serving(request):
        try:
            async with kept_alive(lambda: crawls.renew(lease), lease_s=context.settings.jobs.lease_s):
                if principal is None:
                    await _fail(context, lease, REVOKED, REVOKED_MESSAGE)
                elif lease.spent:
                    await _fail(context, lease, "interrupted", "The worker was ended each time that it crawled this source.")
                else:
                    with contained():
                        await _crawl(context, lease)
        except (LeaseLost, CrawlStopped):
            log.info("crawl.left")
        except Exception:  # the boundary of a job: whatever a cloud's SDK raises
            log.exception("crawl.crashed")
            await _fail(context, lease, "internal_error", "The source could not be crawled.")
        finally:
            await asyncio.shield(crawls.release(lease))


CRAWL_SOURCE = JobSpec(queue=QUEUE, run=crawl_source)


async def _crawl(context: JobContext, lease: CrawlLease) -> None:
    library = context.library
    try:
        shelf = Shelf(lease.source.tenant, lease.source.collection_id)
        outcome = await library.crawling.crawl(lease, await library.indexer.pipeline_of(shelf))
    except PlatformError as error:
        log.info("crawl.failed", code=error.code)
        await _fail(context, lease, error.code, error.message)
        return
    await library.crawls.end(lease, outcome.told(), outcome.errors, unread=outcome.unread)


async def _fail(context: JobContext, lease: CrawlLease, code: str, message: str) -> None:
    error = {"document": lease.source.name, "document_id": None, "code": code, "message": message}
    await context.library.crawls.end(lease, {"code": code, "message": message}, [error], failed=True)


async def _may_now(context: JobContext, lease: CrawlLease, kept: Principal) -> Principal | None:
    """Whom the crawl is for, with the rights that they still have; None where they may not fill the collection any more."""
    async with context.database.session(lease.source.tenant) as session:
        principal = await principal_now(session, kept)
        collection = await session.get(Collection, lease.source.collection_id)
        if principal is None or not await may_write(session, principal, collection):
            return None
    return principal
