"""Checking how the legs of a collection's search are fused."""

from dataclasses import replace

import structlog

from core.context import RequestContext, serving
from core.errors import PlatformError
from core.principals import SYSTEM
from core.queue import INGESTION
from core.tables import IndexGeneration
from jobs.base import JobContext, JobSpec
from retrievers.fusion_checks import FusionChecks
from retrievers.upkeep import QUEUE

log = structlog.get_logger()


async def check_fusion(context: JobContext, generation_id: str) -> None:
    """Check the generation. May be repeated; what fails is due again."""
    async with context.database.session(all_tenants=True) as session:
        row = await session.get(IndexGeneration, generation_id)
    if row is None:
        return
    # on behalf of whose data it is, and as patiently as ingestion
    request = RequestContext(request_id=generation_id, principal=replace(SYSTEM, tenant=row.tenant), capability=INGESTION)
    checks = FusionChecks(context.database, context.library.resources, context.library.following)
    with serving(request):
        try:
            await checks.check(generation_id)
        except PlatformError as error:
            log.warning("fusion.waits", collection_id=row.collection_id, code=error.code)


CHECK_FUSION = JobSpec(queue=QUEUE, run=check_fusion)
