"""Budgets of the caller's tenant: made, shown with how they stand, changed, removed. A change holds within a second."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.responses import Response

from core import audit
from core.budgets import Standing, Window
from core.database import utc_now
from core.errors import InvalidRequest, NotFound
from core.principals import Principal, Scope
from core.tables import Budget, RateLimit
from server.access.epoch import raise_epoch
from server.access.subjects import refuse_unknown
from server.auth import requires
from server.counts import no_boolean
from server.pagination import Paging, page_of_table
from server.state import CurrentState, State

router = APIRouter(prefix="/api/v1/budgets", tags=["Usage"])

Manager = Annotated[Principal, requires(Scope.BUDGETS_MANAGE)]

Dollars = Annotated[Decimal, Field(gt=0, le=1_000_000_000, max_digits=18, decimal_places=9)]
Tokens = Annotated[int, BeforeValidator(no_boolean), Field(gt=0, le=2**50)]
Mode = Literal["hard", "soft", "degrade"]
_SHORTEST = timedelta(hours=1)
Name = Annotated[str, Field(min_length=1, max_length=128)]


class BudgetScope(BaseModel):
    """Whose requests count: all of those that are named. Empty: the whole tenant's."""

    model_config = ConfigDict(extra="forbid")

    tenant: str | None = Field(None, max_length=64, description="the caller's own; it may be left out")
    team: Name | None = None
    user: Name | None = Field(None, description="the identifier of a user, a service account, or a key that is nobody's")
    key: Name | None = None
    alias: Name | None = Field(None, description="the alias of a model")

    @classmethod
    def of(cls, row: Budget | RateLimit) -> "BudgetScope":
        return cls.model_validate(row.model_dump(include=set(cls.model_fields)))

    def of_tenant(self, tenant: str, aliases: Collection[str]) -> dict[str, Any]:
        """The columns of a row of the tenant's that say whose requests count.

        Raises:
            NotFound: it names another tenant.
            InvalidRequest: there is no such alias.
        """
        if self.tenant not in (None, tenant):
            raise NotFound("There is no such tenant.", code="tenant_not_found", param="scope.tenant")
        if self.alias is not None and self.alias not in aliases:
            raise InvalidRequest(f"There is no model {self.alias!r}.", param="scope.alias")
        return self.model_dump() | {"tenant": tenant}


class NewBudget(BaseModel):
    """A budget to make."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "search team", "limit_usd": 500, "window": "month", "mode": "hard"}]},
    )

    name: str = Field("", max_length=200)
    scope: BudgetScope = BudgetScope()
    limit_usd: Dollars | None = None
    limit_tokens: Tokens | None = None
    window: str = Field(description="`day`, `week` or `month` in UTC, or hours or days that roll: `24h`, `30d`")
    mode: Mode = Field("hard", description="refuse, tell, or give to `degrade_to` what would go over the limit")
    degrade_to: Name | None = Field(None, description="the alias of a cheaper model")

    @field_validator("window")
    @classmethod
    def _known(cls, window: str) -> str:
        if timedelta(0) < Window(window).rolls < _SHORTEST:
            raise ValueError("a budget is for an hour at least; a rate limit may be for less")
        return window

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if (self.limit_usd is None) == (self.limit_tokens is None):
            raise ValueError("give limit_usd or limit_tokens")
        if (self.mode == "degrade") != (self.degrade_to is not None):
            raise ValueError("degrade_to goes with the mode degrade")
        return self


class BudgetChange(BaseModel):
    """What is to be otherwise. What is left out stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"limit_usd": 800}]})

    name: str | None = Field(None, max_length=200)
    limit_usd: Dollars | None = Field(None, description="for a budget in dollars")
    limit_tokens: Tokens | None = Field(None, description="for a budget in tokens")


class BudgetInfo(BaseModel):
    """A budget."""

    id: str
    name: str
    scope: BudgetScope
    limit_usd: float | None
    limit_tokens: int | None
    window: str
    mode: Mode
    degrade_to: str | None
    created_at: datetime

    @classmethod
    def of(cls, row: Budget) -> "BudgetInfo":
        return cls.model_validate(
            row.model_dump(exclude={"team", "user", "key", "alias", "tenant", "changed_at", "created_by"})
            | {"scope": BudgetScope.of(row)}
        )


class BudgetStanding(BudgetInfo):
    """A budget and how it stands, in its own unit: dollars or tokens."""

    spent: float
    reserved: float | None = Field(description="by requests that are being answered; null: nobody knows")
    counted: bool = Field(
        description="false: Redis is away, so that `spent` is the ledger's, and `reserved` and `remaining` are not known"
    )
    remaining: float | None
    since: datetime = Field(description="when what counts now began")
    resets_at: datetime | None = Field(description="when it starts afresh; null for a window that rolls")

    @classmethod
    def at(cls, row: Budget, standing: Standing) -> "BudgetStanding":
        limit = row.limit_usd if row.limit_usd is not None else Decimal(row.limit_tokens or 0)
        held = standing.reserved
        return cls(
            **BudgetInfo.of(row).model_dump(),
            spent=float(standing.spent),
            reserved=None if held is None else float(held),
            counted=standing.counted,
            remaining=None if held is None else float(max(Decimal(0), limit - standing.spent - held)),
            since=standing.begin,
            resets_at=standing.end,
        )


class BudgetPage(BaseModel):
    """Some of the budgets."""

    results: list[BudgetInfo]
    next_cursor: str | None


@router.post("", status_code=201)
async def create_budget(new: NewBudget, state: CurrentState, principal: Manager) -> BudgetInfo:
    """Make a budget. What was spent in its window before counts."""
    known = state.models.kinds()
    scope = new.scope.of_tenant(principal.tenant, known)
    _refuse_unfit(new, known)
    row = Budget(**new.model_dump(exclude={"scope"}), **scope, created_by=principal.id)
    async with state.database.transaction(principal.tenant) as session:
        await refuse_unknown(session, principal.tenant, scope)
        await _refuse_circle(session, row)
        session.add(row)
        await audit.record(session, audit.Action.BUDGET_CHANGED, on=("budget", row.id), details={"change": "created"})
        await raise_epoch(session)
    await state.models.budgets.load(state.database)
    return BudgetInfo.of(row)


@router.get("", response_model=BudgetPage)
async def list_budgets(state: CurrentState, principal: Manager, paging: Paging) -> dict[str, object]:
    """List the budgets."""
    return await page_of_table(state.database, principal.tenant, Budget, paging, BudgetInfo.of)


@router.get("/{budget_id}")
async def get_budget(budget_id: str, state: CurrentState, principal: Manager) -> BudgetStanding:
    """Show a budget and how it stands."""
    row = await _find(state, principal, budget_id)
    standing = await state.models.budgets.standing(row)
    return BudgetStanding.at(row, standing)


@router.patch("/{budget_id}")
async def change_budget(budget_id: str, change: BudgetChange, state: CurrentState, principal: Manager) -> BudgetInfo:
    """Change a budget's name or limit."""
    async with state.database.transaction(principal.tenant) as session:
        row = await session.get(Budget, budget_id)
        if row is None:
            raise _missing()
        for name in ("limit_usd", "limit_tokens"):
            if (limit := getattr(change, name)) is not None:
                if getattr(row, name) is None:
                    raise InvalidRequest("The budget is in the other unit.", param=name)
                setattr(row, name, limit)
        if change.name is not None:
            row.name = change.name
        row.changed_at = utc_now()
        session.add(row)
        await audit.record(session, audit.Action.BUDGET_CHANGED, on=("budget", row.id), details={"change": "changed"})
        await raise_epoch(session)
    await state.models.budgets.load(state.database)
    return BudgetInfo.of(row)


@router.delete("/{budget_id}", status_code=204)
async def delete_budget(budget_id: str, state: CurrentState, principal: Manager) -> Response:
    """Remove a budget: nothing is held to it any more."""
    row = await _find(state, principal, budget_id)
    async with state.database.transaction(principal.tenant) as session:
        await session.exec(delete(Budget).where(col(Budget.id) == row.id))
        await audit.record(session, audit.Action.BUDGET_CHANGED, on=("budget", row.id), details={"change": "removed"})
        await raise_epoch(session)
    await state.models.budgets.load(state.database)
    await state.models.budgets.forget(row)
    return Response(status_code=204)


async def _find(state: State, principal: Principal, budget_id: str) -> Budget:
    async with state.database.session(principal.tenant) as session:
        row = await session.get(Budget, budget_id)
    if row is None:
        raise _missing()
    return row


def _missing() -> NotFound:
    return NotFound("There is no such budget.", code="budget_not_found")


def _refuse_unfit(new: NewBudget, known: Mapping[str, str]) -> None:
    """Raises InvalidRequest: there is no alias `degrade_to`; `degrade_to_unfit`: it cannot answer in the place of what is held
    to the budget. `known` are kinds by alias."""
    if new.degrade_to is None:
        return
    if new.degrade_to not in known:
        raise InvalidRequest(f"There is no model {new.degrade_to!r}.", param="degrade_to")
    if known[new.degrade_to] != "chat" or known.get(new.scope.alias or "", "chat") != "chat":
        raise _unfit("Vectors of models do not compare, and they give no answers: only one chat model stands in for another.")
    if new.degrade_to == new.scope.alias:
        raise _unfit("It is the alias that the budget is for.")


async def _refuse_circle(session: AsyncSession, row: Budget) -> None:
    """Raises InvalidRequest: `degrade_to_circle`: requests that the budget gives away would come back to its alias."""
    if row.degrade_to is None or row.alias is None:
        return
    others = (await session.exec(select(Budget).where(col(Budget.degrade_to).is_not(None)))).all()
    steps = [(one.alias, one.degrade_to) for one in others if one.alias is not None and _may_hold_both(one, row)]
    reached = {row.degrade_to}
    while more := {to for alias, to in steps if alias in reached and to is not None} - reached:
        reached |= more
    if row.alias in reached:
        raise InvalidRequest(
            f"Other budgets give requests to {row.degrade_to!r} back to {row.alias!r}.",
            code="degrade_to_circle",
            param="degrade_to",
        )


def _may_hold_both(one: Budget, other: Budget) -> bool:
    """Whether a request may be held to both."""
    return all(
        getattr(one, name) is None or getattr(other, name) in (None, getattr(one, name)) for name in ("team", "user", "key")
    )


def _unfit(why: str) -> InvalidRequest:
    return InvalidRequest(f"The budget cannot degrade to this model. {why}", code="degrade_to_unfit", param="degrade_to")
