"""Adjusting entries one by one, each told apart as a line of usage is."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select

from core.database import Database
from core.ledger.centres import centres_of
from core.ledger.dimensions import Dimensions
from core.ledger.entries import CLASSES
from core.ledger.facts import Window, adjusting
from core.ledger.usage import MOST_ROWS, Line, too_many


async def adjustments(
    database: Database, tenant: str, group_by: Sequence[str], begin: datetime, end: datetime
) -> list[tuple[Line, str]]:
    """Those of the tenant that count from `begin` on and before `end`, in the order of their time, each as a line of its own
    with its reason.

    Raises:
        InvalidRequest: `invalid_dimension`; `too_many_groups`, where there are more than `MOST_ROWS`.
    """
    source = adjusting(Window(tenant, begin, end)).subquery("adjusting")
    dimensions = Dimensions(source, sqlite=database.is_sqlite, centres=await centres_of(database, tenant))
    columns = [dimensions.of(name).label(f"by_{number}") for number, name in enumerate(group_by)]
    query = select(*columns, source.c.cost_usd, source.c.reason).order_by(source.c.at, source.c.created_at, source.c.id)
    async with database.session(tenant) as session:
        rows = (await (await session.connection()).execute(query.limit(MOST_ROWS + 1))).all()
    if len(rows) > MOST_ROWS:
        raise too_many()
    return [(_line(row, group_by), row.reason) for row in rows]


def _line(row: Any, names: Sequence[str]) -> Line:
    return Line(
        group={name: getattr(row, f"by_{number}") for number, name in enumerate(names)},
        requests=0,
        attempts=0,
        failed=0,
        cached=0,
        estimated=0,
        unpriced=0,
        cost_usd=row.cost_usd,
        tokens=dict.fromkeys(CLASSES, 0),
        latency_ms=None,
        first_token_ms=None,
        list_usd=row.cost_usd,
    )
