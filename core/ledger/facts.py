"""What a report adds up, in one statement and so of one moment: whole hours that are rolled up, and the ledger's rows that are
not, or that lie in an hour of which only a part is asked for.

A request counts once in each group, however many entries it has. In a row of `usage_hours` those are counted that have all
their entries in it; the others are told by name (`request`), to be counted as distinct ones. One that has entries in the hours
and among the loose rows as well is named for both, and taken off the count that it is in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Select,
    String,
    Subquery,
    case,
    cast,
    exists,
    func,
    literal,
    literal_column,
    null,
    select,
    true,
    union_all,
)

from core.ledger.entries import CLASSES
from core.ledger.latencies import MEASURES, bucket_in_sql
from core.money import Money
from core.tables import LedgerAdjustment, LedgerRow, UsageHour, UsageLatency, UsageSpan

ENTRY: Any = LedgerRow.__table__.c  # type: ignore[attr-defined]
HOUR: Any = UsageHour.__table__.c  # type: ignore[attr-defined]
SPAN: Any = UsageSpan.__table__.c  # type: ignore[attr-defined]
_ADJUSTMENT: Any = LedgerAdjustment.__table__.c  # type: ignore[attr-defined]
_LATENCY: Any = UsageLatency.__table__.c  # type: ignore[attr-defined]

#: What is kept of an entry by the hour, beside its tenant and its time.
KEPT = (
    *("principal", "key_id", "alias", "provider", "model", "capability", "status", "cache", "price_basis"),
    *("teams", "version", "tags"),
)
SUMS = (
    "requests",
    "entries",
    "estimated",
    "unpriced",
    *(f"{name}_tokens" for name in CLASSES),
    "cost_usd",
    "saved_tokens",
    "saved_usd",
    "latency_ms",
    "first_token_ms",
    "first_tokens",
)
#: What the entries alone know, and not the hours.
LISTED = ("list_usd", "unlisted")
#: Where a price is from that the operator has set, and what tells that one is the list's less a discount.
_OWN_PRICE, _LOWERED = "settings", "% less %"
#: The status and the price's basis of adjusting entries; the latter where they are for another month than their own.
ADJUSTMENT = "adjustment"
CORRECTION = "correction"
_HOUR = timedelta(hours=1)
_NOTHING: dict[str, ColumnElement[Any]] = {name: literal_column("0") for name in SUMS} | {
    name: literal(Decimal(0), Money) for name in ("cost_usd", "saved_usd")
}


@dataclass(frozen=True, slots=True)
class Window:
    """From `since` on and before `until`, of `tenant`; None is no limit. `by_session`: the hours do not tell sessions apart;
    `listed`: nor do they know what lists ask for."""

    tenant: str | None
    since: datetime | None = None
    until: datetime | None = None
    by_session: bool = False
    listed: bool = False

    @property
    def first(self) -> datetime | None:
        """The first whole hour in it begins here; None: there is no beginning."""
        if self.since is None:
            return None
        since = self.since.astimezone(UTC)
        hour = since.replace(minute=0, second=0, microsecond=0)
        try:
            return hour if hour == since else hour + _HOUR
        except OverflowError:  # in the last hour of all
            return hour

    @property
    def last(self) -> datetime | None:
        """The last whole hour in it ends here."""
        return None if self.until is None else self.until.astimezone(UTC).replace(minute=0, second=0, microsecond=0)

    @property
    def has_hours(self) -> bool:
        return not self.by_session and not self.listed and (self.first is None or self.last is None or self.first < self.last)

    def holds(self, at: Any, *, whole: bool = False) -> list[ColumnElement[bool]]:
        """The conditions of a time being in it; `whole`: in one of its whole hours."""
        begin, end = (self.first, self.last) if whole else (self.since, self.until)
        return [true() if begin is None else at >= begin, true() if end is None else at < end]

    def owns(self, tenant: Any) -> ColumnElement[bool]:
        return true() if self.tenant is None else tenant == self.tenant


def facts(window: Window) -> CTE:
    """The rows to add up: all of `KEPT`, `tenant`, `at`, `used_at`, `session_id`, the `SUMS`, and `request`, which is a name or
    NULL. Where the window is `listed`, the sums of `LISTED` too. `used_at` is `at`, of an adjusting entry the time of the entry
    that it corrects."""
    loose = _loose(window)
    named = _columns(loose.c, _of_entry(loose.c), request=loose.c.request_id, session=True)
    parts: list[Select[Any]] = [select(*named, *_listed(loose.c, window))]
    if window.has_hours:
        parts += [
            select(*_columns(HOUR, {name: HOUR[name] for name in SUMS})).where(
                *window.holds(HOUR.hour, whole=True), window.owns(HOUR.tenant)
            ),
            select(*_columns(HOUR, _NOTHING, request=SPAN.request_id))
            .join_from(UsageSpan.__table__, UsageHour.__table__, SPAN.hour_id == HOUR.id)  # type: ignore[attr-defined]
            .where(*window.holds(HOUR.hour, whole=True), window.owns(HOUR.tenant)),
            *_of_both(window, loose),
        ]
    return union_all(*parts, _adjusting(window)).cte("facts")


def durations(window: Window) -> Subquery:
    """How long calls took: all of `KEPT`, `tenant`, `at`, `used_at`, `session_id`, `measure`, `bucket`, `number`."""
    loose = _loose(window)
    parts: list[Select[Any]] = [
        select(
            *_dimensions(loose.c, session=True),
            literal_column(f"'{measure}'").label("measure"),
            bucket_in_sql(loose.c[measure]).label("bucket"),
            literal_column("1").label("number"),
        ).where(loose.c.cache.is_(None), loose.c[measure].is_not(None))
        for measure in MEASURES
    ]
    if window.has_hours:
        parts.append(
            select(*_dimensions(HOUR), _LATENCY.measure, _LATENCY.bucket, _LATENCY.number)
            .join_from(UsageHour.__table__, UsageLatency.__table__, _LATENCY.hour_id == HOUR.id)  # type: ignore[attr-defined]
            .where(*window.holds(HOUR.hour, whole=True), window.owns(HOUR.tenant))
        )
    return union_all(*parts).subquery("durations")


def _loose(window: Window) -> CTE:
    """The ledger's rows that are read one by one: the tail, and those of the parts of hours at the window's ends."""
    inside = [window.owns(ENTRY.tenant), *window.holds(ENTRY.at)]
    if not window.has_hours:
        return select(LedgerRow.__table__).where(*inside).cte("loose")  # type: ignore[attr-defined]
    apart: list[Sequence[ColumnElement[bool]]] = [[~ENTRY.rolled]]
    if window.first is not None and window.first != window.since:
        apart.append([ENTRY.rolled, ENTRY.at < window.first])
    if window.last is not None and window.last != window.until:
        apart.append([ENTRY.rolled, ENTRY.at >= window.last])
    return union_all(*(select(LedgerRow.__table__).where(*inside, *some) for some in apart)).cte("loose")  # type: ignore[attr-defined]


def _of_both(window: Window, loose: CTE) -> list[Select[Any]]:
    """For requests that have loose entries and others in the whole hours: these, to be counted by name and no longer there."""
    named = select(loose.c.tenant, loose.c.request_id).distinct().subquery("named")
    found = (  # no other condition, so that SQLite looks the names up rather than reading all that the tenant has
        select(
            LedgerRow.__table__,  # type: ignore[attr-defined]
            func.row_number().over(partition_by=(ENTRY.tenant, ENTRY.request_id), order_by=ENTRY.id).label("place"),
        )
        .join_from(named, LedgerRow.__table__, ENTRY.request_id == named.c.request_id)  # type: ignore[attr-defined]
        .where(ENTRY.rolled, ENTRY.tenant == named.c.tenant)
        .subquery("found")
    )
    here = select(found).where(*window.holds(found.c.at, whole=True)).cte("here")
    spans = exists().where(SPAN.tenant == here.c.tenant, SPAN.request_id == here.c.request_id)
    return [
        select(*_columns(here.c, _NOTHING, request=here.c.request_id)),
        select(*_columns(here.c, _NOTHING | {"requests": literal_column("-1")})).where(here.c.place == 1, ~spans),
    ]


def adjusting(window: Window) -> Select[Any]:
    """Adjusting entries one by one: as `facts` has them, and each with its `id`, `created_at` and `reason`."""
    return _adjusting(window).add_columns(_ADJUSTMENT.id, _ADJUSTMENT.created_at, _ADJUSTMENT.reason)


def _adjusting(window: Window) -> Select[Any]:
    """Adjusting entries: an amount, and no call."""
    told = {
        "status": literal(ADJUSTMENT),
        "price_basis": case((_ADJUSTMENT.corrects.is_(None), ADJUSTMENT), else_=CORRECTION),
    }
    dimensions = [
        _ADJUSTMENT.tenant,
        _ADJUSTMENT.at,
        func.coalesce(_ADJUSTMENT.entry_at, _ADJUSTMENT.at).label("used_at"),
        _ADJUSTMENT.session_id,
        *(told[name].label(name) if name in told else _ADJUSTMENT[name] for name in KEPT),
    ]
    sums = _NOTHING | {"cost_usd": _ADJUSTMENT.cost_usd}
    named = [*dimensions, *(sums[name].label(name) for name in SUMS), cast(null(), String).label("request")]
    listed = {"list_usd": _ADJUSTMENT.cost_usd, "unlisted": literal_column("0")}
    return select(*named, *(listed[name].label(name) for name in LISTED if window.listed)).where(
        window.owns(_ADJUSTMENT.tenant), *window.holds(_ADJUSTMENT.at)
    )


def _columns(row: Any, sums: dict[str, Any], *, request: Any = None, session: bool = False) -> list[ColumnElement[Any]]:
    named = cast(null(), String) if request is None else request
    return [*_dimensions(row, session=session), *(sums[name].label(name) for name in SUMS), named.label("request")]


def _listed(row: Any, window: Window) -> list[ColumnElement[Any]]:
    """The sums of `LISTED`, where they are asked for: dollars, and how many of the entries no list price is known for."""
    own = (row.price_source == _OWN_PRICE) | row.price_source.like(_LOWERED)
    unknown = own & row.list_usd.is_(None) | row.cost_usd.is_(None)
    asked = func.coalesce(row.list_usd, row.cost_usd, literal(Decimal(0), Money), type_=Money)
    sums: dict[str, ColumnElement[Any]] = {"list_usd": asked, "unlisted": case((unknown, 1), else_=0)}
    return [sums[name].label(name) for name in LISTED if window.listed]


def _dimensions(row: Any, *, session: bool = False) -> list[ColumnElement[Any]]:
    time = row.hour if "hour" in row else row.at
    session_id = row.session_id if session else cast(null(), String)
    when = (time.label("at"), time.label("used_at"))
    return [row.tenant, *when, session_id.label("session_id"), *(row[name] for name in KEPT)]


def _of_entry(row: Any) -> dict[str, Any]:
    return {
        "requests": literal_column("0"),
        "entries": literal_column("1"),
        "estimated": case((row.estimated, 1), else_=0),
        "unpriced": case((row.cost_usd.is_(None), 1), else_=0),
        "cost_usd": func.coalesce(row.cost_usd, literal(Decimal(0), Money), type_=Money),
        "saved_tokens": row.saved_tokens,
        "saved_usd": func.coalesce(row.saved_usd, literal(Decimal(0), Money), type_=Money),
        "latency_ms": row.latency_ms,
        "first_token_ms": func.coalesce(row.first_token_ms, 0.0),
        "first_tokens": case((row.first_token_ms.is_not(None), 1), else_=0),
        **{f"{name}_tokens": row[f"{name}_tokens"] for name in CLASSES},
    }
