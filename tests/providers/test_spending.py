"""Budgets before real calls: nobody is called without room, and what was used is what is counted."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from langchain_core.messages import HumanMessage

from core import context
from core.budgets.rules import UNIT_USD, units
from core.context import RequestContext
from core.database import Database
from core.errors import BudgetExceeded, PlatformError, ProviderFailed, RateLimited
from core.principals import SYSTEM
from core.redis_clients import RedisClients
from core.settings import Settings
from core.tables import Budget, RateLimit
from providers.models import Models
from providers.spending import LONGEST_ANSWER
from providers.tokens import count_messages, estimate
from tests.fakes.openai import MODEL, OpenAIFake
from tests.fakes.wire import Fault, Reply
from tests.providers.bookkeeping import Book

PRICE = {"input_usd_per_million": "1000", "output_usd_per_million": "2000"}
HOURLY = {"per_hour_usd": "36"}
REPLY = Reply()
SPENT = (Decimal(REPLY.input_tokens) * 1000 + Decimal(REPLY.output_tokens) * 2000) / 1_000_000

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
async def models(database: Database, valkey_url: str, provider: OpenAIFake) -> AsyncIterator[Models]:
    deployments = [{"provider": "openai", "model": MODEL, "price": PRICE}]
    going_on = {"provider": "openai_compatible:b", "model": "m", "prefill": True, "price": PRICE}
    made = Models(
        Settings.load(
            data_dir=database._settings.data_dir,
            models=[
                {"alias": "default", "deployments": deployments, "cache": {"exact": True, "requests": "all"}},
                {"alias": "cheap", "deployments": [{"provider": "openai", "model": "gpt-4o-mini", "price": PRICE}]},
                {"alias": "pair", "deployments": [*deployments, going_on]},
                {"alias": "hourly", "deployments": [{"provider": "openai", "model": "by-the-hour", "price": HOURLY}]},
                {"alias": "unpriced", "deployments": [{"provider": "openai", "model": "no-such-model"}]},
                {"alias": "vectors", "kind": "embeddings", "deployments": deployments},
            ],
            providers={
                "openai": {"base_url": provider.base_url, "api_key": "sk-secret"},
                "openai_compatible:b": {"base_url": provider.base_url},
            },
            retries={"attempts": 3},
        )
    )
    clients = RedisClients(valkey_url)
    await clients.get().flushall()
    made.connect(clients)
    await made.warm(local=False)
    yield made
    await made.budgets.settled()
    await made.close()
    await clients.close()


@pytest.fixture
def limit(database: Database, models: Models) -> Callable[..., Any]:
    async def make(**told: Any) -> Budget:
        row = Budget(**({"tenant": "acme", "window": "month", "created_by": "usr_0"} | told))
        async with database.transaction(all_tenants=True) as session:
            session.add(row)
        await models.budgets.load(database)
        return row

    return make


@pytest.fixture
def request_context() -> Iterator[RequestContext]:
    with context.serving(RequestContext("req_1", replace(SYSTEM, id="usr_1", tenant="acme"))) as serving:
        yield serving


async def say(models: Models, alias: str = "default", *, streamed: bool = False, **parameters: Any) -> str:
    model: Any = models.chat(alias)
    if streamed:
        return "".join([chunk.text async for chunk in model.astream("Hello", **parameters)])
    return str((await model.ainvoke("Hello", **parameters)).text)


async def standing(models: Models, row: Budget) -> Any:
    await models.budgets.settled()
    return await models.budgets.standing(row)


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "invoke"])
async def test_what_was_used_is_counted_and_the_rest_is_let_go(
    models: Models, limit: Any, request_context: RequestContext, streamed: bool
) -> None:
    row = await limit(limit_usd=Decimal(100))
    await say(models, streamed=streamed, max_tokens=500)
    now = await standing(models, row)
    assert (now.spent, now.reserved) == (SPENT, 0)


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "invoke"])
async def test_without_room_nobody_is_called(
    models: Models, limit: Any, provider: OpenAIFake, request_context: RequestContext, streamed: bool
) -> None:
    row = await limit(limit_tokens=500)
    with pytest.raises(BudgetExceeded):
        await say(models, streamed=streamed, max_tokens=500)
    assert provider.sent == []
    assert await say(models, streamed=streamed, max_tokens=100)
    assert (await standing(models, row)).spent == REPLY.input_tokens + REPLY.output_tokens


async def test_an_answer_without_a_limit_gets_the_one_that_there_is_room_for(
    models: Models, limit: Any, provider: OpenAIFake, request_context: RequestContext
) -> None:
    await say(models, temperature=0.5)
    assert "max_tokens" not in provider.sent[-1].body
    await limit(limit_tokens=100_000)
    await say(models, temperature=0.6)
    sent = provider.sent[-1].body
    assert sent.get("max_tokens") or sent["max_completion_tokens"] == LONGEST_ANSWER


async def test_a_call_that_failed_gives_its_room_back(
    models: Models, limit: Any, provider: OpenAIFake, request_context: RequestContext
) -> None:
    row = await limit(limit_tokens=100_000)
    provider.then(Fault.INVALID)
    with pytest.raises(Exception, match="rejected"):
        await say(models)
    now = await standing(models, row)
    assert (now.spent, now.reserved) == (0, 0)


async def test_a_caller_who_leaves_gives_back_what_did_not_come(
    models: Models, limit: Any, provider: OpenAIFake, request_context: RequestContext
) -> None:
    row = await limit(limit_tokens=100_000)
    provider.then(Reply(between_s=5))
    stream: Any = models.chat("cheap").astream("Hello")
    await anext(stream)
    await stream.aclose()
    now = await standing(models, row)
    assert now.reserved == 0
    assert 0 < now.spent < 100


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "invoke"])
async def test_who_leaves_before_a_word_has_come_is_booked_the_prompt_that_was_sent(
    models: Models, limit: Any, provider: OpenAIFake, request_context: RequestContext, book: Book, streamed: bool
) -> None:
    dollars, tokens = await limit(limit_usd=Decimal(100)), await limit(limit_tokens=100_000)
    provider.then(Fault.SILENT)
    asked = asyncio.create_task(say(models, "cheap", streamed=streamed, max_tokens=50))
    await provider.until(lambda: len(provider.sent) == 1)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    (entry,) = book.entries
    assert (entry.status, entry.estimated, entry.first_token_ms) == ("cancelled", True, None)
    prompt = count_messages([HumanMessage("Hello")], estimate)
    assert (entry.tokens.input, entry.tokens.output, entry.cost_usd) == (prompt, 0, Decimal(prompt) / 1000)
    now = [await standing(models, row) for row in (dollars, tokens)]
    assert [(each.spent, each.reserved) for each in now] == [(entry.cost_usd, 0), (prompt, 0)]


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "invoke"])
async def test_who_leaves_while_the_connection_is_opened_is_booked_nothing(
    models: Models,
    limit: Any,
    provider: OpenAIFake,
    request_context: RequestContext,
    book: Book,
    streamed: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row, connects = await limit(limit_tokens=100_000), asyncio.Event()

    async def connect(*_: Any, **__: Any) -> Any:
        connects.set()
        await asyncio.sleep(60)

    monkeypatch.setattr(aiohttp.TCPConnector, "connect", connect)
    asked = asyncio.create_task(say(models, "cheap", streamed=streamed, max_tokens=50))
    await connects.wait()
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    assert provider.sent == []
    assert book.entries == []
    assert request_context.attempts == 0
    now = await standing(models, row)
    assert (now.spent, now.reserved) == (0, 0)


async def test_what_budgets_count_is_what_the_ledger_has_however_calls_end(
    models: Models, limit: Any, provider: OpenAIFake, request_context: RequestContext, book: Book
) -> None:
    dollars, tokens = await limit(limit_usd=Decimal(100)), await limit(limit_tokens=100_000)
    await say(models, "cheap", streamed=True)
    provider.then(Fault.SERVER)  # costs nothing, and is tried again
    await say(models, "cheap")
    provider.then(Fault.CUT)  # what came of it is thrown away
    await say(models, "cheap")
    provider.then(Fault.CUT)
    with pytest.raises(ProviderFailed):
        await say(models, "cheap", streamed=True)
    provider.then(Reply(between_s=5))
    stream: Any = models.chat("cheap").astream("Hello")
    await anext(stream)
    await stream.aclose()
    ends = ["ok", "server_error", "ok", "connection", "ok", "connection", "cancelled"]
    assert [entry.status for entry in book.entries] == ends
    cost = sum(entry.cost_usd or 0 for entry in book.entries)
    used = sum(entry.tokens.input + entry.tokens.cached + entry.tokens.output for entry in book.entries)
    now = [await standing(models, row) for row in (dollars, tokens)]
    assert [(each.spent, each.reserved) for each in now] == [(cost, 0), (used, 0)]


@pytest.fixture
def going_on(provider: OpenAIFake) -> Iterator[OpenAIFake]:
    """A provider whose next answer is cut, and that takes up what it is given."""
    provider.continues = True
    provider.then(Fault.CUT)
    yield provider
    provider.continues = False


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "invoke"])
async def test_a_call_after_one_that_was_paid_for_needs_room_of_its_own(
    models: Models, limit: Any, going_on: OpenAIFake, request_context: RequestContext, book: Book, streamed: bool
) -> None:
    most = count_messages([HumanMessage("Hello")], estimate) + 20
    row = await limit(limit_tokens=most)
    with pytest.raises(ProviderFailed if streamed else BudgetExceeded) as ended:
        await say(models, "pair", streamed=streamed, max_tokens=20)
    assert ended.value.code == ("stream_interrupted" if streamed else "budget_exceeded")
    assert len(going_on.sent) == 1, "nobody is called whom there is no room for"
    now = await standing(models, row)
    assert (now.spent, now.reserved) == (_used(book), 0)
    assert 0 < now.spent <= most


@pytest.mark.parametrize(("streamed", "calls"), [(True, 3), (False, 2)], ids=["stream", "invoke"])
async def test_with_room_for_all_of_its_calls_all_are_counted(
    models: Models,
    limit: Any,
    going_on: OpenAIFake,
    request_context: RequestContext,
    book: Book,
    streamed: bool,
    calls: int,
) -> None:
    tokens, dollars = await limit(limit_tokens=1_000), await limit(limit_usd=Decimal(100))
    assert await say(models, "pair", streamed=streamed, max_tokens=100) == REPLY.text
    assert len(going_on.sent) == len(book.entries) == calls, "a stream is taken up by one that was asked whether it does so"
    now = [await standing(models, row) for row in (tokens, dollars)]
    cost = sum(entry.cost_usd or 0 for entry in book.entries)
    assert [(each.spent, each.reserved) for each in now] == [(_used(book), 0), (cost, 0)]


async def test_after_a_call_that_cost_nothing_no_more_room_is_needed(
    models: Models, limit: Any, provider: OpenAIFake, request_context: RequestContext
) -> None:
    given = count_messages([HumanMessage("Hello")], estimate)
    await limit(limit_tokens=given + 100)
    provider.then(Fault.SERVER)
    assert await say(models, "cheap", max_tokens=100) == REPLY.text
    assert len(provider.sent) == 2


def _used(book: Book) -> int:
    return sum(entry.tokens.input + entry.tokens.cached + entry.tokens.output for entry in book.entries)


async def test_a_kept_answer_needs_no_room(models: Models, limit: Any, request_context: RequestContext) -> None:
    await say(models)
    await limit(limit_tokens=1)
    assert await say(models) == REPLY.text
    with pytest.raises(BudgetExceeded):
        await say(models, temperature=0.9)


async def test_a_cheaper_alias_answers_where_the_budget_says_so_and_its_answer_is_not_kept(
    models: Models, limit: Any, provider: OpenAIFake, request_context: RequestContext
) -> None:
    row = await limit(limit_tokens=1, alias="default", mode="degrade", degrade_to="cheap")
    for calls in (1, 2):
        assert await say(models) == REPLY.text
        assert len(provider.sent) == calls
    assert provider.sent[-1].body["model"] == "gpt-4o-mini"
    assert (request_context.degraded, request_context.degraded_from) == ("cheap", "default")
    assert (await standing(models, row)).spent == 0


async def test_budgets_that_degrade_in_a_circle_refuse(models: Models, limit: Any, request_context: RequestContext) -> None:
    await limit(limit_tokens=1, alias="default", mode="degrade", degrade_to="cheap")
    await limit(limit_tokens=1, alias="cheap", mode="degrade", degrade_to="default")
    with pytest.raises(BudgetExceeded):
        await say(models)


async def test_what_has_no_price_is_refused_under_a_budget_in_dollars(
    models: Models, limit: Any, request_context: RequestContext
) -> None:
    await limit(limit_usd=Decimal(100))
    with pytest.raises(BudgetExceeded) as refused:
        await say(models, "unpriced")
    assert refused.value.code == "budget_unpriced"


async def test_what_has_no_price_goes_to_a_cheaper_alias_that_has_one(
    models: Models, limit: Any, request_context: RequestContext
) -> None:
    await limit(limit_usd=Decimal(100), mode="degrade", degrade_to="cheap")
    assert await say(models, "unpriced") == REPLY.text
    assert request_context.degraded == "cheap"


async def test_what_has_no_price_is_refused_where_the_cheaper_alias_has_none_either(
    models: Models, limit: Any, request_context: RequestContext
) -> None:
    await limit(limit_usd=Decimal(100), mode="degrade", degrade_to="unpriced")
    with pytest.raises(BudgetExceeded) as refused:
        await say(models, "unpriced")
    assert refused.value.code == "budget_unpriced"


async def test_by_the_hour_room_is_needed_for_as_long_as_a_request_may_take(
    models: Models, database: Database, limit: Any, provider: OpenAIFake, request_context: RequestContext, book: Book
) -> None:
    longest = Decimal(str(models.settings.timeouts.total)) / 100  # a cent a second
    short = await limit(limit_usd=longest - Decimal("0.000001"))
    with pytest.raises(BudgetExceeded):
        await say(models, "hourly")
    assert provider.sent == []
    async with database.transaction(all_tenants=True) as session:
        await session.delete(short)
    row = await limit(limit_usd=longest)
    await say(models, "hourly")
    now = await standing(models, row)
    (entry,) = book.entries
    assert (now.spent, now.reserved) == (Decimal(units(entry.cost_usd or Decimal(0))) * UNIT_USD, 0)
    assert 0 < now.spent < longest


async def test_embeddings_need_room_as_well(
    models: Models, limit: Any, provider: OpenAIFake, request_context: RequestContext
) -> None:
    row = await limit(limit_tokens=5)
    with pytest.raises(BudgetExceeded):
        await models.embeddings("vectors").aembed_documents(["many words in a text " * 10])
    assert provider.sent == []
    await models.embeddings("vectors").aembed_query("one")
    assert (await standing(models, row)).spent == 3


async def test_of_many_at_once_no_more_are_called_than_there_is_room_for(
    models: Models, limit: Any, provider: OpenAIFake, request_context: RequestContext
) -> None:
    given = count_messages([HumanMessage("Hello")], estimate)
    provider.always(Reply(input_tokens=given, output_tokens=5))
    row = await limit(limit_tokens=10 * (given + 5))
    answers = await asyncio.gather(*(say(models, "cheap", max_tokens=5) for _ in range(40)), return_exceptions=True)
    assert sum(isinstance(answer, str) for answer in answers) == 10
    assert {type(answer) for answer in answers} == {str, BudgetExceeded}
    assert len(provider.sent) == 10
    now = await standing(models, row)
    assert (now.spent, now.reserved) == (10 * (given + 5), 0)


@pytest.fixture
def everybody(models: Models) -> Callable[[], Any]:
    """Two of the same rights ask the same at once, twice; gives what came of it for each, and which cheaper alias answered."""

    async def one(user: str, *, streamed: bool) -> tuple[str, str | None]:
        with context.serving(RequestContext("req_2", replace(SYSTEM, id=user, tenant="acme"))) as request:
            try:
                return await say(models, streamed=streamed), request.degraded
            except PlatformError as error:
                return error.code, request.degraded

    async def ask() -> list[tuple[str, str | None]]:
        users = ("usr_1", "usr_2")
        return await asyncio.gather(*(one(user, streamed=streamed) for streamed in (True, False) for user in users))

    return ask


async def test_who_shares_a_call_is_not_refused_for_another(
    everybody: Any, limit: Any, provider: OpenAIFake, models: Models
) -> None:
    provider.always(Reply(first_token_s=0.05))
    await limit(limit_tokens=1, user="usr_1")
    assert await everybody() == [("budget_exceeded", None), (REPLY.text, None)] * 2
    assert len(provider.sent) == 1, "those that nothing limits share a call"


async def test_who_shares_a_call_is_not_held_to_anothers_rate(
    everybody: Any, models: Models, database: Database, provider: OpenAIFake
) -> None:
    provider.always(Reply(first_token_s=0.05))
    async with database.transaction(all_tenants=True) as session:
        session.add(RateLimit(tenant="acme", created_by="usr_0", name="one", user="usr_1", tokens=1, window="10m"))
    await models.budgets.load(database)
    said = await everybody()
    assert [said[1], said[3]] == [(REPLY.text, None)] * 2
    assert len(provider.sent) == 1, "a rate limit bounds no answer: what is made is for everybody"


async def test_a_cheaper_answer_is_nobodys_whose_budget_has_room(everybody: Any, limit: Any, provider: OpenAIFake) -> None:
    provider.always(Reply(first_token_s=0.05))
    await limit(limit_tokens=1, user="usr_1", alias="default", mode="degrade", degrade_to="cheap")
    assert [degraded for _, degraded in await everybody()] == ["cheap", None] * 2


async def test_those_of_one_budget_share_a_call(everybody: Any, limit: Any, provider: OpenAIFake) -> None:
    provider.always(Reply(first_token_s=0.05))
    await limit(limit_usd=Decimal(100))
    assert await everybody() == [(REPLY.text, None)] * 4
    assert len(provider.sent) == 1


async def test_each_that_is_refused_is_told_what_is_left(
    models: Models, database: Database, request_context: RequestContext
) -> None:
    async with database.transaction(all_tenants=True) as session:
        session.add(RateLimit(tenant="acme", created_by="usr_0", name="one", requests=1, window="10m"))
    await models.budgets.load(database)
    await say(models, "cheap")
    requests = [RequestContext(f"req_{number}", request_context.principal) for number in range(3)]

    async def ask(request: RequestContext) -> str:
        with context.serving(request), pytest.raises(RateLimited) as refused:
            await say(models)
        return refused.value.code

    assert await asyncio.gather(*map(ask, requests)) == ["rate_limited"] * 3
    assert all(request.allowances for request in requests), "as the headers of each have it"
