"""The last minutes as the ledger's rows tell them, for who watches: hours that are rolled up are too coarse for that."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, case, func, select

from core.database import Database
from core.ledger.entries import CLASSES
from core.ledger.latencies import bucket_in_sql
from core.money import Money
from core.tables import LedgerRow

_ROW: Any = LedgerRow.__table__.c  # type: ignore[attr-defined]
#: The classes of tokens that add up to all of them.
_TOKENS = CLASSES[:5]
#: How a minute is named.
SHAPE: Final = "%Y-%m-%dT%H:%MZ"


@dataclass(slots=True)
class Sums:
    """Of one deployment of one alias in a minute. `answered` and `failed` are calls of providers, `cached` answers that the
    response cache gave."""

    answered: int = 0
    failed: int = 0
    cached: int = 0
    tokens: int = 0
    cost_usd: Decimal = Decimal(0)


@dataclass(slots=True)
class Minute:
    """By (alias, provider, model), and how many answers took how long: numbers by bucket of `core.ledger.latencies`."""

    sums: dict[tuple[str, str, str], Sums] = field(default_factory=dict)
    latencies: dict[int, int] = field(default_factory=lambda: defaultdict(int))


async def minutes(database: Database, tenant: str | None, since: datetime) -> Mapping[str, Minute]:
    """The minutes from `since` on that anything happened in, by `SHAPE`; `tenant` None: of all tenants."""
    minute = _minute(sqlite=database.is_sqlite)
    fits = [_ROW.at >= since] if tenant is None else [_ROW.tenant == tenant, _ROW.at >= since]
    found: dict[str, Minute] = defaultdict(Minute)
    async with database.session(tenant, all_tenants=tenant is None) as session:
        connection = await session.connection()  # sums are no rows of a model
        for row in (await connection.execute(_sums(minute).where(*fits))).all():
            sums = Sums(row.answered or 0, row.failed or 0, row.cached or 0, row.tokens or 0, row.cost_usd or Decimal(0))
            found[row.minute].sums[row.alias, row.provider, row.model] = sums
        for row in (await connection.execute(_latencies(minute).where(*fits))).all():
            found[row.minute].latencies[row.bucket] += row.number
    return found


def _minute(*, sqlite: bool) -> ColumnElement[str]:
    if sqlite:
        return func.strftime(SHAPE, _ROW.at)
    return func.to_char(func.timezone("UTC", _ROW.at), 'YYYY-MM-DD"T"HH24:MI"Z"')


def _sums(minute: ColumnElement[str]) -> Select[Any]:
    called, ok = _ROW.cache.is_(None), _ROW.status == "ok"
    columns = (minute.label("minute"), _ROW.alias, _ROW.provider, _ROW.model)
    measures = (
        func.sum(case((called & ok, 1), else_=0)).label("answered"),
        func.sum(case((called & ~ok, 1), else_=0)).label("failed"),
        func.sum(case((~called, 1), else_=0)).label("cached"),
        func.sum(sum((_ROW[f"{name}_tokens"] for name in _TOKENS[1:]), start=_ROW[f"{_TOKENS[0]}_tokens"])).label("tokens"),
        func.sum(_ROW.cost_usd, type_=Money).label("cost_usd"),
    )
    return select(*columns, *measures).group_by("minute", *columns[1:])


def _latencies(minute: ColumnElement[str]) -> Select[Any]:
    bucket = bucket_in_sql(_ROW.latency_ms).label("bucket")
    columns: list[Any] = [minute.label("minute"), bucket, func.count().label("number")]
    fits = (_ROW.cache.is_(None), _ROW.status == "ok")
    return select(*columns).where(*fits).group_by("minute", "bucket")
