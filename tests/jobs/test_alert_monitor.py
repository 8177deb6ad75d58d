"""What is looked for in the ledger now and then, and that what was told of is over."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import delete, select, update
from structlog.testing import capture_logs

from core import alerts
from core.alerts import AlertKind, raise_alert
from core.alerts.book import Book
from core.budgets import Budgets
from core.database import Database, utc_now
from core.ledger import Entry, TokenClasses
from core.settings import Settings
from core.tables import AlertRow, Budget, Collection, IndexGeneration, LedgerRow
from jobs.alert_monitor import AlertMonitor

MINUTE = timedelta(minutes=1)


class Watched:
    """A ledger, and the looks of a worker at it."""

    def __init__(self, database: Database, settings: Settings, book: Book) -> None:
        self.database, self._settings, self._book = database, settings, book
        self.budgets = Budgets(settings)
        #: What each alias embeds by.
        self.embedded_by: dict[str, str] = {}

    async def spend(self, *, ago: timedelta = timedelta(), number: int = 1, **more: Any) -> None:
        told: dict[str, Any] = {
            "request_id": "req_1",
            "tenant": "acme",
            "principal": "usr_1",
            "alias": "default",
            "provider": "openai",
            "model": "m",
            "status": "ok",
            "latency_ms": 100.0,
            "price_basis": "exact",
        }
        rows = [Entry(**(told | more), at=utc_now() - ago).row() for _ in range(number)]
        async with self.database.transaction(all_tenants=True) as session:
            session.add_all([LedgerRow(**row) for row in rows])

    async def add(self, *rows: Any) -> None:
        async with self.database.transaction(all_tenants=True) as session:
            session.add_all(rows)

    def monitor(self) -> AlertMonitor:
        models = SimpleNamespace(
            budgets=self.budgets,
            gives_vectors_of=lambda name, alias: name == self.embedded_by[alias],
            embedding_name=self.embedded_by.__getitem__,
        )
        library = SimpleNamespace(resources=SimpleNamespace(models=models))
        context: Any = SimpleNamespace(database=self.database, settings=self._settings, library=library)
        return AlertMonitor(context)

    def started(self) -> "Callable[[], Any]":
        """A worker: what looks once, and what that led to is in the database."""
        monitor = self.monitor()

        async def look() -> dict[str, str]:
            await monitor.look()
            await asyncio.to_thread(self._book.settle)
            return await self.states()

        return look

    async def look(self) -> dict[str, str]:
        """The states of all alerts after a look, by kind."""
        found: dict[str, str] = await self.started()()
        return found

    async def rows(self) -> list[AlertRow]:
        async with self.database.session(all_tenants=True) as session:
            return list((await session.exec(select(AlertRow).order_by(AlertRow.key))).all())

    async def states(self) -> dict[str, str]:
        return {row.kind: row.state for row in await self.rows()}

    async def pass_time(self, **duration: float) -> None:
        """As if all alerts had been seen so long ago."""
        async with self.database.transaction(all_tenants=True) as session:
            for row in (await session.exec(select(AlertRow))).all():
                row.last_seen -= timedelta(**duration)
                session.add(row)


@pytest.fixture
async def watched(database: Database) -> AsyncIterator[Watched]:
    settings = database._settings
    book = await asyncio.to_thread(Book, settings, alerts.alerts().tell)
    alerts.connect(book)
    alerts.alerts()._seen.clear()
    made = Watched(database, settings, book)
    yield made
    alerts.connect(None)
    alerts.alerts()._seen.clear()
    await asyncio.to_thread(book.close)
    await asyncio.to_thread(made.budgets.close)


def budget(**more: Any) -> Budget:
    return Budget(**({"id": "bud_1", "tenant": "acme", "window": "30d", "limit_tokens": 100, "created_by": "x"} | more))


async def test_a_budget_is_told_of_by_its_highest_share_and_is_over_with_a_higher_limit(watched: Watched) -> None:
    await watched.add(budget())
    await watched.spend(tokens=TokenClasses(input=70))
    await watched.look()
    assert [(row.key, row.severity, row.tenant, row.platform) for row in await watched.rows()] == [
        ("bud_1:50%", "info", "acme", False)
    ]
    await watched.spend(tokens=TokenClasses(output=15))
    await watched.look()
    assert [row.key for row in await watched.rows()] == ["bud_1:50%", "bud_1:80%"]
    async with watched.database.transaction(all_tenants=True) as session:
        await session.exec(update(Budget).values(limit_tokens=1000))
    await watched.pass_time(minutes=11)
    assert set((await watched.look()).values()) == {"resolved"}


async def test_a_calendar_budget_stays_used_until_its_window_ends(watched: Watched) -> None:
    await watched.add(budget(window="month", changed_at=utc_now() - timedelta(days=1)))
    raise_alert(AlertKind.BUDGET_USED, key="bud_1:50%", tenant="acme", budget="bud_1", share=0.5)
    await asyncio.to_thread(watched._book.settle)
    await watched.pass_time(minutes=11)
    assert await watched.look() == {"budget_used": "firing"}, "a request took less than it had reserved"
    async with watched.database.transaction(all_tenants=True) as session:
        await session.exec(update(AlertRow).values(key="bud_1:50%@2026-01-01"))
    assert await watched.look() == {"budget_used": "resolved"}


async def test_an_alert_of_a_budget_that_is_removed_is_over(watched: Watched) -> None:
    row = budget()
    await watched.add(row)
    await watched.spend(tokens=TokenClasses(input=70))
    assert await watched.look() == {"budget_used": "firing"}
    async with watched.database.transaction(all_tenants=True) as session:
        await session.delete(row)
    assert await watched.look() == {"budget_used": "resolved"}


async def test_a_budget_that_will_not_last_is_told_of_while_there_is_time(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    middle = datetime.fromisoformat(f"{utc_now():%Y-%m}-15T00:00:00+00:00")
    for module in ("evals.monitors.budgets", "core.budgets.budgets"):
        monkeypatch.setattr(f"{module}.utc_now", lambda: middle)
    await watched.add(budget(window="month"), budget(id="bud_2", window="month", limit_tokens=1000))
    await watched.add(LedgerRow(**Entry(**_entry(), at=middle - MINUTE, tokens=TokenClasses(input=70)).row()))
    await watched.look()
    found = {row.kind: row for row in await watched.rows()}
    assert found["budget_forecast"].key.startswith("bud_1:forecast@")
    assert 1.4 < found["budget_forecast"].facts["forecast"] < 1.6
    assert found["budget_used"].facts["share"] == 0.5
    early = middle.replace(day=2)
    for module in ("evals.monitors.budgets", "core.budgets.budgets"):
        monkeypatch.setattr(f"{module}.utc_now", lambda: early)
    async with watched.database.transaction(all_tenants=True) as session:
        await session.exec(delete(AlertRow))
    await watched.look()
    assert "budget_forecast" not in await watched.states(), "the first days of a month say nothing"


def _entry() -> dict[str, Any]:
    names = ("request_id", "tenant", "principal", "alias", "provider", "model")
    told: dict[str, Any] = dict.fromkeys(names, "x")
    return told | {"tenant": "acme", "status": "ok", "latency_ms": 1.0}


async def test_an_hour_of_spending_far_above_the_usual_is_a_spike_of_that_tenant(watched: Watched) -> None:
    for tenant in ("acme", "globex"):
        for hours in range(2, 9):
            await watched.spend(tenant=tenant, ago=timedelta(hours=hours), cost_usd=Decimal(1))
    await watched.spend(tenant="acme", cost_usd=Decimal(4))
    await watched.spend(tenant="globex", cost_usd=Decimal(2))
    await watched.spend(tenant="new", cost_usd=Decimal(100))
    assert await watched.look() == {"spend_spike": "firing"}
    (row,) = await watched.rows()
    assert (row.tenant, row.facts["spent_usd"], row.facts["usual_usd"]) == ("acme", 4, 1)
    async with watched.database.transaction(all_tenants=True) as session:
        await session.exec(update(LedgerRow).values(at=utc_now() - timedelta(hours=2)))
    assert await watched.look() == {"spend_spike": "resolved"}


async def test_cents_are_no_spike(watched: Watched) -> None:
    for hours in range(2, 9):
        await watched.spend(ago=timedelta(hours=hours), cost_usd=Decimal("0.001"))
    await watched.spend(cost_usd=Decimal("0.5"))
    assert await watched.look() == {}


async def test_a_deployment_whose_calls_fail_often_is_told_of_until_they_do_not(watched: Watched) -> None:
    await watched.spend(number=15)
    await watched.spend(number=5, status="server_error")
    await watched.spend(number=30, model="other", status="cancelled")
    await watched.spend(number=30, model="others", status="content_refused")
    await watched.spend(number=5, model="few", status="timeout")
    assert await watched.look() == {"error_rate": "firing"}
    (row,) = await watched.rows()
    assert (row.key, row.platform, row.facts["rate"], row.facts["failed"]) == ("openai/m", True, 0.25, 5)
    await watched.spend(number=20)
    assert await watched.look() == {"error_rate": "resolved"}


async def test_a_deployment_without_calls_is_well_again_after_an_hour(watched: Watched) -> None:
    await watched.spend(number=20, status="server_error")
    assert await watched.look() == {"error_rate": "firing"}
    async with watched.database.transaction(all_tenants=True) as session:
        await session.exec(update(LedgerRow).values(at=utc_now() - timedelta(minutes=10)))
    assert await watched.look() == {"error_rate": "firing"}
    await watched.pass_time(hours=2)
    assert await watched.look() == {"error_rate": "resolved"}


async def test_a_deployment_is_slow_against_what_it_was_itself(watched: Watched) -> None:
    await watched.spend(number=20, ago=timedelta(hours=2), first_token_ms=200.0)
    await watched.spend(number=20, ago=timedelta(hours=2), model="slow", first_token_ms=2000.0)
    await watched.spend(number=20, ago=timedelta(hours=2), model="fast", first_token_ms=10.0)
    await watched.spend(number=20, first_token_ms=900.0)
    await watched.spend(number=20, model="slow", first_token_ms=2100.0)
    await watched.spend(number=20, model="fast", first_token_ms=90.0)
    await watched.spend(number=20, model="new", first_token_ms=9000.0)
    assert await watched.look() == {"latency": "firing"}
    (row,) = await watched.rows()
    assert (row.key, row.facts["measure"], row.facts["ms"], row.facts["usual_ms"]) == ("openai/m", "first_token_ms", 900, 200)
    await watched.spend(number=40, first_token_ms=200.0)
    assert await watched.look() == {"latency": "resolved"}


async def test_a_deployment_is_slow_by_its_tokens_though_the_first_comes_as_ever(watched: Watched) -> None:
    answers = {"first_token_ms": 100.0, "tokens": TokenClasses(output=101)}
    await watched.spend(number=20, ago=timedelta(hours=2), latency_ms=2100.0, **answers)
    await watched.spend(number=20, latency_ms=8100.0, **answers)
    assert await watched.look() == {"latency": "firing"}
    (row,) = await watched.rows()
    assert (row.facts["measure"], row.facts["ms"], row.facts["usual_ms"]) == ("token_ms", 80.0, 20.0)
    await watched.spend(number=80, latency_ms=2100.0, **answers)
    assert await watched.look() == {"latency": "resolved"}


async def test_how_many_texts_an_ingestion_embeds_at_once_is_no_slowness(watched: Watched) -> None:
    await watched.spend(number=20, ago=timedelta(hours=2), latency_ms=50.0)
    await watched.spend(number=20, latency_ms=2000.0, capability="ingestion")
    assert await watched.look() == {}
    await watched.spend(number=20, latency_ms=2000.0)
    assert await watched.look() == {"latency": "firing"}


@pytest.mark.parametrize(
    "kind", [AlertKind.PROVIDER_OUTAGE, AlertKind.ALIAS_UNUSABLE, AlertKind.UNPRICED_MODEL, AlertKind.FALLBACK_PRICE], ids=str
)
async def test_what_was_told_before_a_restart_is_over_once_there_is_an_answer(watched: Watched, kind: AlertKind) -> None:
    facts = {"alias": "default"} if kind is AlertKind.ALIAS_UNUSABLE else {"provider": "openai", "model": "m"}
    raise_alert(kind, key="it", **facts)
    await asyncio.to_thread(watched._book.settle)
    await watched.pass_time(minutes=5)
    await watched.spend(status="server_error")
    await watched.spend(model="other", alias="other")
    assert await watched.look() == {kind.value: "firing"}
    if kind in (AlertKind.UNPRICED_MODEL, AlertKind.FALLBACK_PRICE):
        await watched.spend(price_basis="unpriced")
        assert await watched.look() == {kind.value: "firing"}
    await watched.spend()
    assert await watched.look() == {kind.value: "resolved"}


async def test_what_nobody_has_seen_for_a_week_is_over(watched: Watched) -> None:
    raise_alert(AlertKind.EMBEDDING_MISMATCH, key="it")
    await asyncio.to_thread(watched._book.settle)
    assert await watched.look() == {"embedding_mismatch": "firing"}
    await watched.pass_time(days=8)
    assert await watched.look() == {"embedding_mismatch": "resolved"}


async def test_rows_that_wait_in_files_are_told_of_at_the_second_look(watched: Watched) -> None:
    look = watched.started()
    directory = watched._settings.path("ledger")
    directory.mkdir(parents=True)
    waiting = directory / "1-abc.jsonl"
    waiting.touch()
    assert await look() == {}
    assert await look() == {"ledger_spooling": "firing"}
    waiting.unlink()
    assert await look() == {"ledger_spooling": "resolved"}


async def test_collections_that_were_filled_with_another_model_are_told_of_once_until_they_are_moved(watched: Watched) -> None:
    told = {"state": "active", "store": "chroma", "embeddings": "vectors", "origin_store": "chroma", "origin_model": "m"}
    models = {"one": "former", "two": "former", "three": "new"}
    await watched.add(*(Collection(id=name, name=name) for name in models))
    await watched.add(*(IndexGeneration(collection_id=one, tenant="t", model=models[one], shelf=one, **told) for one in models))
    watched.embedded_by["vectors"] = "new"
    look = watched.started()
    raise_alert(AlertKind.EMBEDDING_MISMATCH, key="vectors:openai/m", provider="openai", model="m")
    await look()
    facts = {row.key: row.facts for row in await watched.rows()}
    assert facts.keys() == {"vectors:former", "vectors:openai/m"}
    assert facts["vectors:former"] == {"alias": "vectors", "model": "former", "now": "new", "collections": 2}
    async with watched.database.transaction(all_tenants=True) as session:
        await session.exec(update(IndexGeneration).values(model="new"))
    await look()
    assert {row.key: row.state for row in await watched.rows()} == {"vectors:former": "resolved", "vectors:openai/m": "firing"}


async def test_several_workers_tell_once(watched: Watched) -> None:
    await watched.add(budget())
    await watched.spend(tokens=TokenClasses(input=70))
    await asyncio.gather(*(watched.started()() for _ in range(3)))
    assert len(await watched.rows()) == 1


async def test_a_database_that_gives_nothing_is_told_once_and_looked_at_again(watched: Watched) -> None:
    async def rename(old: str, new: str) -> None:
        async with watched.database.transaction(all_tenants=True) as session:
            await (await session.connection()).execute(text(f"ALTER TABLE {old} RENAME TO {new}"))

    monitor = watched.monitor()
    await rename("alerts", "alerts_away")
    with capture_logs() as logged:
        await monitor.look()
        await monitor.look()
    await rename("alerts_away", "alerts")
    (told,) = [line for line in logged if line["event"] == "alert_monitor.failing"]
    assert {"BudgetMonitor", "SpendingMonitor", "forgetting"} <= {*told["monitors"]}
    await watched.spend(status="error", number=30)
    await monitor.look()
    await asyncio.to_thread(watched._book.settle)
    assert await watched.states() == {"error_rate": "firing"}
