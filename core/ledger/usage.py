"""What was used and what it cost, summed over the ledger by any of its dimensions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

from sqlalchemy import ColumnElement, Float, Integer, Select, case, func, select, true
from sqlmodel import col

from core.database import Database
from core.errors import InvalidRequest
from core.ledger.entries import CLASSES
from core.money import Money
from core.tables.ledger import LedgerRow

#: What the ledger can be told apart by, beside `tag:NAME` and the grains of time.
DIMENSIONS = ("alias", "provider", "model", "capability", "principal", "key_id", "session_id", "status", "cache", "price_basis")
GRAINS = {"hour": "%Y-%m-%dT%H:00:00Z", "day": "%Y-%m-%d", "month": "%Y-%m"}
_ON_POSTGRESQL = {"hour": 'YYYY-MM-DD"T"HH24:00:00"Z"', "day": "YYYY-MM-DD", "month": "YYYY-MM"}
_TAG = "tag:"
MOST_DIMENSIONS = 4
MOST_ROWS = 10_000

_ROW: Any = LedgerRow.__table__.c  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Line:
    """The sums of one group. `attempts` are calls of providers, `cached` answers that the response cache gave instead,
    `unpriced` attempts that no price is known for: `cost_usd` is without them."""

    group: dict[str, str | None]
    requests: int
    attempts: int
    failed: int
    cached: int
    estimated: int
    unpriced: int
    cost_usd: Decimal
    tokens: dict[str, int]
    latency_ms: float | None
    first_token_ms: float | None


async def usage(
    database: Database, tenant: str, group_by: Sequence[str], since: datetime | None = None, until: datetime | None = None
) -> list[Line]:
    """The tenant's sums from `since` on and before `until`, the dearest first.

    Raises:
        InvalidRequest: `invalid_dimension`, or more than `MOST_DIMENSIONS`.
    """
    grouped = [(name, _dimension(name, sqlite=database.is_sqlite)) for name in group_by]
    if len(grouped) > MOST_DIMENSIONS or len(set(group_by)) < len(group_by):
        raise InvalidRequest(
            f"Group by up to {MOST_DIMENSIONS} dimensions, each once.", code="invalid_dimension", param="group_by"
        )
    async with database.session(tenant) as session:
        connection = await session.connection()  # sums are no rows of a model
        rows = (await connection.execute(_sums(grouped, tenant, since, until))).all()
    return [_line(row, [name for name, _ in grouped]) for row in rows]


def _sums(
    grouped: Sequence[tuple[str, ColumnElement[Any]]], tenant: str, since: datetime | None, until: datetime | None
) -> Select[Any]:
    called = _ROW.cache.is_(None)
    cost = func.sum(_ROW.cost_usd, type_=Money)
    columns = [expression.label(f"by_{number}") for number, (_, expression) in enumerate(grouped)]
    query = select(
        *columns,
        func.count(_ROW.request_id.distinct()).label("requests"),
        _count(called).label("attempts"),
        _count(called & (_ROW.status != "ok")).label("failed"),
        _count(~called).label("cached"),
        _count(_ROW.estimated).label("estimated"),
        _count(_ROW.cost_usd.is_(None)).label("unpriced"),
        cost.label("cost_usd"),
        *(func.sum(_ROW[f"{name}_tokens"], type_=Integer).label(f"{name}_tokens") for name in CLASSES),
        func.avg(case((called, _ROW.latency_ms)), type_=Float).label("latency_ms"),
        func.avg(_ROW.first_token_ms, type_=Float).label("first_token_ms"),
    ).where(
        col(LedgerRow.tenant) == tenant,
        true() if since is None else _ROW.at >= since,
        true() if until is None else _ROW.at < until,
    )
    return query.group_by(*columns).order_by(cost.desc().nulls_last()).limit(MOST_ROWS)


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.sum(case((condition, 1), else_=0), type_=Integer)


def _dimension(name: str, *, sqlite: bool) -> ColumnElement[Any]:
    if name in DIMENSIONS:
        return cast("ColumnElement[Any]", _ROW[name])
    if name in GRAINS:
        if sqlite:
            return func.strftime(GRAINS[name], _ROW.at)
        return func.to_char(func.timezone("UTC", _ROW.at), _ON_POSTGRESQL[name])
    if name.startswith(_TAG) and len(name) > len(_TAG):
        return cast("ColumnElement[Any]", _ROW.tags[name.removeprefix(_TAG)].as_string())
    known = ", ".join((*DIMENSIONS, *GRAINS, "tag:NAME"))
    raise InvalidRequest(f"There is no dimension of this name; there are {known}.", code="invalid_dimension", param="group_by")


def _line(row: Any, names: Sequence[str]) -> Line:
    return Line(
        group={name: getattr(row, f"by_{number}") for number, name in enumerate(names)},
        requests=row.requests,
        attempts=row.attempts or 0,
        failed=row.failed or 0,
        cached=row.cached or 0,
        estimated=row.estimated or 0,
        unpriced=row.unpriced or 0,
        cost_usd=row.cost_usd or Decimal(0),
        tokens={name: getattr(row, f"{name}_tokens") or 0 for name in CLASSES},
        latency_ms=row.latency_ms,
        first_token_ms=row.first_token_ms,
    )
