"""The month's close: adjusting entries, closed months, the export in the columns of FOCUS."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field, field_validator
from starlette.responses import Response

from core.ledger import focus, months
from core.ledger.centres import bounds
from core.ledger.invoices import MOST_USD
from core.moments import Moment
from core.tables import ClosedMonth, LedgerAdjustment
from server.csv_answers import MEDIA_TYPE, csv_answer
from server.pagination import Paging, page_of_table
from server.routes.analytics import Reader
from server.routes.cost_centres import Manager
from server.state import CurrentState

router = APIRouter(prefix="/api/v1/usage", tags=["Usage"])

Month = Annotated[str, Path(max_length=7, description="as `2026-01`, in UTC")]
Name = Annotated[str, Field(min_length=1, max_length=128)]


class NewAdjustment(BaseModel):
    """An adjusting entry to add. For an `entry` of the ledger it is told apart by what that is."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"cost_usd": "-1.25", "reason": "credit note", "provider": "openai", "corrects": "2026-01"}]
        },
    )

    cost_usd: Decimal = Field(ge=-MOST_USD, le=MOST_USD, max_digits=19, decimal_places=12, description="less than 0 takes away")
    reason: str = Field(min_length=1, max_length=500)
    at: Moment | None = Field(None, description="where it counts: now, or a time of a month that is not closed")
    corrects: str | None = Field(
        None, max_length=7, description="the month that was wrong, as `2026-01`, where it is another than that of `at`"
    )
    entry: Name | None = Field(None, description="the entry of the ledger that was wrong")
    principal: Name | None = None
    alias: Name | None = None
    provider: Name | None = None
    model: str | None = Field(None, min_length=1, max_length=256)
    capability: str | None = Field(None, max_length=64)
    tags: dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=128)]] | None = Field(None, max_length=16)

    @field_validator("cost_usd")
    @classmethod
    def _something(cls, usd: Decimal) -> Decimal:
        if usd == 0:
            raise ValueError("an adjusting entry of nothing")
        return usd

    @field_validator("corrects")
    @classmethod
    def _a_month(cls, month: str | None) -> str | None:
        if month is not None:
            bounds(month)
        return month


class AdjustmentInfo(BaseModel):
    """An adjusting entry."""

    id: str
    at: datetime
    cost_usd: float
    reason: str
    corrects: str | None
    entry: str | None
    principal: str
    key_id: str | None
    alias: str
    provider: str
    model: str
    capability: str
    tags: dict[str, str]
    created_by: str
    created_at: datetime


class AdjustmentPage(BaseModel):
    """Some of the adjusting entries."""

    results: list[AdjustmentInfo]
    next_cursor: str | None


class ClosedMonthInfo(BaseModel):
    """A month that is closed."""

    month: str
    cost_usd: float
    attempts: int
    unpriced: int
    created_by: str
    created_at: datetime


class ClosedMonthPage(BaseModel):
    """Some of the closed months."""

    results: list[ClosedMonthInfo]
    next_cursor: str | None


class MonthStanding(BaseModel):
    """How a month stands."""

    month: str
    closed: ClosedMonthInfo | None = Field(description="what it came to at its close; null while it is open")
    cost_usd: float = Field(description="by the ledger and its adjusting entries as they are now")
    attempts: int
    unpriced: int
    late_usd: float | None = Field(description="what came into the ledger after the close; an adjusting entry can tell of it")

    @classmethod
    def of(cls, standing: months.Standing) -> "MonthStanding":
        late, closed = standing.late_usd, standing.closed
        return cls(
            month=standing.month,
            closed=None if closed is None else ClosedMonthInfo.model_validate(closed, from_attributes=True),
            cost_usd=float(standing.now.cost_usd),
            attempts=standing.now.attempts,
            unpriced=standing.now.unpriced,
            late_usd=None if late is None else float(late),
        )


@router.post("/adjustments", status_code=201)
async def create_adjustment(new: NewAdjustment, state: CurrentState, principal: Manager) -> AdjustmentInfo:
    """Add an adjusting entry. It counts at once, in the month of its time; a closed month takes none."""
    row = await months.adjust(state.database, principal, new.model_dump())
    return AdjustmentInfo.model_validate(row, from_attributes=True)


@router.get("/adjustments", response_model=AdjustmentPage)
async def list_adjustments(state: CurrentState, principal: Manager, paging: Paging) -> dict[str, object]:
    """List the adjusting entries."""
    return await page_of_table(
        state.database,
        principal.tenant,
        LedgerAdjustment,
        paging,
        lambda row: AdjustmentInfo.model_validate(row, from_attributes=True),
    )


@router.get("/months", response_model=ClosedMonthPage)
async def list_closed_months(state: CurrentState, principal: Reader, paging: Paging) -> dict[str, object]:
    """List the closed months, the newest first."""
    return await page_of_table(
        state.database,
        principal.tenant,
        ClosedMonth,
        paging,
        lambda row: ClosedMonthInfo.model_validate(row, from_attributes=True),
        newest="month",
    )


@router.get("/months/{month}")
async def get_month(month: Month, state: CurrentState, principal: Reader) -> MonthStanding:
    """Show how a month stands."""
    return MonthStanding.of(await months.standing(state.database, principal.tenant, month))


@router.post("/months/{month}/close")
async def close_month(month: Month, state: CurrentState, principal: Manager) -> MonthStanding:
    """Close a month that is over, for good: it takes no adjusting entry any more."""
    return MonthStanding.of(await months.close(state.database, principal, month))


@router.get(
    "/months/{month}/focus",
    response_class=Response,
    responses={200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}},
)
async def export_focus(month: Month, state: CurrentState, principal: Reader) -> Response:
    """Export a month as CSV in the columns of FOCUS 1.2."""
    found = await focus.rows(state.database, principal.tenant, month)
    return csv_answer(f"focus-{month}", focus.COLUMNS, found)
