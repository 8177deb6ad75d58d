"""Rate limits of the caller's tenant: made, shown, changed, removed. A change holds within a second."""

from datetime import datetime, timedelta
from typing import Annotated, Literal, Self

from fastapi import APIRouter
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from sqlmodel import col, delete
from starlette.responses import Response

from core import audit
from core.budgets import Window
from core.database import utc_now
from core.errors import InvalidRequest, NotFound
from core.tables import RateLimit
from server.access.epoch import raise_epoch
from server.access.subjects import refuse_unknown
from server.counts import no_boolean
from server.pagination import Paging, page_of_table
from server.routes.budgets import BudgetScope, Manager
from server.state import CurrentState, State

router = APIRouter(prefix="/api/v1/rate-limits", tags=["Usage"])

Count = Annotated[int, BeforeValidator(no_boolean), Field(gt=0, le=2**40)]
_SHORTEST, _LONGEST = timedelta(seconds=10), timedelta(days=1)
_NUMBERS = ("requests", "tokens", "concurrent")


class RateLimitNumbers(BaseModel):
    """What is allowed."""

    model_config = ConfigDict(extra="forbid")

    requests: Count | None = Field(None, description="calls of models in each window")
    tokens: Count | None = Field(None, description="tokens of prompts and answers in each window")
    concurrent: Count | None = Field(None, description="calls of models that are answered at the same time")


class NewRateLimit(RateLimitNumbers):
    """A rate limit to make."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "each key", "each": "key", "requests": 60, "tokens": 100000, "window": "1m"}]}
    )

    name: str = Field("", max_length=200)
    scope: BudgetScope = BudgetScope()
    each: Literal["key", "user"] | None = Field(None, description="count every key or user apart; null: all of them together")
    window: str = Field("1m", description="seconds, minutes or hours that roll: `10s` to `24h`")

    @field_validator("window")
    @classmethod
    def _known(cls, window: str) -> str:
        if not _SHORTEST <= Window(window).rolls <= _LONGEST:
            raise ValueError("a window of a rate limit is 10s to 24h, such as 30s, 1m, 1h")
        return window

    @model_validator(mode="after")
    def _some_limit(self) -> Self:
        if self.requests is self.tokens is self.concurrent is None:
            raise ValueError("give requests, tokens or concurrent")
        return self


class RateLimitChange(RateLimitNumbers):
    """What is to be otherwise. What is left out stays; null allows any number."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"requests": 120}]})

    name: str | None = Field(None, max_length=200)


class RateLimitInfo(BaseModel):
    """A rate limit."""

    id: str
    name: str
    scope: BudgetScope
    each: Literal["key", "user"] | None
    requests: int | None
    tokens: int | None
    concurrent: int | None
    window: str
    created_at: datetime

    @classmethod
    def of(cls, row: RateLimit) -> "RateLimitInfo":
        return cls.model_validate(
            row.model_dump(exclude={"team", "user", "key", "alias", "tenant", "changed_at", "created_by"})
            | {"scope": BudgetScope.of(row)}
        )


class RateLimitPage(BaseModel):
    """Some of the rate limits."""

    results: list[RateLimitInfo]
    next_cursor: str | None


@router.post("", status_code=201)
async def create_rate_limit(new: NewRateLimit, state: CurrentState, principal: Manager) -> RateLimitInfo:
    """Make a rate limit."""
    scope = new.scope.of_tenant(principal.tenant, set(state.models.kinds()))
    row = RateLimit(**new.model_dump(exclude={"scope"}), **scope, created_by=principal.id)
    async with state.database.transaction(principal.tenant) as session:
        await refuse_unknown(session, principal.tenant, scope)
        session.add(row)
        await audit.record(session, audit.Action.RATE_LIMIT_CHANGED, on=("rate_limit", row.id), details={"change": "created"})
        await raise_epoch(session)
    await state.models.budgets.load(state.database)
    return RateLimitInfo.of(row)


@router.get("", response_model=RateLimitPage)
async def list_rate_limits(state: CurrentState, principal: Manager, paging: Paging) -> dict[str, object]:
    """List the rate limits."""
    return await page_of_table(state.database, principal.tenant, RateLimit, paging, RateLimitInfo.of)


@router.get("/{rate_limit_id}")
async def get_rate_limit(rate_limit_id: str, state: CurrentState, principal: Manager) -> RateLimitInfo:
    """Show a rate limit."""
    return RateLimitInfo.of(await _find(state, principal.tenant, rate_limit_id))


@router.patch("/{rate_limit_id}")
async def change_rate_limit(
    rate_limit_id: str, change: RateLimitChange, state: CurrentState, principal: Manager
) -> RateLimitInfo:
    """Change a rate limit's name or numbers."""
    async with state.database.transaction(principal.tenant) as session:
        row = await session.get(RateLimit, rate_limit_id)
        if row is None:
            raise _missing()
        for name in _NUMBERS:
            if name in change.model_fields_set:
                setattr(row, name, getattr(change, name))
        if row.requests is row.tokens is row.concurrent is None:
            raise InvalidRequest("Nothing would be limited: delete the rate limit instead.")
        if change.name is not None:
            row.name = change.name
        row.changed_at = utc_now()
        session.add(row)
        await audit.record(session, audit.Action.RATE_LIMIT_CHANGED, on=("rate_limit", row.id), details={"change": "changed"})
        await raise_epoch(session)
    await state.models.budgets.load(state.database)
    return RateLimitInfo.of(row)


@router.delete("/{rate_limit_id}", status_code=204)
async def delete_rate_limit(rate_limit_id: str, state: CurrentState, principal: Manager) -> Response:
    """Remove a rate limit."""
    row = await _find(state, principal.tenant, rate_limit_id)
    async with state.database.transaction(principal.tenant) as session:
        await session.exec(delete(RateLimit).where(col(RateLimit.id) == row.id))
        await audit.record(session, audit.Action.RATE_LIMIT_CHANGED, on=("rate_limit", row.id), details={"change": "removed"})
        await raise_epoch(session)
    await state.models.budgets.load(state.database)
    return Response(status_code=204)


async def _find(state: State, tenant: str, rate_limit_id: str) -> RateLimit:
    async with state.database.session(tenant) as session:
        row = await session.get(RateLimit, rate_limit_id)
    if row is None:
        raise _missing()
    return row


def _missing() -> NotFound:
    return NotFound("There is no such rate limit.", code="rate_limit_not_found")
