"""Failover over two real HTTP servers that misbehave on demand."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from decimal import Decimal
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, SystemMessage, trim_messages
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from pydantic import BaseModel

from core.context import RequestContext, Usage
from core.errors import (
    ContentRefused,
    ContextLengthExceeded,
    DeadlineExceeded,
    InvalidRequest,
    PlatformError,
    ProviderFailed,
    RateLimited,
    UnsupportedFeature,
)
from core.settings import Settings
from providers.models import Models
from tests.fakes.clouds import CLOUDS
from tests.fakes.openai import MODEL, OpenAIFake
from tests.fakes.vertex import VertexFake
from tests.fakes.wire import RETRY_AFTER_S, Break, Fault, Reply

WHOLE = Reply().text
BEFORE_THE_FIRST_TOKEN = (
    Fault.RATE,
    Fault.RATE_BARE,
    Fault.SERVER,
    Fault.UNAVAILABLE,
    Fault.CREDENTIAL,
    Fault.FORBIDDEN,
    Fault.MISSING,
    Fault.RESET,
    Fault.SILENT,
)
AFTER_THE_FIRST_TOKEN = (Fault.CUT, Fault.STALLED, Fault.UNTERMINATED, Fault.LATE_ERROR)


@pytest.fixture(scope="module")
def fakes() -> Iterator[tuple[OpenAIFake, OpenAIFake]]:
    with OpenAIFake() as first, OpenAIFake() as second:
        yield first, second


@pytest.fixture
def first(fakes: tuple[OpenAIFake, OpenAIFake]) -> OpenAIFake:
    fakes[0].clear()
    return fakes[0]


@pytest.fixture
def second(fakes: tuple[OpenAIFake, OpenAIFake]) -> OpenAIFake:
    fakes[1].clear()
    return fakes[1]


@pytest.fixture
def configured(settings: Settings, first: OpenAIFake, second: OpenAIFake) -> Settings:
    here = {"provider": "openai", "model": MODEL}
    there = {"provider": "openai_compatible:there", "model": "llama"}
    return Settings.load(
        data_dir=settings.data_dir,
        models=[
            {"alias": "default", "deployments": [here, there]},
            {"alias": "alone", "deployments": [here]},
            {"alias": "twice", "deployments": [here, there | {"model": f"vendor/{MODEL}-2024-07-18"}]},
            {"alias": "blind", "deployments": [there]},
            {"alias": "formless-first", "deployments": [there | {"model": "formless", "structured_output": False}, here]},
            {
                "alias": "large-first",
                "deployments": [here | {"context_tokens": 1_000_000}, there | {"context_tokens": 50}],
            },
            {"alias": "small-first", "deployments": [here | {"context_tokens": 100}, there | {"context_tokens": 50}, there]},
        ],
        providers={
            "openai": {"base_url": first.base_url, "api_key": "sk-secret"},
            "openai_compatible:there": {"base_url": second.base_url},
        },
        timeouts={"connect": 2, "first_token": 0.4, "between_tokens": 0.4, "total": 3},
    )


@pytest.fixture
async def models(configured: Settings) -> AsyncIterator[Models]:
    made = Models(configured)
    await made.warm(local=False)
    yield made
    await made.close()


async def collect(model: Any, *, into: list[str] | None = None, **parameters: Any) -> str:
    """The text of a stream; `into` keeps what came before an error."""
    pieces = [] if into is None else into
    async for chunk in model.astream("Hello", **parameters):
        pieces.append(chunk.text)
    return "".join(pieces)


@pytest.mark.parametrize("fault", BEFORE_THE_FIRST_TOKEN)
@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "invoke"])
async def test_moves_on_before_the_first_token(
    models: Models, first: OpenAIFake, request_context: RequestContext, fault: Fault, streamed: bool
) -> None:
    first.then(fault)
    text = await collect(models.chat()) if streamed else (await models.chat().ainvoke("Hello")).text
    assert text == WHOLE
    assert (request_context.provider, request_context.attempts) == ("openai_compatible:there", 2)
    assert request_context.usage.output_tokens == Reply().output_tokens, "a failed call is not billed"


@pytest.mark.parametrize("fault", AFTER_THE_FIRST_TOKEN)
async def test_a_stream_that_is_cut_ends_in_an_error(
    models: Models, first: OpenAIFake, second: OpenAIFake, fault: Fault
) -> None:
    first.then(fault)
    pieces: list[str] = []
    with pytest.raises(ProviderFailed) as failed:
        await collect(models.chat(), into=pieces)
    assert failed.value.code == "stream_interrupted"
    assert WHOLE.startswith("".join(pieces))
    assert "".join(pieces)
    assert not second.sent, "what was sent cannot be taken back"


@pytest.mark.parametrize("fault", [*AFTER_THE_FIRST_TOKEN, Fault.MALFORMED])
async def test_an_answer_that_is_cut_starts_again_where_nothing_was_sent(
    models: Models, first: OpenAIFake, fault: Fault
) -> None:
    first.then(fault)
    assert (await models.chat().ainvoke("Hello")).text == WHOLE


async def test_a_last_deployment_has_a_second_chance_for_a_moments_failure(models: Models, first: OpenAIFake) -> None:
    first.then(Fault.SERVER)
    assert await collect(models.chat("alone")) == WHOLE
    assert len(first.sent) == 2


async def test_all_failed_is_one_error_that_tells_no_secret(models: Models, first: OpenAIFake, second: OpenAIFake) -> None:
    first.then(Fault.CREDENTIAL)
    second.then(Fault.FORBIDDEN)
    with pytest.raises(ProviderFailed) as failed:
        await models.chat().ainvoke("Hello")
    assert failed.value.status == 502
    assert failed.value.context == {"reasons": ["authentication", "authentication"]}
    assert "sk-" not in failed.value.message


async def test_a_caller_is_told_to_wait_also_where_no_provider_says_how_long(
    models: Models, first: OpenAIFake, second: OpenAIFake
) -> None:
    for fake in (first, second):
        fake.always(Fault.RATE_BARE)
    with pytest.raises(RateLimited) as limited:
        await models.chat().ainvoke("Hello")
    assert limited.value.retry_after_s == 1


async def test_all_at_their_limits_is_told_with_the_shortest_wait(
    models: Models, first: OpenAIFake, second: OpenAIFake
) -> None:
    first.then(Fault.RATE)
    second.then(Fault.RATE)
    with pytest.raises(RateLimited) as limited:
        await models.chat().ainvoke("Hello")
    assert limited.value.retry_after_s is not None
    assert RETRY_AFTER_S - 1 < limited.value.retry_after_s <= RETRY_AFTER_S
    with pytest.raises(RateLimited):
        await models.chat().ainvoke("Hello")
    assert (len(first.sent), len(second.sent)) == (1, 1), "both are left in peace for as long as they asked"


@pytest.mark.parametrize(
    ("fault", "error", "code"),
    [
        (Fault.INVALID, InvalidRequest, "provider_rejected_request"),
    ],
)
async def test_the_callers_own_fault_is_told_at_once(
    models: Models, first: OpenAIFake, second: OpenAIFake, fault: Fault, error: type[PlatformError], code: str
) -> None:
    first.then(fault)
    with pytest.raises(error) as raised:
        await collect(models.chat())
    assert raised.value.code == code
    assert "a word of the prompt" not in raised.value.message
    assert not second.sent


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.BLOCKED])
async def test_what_a_model_refuses_is_not_put_to_the_same_model_again(
    models: Models, first: OpenAIFake, second: OpenAIFake, fault: Fault
) -> None:
    first.then(fault)
    with pytest.raises(ContentRefused) as refused:
        await collect(models.chat("twice"))
    assert (refused.value.code, len(first.sent), len(second.sent)) == ("content_refused", 1, 0)


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.BLOCKED])
async def test_another_model_may_be_asked_and_the_first_reason_is_told(
    models: Models, first: OpenAIFake, second: OpenAIFake, fault: Fault
) -> None:
    first.then(fault, fault)
    assert await collect(models.chat()) == WHOLE
    second.then(Fault.CREDENTIAL)
    with pytest.raises(ContentRefused):
        await models.chat().ainvoke("Hello")


@pytest.mark.parametrize("refuses", [0, 1], ids=["first", "second"])
async def test_after_a_refusal_nobody_is_asked_again(
    models: Models, fakes: tuple[OpenAIFake, OpenAIFake], first: OpenAIFake, second: OpenAIFake, refuses: int
) -> None:
    fakes[refuses].always(Fault.REFUSED)
    fakes[1 - refuses].always(Fault.UNAVAILABLE)
    with pytest.raises(ContentRefused):
        await models.chat().ainvoke("Hello")
    assert [len(fake.sent) for fake in fakes] == [1, 1]


async def test_a_prompt_too_long_goes_to_larger_windows_alone(models: Models, first: OpenAIFake, second: OpenAIFake) -> None:
    first.then(Fault.TOO_LONG)
    assert await collect(models.chat("small-first")) == WHOLE
    assert len(second.sent) == 1, "the one with the smaller window is left out"


@pytest.mark.parametrize("fault", [Fault.SERVER, Fault.RESET, Fault.UNAVAILABLE])
async def test_a_passing_failure_of_the_large_window_makes_no_prompt_too_long(
    fault: Fault, models: Models, first: OpenAIFake, second: OpenAIFake
) -> None:
    first.then(fault)
    second.then(Fault.TOO_LONG)
    assert await collect(models.chat("large-first")) == WHOLE
    assert [len(fake.sent) for fake in (first, second)] == [2, 1]


async def test_a_large_window_that_stays_down_is_told_rather_than_the_prompts_length(
    models: Models, first: OpenAIFake, second: OpenAIFake
) -> None:
    first.always(Fault.SERVER)
    second.always(Fault.TOO_LONG)
    with pytest.raises(ProviderFailed):
        await collect(models.chat("large-first"))


async def test_a_prompt_too_long_everywhere_is_told_as_that(models: Models, first: OpenAIFake) -> None:
    first.then(Fault.TOO_LONG)
    with pytest.raises(ContextLengthExceeded):
        await collect(models.chat("alone"))
    assert len(first.sent) == 1


async def test_one_deadline_bounds_all(configured: Settings, first: OpenAIFake, second: OpenAIFake) -> None:
    timeouts = {"connect": 2, "first_token": 5, "between_tokens": 5, "total": 0.3}
    models = Models(Settings.load(**configured.model_dump() | {"timeouts": timeouts}))
    first.then(Fault.SILENT)
    started = asyncio.get_running_loop().time()
    with pytest.raises(DeadlineExceeded):
        await models.chat().ainvoke("Hello")
    assert asyncio.get_running_loop().time() - started < 2
    assert not second.sent
    await models.close()


async def test_system_messages_stay_where_they_stand_but_for_providers_that_want_them_first(
    models: Models, first: OpenAIFake, second: OpenAIFake
) -> None:
    said = [SystemMessage("a"), HumanMessage("b"), SystemMessage("c"), HumanMessage("d")]
    for alias, provider, order in (("default", first, "abcd"), ("blind", second, "acbd")):
        await models.chat(alias).ainvoke(said)
        assert "".join(message["content"] for message in provider.sent[-1].body["messages"]) == order


async def test_records_usage_price_and_model(models: Models, request_context: RequestContext) -> None:
    await models.chat().ainvoke("Hello")
    assert (request_context.provider, request_context.model, request_context.attempts) == ("openai", MODEL, 1)
    assert (request_context.usage.input_tokens, request_context.usage.output_tokens) == (12, 5)
    assert not request_context.usage.estimated
    assert request_context.cost_usd == Decimal("0.0000048"), "12 at 0.15 $ and 5 at 0.60 $ a million"


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "invoke"])
async def test_an_answer_that_the_deadline_cuts_is_paid_for_as_far_as_it_came(
    configured: Settings, first: OpenAIFake, request_context: RequestContext, streamed: bool
) -> None:
    timeouts = {"connect": 2, "first_token": 5, "between_tokens": 5, "total": 0.5}
    models = Models(Settings.load(**configured.model_dump() | {"timeouts": timeouts}))
    first.then(Fault.STALLED)
    with pytest.raises(DeadlineExceeded):
        await (collect(models.chat("alone")) if streamed else models.chat("alone").ainvoke("Hello"))
    (failed,) = request_context.failures
    assert (failed.provider, failed.model) == ("openai", MODEL)
    used, other = (request_context.usage, failed.usage) if streamed else (failed.usage, request_context.usage)
    assert used.input_tokens > 0
    assert used.output_tokens > 0
    assert used.estimated
    assert other == Usage(), "what its reader has is told as the answer's, what was thrown away apart from it"
    await models.close()


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "invoke"])
@pytest.mark.parametrize("fault", AFTER_THE_FIRST_TOKEN)
async def test_an_answer_that_breaks_off_is_paid_for_as_far_as_it_came(
    models: Models, first: OpenAIFake, request_context: RequestContext, streamed: bool, fault: Fault
) -> None:
    first.always(fault)
    with pytest.raises(PlatformError):
        await (collect(models.chat("alone")) if streamed else models.chat("alone").ainvoke("Hello"))
    thrown_away = sum(failed.usage.output_tokens for failed in request_context.failures)
    assert bool(request_context.usage.output_tokens) is streamed
    assert bool(thrown_away) is not streamed
    assert all(failed.cost_usd for failed in request_context.failures) is not streamed


async def test_what_a_discarded_answer_used_is_told_apart_from_the_answers_usage(
    models: Models, first: OpenAIFake, second: OpenAIFake, request_context: RequestContext
) -> None:
    calls = Reply(text="", calls=[("weather", {"city": "Oslo"}), ("weather", {"city": "Rome"})])
    for thrown_away in (Fault.CUT, Break(Fault.CUT, 2, calls)):
        request_context.clear()
        first.then(thrown_away)
        answer = await models.chat().ainvoke("Hello")
        said = Reply()
        assert request_context.usage == Usage(said.input_tokens, said.output_tokens)
        assert answer.usage_metadata is not None
        assert answer.usage_metadata["total_tokens"] == request_context.usage.total_tokens
        (failed,) = request_context.failures
        assert (failed.provider, request_context.provider) == ("openai", "openai_compatible:there")
        assert failed.usage.input_tokens > 0
        assert failed.usage.output_tokens > 0
        assert failed.cost_usd


async def test_an_unknown_price_is_told_as_unknown(models: Models, request_context: RequestContext) -> None:
    await models.chat("blind").ainvoke("Hello")
    assert request_context.cost_usd is None


async def test_a_caller_who_hangs_up_is_recorded_with_an_estimate(
    models: Models, first: OpenAIFake, request_context: RequestContext
) -> None:
    first.then(Fault.STALLED)
    async with aclosing(models.chat().astream("Hello")) as stream:  # type: ignore[type-var] # a generator, declared an iterator
        async for chunk in stream:
            if chunk.text:
                break
    assert request_context.attempts == 1
    assert request_context.usage.estimated
    assert request_context.usage.output_tokens > 0


def test_works_from_synchronous_code(configured: Settings) -> None:
    models = Models(configured)
    assert models.chat().invoke("Hello").text == WHOLE
    assert "".join(chunk.text for chunk in models.chat().stream("Hello")) == WHOLE
    asyncio.run(models.close())


async def test_synchronous_calls_work_while_this_threads_loop_runs(models: Models) -> None:
    assert models.chat().invoke("Hello").text == WHOLE


@pytest.mark.parametrize("transport", ["direct", "sdk"])
@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "invoke"])
async def test_a_model_that_thinks_is_not_silent(
    configured: Settings, first: OpenAIFake, request_context: RequestContext, transport: str, streamed: bool
) -> None:
    given = configured.model_dump()
    given["providers"]["openai"]["transport"] = transport
    models = Models(Settings.load(**given))
    await models.warm(local=False)
    first.then(Reply(thoughts=["Well, "] * 8, between_s=0.1))  # its first word comes after twice the limit on a first token
    text = await collect(models.chat()) if streamed else (await models.chat().ainvoke("Hello")).text
    assert (text, request_context.provider, request_context.attempts) == (WHOLE, "openai", 1)
    await models.close()


async def test_what_thinks_and_breaks_off_starts_again_elsewhere(
    models: Models, first: OpenAIFake, request_context: RequestContext
) -> None:
    first.then(Break(Fault.CUT, 3, Reply(thoughts=["Well, "] * 8)))
    assert await collect(models.chat()) == WHOLE
    assert (request_context.provider, request_context.attempts) == ("openai_compatible:there", 2)
    assert request_context.failures[0].usage.input_tokens > 0, "thinking is paid for"


async def test_composes_with_prompts_and_parsers(models: Models, first: OpenAIFake) -> None:
    chain = (
        ChatPromptTemplate.from_messages([("system", "Be brief."), ("human", "{question}")]) | models.chat() | StrOutputParser()
    )
    assert await chain.ainvoke({"question": "Why?"}) == WHOLE
    assert [message["role"] for message in first.last.body["messages"]] == ["system", "user"]


async def test_calls_tools(models: Models, first: OpenAIFake) -> None:
    @tool
    def weather(city: str) -> str:
        """The weather of a city."""
        return city

    first.then(Reply(text="", calls=[("weather", {"city": "Oslo"})]), Reply(text="", calls=[("weather", {"city": "Rome"})]))
    model = models.chat().bind_tools([weather], tool_choice="weather")
    assert (await model.ainvoke("Oslo?")).tool_calls[0]["args"] == {"city": "Oslo"}
    chunks = [chunk async for chunk in model.astream("Rome?")]
    assert sum(chunks[1:], chunks[0]).tool_calls[0]["args"] == {"city": "Rome"}
    assert first.last.body["tool_choice"] == {"type": "function", "function": {"name": "weather"}}


class City(BaseModel):
    """A city."""

    name: str
    people: int


async def test_structured_output_gives_instances(models: Models, first: OpenAIFake) -> None:
    first.then(Reply(text='{"name": "Oslo", "people": 700000}'))
    assert await models.chat().with_structured_output(City).ainvoke("Oslo") == City(name="Oslo", people=700_000)
    assert first.last.body["response_format"]["json_schema"]["name"] == "City"


async def test_a_schema_goes_to_a_model_that_keeps_to_one_by_its_deployments_own_word(
    models: Models, first: OpenAIFake, second: OpenAIFake
) -> None:
    model: Any = models.chat("formless-first")
    await model.ainvoke("Hello", response_format={"type": "json_object"})
    await model.ainvoke("Hello")
    assert (len(first.sent), len(second.sent)) == (1, 1)


async def test_structured_output_tells_a_parsing_error_beside_the_raw_answer(models: Models, first: OpenAIFake) -> None:
    first.then(Reply(text="no JSON"))
    answer: Any = await models.chat().with_structured_output(City, include_raw=True).ainvoke("Oslo")
    assert answer["raw"].text == "no JSON"
    assert answer["parsed"] is None
    assert answer["parsing_error"] is not None


async def test_images_go_to_a_model_that_sees(models: Models, first: OpenAIFake, second: OpenAIFake) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    message = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]}]
    assert (await models.chat().ainvoke(message)).text == WHOLE
    with pytest.raises(UnsupportedFeature):
        await models.chat("blind").ainvoke(message)
    assert (len(first.sent), len(second.sent)) == (1, 0)


@pytest.mark.parametrize("parameter", ["base_url", "api_key", "extra_headers", "n", "model", "extra_body"])
async def test_nothing_passes_that_is_not_allowed(models: Models, first: OpenAIFake, parameter: str) -> None:
    given: dict[str, Any] = {parameter: "x"}
    with pytest.raises(UnsupportedFeature):
        await models.chat().ainvoke("Hello", **given)
    assert not first.sent


async def test_parameters_reach_the_provider_by_its_own_names(models: Models, first: OpenAIFake, second: OpenAIFake) -> None:
    asked: dict[str, Any] = {"temperature": 0.5, "max_tokens": 7, "seed": 3, "stop": ["END"]}
    await models.chat().ainvoke("Hello", **asked)
    await models.chat("blind").ainvoke("Hello", **asked)
    assert first.last.body["max_completion_tokens"] == second.last.body["max_tokens"] == 7
    assert [second.last.body[name] for name in ("temperature", "seed", "stop")] == [0.5, 3, ["END"]]


async def test_completes_where_the_server_can_and_asks_a_chat_model_where_not(
    models: Models, first: OpenAIFake, second: OpenAIFake, request_context: RequestContext
) -> None:
    assert await models.completion("blind").ainvoke({"prompt": "Once", "max_tokens": 9}) == WHOLE
    assert second.last.path == "/v1/completions"
    assert (second.last.body["prompt"], second.last.body["max_tokens"]) == ("Once", 9)
    assert request_context.usage.output_tokens == 5
    assert "".join([piece async for piece in models.completion("alone").astream({"prompt": "Once"})]) == WHOLE
    assert first.last.path == "/v1/chat/completions"


async def test_a_suffix_is_refused_where_no_model_fills_in(models: Models) -> None:
    with pytest.raises(UnsupportedFeature) as refused:
        await models.completion().ainvoke({"prompt": "def f():", "suffix": "return x"})
    assert refused.value.param == "suffix"


@pytest.mark.parametrize("text", ["Half of", ""], ids=["text", "nothing"])
async def test_an_answer_at_once_that_names_no_reason_for_its_end_moves_on(
    models: Models, first: OpenAIFake, second: OpenAIFake, request_context: RequestContext, text: str
) -> None:
    first.then(Reply(text=text, finish=""))
    model: Any = models.chat()
    for served in model.deployments:
        served.standing.token_s.value = 1e-9  # known to be fast: asked for all at once
    answer = await model.ainvoke("Hello")
    assert (answer.text, request_context.provider, request_context.attempts) == (WHOLE, "openai_compatible:there", 2)
    assert not any(sent.body.get("stream") for sent in (first.last, second.last))


async def test_tokens_are_counted_as_the_provider_does(models: Models) -> None:
    model: Any = models.chat()
    assert model.get_num_tokens("Hello there") == model.deployments[0].provider.count_tokens(MODEL, "Hello there") > 0
    kept = trim_messages([HumanMessage("long ago " * 200), HumanMessage("Hi")], max_tokens=20, token_counter=model)
    assert [message.text for message in kept] == ["Hi"]


async def test_strict_tools_go_to_a_model_that_can_be_held_to_them(settings: Settings, first: OpenAIFake) -> None:
    with VertexFake() as gemini:
        models = Models(
            Settings.load(
                data_dir=settings.data_dir,
                models=[
                    {
                        "alias": "default",
                        "deployments": [CLOUDS["vertex"].deployment(), {"provider": "openai", "model": MODEL}],
                    },
                    {"alias": "gemini", "deployments": [CLOUDS["vertex"].deployment()]},
                ],
                providers={
                    "openai": {"base_url": first.base_url, "api_key": "sk-secret"},
                    "vertex": CLOUDS["vertex"].settings(gemini),
                },
            )
        )
        await models.warm(local=False)
        for strict in (True, False):
            first.always(Reply("", calls=[("City", {"name": "Oslo", "people": 1})]))
            await models.chat().bind_tools([City], strict=strict).ainvoke("Oslo")
            assert len(gemini.asked) == (0 if strict else 1)
        assert first.last.body["tools"][0]["function"]["strict"] is True
        structured = models.chat().with_structured_output(City, method="function_calling", strict=True)
        assert await structured.ainvoke("Oslo") == City(name="Oslo", people=1)
        assert first.last.body["tools"][0]["function"]["strict"] is True
        for refused in (
            models.chat("gemini").bind_tools([City], strict=True),
            models.chat("gemini").with_structured_output(City, method="function_calling", strict=True),
        ):
            with pytest.raises(UnsupportedFeature, match="strict"):
                await refused.ainvoke("Oslo")
        with pytest.raises(UnsupportedFeature, match="json_mode"):
            models.chat().with_structured_output(City, method="json_mode", strict=True)
        await models.close()
