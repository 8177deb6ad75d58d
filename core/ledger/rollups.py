"""Rolls the ledger up: adds entries to the sums of their hour and marks them as counted, both in one transaction.

What is counted is told by a mark on each entry and not by a position in the ledger, so that it does not matter when an entry
was committed, or whether it came hours late from a file. Several processes may do it: a pass that another one came before is
given up, and nothing of it is kept.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from decimal import Decimal
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Row, Text, any_, func, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel.ext.asyncio.session import AsyncSession

from core.database import Database
from core.ledger.entries import CLASSES
from core.ledger.facts import ENTRY, HOUR, KEPT, SPAN, SUMS
from core.ledger.latencies import MEASURES, bucket_of
from core.tables import LedgerRow, UsageHour, UsageLatency, UsageSpan, UsageTurn

#: Entries of one pass on SQLite: few enough that its one writer is the ledger's again before an answer has waited too long.
_AT_ONCE_OF_ONE_WRITER = 250
#: Elsewhere: most of what a pass costs is asked once for all of its entries.
_AT_ONCE = 2500
_TURN: Any = UsageTurn.__table__.c  # type: ignore[attr-defined]
_TOKENS = tuple(f"{name}_tokens" for name in CLASSES)
_OF_ENTRY = ("id", "request_id", "tenant", "at", "estimated", "cost_usd", "saved_tokens", "saved_usd")
#: Came when rows had identifiers that did not know them.
_LATER = ("teams", "version")
_READ = [ENTRY[name] for name in (*_OF_ENTRY, *KEPT, *MEASURES, *_TOKENS)]

Request = tuple[str, str]


async def roll_up(database: Database, *, at_once: int | None = None, most: int | None = None) -> int:
    """Roll up all that there is, or about `most`; how many entries that were. May be repeated, stopped anywhere, and done by
    several at once."""
    if at_once is None:
        at_once = _AT_ONCE_OF_ONE_WRITER if database.engine.dialect.name == "sqlite" else _AT_ONCE
    done = 0
    while most is None or done < most:
        number = await _pass(database, at_once)
        done += number or 0
        if not number or number < at_once:
            break
    return done


async def _pass(database: Database, at_once: int) -> int | None:
    """Roll up some entries; None where another process came before."""
    async with database.session(all_tenants=True) as session:
        connection = await session.connection()
        passes = (await connection.execute(select(_TURN.passes).where(_TURN.id == 1))).scalar_one()
        query = select(*_READ).where(~ENTRY.rolled).order_by(ENTRY.tenant, ENTRY.at).limit(at_once)
        entries = (await connection.execute(query)).all()
        if not entries:
            return 0
        counted = await _counted(session, {(entry.tenant, entry.request_id) for entry in entries})
    sums = _Sums()
    now: dict[Request, set[str]] = defaultdict(set)
    for entry in entries:
        now[entry.tenant, entry.request_id].add(sums.add(entry))
    sums.count_requests(now, counted)
    async with database.transaction(all_tenants=True) as session:
        return len(entries) if await _written(session, passes, [entry.id for entry in entries], sums) else None


async def _counted(session: AsyncSession, requests: set[Request]) -> dict[Request, set[str]]:
    """The rows of `usage_hours` that the requests are in by now. One that is in a single one is told by any of its entries."""
    connection = await session.connection()
    found: dict[Request, set[str]] = defaultdict(set)
    tenants, names = {tenant for tenant, _ in requests}, {name for _, name in requests}
    among = _among_of(connection.dialect.name)
    spans = select(SPAN.tenant, SPAN.request_id, SPAN.hour_id).where(among(SPAN.tenant, tenants), among(SPAN.request_id, names))
    for row in (await connection.execute(spans)).all():
        found[row.tenant, row.request_id].add(row.hour_id)
    others = {name for tenant, name in requests if (tenant, name) not in found}
    any_of = select(func.min(ENTRY.id)).where(among(ENTRY.request_id, others), ENTRY.rolled)
    any_of = any_of.group_by(ENTRY.tenant, ENTRY.request_id)
    for entry in (await connection.execute(select(*_READ).where(ENTRY.id.in_(any_of)))).all():
        if (entry.tenant, entry.request_id) not in found:
            found[entry.tenant, entry.request_id].add(_id_of(_told_apart_by(entry)))
    return found


@dataclass(slots=True)
class _Sums:
    """What a pass adds."""

    hours: dict[str, dict[str, Any]] = field(default_factory=dict)
    ids: dict[tuple[Any, ...], str] = field(default_factory=dict)
    latencies: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    spans: set[tuple[str, Request]] = field(default_factory=set)
    #: Requests by the row that they are alone in: more, or fewer, also in rows that no entry is added to.
    alone: Counter[str] = field(default_factory=Counter)

    def add(self, entry: Row[Any]) -> str:
        """Add an entry; the row that it goes to."""
        told_apart = _told_apart_by(entry)
        alike = (*list(told_apart.values())[:-1], *entry.tags.items())  # the tags come last, and are no key of a dictionary
        hour_id = self.ids.get(alike)
        if hour_id is None:
            hour_id = self.ids[alike] = _id_of(told_apart)
        hour = self.hours.get(hour_id)
        if hour is None:
            hour = self.hours[hour_id] = {"id": hour_id} | told_apart | dict.fromkeys(SUMS, 0)
            hour |= {"cost_usd": Decimal(0), "saved_usd": Decimal(0), "latency_ms": 0.0, "first_token_ms": 0.0}
        hour["entries"] += 1
        hour["estimated"] += entry.estimated
        if entry.cost_usd is None:
            hour["unpriced"] += 1
        else:
            hour["cost_usd"] += entry.cost_usd
        for name in _TOKENS:
            hour[name] += getattr(entry, name)
        hour["saved_tokens"] += entry.saved_tokens
        hour["saved_usd"] += entry.saved_usd or 0
        hour["latency_ms"] += entry.latency_ms
        if entry.first_token_ms is not None:
            hour["first_token_ms"] += entry.first_token_ms
            hour["first_tokens"] += 1
        if entry.cache is None:
            for measure in MEASURES:
                if (taken := getattr(entry, measure)) is not None:
                    self.latencies[hour_id, measure, bucket_of(taken)] += 1
        return hour_id

    def count_requests(self, now: dict[Request, set[str]], counted: dict[Request, set[str]]) -> None:
        """A request that is in one row counts there; one that is in several is named for each of them. `now` are the rows that
        they are added to, `counted` those that they are in by now."""
        for request, hours in now.items():
            before = counted.get(request, set())
            after = before | hours
            if len(after) == 1:
                self.alone.update(after - before)
            elif after != before:
                if len(before) == 1:
                    self.alone.subtract(before)
                self.spans |= {(hour, request) for hour in after}


async def _written(session: AsyncSession, passes: int, ids: Sequence[str], sums: _Sums) -> bool:
    """Whether the pass holds. Where another one came before, or entries are gone, nothing of it is kept."""
    connection = await session.connection()
    write = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    turn = update(UsageTurn).where(_TURN.id == 1, _TURN.passes == passes).values(passes=passes + 1)
    mark = update(LedgerRow).where(_among_of(connection.dialect.name)(ENTRY.id, ids), ~ENTRY.rolled).values(rolled=True)
    if (await connection.execute(turn)).rowcount != 1 or (await connection.execute(mark)).rowcount != len(ids):
        await session.rollback()
        return False
    for hour_id, hour in sums.hours.items():
        hour["requests"] = sums.alone.pop(hour_id, 0)
    hours = write(UsageHour)
    added = {name: HOUR[name] + hours.excluded[name] for name in SUMS}
    await connection.execute(hours.on_conflict_do_update(index_elements=[HOUR.id], set_=added), list(sums.hours.values()))
    for hour_id, number in sums.alone.items():
        if number:
            fewer = update(UsageHour).where(HOUR.id == hour_id).values(requests=HOUR.requests + number)
            await connection.execute(fewer)
    if sums.latencies:
        times = write(UsageLatency)
        more = {"number": UsageLatency.__table__.c.number + times.excluded.number}  # type: ignore[attr-defined]
        times = times.on_conflict_do_update(index_elements=["hour_id", "measure", "bucket"], set_=more)
        named = [
            {
                "hour_id": hour_id,
                "measure": measure,
                "bucket": bucket,
                "number": number,
                "tenant": sums.hours[hour_id]["tenant"],
            }
            for (hour_id, measure, bucket), number in sums.latencies.items()
        ]
        await connection.execute(times, named)
    if sums.spans:
        spans = [{"hour_id": hour, "tenant": tenant, "request_id": name} for hour, (tenant, name) in sums.spans]
        await connection.execute(write(UsageSpan).on_conflict_do_nothing(), spans)
    return True


def _among_of(dialect: str) -> Callable[[Any, Collection[str]], ColumnElement[bool]]:
    """Whether a column has one of some values: one parameter on PostgreSQL, where thousands are most of a pass's CPU time."""
    if dialect == "postgresql":
        return lambda column, values: column == any_(literal(list(values), ARRAY(Text)))
    return lambda column, values: column.in_(values)


def _told_apart_by(entry: Row[Any]) -> dict[str, Any]:
    hour = entry.at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return {"tenant": entry.tenant, "hour": hour} | {name: getattr(entry, name) for name in KEPT}


def _id_of(told_apart: dict[str, Any]) -> str:
    """The identifier of the row for entries that are told apart by these. It is kept: the way it is made must not change."""
    told = [value for name, value in told_apart.items() if name not in _LATER]
    if later := {name: told_apart[name] for name in _LATER if told_apart[name] is not None}:
        told.append(later)
    canonical = json.dumps(told, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:40]
