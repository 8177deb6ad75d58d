"""What happens now: the last hour by the minute, and how budgets, providers and alerts stand; once, or as it goes on."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from core import denials
from core.alerts.routes import may_see_platform
from core.errors import NotFound, PlatformError
from core.principals import Principal, Scope
from core.tables import Tenant
from server.auth import principal_still, requires
from server.dashboard.board import Board, ProviderNow
from server.dashboard.watching import LOOK_S, Seen
from server.state import CurrentState, State
from server.streams import EventStream, event

router = APIRouter(prefix="/api/v1/dashboard", tags=["Operations"])

Watcher = Annotated[Principal, requires(Scope.USAGE_READ)]
ALL = "*"
_EVENTS = "text/event-stream"
#: Looks between two that the providers are told at anyway: how they stand moves without anybody's request.
_PROVIDERS_EVERY = 5


async def chosen(
    state: CurrentState,
    principal: Watcher,
    tenant: Annotated[
        str | None, Query(max_length=64, description="whose, with `tenants:manage`; `*`: all together; empty: one's own")
    ] = None,
) -> str | None:
    """Whose dashboard is asked for; None: all tenants'.

    Raises:
        Forbidden: another's, without the right to.
        NotFound: `tenant_not_found`.
    """
    if not tenant or tenant == principal.tenant:
        return principal.tenant
    if not principal.may(Scope.TENANTS_MANAGE):
        raise denials.lacks(principal, Scope.TENANTS_MANAGE, act="see other tenants")
    if tenant == ALL:
        return None
    async with state.database.session(all_tenants=True) as session:
        if await session.get(Tenant, tenant) is None:
            raise NotFound("There is no such tenant.", code="tenant_not_found", param="tenant")
    return tenant


Whose = Annotated[str | None, Depends(chosen)]


@router.get("", response_model=Board, responses={200: {"content": {_EVENTS: {"schema": {"type": "string"}}}}})
async def dashboard(request: Request, state: CurrentState, principal: Watcher, whose: Whose) -> Any:
    """Show what happens now. By `Accept: text/event-stream` it goes on: an event `board` with the whole of it whenever it has
    changed, a second after a call at the latest, and a comment that keeps the connection alive. The events end with an `error`
    once the credential does, and without one when the server ends."""
    if _EVENTS not in request.headers.get("accept", ""):
        return board(state, principal, whose, await state.watching.look(whose, state.models.budgets))
    return EventStream(_told(state, partial(principal_still, request, principal), whose), _as_event)


async def _told(state: State, still: Callable[[], Awaitable[Principal]], whose: str | None) -> AsyncGenerator[bytes, None]:
    told, looks = 0, 0
    providers: list[ProviderNow] = []
    while not state.readiness.leaving():
        principal = await still()
        if not principal.may(Scope.USAGE_READ):
            raise denials.lacks(principal, Scope.USAGE_READ)
        if whose != principal.tenant and not principal.may(Scope.TENANTS_MANAGE):
            raise denials.lacks(principal, Scope.TENANTS_MANAGE, act="see other tenants")
        seen = await state.watching.look(whose, state.models.budgets)
        looks += 1
        now = board(state, principal, whose, seen)
        if seen.number != told or (looks % _PROVIDERS_EVERY == 0 and now.providers != providers):
            told, providers = seen.number, now.providers
            yield event("board", now.model_dump(mode="json"), number=seen.number)
        await asyncio.sleep(LOOK_S)


def _as_event(error: PlatformError) -> bytes:
    return event("error", error.body())


def board(state: State, principal: Principal, whose: str | None, seen: Seen) -> Board:
    """What the principal may see of it."""
    from providers.catalogue import standings

    all_budgets, platform = principal.may(Scope.BUDGETS_MANAGE), may_see_platform(principal)
    names = ProviderNow.model_fields
    providers = standings(state.models) if principal.may(Scope.MODELS_READ) else []
    return Board(
        at=seen.at,
        tenant=whose,
        now=seen.now,
        minutes=seen.minutes,
        aliases=seen.aliases,
        budgets=[
            one.told if all_budgets else one.told.model_copy(update={"name": ""})
            for one in seen.budgets
            if all_budgets or not one.of_some
        ],
        providers=[ProviderNow.model_validate({name: each[name] for name in names}) for each in providers],
        anomalies=seen.anomalies if principal.may(Scope.MONITORS_READ) else [],
        alerts=[one.told for one in seen.alerts if platform or not one.platform] if principal.may(Scope.ALERTS_MANAGE) else [],
    )
