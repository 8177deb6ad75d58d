"""Health: whether the process lives, whether it can serve, and, for who has a key, how each part stands."""

import asyncio
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import structlog
from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from core.principals import Principal, Scope
from server.auth import current_principal
from server.state import CurrentState

log = structlog.get_logger()

router = APIRouter(prefix="/api/v1/health", tags=["Operations"])

#: Seconds that a part may take to answer.
_PATIENCE_S = 2.0
#: What asks each part, one at a time: searches have the event loop's own threads, and health does not wait behind them, nor
#: behind a part that does not answer.
_ASKING = {part: ThreadPoolExecutor(1, f"health-{part}") for part in ("database", "broker", "store")}


@router.head("/live", include_in_schema=False)
@router.get("/live")
async def live() -> dict[str, str]:
    """Whether the process answers."""
    return {"status": "live"}


@router.head("/ready", include_in_schema=False)
@router.get("/ready")
async def ready(state: CurrentState) -> Response:
    """Whether requests can be served, and what is still loading; how many kill switches hold for all tenants, and of how many
    collections the word index is still catching up with the other servers (`words_behind`), where any."""
    body = dict(state.readiness.body())
    if state.readiness.ready and (switches := state.models.kills.everywhere):
        body["kill_switches"] = switches
    return JSONResponse(body, 200 if state.readiness.ready else 503)


@router.head("", include_in_schema=False)
@router.get("")
async def health(state: CurrentState, principal: Annotated[Principal, current_principal]) -> dict[str, Any]:
    """The status; with a key, also of database, broker, store, worker and models.

    `status` is `ready`, `starting` or `degraded` (a part does not answer, or something is switched off for all tenants).
    """
    pings = {
        "database": lambda: state.database.ping(),
        "broker": lambda: state.queue.ping(),
        "store": lambda: state.library.resources.ping(),
    }
    loop = asyncio.get_running_loop()
    checks = await asyncio.gather(*(_check(loop.run_in_executor(_ASKING[part], ping)) for part, ping in pings.items()))
    parts = dict(zip(pings, checks, strict=True))
    if state.worker_runs is not None:
        parts["worker"] = {"status": "ready"} if state.worker_runs() else {"status": "failed", "detail": "not running"}
    if failed := {name: part["detail"] for name, part in parts.items() if part["status"] != "ready"}:
        log.warning("health.degraded", **failed)
    models = state.models.states()
    body = dict(state.readiness.body())
    if state.readiness.ready and (any(part["status"] != "ready" for part in parts.values()) or state.models.kills.everywhere):
        body["status"] = "degraded"
    if not principal.may(Scope.HEALTH_READ):
        return {"status": body["status"]}
    return {**body, **parts, "models": models}


async def _check(answering: Awaitable[Any]) -> dict[str, str]:
    try:
        await asyncio.wait_for(answering, _PATIENCE_S)
    except TimeoutError:
        return {"status": "failed", "detail": f"no answer within {_PATIENCE_S:g} s"}
    except Exception as error:  # noqa: BLE001 - a health check reports any failure as one
        return {"status": "failed", "detail": type(error).__name__}
    return {"status": "ready"}
