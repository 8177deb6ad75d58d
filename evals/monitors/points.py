"""Points of series: the ledger's rows of a while, added up by tenant, deployment and version of the alias."""

import asyncio
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from math import log
from typing import Any, Final, NamedTuple

from sqlalchemy import Row, func, select

from core.database import Database
from core.jobs import EVALUATION
from core.money import Money
from core.queue import INGESTION
from core.tables import LedgerRow, MonitorPoint
from providers.accounting import CANCELLED, OK
from providers.failures import ALARMING, HARMLESS, Kind

_ROW: Any = LedgerRow.__table__.c  # type: ignore[attr-defined]
_POINT: Any = MonitorPoint.__table__.c  # type: ignore[attr-defined]
#: They say nothing of a deployment, or are told of for themselves.
_APART: Final = frozenset({CANCELLED, *(kind.value for kind in HARMLESS | ALARMING)})
_LEAST_MS: Final = 0.1
#: Tokens of an answer that tell how long one takes: a provider sends some at once.
LEAST_TOKENS: Final = 16
#: Rows that are added up at once.
_ROWS: Final = 5000
_READ: Final = tuple(
    _ROW[name]
    for name in (
        *("at", "tenant", "alias", "provider", "model", "version", "status", "capability", "latency_ms", "first_token_ms"),
        *("cost_usd", "input_tokens", "cached_tokens", "cache_write_tokens", "cache_write_1h_tokens", "output_tokens"),
    )
)


class Named(NamedTuple):
    """What a series is of."""

    alias: str
    provider: str
    model: str
    version: str

    @property
    def digest(self) -> str:
        """A short name of it, the same in every process."""
        return hashlib.sha256("\0".join(self).encode()).hexdigest()[:24]

    @property
    def deployment(self) -> str:
        """As alerts of deployments have it."""
        return f"{self.provider}/{self.model}"


_Key = tuple[int, str, Named]


@dataclass(slots=True)
class Sums:
    """Of the calls of a point; the columns of `MonitorPoint`. `good` calls gave a whole answer."""

    calls: int = 0
    failed: int = 0
    refused: int = 0
    answers: int = 0
    latency_log: float = 0.0
    streams: int = 0
    first_token_log: float = 0.0
    paced: int = 0
    pace_log: float = 0.0
    priced: int = 0
    cost_usd: Decimal = Decimal(0)
    good: int = 0
    tokens: int = 0
    judged: int = 0
    liking: float = 0.0
    graded: int = 0
    score: float = 0.0

    def add(self, row: Row[Any]) -> None:
        """Count a row of the ledger."""
        if row.status == Kind.CONTENT.value:
            self.refused += 1
        if row.status in _APART:
            return
        self.calls += 1
        if row.status != OK:
            self.failed += 1
            return
        self.good += 1
        sent = row.input_tokens + row.cached_tokens + row.cache_write_tokens + row.cache_write_1h_tokens
        self.tokens += sent + row.output_tokens
        if row.cost_usd is not None:
            self.priced += 1
            self.cost_usd += row.cost_usd
        if row.first_token_ms is not None:
            self.streams += 1
            self.first_token_log += log(max(row.first_token_ms, _LEAST_MS))
            if row.output_tokens >= LEAST_TOKENS:
                self.paced += 1
                self.pace_log += log(max((row.latency_ms - row.first_token_ms) / (row.output_tokens - 1), _LEAST_MS))
        elif row.capability != INGESTION:  # which embeds as many texts at once as there are
            self.answers += 1
            self.latency_log += log(max(row.latency_ms, _LEAST_MS))

    def plus(self, other: "Sums") -> "Sums":
        """Both together."""
        return Sums(*(getattr(self, name) + getattr(other, name) for name in SUMS))


SUMS: Final = tuple(one.name for one in fields(Sums))


class Point(NamedTuple):
    """The sums of a tenant's calls in the time that begins at `at`."""

    at: datetime
    tenant: str
    named: Named
    sums: Sums

    def row(self) -> dict[str, Any]:
        """The columns of the table."""
        sums = {name: getattr(self.sums, name) for name in SUMS}
        return {"tenant": self.tenant, "series": self.named.digest, "at": self.at, **self.named._asdict(), **sums}


def point_of(row: MonitorPoint) -> Point:
    """As it was written."""
    named = Named(row.alias, row.provider, row.model, row.version)
    return Point(row.at, row.tenant, named, Sums(*(getattr(row, name) for name in SUMS)))


def floor_of(at: datetime, seconds: int) -> datetime:
    """The begin of the point that `at` is in."""
    return datetime.fromtimestamp(at.timestamp() // seconds * seconds, UTC)


async def points_of_ledger(database: Database, since: datetime, until: datetime, seconds: int) -> list[Point]:
    """What happened from `since` on and before `until`, in the order of time. Answers of the response cache are none of a
    deployment's; calls of evaluations are no callers', and what they ask is unlike it."""
    theirs = _ROW.capability != EVALUATION
    query = select(*_READ).where(_ROW.at >= since, _ROW.at < until, _ROW.cache.is_(None), theirs)
    sums: dict[_Key, Sums] = {}
    async with database.session(all_tenants=True) as session:
        rows = await (await session.connection()).stream(query)
        async for some in rows.partitions(_ROWS):
            await asyncio.to_thread(_add, sums, some, seconds)
    found = [
        Point(datetime.fromtimestamp(number * seconds, UTC), tenant, named, each)
        for (number, tenant, named), each in sums.items()
        if each.calls or each.refused
    ]
    return sorted(found, key=lambda point: (point.at, point.tenant, point.named))


def _add(sums: dict[_Key, Sums], rows: Iterable[Row[Any]], seconds: int) -> None:
    for row in rows:
        named = Named(row.alias, row.provider, row.model, row.version or "")
        sums.setdefault((int(row.at.timestamp() // seconds), row.tenant, named), Sums()).add(row)


async def sums_between(database: Database, since: datetime, until: datetime, tenant: str | None = None) -> dict[Named, Sums]:
    """The sums of each series, of a tenant or over all of them (None), of points from `since` on and before `until`."""
    names = [_POINT[name] for name in Named._fields]
    sums = [func.sum(_POINT[name], **({"type_": Money} if name == "cost_usd" else {})).label(name) for name in SUMS]
    query = select(*names, *sums).where(_POINT.at >= since, _POINT.at < until).group_by(*names)
    if tenant is not None:
        query = query.where(_POINT.tenant == tenant)
    async with database.session(all_tenants=True) as session:
        rows = (await (await session.connection()).execute(query)).all()
    return {Named(*row[: len(names)]): Sums(*(getattr(row, name) for name in SUMS)) for row in rows}


def together(points: Iterable[Point]) -> list[Point]:
    """Those of the same series and time as one, in the order of time."""
    sums: dict[tuple[datetime, str, Named], Sums] = {}
    for point in points:
        key = point.at, point.tenant, point.named
        sums[key] = sums.get(key, Sums()).plus(point.sums)
    return [Point(*key, each) for key, each in sorted(sums.items(), key=lambda each: each[0])]


def across_tenants(points: Iterable[Point], tenant: str) -> list[Point]:
    """The same of all tenants together, as `tenant`'s."""
    return together(point._replace(tenant=tenant) for point in points)
