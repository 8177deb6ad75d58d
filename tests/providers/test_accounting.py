"""What every call goes on record with: one entry an attempt, each token once, the price to the last digit."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from core import context
from core.context import RequestContext, Usage
from core.errors import PlatformError
from core.ledger import TokenClasses
from core.money import QUANTUM
from core.principals import SYSTEM
from core.settings import Settings
from providers.accounting import classes_of
from providers.metering import tokens_of
from providers.models import Models
from providers.prices import Price, Tokens
from tests.fakes.openai import MODEL, OpenAIFake
from tests.fakes.wire import Fault, Reply
from tests.providers.bookkeeping import Book

PRICE = {"input_usd_per_million": "0.15", "output_usd_per_million": "0.6", "cached_usd_per_million": "0.075"}
HOURLY = {"per_hour_usd": "7.2", "valid_from": "2026-01-01"}


@pytest.fixture(scope="module")
def fakes() -> Iterator[tuple[OpenAIFake, OpenAIFake]]:
    with OpenAIFake() as first, OpenAIFake() as second:
        yield first, second


@pytest.fixture
def first(fakes: tuple[OpenAIFake, OpenAIFake]) -> OpenAIFake:
    for fake in fakes:
        fake.clear()
    return fakes[0]


@pytest.fixture
async def models(settings: Settings, first: OpenAIFake, fakes: tuple[OpenAIFake, OpenAIFake]) -> AsyncIterator[Models]:
    here = {"provider": "openai", "model": MODEL, "price": PRICE}
    there = {"provider": "openai_compatible:there", "model": "no-such-model"}
    made = Models(
        Settings.load(
            data_dir=settings.data_dir,
            models=[
                {"alias": "default", "deployments": [here, there]},
                {"alias": "hourly", "deployments": [{"provider": "openai", "model": "by-the-hour", "price": HOURLY}]},
                {
                    "alias": "hourly-vectors",
                    "kind": "embeddings",
                    "deployments": [{"provider": "openai", "model": "vectors-by-the-hour", "price": HOURLY}],
                },
                {
                    "alias": "local-vectors",
                    "kind": "embeddings",
                    "deployments": [{"provider": "local", "model": "all-MiniLM-L6-v2", "price": HOURLY}],
                },
                {
                    "alias": "vectors",
                    "kind": "embeddings",
                    "deployments": [{"provider": "openai", "model": "text-embedding-3-small"}],
                },
            ],
            providers={
                "openai": {"base_url": first.base_url, "api_key": "sk-secret"},
                "openai_compatible:there": {"base_url": fakes[1].base_url},
            },
            timeouts={"connect": 2, "first_token": 0.4, "between_tokens": 0.4, "total": 3},
        )
    )
    await made.warm(local=False)
    yield made
    await made.close()


@pytest.fixture
def request_context() -> Iterator[RequestContext]:
    principal = replace(SYSTEM, id="usr_1", tenant="acme", key_id="key_1")
    asked = RequestContext("req_1", principal, capability="chat", session_id="s", tags={"team": "search"})
    with context.serving(asked) as serving:
        yield serving


async def test_an_answer_goes_on_record_with_who_asked_and_what_it_cost(
    models: Models, book: Book, request_context: RequestContext
) -> None:
    await models.chat().ainvoke("Hello")
    (entry,) = book.entries
    said = Reply()
    assert (entry.request_id, entry.tenant, entry.principal, entry.key_id) == ("req_1", "acme", "usr_1", "key_1")
    assert (entry.capability, entry.session_id, entry.tags) == ("chat", "s", {"team": "search"})
    assert (entry.alias, entry.provider, entry.model, entry.status) == ("default", "openai", MODEL, "ok")
    used = entry.tokens
    assert (used.input + used.cached, used.output) == (said.input_tokens, said.output_tokens)
    rates = {name: Decimal(price) for name, price in PRICE.items()}
    cost = (
        used.input * rates["input_usd_per_million"]
        + used.cached * rates["cached_usd_per_million"]
        + used.output * rates["output_usd_per_million"]
    ) / 1_000_000
    assert entry.cost_usd == cost > 0
    assert (entry.price_basis, entry.price_source, entry.estimated) == ("exact", "settings", False)
    assert entry.latency_ms > 0


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "invoke"])
async def test_each_attempt_is_one_entry_and_one_that_gave_nothing_costs_nothing(
    models: Models, book: Book, request_context: RequestContext, first: OpenAIFake, streamed: bool
) -> None:
    first.then(Fault.SERVER)
    if streamed:
        [_ async for _ in models.chat().astream("Hello")]
    else:
        await models.chat().ainvoke("Hello")
    failed, answered = book.entries
    assert book.told == [("openai", "server_error"), ("openai_compatible:there", "ok")]
    assert (failed.tokens, failed.cost_usd) == (TokenClasses(), Decimal(0))
    assert answered.tokens.output == Reply().output_tokens
    assert (answered.cost_usd, answered.price_basis) == (None, "unpriced")


async def test_a_stream_that_breaks_off_is_paid_for_what_came(
    models: Models, book: Book, request_context: RequestContext, first: OpenAIFake
) -> None:
    first.then(Fault.CUT)
    with pytest.raises(PlatformError):
        [_ async for _ in models.chat().astream("Hello")]
    (entry,) = book.entries
    assert entry.status == "connection"
    assert entry.estimated
    assert entry.tokens.output > 0
    assert entry.cost_usd
    assert entry.first_token_ms is not None


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "invoke"])
async def test_output_that_came_and_was_not_told_is_counted_and_estimated(
    models: Models, book: Book, request_context: RequestContext, first: OpenAIFake, streamed: bool
) -> None:
    first.then(Reply(usage={"prompt_tokens": 1000, "completion_tokens": None, "total_tokens": 1000}))
    if streamed:
        [_ async for _ in models.chat().astream("Hello")]
    else:
        await models.chat().ainvoke("Hello")
    (entry,) = book.entries
    assert (entry.status, entry.estimated, entry.tokens.input) == ("ok", True, 1000)
    assert entry.tokens.output == models.count_tokens(Reply().text) > 0
    assert request_context.usage.output_tokens == entry.tokens.output


async def test_the_list_s_cost_stands_beside_a_contract_s(
    models: Models, book: Book, request_context: RequestContext, first: OpenAIFake
) -> None:
    first.then(Reply(usage={"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}), Fault.SERVER)
    await models.chat().ainvoke("Hello")
    await models.chat().ainvoke("Hello")
    told = [(entry.provider, entry.list_usd) for entry in book.entries]
    listed = Price("openai", MODEL).charge(Tokens(1000, 100)).usd
    assert told == [("openai", listed), ("openai", None), ("openai_compatible:there", None)]


async def test_a_discarded_answer_goes_on_record_with_what_it_used(
    models: Models, book: Book, request_context: RequestContext, first: OpenAIFake
) -> None:
    first.then(Fault.CUT)
    await models.chat().ainvoke("Hello")
    thrown_away, answered = book.entries
    assert (thrown_away.status, answered.status) == ("connection", "ok")
    assert thrown_away.tokens.input > 0
    assert thrown_away.tokens.output > 0
    assert thrown_away.cost_usd
    assert request_context.usage.total_tokens == answered.tokens.input + answered.tokens.output


async def test_a_caller_who_leaves_pays_for_what_came(models: Models, book: Book, request_context: RequestContext) -> None:
    async with aclosing(models.chat().astream("Hello")) as stream:  # type: ignore[type-var]
        await anext(stream)
    assert [entry.status for entry in book.entries] == ["cancelled"]
    assert book.entries[0].tokens.output > 0


async def test_who_never_got_a_turn_is_no_attempt(models: Models, book: Book, request_context: RequestContext) -> None:
    task = asyncio.create_task(models.chat().ainvoke("Hello"))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert book.entries == []


async def test_embeddings_are_in_it(models: Models, book: Book, request_context: RequestContext) -> None:
    await models.embeddings("vectors").aembed_documents(["one", "two"])
    (entry,) = book.entries
    assert (entry.alias, entry.model, entry.status) == ("vectors", "text-embedding-3-small", "ok")
    assert entry.tokens.input > 0
    assert entry.cost_usd


def by_the_hour(book: Book) -> list[str]:
    """How the entries ended, each of which costs the time that it is said to have taken."""
    for entry in book.entries:
        assert entry.cost_usd == (Decimal("7.2") * Decimal(str(entry.latency_ms)) / 3_600_000).quantize(QUANTUM) > 0
        assert (entry.price_basis, entry.price_source, entry.price_since) == ("exact", "settings", date(2026, 1, 1))
    return [entry.status for entry in book.entries]


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "invoke"])
async def test_by_the_hour_an_answer_costs_its_time(
    models: Models, book: Book, request_context: RequestContext, streamed: bool
) -> None:
    if streamed:
        [_ async for _ in models.chat("hourly").astream("Hello")]
    else:
        await models.chat("hourly").ainvoke("Hello")
    assert by_the_hour(book) == ["ok"]
    (entry,) = book.entries
    assert (entry.tokens.input + entry.tokens.cached, entry.tokens.output) == (Reply().input_tokens, Reply().output_tokens)
    assert request_context.cost_usd == entry.cost_usd


async def test_by_the_hour_a_call_costs_its_time_whatever_comes_of_it(
    models: Models, book: Book, request_context: RequestContext, first: OpenAIFake
) -> None:
    chat = models.chat("hourly")
    for fault in (Fault.SERVER, Fault.CUT):
        first.then(fault)
        with suppress(PlatformError):  # one is tried again, and the other one given up
            [_ async for _ in chat.astream("Hello")]
    async with aclosing(chat.astream("Hello")) as stream:  # type: ignore[type-var]
        await anext(stream)
    assert by_the_hour(book) == ["server_error", "ok", "connection", "cancelled"]
    assert [entry.tokens.output > 0 for entry in book.entries] == [False, True, True, True]


@pytest.mark.parametrize("alias", ["hourly-vectors", "local-vectors"])
async def test_by_the_hour_embeddings_cost_their_time(
    models: Models, book: Book, request_context: RequestContext, alias: str
) -> None:
    await models.embeddings(alias).aembed_documents(["one", "two"])
    assert by_the_hour(book) == ["ok"]
    assert book.entries[0].tokens.input > 0


async def test_by_the_hour_embeddings_that_fail_cost_their_time(
    models: Models, book: Book, request_context: RequestContext, first: OpenAIFake
) -> None:
    first.then(Fault.SERVER)
    await models.embeddings("hourly-vectors").aembed_query("one")
    assert by_the_hour(book) == ["server_error", "ok"]


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        (None, TokenClasses(input=10, output=4)),
        ({"input_tokens": 10, "output_tokens": 4}, TokenClasses(input=10, output=4)),
        (
            {"input_tokens": 10, "output_tokens": 4, "input_token_details": {"cache_read": 6}},
            TokenClasses(input=4, cached=6, output=4),
        ),
        (
            {
                "input_tokens": 10,
                "output_tokens": 4,
                "input_token_details": {
                    "cache_read": 2,
                    "ephemeral_5m_input_tokens": 3,
                    "ephemeral_1h_input_tokens": 1,
                    "audio": 1,
                },
                "output_token_details": {"reasoning": 3, "audio": 1},
            },
            TokenClasses(
                input=4, cached=2, cache_write=3, cache_write_1h=1, output=4, reasoning=3, input_audio=1, output_audio=1
            ),
        ),
    ],
    ids=["counted here", "plain", "cached", "all classes"],
)
def test_no_token_is_in_two_classes(metadata: Any, expected: TokenClasses) -> None:
    assert classes_of(tokens_of(Usage(10, 4), metadata)) == expected


@pytest.mark.parametrize(("said", "kept"), [(2**70, 2**31 - 1), (-5, 0)])
def test_a_number_that_no_answer_can_have_breaks_no_ledger(said: int, kept: int) -> None:
    told = {"input_tokens": said, "output_tokens": said}
    assert classes_of(tokens_of(Usage(said, said), told)) == TokenClasses(input=kept, output=kept)
    assert classes_of(tokens_of(Usage(said, said))) == TokenClasses(input=kept, output=kept)
