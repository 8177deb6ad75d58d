"""`/metrics`, for Prometheus, on the platform's own port. Whoever scrapes shows a token of its own, no key of the platform."""

import asyncio

from fastapi import APIRouter, Request
from starlette.responses import Response

from core.errors import NotFound
from server.state import CurrentState

router = APIRouter(include_in_schema=False)


@router.get("/metrics")
async def metrics(request: Request, state: CurrentState) -> Response:
    """What this process counts, and what it reads for a scrape."""
    if state.metrics is None:
        raise NotFound("There is nothing at this address.")
    state.metrics.admit(request.headers.get("authorization"))
    body, content_type = await asyncio.to_thread(state.metrics.render, request.headers.get("accept"))
    return Response(body, headers={"content-type": content_type})
