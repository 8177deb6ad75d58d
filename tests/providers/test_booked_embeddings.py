"""What a model on this machine embeds is in the ledger, at no cost, and in no figure that a request is told."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from core import context
from core.context import RequestContext
from core.errors import Unavailable
from core.principals import SYSTEM
from core.settings import Settings
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
