"""What a model on this machine embeds is in the ledger and in budgets of tokens, at no cost, and a request is told nothing."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from core import context
from core.context import RequestContext
from core.database import Database
from core.errors import BudgetExceeded, Unavailable
from core.principals import SYSTEM
from core.redis_clients import RedisClients
from core.settings import Settings
from core.tables import Budget, LedgerRow, RateLimit
from providers.local import LocalProvider
from providers.models import Models
from tests.providers.bookkeeping import Book


@pytest.fixture
async def models(settings: Settings) -> AsyncIterator[Models]:
    made = Models(settings)
    yield made
    await made.close()


@pytest.fixture
def request_context() -> Iterator[RequestContext]:
    principal = replace(SYSTEM, id="usr_1", tenant="acme", key_id="key_1", teams=frozenset({"team_b", "team_a"}))
    with context.serving(RequestContext("req_1", principal, capability="rag")) as serving:
        yield serving


async def _each_way(model: Any) -> None:
    await model.aembed_query("Puffins nest.")
    await model.aembed_documents(["Puffins nest.", "Seals rest."])
    model.embed_query("Puffins nest.")
    model.embed_documents(["Puffins nest.", "Seals rest."])


async def test_each_call_is_one_entry_of_whoever_it_is_made_for(
    models: Models, book: Book, request_context: RequestContext
) -> None:
    await _each_way(models.embeddings())
    assert [entry.status for entry in book.entries] == ["ok"] * 4
    first, second, *_ = book.entries
    assert (first.request_id, first.tenant, first.principal, first.key_id) == ("req_1", "acme", "usr_1", "key_1")
    assert (first.capability, first.alias, first.provider, first.teams) == ("rag", "embeddings", "local", "team_a,team_b")
    assert (first.cost_usd, first.price_basis, first.price_source) == (Decimal(0), "exact", "local")
    assert first.version
    assert second.tokens.input > first.tokens.input > 2
    assert (request_context.attempts, request_context.usage.total_tokens, request_context.provider) == (0, 0, None)


async def test_nothing_to_embed_is_no_call(models: Models, book: Book) -> None:
    assert await models.embeddings().aembed_documents([]) == models.embeddings().embed_documents([]) == []
    assert book.entries == []


async def test_one_that_failed_used_nothing(models: Models, book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    provider: Any = models.provider("local")
    assert isinstance(provider, LocalProvider)
    model = models.embeddings()

    def failing(_: Any) -> None:
        raise Unavailable("The embedding model cannot be loaded.")

    monkeypatch.setattr(provider._embeddings, "embed_query", failing)
    with pytest.raises(Unavailable):
        model.embed_query("Puffins nest.")
    assert [(entry.status, entry.tokens.input) for entry in book.entries] == [("error", 0)]


async def test_with_a_price_of_the_operators_it_costs(settings: Settings, book: Book, request_context: RequestContext) -> None:
    local = {"provider": "local", "model": "all-MiniLM-L6-v2", "price": {"input_usd_per_million": "1000000"}}
    priced = Models(
        Settings.load(data_dir=settings.data_dir, models=[{"alias": "v", "kind": "embeddings", "deployments": [local]}])
    )
    await priced.embeddings("v").aembed_query("Puffins nest.")
    (entry,) = book.entries
    assert entry.cost_usd == entry.tokens.input > 0
    assert request_context.attempts == 1
    await priced.close()


@pytest.fixture
async def limit(database: Database, models: Models, valkey_url: str) -> AsyncIterator[Callable[..., Any]]:
    clients = RedisClients(valkey_url)
    await clients.get().flushall()
    models.connect(clients)

    async def make(row: Budget | RateLimit) -> Any:
        async with database.transaction(all_tenants=True) as session:
            session.add(row)
        await models.budgets.load(database)
        return row

    yield make
    await models.budgets.settled()
    await clients.close()


def _budget(**told: Any) -> Budget:
    return Budget(**({"tenant": "acme", "window": "month", "created_by": "usr_0"} | told))


ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


async def _spent(models: Models, row: Budget) -> Decimal:
    """What it has spent when nothing is reserved any more: synchronous calls are settled on a loop of their own."""
    async with asyncio.timeout(60):
        while (await models.budgets.standing(row)).reserved:  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)
    await models.budgets.settled()
    return (await models.budgets.standing(row)).spent


@ON_SQLITE
async def test_a_budget_of_tokens_counts_what_the_ledger_does(
    models: Models, database: Database, book: Book, limit: Any, request_context: RequestContext
) -> None:
    row, dollars = await limit(_budget(limit_tokens=1_000)), await limit(_budget(limit_usd=Decimal(1)))
    await limit(RateLimit(tenant="acme", requests=1, tokens=1, created_by="usr_0"))
    await _each_way(models.embeddings())
    used = sum(entry.tokens.input for entry in book.entries)
    assert len(book.entries) == 4
    assert await _spent(models, row) == used > 0
    async with database.transaction(all_tenants=True) as session:
        session.add_all([LedgerRow(**entry.row()) for entry in book.entries])
    await models.budgets.forget(row)
    assert (await models.budgets.standing(row)).spent == used, "made anew from the ledger"
    assert await _spent(models, dollars) == 0


@ON_SQLITE
async def test_without_room_nothing_is_embedded(
    models: Models, book: Book, limit: Any, request_context: RequestContext
) -> None:
    row = await limit(_budget(limit_tokens=3))
    for texts in (["Puffins nest."], ["Puffins nest.", "Seals rest."]):
        with pytest.raises(BudgetExceeded):
            await models.embeddings().aembed_documents(texts)
        with pytest.raises(BudgetExceeded):
            await asyncio.to_thread(models.embeddings().embed_documents, texts)
    with pytest.raises(BudgetExceeded):
        await models.embeddings().aembed_query("Puffins nest.")
    with pytest.raises(BudgetExceeded):
        await asyncio.to_thread(models.embeddings().embed_query, "Puffins nest.")
    assert book.entries == []
    assert await _spent(models, row) == 0


@ON_SQLITE
async def test_what_nobody_waits_for_any_more_counts_when_it_is_embedded(
    models: Models, book: Book, limit: Any, request_context: RequestContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = await limit(_budget(limit_tokens=1_000))
    provider: Any = models.provider("local")
    model = models.embeddings()
    begun, leave = threading.Event(), threading.Event()

    def slow(texts: list[str]) -> list[list[float]]:
        begun.set()
        leave.wait(10)
        return [[0.0]] * len(texts)

    monkeypatch.setattr(provider._embeddings, "embed_documents", slow)
    work = asyncio.create_task(model.aembed_documents(["Puffins nest."]))
    await asyncio.to_thread(begun.wait, 10)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert (await models.budgets.standing(row)).reserved > 0
    leave.set()
    assert await _spent(models, row) == sum(entry.tokens.input for entry in book.entries) > 0
