"""Usage: sums over the ledger by whatever an entry can be told apart by. Read by tenants of their own rows alone, but for an
operator's reports across them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Float, Label, Select, case, cast, exists, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from core.database import Database
from core.errors import InvalidRequest
from core.ledger.centres import centres_of
from core.ledger.dimensions import CENTRE, Dimensions
from core.ledger.entries import CLASSES
from core.ledger.facts import ADJUSTMENT, Window, durations, facts
from core.ledger.latencies import quantile
from core.money import QUANTUM, Money
from core.tables import LedgerRow

MOST_DIMENSIONS = 4
MOST_ROWS = 10_000
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
#: What a report can be ordered by, the most first; `group` is the order of what it is grouped by.
ORDERS = ("cost_usd", "requests", "attempts", "failed", "tokens", "latency_ms", "group")

Group = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """What to add up. `only` are values that a dimension may have. `tenant` None: of all tenants. Names of sessions are told
    that are of the principal `sessions_of`, and all others are as one without a name; None tells all. `list_prices`: tell what
    the lists ask for as well, which the ledger is read itself for."""

    tenant: str | None
    group_by: Sequence[str] = ()
    since: datetime | None = None
    until: datetime | None = None
    only: Mapping[str, Sequence[str]] = field(default_factory=dict)
    order: str = "cost_usd"
    most_dimensions: int = MOST_DIMENSIONS
    sessions_of: str | None = None
    list_prices: bool = False

    @property
    def names(self) -> set[str]:
        return {*self.group_by, *self.only}


@dataclass(frozen=True, slots=True)
class Line:
    """The sums of one group. `attempts` are calls of providers, `cached` answers that the response cache gave instead,
    `unpriced` attempts that no price is known for: `cost_usd` is without them. `priced_usd` and `priced_tokens` are of the
    other calls alone, without adjusting entries. `failovers` are requests of which an attempt failed here and another
    deployment answered. `saved_usd` is what the `cached` ones had cost when a provider gave them (of entries that do not know
    it, as much as their like did), `saved_tokens` what they had used. `list_usd` is what the lists ask for; None where one of
    the prices is the operator's own and the list knows none, or it was not asked for."""

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
    failovers: int = 0
    saved_usd: Decimal = Decimal(0)
    saved_tokens: int = 0
    list_usd: Decimal | None = None
    priced_usd: Decimal = Decimal(0)
    priced_tokens: int = 0
    quantiles: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)


async def usage(
    database: Database,
    tenant: str | None,
    group_by: Sequence[str],
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    sessions_of: str | None = None,
) -> list[Line]:
    """The tenant's sums (None: of all tenants) from `since` on and before `until`, the dearest first, `MOST_ROWS` at most.
    `sessions_of` is as a `Question` has it.

    Raises:
        InvalidRequest: `invalid_dimension`, or more than `MOST_DIMENSIONS`.
    """
    return await _Report(database, Question(tenant, group_by, since, until, sessions_of=sessions_of)).lines()


async def analyse(database: Database, question: Question) -> list[Line]:
    """The same with all that a line can tell.

    Raises:
        InvalidRequest: as `usage`; `too_many_groups`, where there are more than `MOST_ROWS`.
    """
    lines = await _Report(database, question).lines(whole=True)
    if len(lines) > MOST_ROWS:
        raise too_many()
    return lines


def too_many() -> InvalidRequest:
    """There are more than `MOST_ROWS` lines."""
    return InvalidRequest(
        f"That gives more than {MOST_ROWS:,} lines. Ask for less: fewer dimensions, a coarser time, or a part of it.",
        code="too_many_groups",
        param="group_by",
    )


class _Report:
    """One question, asked."""

    def __init__(self, database: Database, question: Question) -> None:
        self._database, self._question = database, question
        self._window = Window(
            question.tenant,
            question.since,
            question.until,
            by_session="session_id" in question.names,
            listed=question.list_prices,
        )

    async def lines(self, *, whole: bool = False) -> list[Line]:
        question, database = self._question, self._database
        if len(question.group_by) > question.most_dimensions or len(set(question.group_by)) < len(question.group_by):
            raise InvalidRequest(
                f"Group by up to {MOST_DIMENSIONS} dimensions, each once.", code="invalid_dimension", param="group_by"
            )
        centres = await centres_of(database, question.tenant) if CENTRE in question.names else ()
        across, own = question.tenant is None, question.sessions_of
        over = partial(Dimensions, sqlite=database.is_sqlite, centres=centres, across=across, sessions_of=own)
        source = facts(self._window)
        sums = self._sums(over(source), source.alias("answers") if whole else None)
        async with database.session(question.tenant, all_tenants=question.tenant is None) as session:
            connection = await session.connection()  # sums are no rows of a model
            await _of_one_moment(connection, sqlite=database.is_sqlite)
            rows = (await connection.execute(sums)).all()
            times = await self._quantiles(connection, over(durations(self._window))) if whole else {}
        lines = [_line(row, question.group_by) for row in rows]
        return [replace(line, quantiles=times.get(tuple(line.group.values()), {})) for line in lines] if whole else lines

    def _grouped(self, dimensions: Dimensions, source: Any = None) -> tuple[list[Label[Any]], Select[Any]]:
        """The columns that are grouped by, and a selection of them from what fits."""
        question = self._question
        columns = [dimensions.of(name).label(f"by_{number}") for number, name in enumerate(question.group_by)]
        fits = [dimensions.is_one_of(name, values) for name, values in question.only.items()]
        source = dimensions.joined(question.group_by) if source is None else source
        query: Select[Any] = select(*columns).select_from(source).where(*fits)
        return columns, query

    def _sums(self, dimensions: Dimensions, likes: Any) -> Select[Any]:
        row, source = dimensions.row, dimensions.joined(self._question.group_by)
        if likes is not None:
            like = _of_an_answer(likes)
            same = [row[name] == like.c[name] for name in _LIKE]
            source = source.outerjoin(like, same[0] & same[1] & same[2] & same[3])
        columns, query = self._grouped(dimensions, source)
        called = row.cache.is_(None)
        name = row.request if self._question.tenant is not None else row.tenant + ":" + row.request
        measures: dict[str, ColumnElement[Any]] = {
            "requests": _sum(row.requests) + func.count(name.distinct()),
            "attempts": _sum(case((called, row.entries), else_=0)),
            "failed": _sum(case((called & (row.status != "ok"), row.entries), else_=0)),
            "cached": _sum(case((~called, row.entries), else_=0)),
            "estimated": _sum(row.estimated),
            "unpriced": _sum(row.unpriced),
            "cost_usd": _usd(row.cost_usd),
            **{f"{name}_tokens": _sum(row[f"{name}_tokens"]) for name in CLASSES},
            "saved_tokens": _sum(row.saved_tokens),
            "latency_ms": func.sum(case((called, row.latency_ms), else_=0.0), type_=Float),
            "first_token_ms": func.sum(row.first_token_ms, type_=Float),
            "first_tokens": _sum(row.first_tokens),
        }
        if self._question.list_prices:
            measures |= {"list_usd": _usd(row.list_usd), "unlisted": _sum(row.unlisted)}
        if likes is not None:
            measures["failovers"] = func.count(case((_failed_over(row), name), else_=None).distinct())
            untold = ~called & row.version.is_(None)  # of before it was kept what an answer has saved
            priced = (row.unpriced == 0) & (row.status != ADJUSTMENT)  # an hour's rows are told apart by the price's basis
            measures["priced_usd"] = _usd(case((priced, row.cost_usd), else_=None))
            measures["priced_tokens"] = _sum(case((priced, sum(row[f"{name}_tokens"] for name in CLASSES[:5])), else_=0))
            measures["saved_usd"] = _usd(row.saved_usd) + _usd(case((untold, row.entries), else_=0) * like.c.usd)
        query = query.add_columns(*(value.label(name) for name, value in measures.items())).group_by(*columns)
        return query.order_by(*self._order(measures, columns)).limit(MOST_ROWS + (likes is not None))

    def _order(self, measures: Mapping[str, Any], columns: Sequence[Any]) -> list[Any]:
        order = self._question.order
        if order == "group":
            return list(columns)
        if order == "tokens":
            return [sum(measures[f"{name}_tokens"] for name in CLASSES[:5]).desc(), *columns]
        if order == "latency_ms":
            return [(measures["latency_ms"] / func.nullif(measures["attempts"], 0)).desc().nulls_last(), *columns]
        return [measures[order].desc(), *columns]

    async def _quantiles(self, connection: AsyncConnection, dimensions: Dimensions) -> dict[Group, Any]:
        columns, query = self._grouped(dimensions)
        row = dimensions.row
        query = query.add_columns(row.measure, row.bucket, _sum(row.number).label("number"))
        counts: dict[Group, dict[str, dict[int, int]]] = defaultdict(lambda: defaultdict(dict))
        for found in (await connection.execute(query.group_by(*columns, row.measure, row.bucket))).all():
            counts[tuple(found[: len(columns)])][found.measure][found.bucket] = found.number
        return {
            group: {
                measure: {name: quantile(buckets, share) for name, share in QUANTILES.items()}
                for measure, buckets in measured.items()
            }
            for group, measured in counts.items()
        }


#: What makes one answer like another, as far as its price goes.
_LIKE = ("alias", "provider", "model", "capability")


def _of_an_answer(source: Any) -> Any:
    """What an answer of each kind cost on average."""
    row = source.c
    whole = row.cache.is_(None) & (row.status == "ok")
    usd = func.sum(case((whole, row.cost_usd), else_=None), type_=Money) / func.nullif(
        _sum(case((whole, row.entries), else_=0)), 0
    )
    return select(*(row[name] for name in _LIKE), usd.label("usd")).group_by(*(row[name] for name in _LIKE)).subquery("likes")


def _failed_over(row: Any) -> ColumnElement[bool]:
    """The condition of this being a failed attempt of a named request that another deployment made up for."""
    other: Any = LedgerRow.__table__.alias("other").c  # type: ignore[attr-defined]
    answered = exists().where(
        other.request_id == row.request,
        other.tenant == row.tenant,
        other.alias == row.alias,
        other.status == "ok",
        other.cache.is_(None),
        (other.provider != row.provider) | (other.model != row.model),
    )
    failed = row.request.is_not(None) & row.cache.is_(None) & (row.status != "ok")
    return case((failed, answered), else_=False)


async def _of_one_moment(connection: AsyncConnection, *, sqlite: bool) -> None:
    """Let all that is read from now on be of one moment."""
    if sqlite:
        await connection.exec_driver_sql("BEGIN")
    else:
        await connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")


def _sum(column: Any) -> ColumnElement[int]:
    return cast(func.coalesce(func.sum(column), 0), BigInteger)


def _usd(column: Any) -> ColumnElement[Decimal]:
    return func.coalesce(func.sum(column, type_=Money), literal(Decimal(0), Money), type_=Money)


def _line(row: Any, names: Sequence[str]) -> Line:
    return Line(
        group={name: getattr(row, f"by_{number}") for number, name in enumerate(names)},
        requests=row.requests,
        attempts=row.attempts,
        failed=row.failed,
        cached=row.cached,
        estimated=row.estimated,
        unpriced=row.unpriced,
        cost_usd=row.cost_usd,
        tokens={name: getattr(row, f"{name}_tokens") for name in CLASSES},
        latency_ms=row.latency_ms / row.attempts if row.attempts else None,
        first_token_ms=row.first_token_ms / row.first_tokens if row.first_tokens else None,
        failovers=getattr(row, "failovers", 0),
        saved_usd=getattr(row, "saved_usd", Decimal(0)).quantize(QUANTUM),
        saved_tokens=row.saved_tokens,
        list_usd=None if getattr(row, "unlisted", 1) else row.list_usd,
        priced_usd=getattr(row, "priced_usd", Decimal(0)),
        priced_tokens=getattr(row, "priced_tokens", 0),
    )
