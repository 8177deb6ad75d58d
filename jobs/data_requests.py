"""Requests about all of somebody's data: taken with a lease, carried out, and taken up again where they were left."""

import asyncio

import structlog

from core.context import RequestContext, serving
from core.data_requests import QUEUE, SNAPSHOTS, DataRequests, RequestLease
from core.principals import Principal
from core.tables import DataRequestKind, Job
from jobs.alive import LeaseLost, kept_alive
from jobs.base import JobContext, JobSpec
from jobs.erasure import NotYet, erase
from jobs.export import export
from jobs.joining import joined
from jobs.snapshots import restore, take_snapshot

log = structlog.get_logger()

#: Seconds until the next try, where something still holds what is to be erased, or is away.
REST_S = 3.0


async def run_data_request(context: JobContext, request_id: str) -> None:
    """Carry the request out, if no other worker does. May be repeated, and run at once by many."""
    requests = DataRequests(context.database, lease_s=context.settings.jobs.lease_s)
    lease = await requests.take(request_id)
    if lease is None:
        return
    async with context.database.session(all_tenants=True) as session:
        job = await session.get_one(Job, lease.request.job_id)
    principal = Principal.from_job(job.principal)
    rest_s = 0.0
    bound = structlog.contextvars.bound_contextvars(job_id=job.id)
    with joined(job, job.kind), bound, serving(RequestContext(job.id, principal)):
        try:
            async with kept_alive(lambda: requests.renew(lease), lease_s=context.settings.jobs.lease_s):
                await _carry_out(context, lease)
        except LeaseLost:
            log.info("data_request.left")
        except NotYet as reason:
            rest_s = REST_S
            log.info("data_request.waits", reason=str(reason))
        except Exception:
            rest_s = REST_S
            raise
        finally:
            await asyncio.shield(requests.release(lease, rest_s=rest_s))


RUN = JobSpec(queue=QUEUE, run=run_data_request)
RUN_SNAPSHOT = JobSpec(queue=SNAPSHOTS, run=run_data_request)


async def _carry_out(context: JobContext, lease: RequestLease) -> None:
    if lease.request.kind == DataRequestKind.EXPORT:
        await export(context, lease)
    elif lease.request.kind == DataRequestKind.SNAPSHOT:
        await take_snapshot(context, lease)
    elif lease.request.kind == DataRequestKind.RESTORE:
        await restore(context, lease)
    else:
        await erase(context, lease)
