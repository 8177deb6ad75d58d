"""The last minutes of the ledger, by the minute."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from core.database import Database
from core.ledger import Entry, TokenClasses
from core.ledger.latencies import bucket_of
from core.ledger.minutes import minutes
from core.ledger.rollups import roll_up
from core.tables import LedgerRow

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def entry(second: int, **more: Any) -> Entry:
    told: dict[str, Any] = {
        "request_id": "req_1",
        "tenant": "default",
        "principal": "usr_1",
        "alias": "default",
        "provider": "openai",
        "model": "small",
        "status": "ok",
        "latency_ms": 100.0,
        "tokens": TokenClasses(input=6, cached=3, output=4, reasoning=2),
        "cost_usd": Decimal("0.02"),
        "at": NOON + timedelta(seconds=second),
    }
    return Entry(**(told | more))


async def test_minutes_are_told_apart_by_deployment_and_outcome(database: Database) -> None:
    rows = [
        entry(1),
        entry(59, status="timeout", latency_ms=900.0, cost_usd=None, tokens=TokenClasses()),
        entry(30, cache="hit", latency_ms=0.0, cost_usd=Decimal(0), tokens=TokenClasses()),
        entry(60, provider="azure"),
        entry(-1, model="before"),
        entry(5, tenant="acme", alias="theirs"),
    ]
    async with database.transaction(all_tenants=True) as session:
        session.add_all([LedgerRow(**one.row()) for one in rows])
    for _ in range(2):  # as the tail, and rolled up
        found = await minutes(database, "default", NOON)
        assert set(found) == {"2026-03-01T12:00Z", "2026-03-01T12:01Z"}
        first = found["2026-03-01T12:00Z"]
        (deployment,) = first.sums
        sums = first.sums[deployment]
        assert deployment == ("default", "openai", "small")
        assert (sums.answered, sums.failed, sums.cached, sums.tokens, sums.cost_usd) == (1, 1, 1, 13, Decimal("0.02"))
        assert dict(first.latencies) == {bucket_of(100.0): 1}
        assert set(found["2026-03-01T12:01Z"].sums) == {("default", "azure", "small")}
        await roll_up(database)


async def test_all_tenants_are_added_up_for_the_operator(database: Database) -> None:
    async with database.transaction(all_tenants=True) as session:
        session.add_all([LedgerRow(**one.row()) for one in (entry(1), entry(2, tenant="acme"))])
    (minute,) = (await minutes(database, None, NOON)).values()
    assert [sums.answered for sums in minute.sums.values()] == [2]
