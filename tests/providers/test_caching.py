"""The response cache over a real provider at the wire and a real Valkey: what is given again, to whom, and what never is."""

import asyncio
import functools
import operator
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from decimal import Decimal
from typing import Any

import psutil
import pytest
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.tools import tool
from redis import Redis

from core import context
from core.context import RequestContext
from core.errors import ContentRefused, ProviderFailed
from core.principals import ROLE_SCOPES, SYSTEM, Principal, Role
from core.redis_clients import RedisClients
from core.settings import Settings, SettingsError
from providers.models import Models
from tests.fakes.openai import MODEL, OpenAIFake
from tests.fakes.wire import Fault, Reply
from tests.providers.bookkeeping import Book

WHOLE = Reply().text
SAME: dict[str, Any] = {"temperature": 0}


@pytest.fixture
def configured(settings: Settings, provider: OpenAIFake) -> Callable[..., Settings]:
    def make(**changes: Any) -> Settings:
        deployments = [{"provider": "openai", "model": MODEL}]
        aliases: dict[str, Any] = {
            "default": {"exact": True},
            "short": {"exact": True, "ttl_s": 1},
            "all": {"exact": True, "requests": "all"},
            "alike": {"semantic": True, "threshold": 0.95},
            "off": {},
        }
        given: dict[str, Any] = {
            "data_dir": settings.data_dir,
            "models": [{"alias": alias, "deployments": deployments, "cache": cache} for alias, cache in aliases.items()],
            "providers": {"openai": {"base_url": provider.base_url, "api_key": "sk-secret"}},
            "timeouts": {"connect": 2, "first_token": 15, "between_tokens": 15, "total": 60},
            "retries": {"attempts": 1},
        }
        return Settings.load(**given | changes)

    return make


@pytest.fixture
async def start(configured: Callable[..., Settings], valkey_url: str) -> AsyncIterator[Callable[..., Models]]:
    """Makes what stands for a process: models of its own, connected to the one Valkey."""
    opened: list[tuple[Models, RedisClients]] = []

    def make(*, url: str = valkey_url, **changes: Any) -> Models:
        models, clients = Models(configured(**changes)), RedisClients(url)
        models.connect(clients)
        opened.append((models, clients))
        return models

    yield make
    for models, clients in opened:
        await models.close()
        await clients.close()


@pytest.fixture
def models(start: Callable[..., Models]) -> Models:
    return start()


@pytest.fixture
def someone() -> Principal:
    """Of a tenant of the test's own."""
    return replace(SYSTEM, id="someone", tenant=uuid.uuid4().hex)


@pytest.fixture
def ask(models: Models, someone: Principal) -> Callable[..., Any]:
    """Asks as a request of its own; gives the answer's text and the request's context."""

    async def asking(
        said: Any = "Hello",
        alias: str = "default",
        *,
        streamed: bool = False,
        by: Principal = someone,
        of: Models = models,
        cache_control: str = "",
        **parameters: Any,
    ) -> tuple[str, RequestContext]:
        request = RequestContext(request_id="r", principal=by, cache_control=cache_control)
        with context.serving(request):
            if streamed:
                chunks = [chunk async for chunk in of.chat(alias).astream(said, **SAME | parameters)]
                return "".join(chunk.text for chunk in chunks), request
            return (await of.chat(alias).ainvoke(said, **SAME | parameters)).text, request

    return asking


async def eventually(holds: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "the condition did not come to hold"
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("first", [True, False], ids=["stream", "invoke"])
@pytest.mark.parametrize("second", [True, False], ids=["stream", "invoke"])
async def test_the_same_request_is_answered_again_without_a_call_and_at_no_cost(
    ask: Any, provider: OpenAIFake, book: Book, first: bool, second: bool
) -> None:
    text, made = await ask(streamed=first)
    again, given = await ask(streamed=second)
    assert text == again == WHOLE
    assert len(provider.sent) == 1
    assert (made.cache, made.attempts, made.cost_usd) == ("miss", 1, Decimal("0.0000048"))
    assert (given.cache, given.attempts, given.cost_usd) == ("hit", 0, 0)
    assert (given.provider, given.model, given.usage) == (made.provider, made.model, made.usage)
    called, kept = book.entries
    assert (called.cache, called.saved_tokens, called.saved_usd) == (None, 0, None)
    assert (kept.cache, kept.cost_usd, kept.saved_usd) == ("hit", 0, made.cost_usd)
    assert kept.saved_tokens == made.usage.total_tokens > 0
    assert kept.version == called.version != ""


async def test_a_replayed_stream_has_several_chunks_that_add_up_to_the_same_message(
    start: Any, valkey_url: str, someone: Principal, provider: OpenAIFake
) -> None:
    provider.then(Reply(text="One answer of many words. " * 40))
    sums: list[Any] = []
    counts = []
    for _ in range(2):
        with context.serving(RequestContext(request_id="r", principal=someone)):
            chunks = [chunk async for chunk in start().chat().astream("Hello", **SAME)]
        sums.append(functools.reduce(operator.add, chunks))
        counts.append(sum(1 for chunk in chunks if chunk.text))
    first, second = (each.model_dump() for each in sums)
    assert {name for name in first if first[name] != second[name]} <= {"id"}, "of the run"
    assert sums[1].usage_metadata["output_tokens"] == 5
    assert 2 < counts[1] < counts[0]
    assert len(provider.sent) == 1


async def test_tool_calls_are_given_again(models: Models, someone: Principal, provider: OpenAIFake) -> None:
    @tool
    def weather(city: str) -> str:
        """The weather of a city."""
        return city

    provider.then(Reply(text="", calls=[("weather", {"city": "Oslo"})]))
    model = models.chat().bind_tools([weather]).bind(temperature=0)
    with context.serving(RequestContext(request_id="r", principal=someone)):
        calls = [(await model.ainvoke("Oslo?")).tool_calls for _ in range(2)]
    assert calls[0] == calls[1]
    assert calls[1][0]["args"] == {"city": "Oslo"}
    assert len(provider.sent) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"said": "Hello!"},
        {"said": [SystemMessage("Be brief."), HumanMessage("Hello")]},
        {"said": [HumanMessage("Hello", name="Ann")]},
        {"max_tokens": 9},
        {"seed": 1},
        {"stop": ["x"]},
        {"alias": "all"},
        {"response_format": {"type": "json_object"}},
    ],
    ids=str,
)
async def test_another_request_is_not_the_same(ask: Any, provider: OpenAIFake, other: dict[str, Any]) -> None:
    await ask()
    _, request = await ask(**other)
    assert request.cache == "miss"
    assert len(provider.sent) == 2


async def test_tenants_and_principals_of_other_rights_never_share(ask: Any, provider: OpenAIFake, someone: Principal) -> None:
    await ask()
    less = replace(someone, role=Role.USER, scopes=ROLE_SCOPES[Role.USER])
    colleague = replace(someone, id="colleague", name="colleague", from_cookie=True)
    uses = [(await ask(by=by))[1].cache for by in (replace(someone, tenant=uuid.uuid4().hex), less, colleague)]
    assert uses == ["miss", "miss", "hit"]
    assert len(provider.sent) == 3


async def test_what_is_not_deterministic_or_not_asked_for_goes_past_the_cache(
    ask: Any, provider: OpenAIFake, valkey_url: str
) -> None:
    with Redis.from_url(valkey_url) as redis:
        before = redis.info("commandstats")
        for alias, temperature in (("default", None), ("default", 0.5), ("off", 0)):
            for _ in range(2):
                assert (await ask(alias=alias, temperature=temperature))[1].cache in (None, "bypass")
        after = redis.info("commandstats")
    assert len(provider.sent) == 6
    assert before.get("cmdstat_evalsha") == after.get("cmdstat_evalsha")


async def test_a_seed_an_alias_or_a_caller_who_takes_an_older_answer_opts_in(ask: Any) -> None:
    for same in (
        {"temperature": 1, "seed": 7},
        {"temperature": None, "alias": "all"},
        {"temperature": 0.7, "cache_control": "max-age=60"},
    ):
        assert [(await ask(**same))[1].cache for _ in range(2)] == ["miss", "hit"]


async def test_no_store_neither_reads_nor_writes(ask: Any, provider: OpenAIFake) -> None:
    for _ in range(2):
        assert (await ask(cache_control="no-store"))[1].cache == "bypass"
    assert (await ask())[1].cache == "miss"
    assert (await ask(cache_control="No-Cache, no-store"))[1].cache == "bypass"
    assert len(provider.sent) == 4


async def test_no_cache_makes_a_new_answer_and_keeps_it(ask: Any, provider: OpenAIFake) -> None:
    await ask()
    provider.then(Reply(text="Another."))
    text, request = await ask(cache_control="no-cache")
    assert (text, request.cache) == ("Another.", "miss")
    assert (await ask())[0] == "Another."
    assert len(provider.sent) == 2


async def test_an_older_answer_than_the_caller_takes_is_made_anew(ask: Any, provider: OpenAIFake) -> None:
    await ask()
    assert (await ask(cache_control="max-age=60"))[1].cache == "hit"
    await asyncio.sleep(1.01)  # an age is in whole seconds
    assert (await ask(cache_control="max-age=1"))[1].cache == "miss"
    assert (await ask(cache_control="max-age=1"))[1].cache == "hit"
    assert len(provider.sent) == 2


async def test_an_answer_goes_when_its_time_is_over(ask: Any, provider: OpenAIFake) -> None:
    await ask(alias="short")
    deadline = time.monotonic() + 20
    while (await ask(alias="short"))[1].cache == "hit":
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    assert len(provider.sent) == 2


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "invoke"])
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.BLOCKED, ContentRefused),
        (Fault.REFUSED, ContentRefused),
        (Fault.UNAVAILABLE, ProviderFailed),
        (Fault.CUT, ProviderFailed),
        (Fault.UNTERMINATED, ProviderFailed),
    ],
)
async def test_what_failed_is_not_kept(
    ask: Any, provider: OpenAIFake, fault: Fault, error: type[Exception], streamed: bool
) -> None:
    provider.then(fault)
    with pytest.raises(error):
        await ask(streamed=streamed)
    text, request = await ask(streamed=streamed)
    assert (text, request.cache) == (WHOLE, "miss")


async def test_an_answer_cut_by_its_own_limit_is_kept_and_one_cut_by_the_models_is_not(ask: Any, provider: OpenAIFake) -> None:
    provider.then(*[Reply(finish="length")] * 4)
    assert [(await ask(max_tokens=5))[1].cache for _ in range(2)] == ["miss", "hit"]
    assert [(await ask())[1].cache for _ in range(2)] == ["miss", "miss"]


async def test_an_answer_larger_than_one_may_be_is_not_kept(ask: Any, start: Any) -> None:
    one, other = (start(cache={"answer_bytes": 100}) for _ in range(2))  # two processes: in one the second may share the first
    assert [(await ask(of=process))[1].cache for process in (one, other)] == ["miss", "miss"]


async def test_a_change_of_the_alias_or_its_provider_starts_its_answers_afresh(
    ask: Any, start: Any, configured: Callable[..., Settings]
) -> None:
    await ask()
    known = configured().model_dump()
    same, others = start(), []
    known["models"][0]["deployments"][0]["context_tokens"] = 1000
    others.append(start(models=known["models"]))
    openai = {"base_url": known["providers"]["openai"]["base_url"], "api_key": "sk-other"}
    others.append(start(providers={"openai": openai | {"api_version": "2"}}))
    assert (await ask(of=same))[1].cache == "hit"
    assert (await ask(of=start(providers={"openai": openai})))[1].cache == "hit", "a key that was rotated changes no answer"
    assert [(await ask(of=other))[1].cache for other in others] == ["miss", "miss"]


async def test_dropping_a_tenants_answers_leaves_the_others(ask: Any, models: Models, someone: Principal) -> None:
    other = replace(someone, tenant=uuid.uuid4().hex)
    await ask()
    await ask(by=other)
    assert await models.answers.drop(someone.tenant) == 1
    assert [(await ask(by=by))[1].cache for by in (someone, other)] == ["miss", "hit"]


async def test_completions_are_kept_apart_from_chats_and_from_each_other_by_suffix(
    models: Models, someone: Principal, provider: OpenAIFake
) -> None:
    with context.serving(RequestContext(request_id="r", principal=someone)) as request:
        for _ in range(2):
            assert await models.completion().ainvoke({"prompt": "Hello", "temperature": 0}) == WHOLE
        assert "".join([piece async for piece in models.completion().astream({"prompt": "Hello", "temperature": 0})]) == WHOLE
        assert request.attempts == len(provider.sent) == 1
        await models.chat().ainvoke("Hello", **SAME)
    assert len(provider.sent) == 2


async def test_fifty_at_once_share_one_call(ask: Any, provider: OpenAIFake) -> None:
    answers = await asyncio.gather(*(ask(streamed=number % 2 == 0) for number in range(50)))
    assert {text for text, _ in answers} == {WHOLE}
    assert len(provider.sent) == 1
    assert sum(request.attempts for _, request in answers) == 1
    assert sum(request.cost_usd for _, request in answers) == Decimal("0.0000048")
    assert sorted(request.cache for _, request in answers) == ["hit"] * 49 + ["miss"]
    assert {request.usage.output_tokens for _, request in answers} == {5}


async def test_processes_at_once_share_one_call(ask: Any, start: Any, provider: OpenAIFake) -> None:
    processes = [start() for _ in range(4)]
    answers = await asyncio.gather(*(ask(of=process) for process in processes))
    assert {text for text, _ in answers} == {WHOLE}
    assert len(provider.sent) == 1
    assert sorted(request.cache for _, request in answers) == ["hit"] * 3 + ["miss"]


async def test_a_leader_who_hangs_up_takes_nothing_from_those_who_follow(
    ask: Any, start: Callable[..., Models], someone: Principal, provider: OpenAIFake
) -> None:
    models = start(timeouts={"connect": 2, "first_token": 4, "between_tokens": 15, "total": 60})
    provider.then(Fault.SILENT)  # until the first token's limit, so that all have joined
    leader = asyncio.create_task(ask(of=models, streamed=True))
    await eventually(lambda: provider.sent)
    followers = [asyncio.create_task(ask(of=models, streamed=number == 0)) for number in range(3)]
    await asyncio.sleep(0)
    leader.cancel()
    answers = await asyncio.gather(*followers, return_exceptions=True)
    assert all(isinstance(answer, ProviderFailed) for answer in answers), "they shared the one call, silent as it was"
    assert len(provider.sent) == 1
    assert (await ask(of=models))[1].cache == "miss"


async def test_a_follower_takes_over_what_the_leader_began_and_is_charged(
    models: Models, someone: Principal, provider: OpenAIFake, ask: Any
) -> None:
    request = RequestContext(request_id="r", principal=someone)
    with context.serving(request):
        stream = models.chat().astream("Hello", **SAME)
        await anext(stream)
    follower = asyncio.create_task(ask())
    await asyncio.sleep(0)
    await stream.aclose()  # type: ignore[attr-defined]  # a generator, declared an iterator
    text, followed = await follower
    assert text == WHOLE
    assert len(provider.sent) == 1
    assert followed.cost_usd + request.cost_usd == Decimal("0.0000048")


async def test_the_last_who_hangs_up_ends_the_call_and_nothing_is_kept(
    models: Models, someone: Principal, provider: OpenAIFake, ask: Any
) -> None:
    provider.then(Fault.STALLED)
    request = RequestContext(request_id="r", principal=someone)
    with context.serving(request):
        async with aclosing(models.chat().astream("Hello", **SAME)) as stream:  # type: ignore[type-var]
            async for chunk in stream:
                if chunk.text:
                    break
    await eventually(lambda: request.usage.estimated)
    assert request.attempts == 1
    assert (await ask())[1].cache == "miss"


async def test_whoever_comes_while_a_call_is_being_given_up_has_one_of_their_own(
    ask: Any, models: Models, someone: Principal, provider: OpenAIFake
) -> None:
    for number in range(10):
        provider.then(Reply(between_s=0.1))
        said = f"Hello {number}"
        with context.serving(RequestContext(request_id="r", principal=someone)):
            leaving = models.chat().astream(said, **SAME)
            await anext(leaving)
        left = asyncio.create_task(leaving.aclose())  # type: ignore[attr-defined]  # a generator, declared an iterator
        for _ in range(number % 5):
            await asyncio.sleep(0)
        assert (await ask(said))[0] == WHOLE
        await left


async def test_where_another_process_died_at_the_work_the_next_takes_it_over(
    ask: Any, start: Any, provider: OpenAIFake, valkey_url: str
) -> None:
    with Redis.from_url(valkey_url) as redis:
        await claim_for(redis, ask, b"dead", milliseconds=300)
        text, request = await ask(of=start())
    assert (text, request.cache) == (WHOLE, "miss")
    assert len(provider.sent) == 2


async def claim_for(redis: Any, ask: Any, who: bytes, *, milliseconds: int, **asked: Any) -> None:
    """Put in place of the answer to the default request the claim of another process on making it."""
    before = set(redis.scan_iter("genai:cache:{*}:answer:*"))
    await ask(**asked)
    await eventually(lambda: set(redis.scan_iter("genai:cache:{*}:answer:*")) - before)
    (entry,) = set(redis.scan_iter("genai:cache:{*}:answer:*")) - before
    claim = entry.replace(b"}:answer:", b"}:claim:answer:")
    await eventually(lambda: not redis.exists(claim))
    redis.delete(entry)
    redis.set(claim, who, px=milliseconds)


async def test_a_process_that_is_slow_is_not_waited_for_to_the_end(
    ask: Any, start: Any, provider: OpenAIFake, valkey_url: str
) -> None:
    first, second = (start(timeouts={"connect": 2, "first_token": 2, "between_tokens": 2, "total": 4}) for _ in range(2))
    with Redis.from_url(valkey_url) as redis:
        await claim_for(redis, ask, b"slow", milliseconds=60_000, of=first)
        text, request = await ask(of=second)
    assert (text, request.cache) == (WHOLE, "miss")
    assert len(provider.sent) == 2


async def test_without_redis_every_request_is_answered_by_its_provider(ask: Any, start: Any, provider: OpenAIFake) -> None:
    alone = start(url="redis://127.0.0.1:1")
    for streamed in (True, False):
        assert (await ask(of=alone, streamed=streamed))[0] == WHOLE
    assert len(provider.sent) == 2
    answers = await asyncio.gather(*(ask("At once", of=alone) for _ in range(10)))
    assert {text for text, _ in answers} == {WHOLE}
    assert len(provider.sent) == 3, "those of one process still share"


async def test_requests_go_on_while_redis_is_frozen(ask: Any, provider: OpenAIFake, valkey_url: str) -> None:
    await ask()
    with Redis.from_url(valkey_url) as redis:
        frozen = psutil.Process(int(redis.info("server")["process_id"]))
    frozen.suspend()
    try:
        answers = await asyncio.gather(*(ask(f"Number {number}") for number in range(20)))
    finally:
        frozen.resume()
    assert {text for text, _ in answers} == {WHOLE}
    assert len(provider.sent) == 21


async def test_works_from_synchronous_code(models: Models, someone: Principal, provider: OpenAIFake) -> None:
    def asking() -> list[str]:
        with context.serving(RequestContext(request_id="r", principal=someone)):
            return [models.chat().invoke("Hello", **SAME).text, models.chat().invoke("Hello", **SAME).text]

    assert await asyncio.to_thread(asking) == [WHOLE] * 2
    assert len(provider.sent) == 1


async def test_images_are_a_part_of_the_request(ask: Any, provider: OpenAIFake) -> None:
    def showing(data: str) -> Any:
        image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
        return [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]}]

    uses = [(await ask(showing(data)))[1].cache for data in ("AAAA", "AAAA", "BBBB")]
    assert uses == ["miss", "hit", "miss"]


class TestAlike:
    """Messages that mean the same, where the alias says so."""

    QUESTION = "How do I reset my password?"
    SAME_QUESTION = "How can I reset my password?"

    async def test_a_paraphrase_is_answered_again(self, ask: Any, provider: OpenAIFake) -> None:
        uses = [(await ask(said, "alike"))[1].cache for said in (self.QUESTION, self.SAME_QUESTION, self.QUESTION)]
        assert uses == ["miss", "semantic", "hit"]
        assert len(provider.sent) == 1
        text, request = await ask(self.SAME_QUESTION, "alike", streamed=True)
        assert (text, request.attempts, request.cost_usd, request.usage.output_tokens) == (WHOLE, 0, 0, 5)

    @pytest.mark.parametrize("said", ["How do I delete my account?", "How do I not reset my password?"])
    async def test_what_is_less_alike_or_says_something_else_is_not(self, ask: Any, said: str) -> None:
        await ask(self.QUESTION, "alike")
        assert (await ask(said, "alike"))[1].cache == "miss"

    async def test_the_threshold_is_the_aliass(self, ask: Any, start: Any, configured: Callable[..., Settings]) -> None:
        (alike,) = [alias for alias in configured().model_dump()["models"] if alias["alias"] == "alike"]
        strict = start(models=[alike | {"alias": "default", "cache": {"semantic": True, "threshold": 0.999}}])
        await ask(self.QUESTION, of=strict)
        assert (await ask(self.SAME_QUESTION, of=strict))[1].cache == "miss"

    @pytest.mark.parametrize(
        "other",
        [
            {"before": [SystemMessage("You are a pirate.")]},
            {"before": [HumanMessage("Hello"), SystemMessage("Be brief.")]},
            {"max_tokens": 9},
            {"seed": 3},
            {"response_format": {"type": "json_object"}},
            {"alias": "default"},
            {"cache_control": "no-cache"},
        ],
        ids=str,
    )
    async def test_all_else_has_to_be_the_same(self, ask: Any, other: dict[str, Any]) -> None:
        other = dict(other)
        before = other.pop("before", [])
        await ask([HumanMessage(self.QUESTION)], "alike")
        alias = other.pop("alias", "alike")
        assert (await ask([*before, HumanMessage(self.SAME_QUESTION)], alias, **other))[1].cache == "miss"

    async def test_tenants_and_rights_are_kept_apart(self, ask: Any, someone: Principal) -> None:
        await ask(self.QUESTION, "alike")
        less = replace(someone, scopes=ROLE_SCOPES[Role.USER])
        for by in (replace(someone, tenant=uuid.uuid4().hex), less):
            assert (await ask(self.SAME_QUESTION, "alike", by=by))[1].cache == "miss"

    async def test_with_tools_only_the_same_words_are_the_same(self, models: Models, someone: Principal, provider: Any) -> None:
        @tool
        def look_up(words: str) -> str:
            """Look something up."""
            return words

        model = models.chat("alike").bind_tools([look_up]).bind(temperature=0)
        with context.serving(RequestContext(request_id="r", principal=someone)):
            for said in (self.QUESTION, self.SAME_QUESTION, self.QUESTION):
                await model.ainvoke(said)
        assert len(provider.sent) == 2

    async def test_dropping_the_answers_drops_what_they_are_found_by(
        self, ask: Any, models: Models, someone: Principal
    ) -> None:
        await ask(self.QUESTION, "alike")
        await models.answers.drop(someone.tenant)
        assert (await ask(self.SAME_QUESTION, "alike"))[1].cache == "miss"


async def test_what_is_kept_holds_no_prompt_where_only_the_same_request_is_answered_again(
    ask: Any, valkey_url: str, someone: Principal
) -> None:
    await ask("planted-prompt-4711")
    with Redis.from_url(valkey_url) as redis:
        held = [key for key in redis.scan_iter("genai:cache:*") if redis.type(key) == b"string"]
        assert not [key for key in held if b"planted-prompt-4711" in key + (redis.get(key) or b"")]


def test_an_alias_without_answers_cannot_keep_any(settings: Settings) -> None:
    alias = {"alias": "vectors", "kind": "embeddings", "deployments": [{"provider": "local", "model": "all-MiniLM-L6-v2"}]}
    with pytest.raises(SettingsError, match="vectors"):
        Settings.load(data_dir=settings.data_dir, models=[alias | {"cache": {"exact": True}}])
