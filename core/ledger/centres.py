"""The rules that say which cost centre an entry is. They hold for what was used before as well, but for closed months: for
these hold the rules that there were at the close."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlmodel import col, select

from core.database import Database
from core.errors import InvalidRequest
from core.tables import ClosedMonth, CostCentreRule

#: The kinds of rules, the first of which that fits holds: what is most special comes first.
KINDS = ("key", "user", "tag", "team")
#: A report asks for all of them.
MOST_RULES = 500

Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Held:
    """A rule, and the times for which it is otherwise than now: closed months that one of now does not hold for, or one that
    was removed still does."""

    rule: CostCentreRule
    otherwise: Sequence[Span] = ()


def bounds(month: str) -> Span:
    """When a month, as `2026-01`, begins and when the next one does.

    Raises:
        InvalidRequest: there is no such month.
    """
    try:
        begin = datetime.fromisoformat(f"{month}-01T00:00:00+00:00").astimezone(UTC)
        return begin, begin.replace(year=begin.year + begin.month // 12, month=begin.month % 12 + 1)
    except ValueError:
        raise InvalidRequest("A month reads as 2026-01.", param="month") from None


async def centres_of(database: Database, tenant: str | None) -> list[Held]:
    """The tenant's rules, or those of all tenants, in the order in which they are tried."""
    query = select(CostCentreRule).order_by(col(CostCentreRule.created_at), col(CostCentreRule.id))
    async with database.session(tenant, all_tenants=tenant is None) as session:
        rules = (await session.exec(query)).all()
        closed = (await session.exec(select(ClosedMonth).order_by(col(ClosedMonth.month)))).all() if rules else ()
    months: dict[str, list[ClosedMonth]] = defaultdict(list)
    for month in closed:
        months[month.tenant].append(month)
    held = [Held(rule, tuple(_joined(_otherwise(rule, months[rule.tenant])))) for rule in rules]
    return sorted(
        (one for one in held if one.otherwise or one.rule.removed_at is None), key=lambda one: KINDS.index(one.rule.kind)
    )


def _otherwise(rule: CostCentreRule, months: Sequence[ClosedMonth]) -> Iterator[Span]:
    for month in months:
        held = rule.created_at <= month.created_at and (rule.removed_at is None or rule.removed_at > month.created_at)
        if held != (rule.removed_at is None):
            yield bounds(month.month)


def _joined(spans: Iterator[Span]) -> Iterator[Span]:
    """The same with those that meet as one. They come in their order."""
    last: Span | None = None
    for span in spans:
        if last is not None and last[1] == span[0]:
            last = (last[0], span[1])
            continue
        if last is not None:
            yield last
        last = span
    if last is not None:
        yield last
