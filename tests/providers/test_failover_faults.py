"""Every fault of the first of four deployments, and streams that are cut after every chunk, on real HTTP servers."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from structlog.testing import capture_logs

from core import context
from core.alerts import alerts
from core.context import RequestContext, Usage
from core.errors import PlatformError
from core.principals import SYSTEM
from core.settings import Settings
from providers.models import Models
from tests.fakes.openai import OpenAIFake
from tests.fakes.scenarios import ANSWER, SCENARIOS, Scenario, cuts
from tests.fakes.wire import Break, Fault, Raw, Reply

NAMES = ("a", "b", "c", "d")
Fakes = tuple[OpenAIFake, OpenAIFake, OpenAIFake, OpenAIFake]


@pytest.fixture(scope="module")
def fakes() -> Iterator[Fakes]:
    with OpenAIFake() as a, OpenAIFake() as b, OpenAIFake() as c, OpenAIFake() as d:
        yield a, b, c, d


@pytest.fixture(autouse=True)
def untold() -> None:
    """What other tests were told is not remembered."""
    alerts()._seen.clear()


@pytest.fixture
def configured(settings: Settings, fakes: Fakes) -> Settings:
    for fake in fakes:
        fake.clear()
        fake.continues = False
    deployments = [{"provider": f"openai_compatible:{name}", "model": "m"} for name in NAMES]
    return Settings.load(
        data_dir=settings.data_dir,
        models=[
            {"alias": "default", "deployments": deployments},
            {"alias": "alone", "deployments": deployments[:1]},
            {"alias": "prefill", "deployments": [deployments[0], *(each | {"prefill": True} for each in deployments[1:])]},
        ],
        providers={f"openai_compatible:{name}": {"base_url": fake.base_url} for name, fake in zip(NAMES, fakes, strict=True)},
        timeouts={"connect": 2, "first_token": 0.8, "between_tokens": 0.8, "total": 6},
        retries={"pause_s": 0.05, "longest_pause_s": 1},
    )


@pytest.fixture
async def models(configured: Settings) -> AsyncIterator[Models]:
    made = Models(configured)
    await made.warm(local=False)
    yield made
    await made.close()


async def streamed(model: Any) -> tuple[str, str | None]:
    """The text of a stream and the code of the error that it ended with."""
    pieces: list[str] = []
    try:
        async for chunk in model.astream("Hello"):
            pieces.append(chunk.text)  # noqa: PERF401 - what came before an error is kept
    except PlatformError as error:
        return "".join(pieces), error.code
    return "".join(pieces), None


async def invoked(model: Any) -> tuple[str, str | None]:
    try:
        return (await model.ainvoke("Hello")).text, None
    except PlatformError as error:
        return "", error.code


def streamed_synchronously(model: Any) -> tuple[str, str | None]:
    pieces: list[str] = []
    try:
        pieces.extend(chunk.text for chunk in model.stream("Hello"))
    except PlatformError as error:
        return "".join(pieces), error.code
    return "".join(pieces), None


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_a_whole_answer_comes_from_one_of_the_others(models: Models, fakes: Fakes, scenario: Scenario) -> None:
    model = models.chat()
    for invoke in (model.ainvoke, lambda text: asyncio.to_thread(model.invoke, text)):
        scenario.play(fakes[0], fakes[1:])
        if scenario.whole:
            assert (await invoke("Hello")).text == ANSWER.text
        else:
            with pytest.raises(PlatformError) as refused:
                await invoke("Hello")
            assert refused.value.code in scenario.alone


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_a_stream_is_whole_or_says_that_it_is_not(models: Models, fakes: Fakes, scenario: Scenario) -> None:
    model = models.chat()
    for stream in (streamed, lambda model: asyncio.to_thread(streamed_synchronously, model)):
        scenario.play(fakes[0], fakes[1:])
        text, code = await stream(model)
        assert ANSWER.text.startswith(text)
        assert (text == ANSWER.text) if code is None else (code in scenario.stream_codes)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_alone_it_gives_the_answer_or_a_clean_error_after_a_bounded_number_of_calls(
    models: Models, fakes: Fakes, scenario: Scenario
) -> None:
    scenario.play(fakes[0])
    text, code = await invoked(models.chat("alone"))
    assert (text == ANSWER.text) if code is None else (code in scenario.alone)
    assert len(fakes[0].asked) <= 5


@pytest.mark.parametrize("place", range(len(cuts(OpenAIFake()))))
async def test_a_stream_cut_at_any_chunk_is_whole_where_another_takes_it_up(
    models: Models, fakes: Fakes, request_context: RequestContext, place: int
) -> None:
    fakes[0].then(cuts(fakes[0])[place])
    for fake in fakes[1:]:
        fake.continues = True
        fake.always(ANSWER)
    assert await streamed(models.chat("prefill")) == (ANSWER.text, None)
    assert request_context.attempts <= 3, "the cut one, the question whether the next one goes on, and its answer"


@pytest.mark.parametrize("place", range(len(cuts(OpenAIFake()))))
async def test_a_stream_cut_at_any_chunk_is_told_where_nobody_takes_it_up(models: Models, fakes: Fakes, place: int) -> None:
    fakes[0].then(cuts(fakes[0])[place])
    for fake in fakes[1:]:
        fake.always(ANSWER)
    text, code = await streamed(models.chat())
    assert (text, code) == (ANSWER.text, None) or (ANSWER.text.startswith(text) and text and code == "stream_interrupted")


async def test_one_that_only_repeats_is_joined_without_a_word_twice(models: Models, fakes: Fakes) -> None:
    for cut in cuts(fakes[0]):
        fakes[0].then(cut)
        fakes[1].always(ANSWER)  # declared to take up an answer, it begins from the beginning
        text, code = await streamed(models.chat("prefill"))
        assert ANSWER.text.startswith(text)
        assert text == ANSWER.text if code is None else code == "stream_interrupted"


ANEW = (
    Reply(text=f"\n{ANSWER.text}"),
    Reply(text=f"Sure! {ANSWER.text}"),
    Reply(text="Another answer, which has nothing of the first."),
)


@pytest.mark.parametrize("answer", ANEW, ids=["space-before", "word-before", "another"])
@pytest.mark.parametrize("name", ["m", "another-model"])
async def test_one_that_does_not_go_on_is_never_glued_to_what_was_sent(
    configured: Settings, fakes: Fakes, request_context: RequestContext, answer: Reply, name: str
) -> None:
    first, second = (
        {"provider": "openai_compatible:a", "model": "m"},
        {"provider": "openai_compatible:b", "model": name, "prefill": True},
    )
    alias = {"alias": "declared", "deployments": [first, second]}
    models = Models(Settings.load(**configured.model_dump() | {"models": [alias]}))
    for _ in range(2):
        fakes[0].then(Break(Fault.CUT, 9, ANSWER))
        fakes[1].always(answer)
        text, code = await streamed(models.chat("declared"))
        assert ANSWER.text.startswith(text)
        assert (text == ANSWER.text) if code is None else code == "stream_interrupted"
    assert len(fakes[1].sent) - len(fakes[1].asked) == 1, "it was asked once whether it goes on"
    assert len(fakes[1].asked) == (2 if name == "m" else 0), "the same model may give the same answer again"
    await models.close()


async def test_one_that_answers_anew_although_it_has_solved_the_riddle_is_noticed_before_text_stands_twice(
    models: Models, fakes: Fakes, request_context: RequestContext
) -> None:
    fakes[1].continues = True
    fakes[1].always(Reply(text="Grüße aus Oslo: it is four degrees, and there is no snow."))
    fakes[2].continues = True
    fakes[2].always(ANSWER)
    for _ in range(2):
        fakes[0].then(Break(Fault.CUT, 9, ANSWER))
        assert await streamed(models.chat("prefill")) == (ANSWER.text, None), "the next one that can has taken it up"
    assert models.chat("prefill").deployments[1].standing.goes_on is False  # type: ignore[attr-defined]
    assert len(fakes[1].sent) - len(fakes[1].asked) == 1, "it is neither relied on nor asked again"
    assert models.health()[0]["deployments"][1]["breaker"] == "closed", "and answers from the beginning as before"


PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}}
LOOK = {"type": "function", "function": {"name": "look", "description": "d", "parameters": {"type": "object"}}}


@pytest.mark.parametrize(
    ("lacking", "parameters", "content"),
    [
        ({"images": False}, {}, [{"type": "text", "text": "What is it?"}, PICTURE]),
        ({"images": True, "tools": False}, {"tools": [LOOK]}, "What is it?"),
        ({"images": True, "context_tokens": 512}, {}, "Hello " * 2000),
    ],
    ids=["images", "tools", "context"],
)
async def test_a_stream_is_taken_up_by_none_that_cannot_serve_the_request(
    configured: Settings, fakes: Fakes, lacking: dict[str, Any], parameters: dict[str, Any], content: Any
) -> None:
    first, second, third, _ = ({"provider": f"openai_compatible:{name}", "model": "m", "images": True} for name in NAMES)
    able = {"prefill": True}
    alias = {"alias": "default", "deployments": [first, second | able | lacking, third | able]}
    models = Models(Settings.load(**configured.model_dump() | {"models": [alias]}))
    fakes[0].then(Break(Fault.CUT, 5, ANSWER))
    for fake in fakes[1:]:
        fake.continues = True
        fake.always(ANSWER)
    chunks = [chunk.text async for chunk in models.chat().astream([HumanMessage(content)], **parameters)]
    assert "".join(chunks) == ANSWER.text
    assert [bool(fake.sent) for fake in fakes] == [True, False, True, False]
    await models.close()


async def test_a_model_that_has_refused_the_content_is_asked_to_go_on_with_it_nowhere(
    configured: Settings, fakes: Fakes
) -> None:
    deployments = [
        {"provider": f"openai_compatible:{name}", "model": model, "prefill": True}
        for name, model in zip(NAMES, ["x/one", "two", "y/one", "three"], strict=True)
    ]
    models = Models(Settings.load(**configured.model_dump() | {"models": [{"alias": "default", "deployments": deployments}]}))
    fakes[0].then(Fault.REFUSED)
    fakes[1].then(Break(Fault.CUT, 5, ANSWER))
    fakes[2].always(ANSWER)
    fakes[3].continues = True
    fakes[3].always(ANSWER)
    assert await streamed(models.chat()) == (ANSWER.text, None)
    assert not fakes[2].sent
    await models.close()


async def test_an_answer_anew_that_nobody_else_takes_up_ends_as_an_error(configured: Settings, fakes: Fakes) -> None:
    first, second = ({"provider": f"openai_compatible:{name}", "model": "m"} for name in NAMES[:2])
    alias = {"alias": "two", "deployments": [first, second | {"prefill": True}]}
    models = Models(Settings.load(**configured.model_dump() | {"models": [alias]}))
    fakes[0].then(Break(Fault.CUT, 9, ANSWER))
    fakes[1].continues = True
    fakes[1].always(Reply(text="Grüße aus Oslo: it is four degrees, and there is no snow."))
    text, code = await streamed(models.chat("two"))
    assert (ANSWER.text.startswith(text), bool(text), code) == (True, True, "stream_interrupted")
    await models.close()


async def test_the_question_whether_a_deployment_goes_on_is_counted_and_is_no_part_of_the_answer(
    models: Models, fakes: Fakes, request_context: RequestContext
) -> None:
    fakes[1].continues = True
    fakes[1].always(ANSWER)
    used = []
    for _ in range(2):
        fakes[0].then(Break(Fault.CUT, 5, ANSWER))
        request_context.clear()
        assert await streamed(models.chat("prefill")) == (ANSWER.text, None)
        used.append((request_context.attempts, request_context.usage.total_tokens))
    assert used[0] == (used[1][0] + 1, used[1][1]), "the first time it is asked"
    assert [len(request_context.failures), used[1][0]] == [1, 2]


async def test_one_call_is_never_more_than_may_be_made(configured: Settings, fakes: Fakes) -> None:
    models = Models(Settings.load(**configured.model_dump() | {"retries": {"attempts": 2}}))
    fakes[0].then(Break(Fault.CUT, 5, ANSWER))
    for fake in fakes[1:]:
        fake.continues = True
        fake.always(ANSWER)
    with context.serving(RequestContext(request_id="r", principal=SYSTEM)) as request:
        text, code = await streamed(models.chat("prefill"))
    assert ANSWER.text.startswith(text)
    assert (code, sum(len(fake.sent) for fake in fakes), request.attempts) == ("stream_interrupted", 2, 2)
    await models.close()


async def test_a_stream_may_be_taken_up_more_than_once(configured: Settings, fakes: Fakes) -> None:
    models = Models(Settings.load(**configured.model_dump() | {"retries": {"attempts": 7}}))
    fakes[0].then(Break(Fault.CUT, 4, ANSWER))
    for fake in fakes[1:]:
        fake.continues = True
    fakes[1].then(Break(Fault.CUT, 4, ANSWER))
    fakes[2].then(Break(Fault.MALFORMED, 3, ANSWER))
    fakes[3].then(ANSWER)
    assert await streamed(models.chat("prefill")) == (ANSWER.text, None)
    assert [message["role"] for message in fakes[3].last.body["messages"]] == ["user", "assistant"]
    await models.close()


async def test_one_that_refuses_a_begun_answer_is_passed_over(models: Models, fakes: Fakes) -> None:
    fakes[0].then(Break(Fault.CUT, 5, ANSWER))
    fakes[1].always(Fault.PREFILL)
    fakes[2].continues = True
    fakes[2].always(ANSWER)
    assert await streamed(models.chat("prefill")) == (ANSWER.text, None)


@pytest.mark.parametrize("after", [8, 12])
async def test_an_answer_that_was_cut_when_it_was_as_long_as_it_may_be_ends_so(
    models: Models, fakes: Fakes, after: int
) -> None:
    fakes[0].then(Break(Fault.CUT, after, ANSWER))
    for fake in fakes[1:]:
        fake.continues = True
        fake.always(ANSWER)
    model = models.chat("prefill")
    most = 5
    chunks = [chunk async for chunk in model.astream("Hello", max_tokens=most)]
    text = "".join(chunk.text for chunk in chunks)
    assert (ANSWER.text.startswith(text), len(text) > 0) == (True, True)
    assert [reason for chunk in chunks if (reason := chunk.response_metadata.get("finish_reason"))] == ["length"]
    assert not any(fake.sent for fake in fakes[1:]), "nobody is asked for a token more"


async def test_a_stream_of_tool_calls_is_never_taken_up(models: Models, fakes: Fakes) -> None:
    reply = Reply(text="", calls=[("weather", {"city": "Oslo"}), ("weather", {"city": "Rome"})])
    fakes[0].then(Break(Fault.CUT, 2, reply))
    fakes[1].continues = True
    _, code = await streamed(models.chat("prefill"))
    assert code == "stream_interrupted"
    assert not fakes[1].asked


@pytest.mark.parametrize("call", [streamed, invoked], ids=["stream", "invoke"])
async def test_tool_calls_that_break_off_are_paid_for_as_far_as_they_came(
    models: Models, fakes: Fakes, request_context: RequestContext, call: Any
) -> None:
    reply = Reply(text="", calls=[("weather", {"city": "Oslo"}), ("weather", {"city": "Rome"})])
    fakes[0].always(Break(Fault.CUT, 2, reply))
    await call(models.chat("alone"))
    thrown_away = [failed.usage for failed in request_context.failures]
    paid = [request_context.usage] if call is streamed else thrown_away
    assert all(usage.output_tokens > 0 for usage in paid)


async def test_the_part_of_a_cut_answer_that_was_taken_up_counts(
    models: Models, fakes: Fakes, request_context: RequestContext
) -> None:
    fakes[0].then(Break(Fault.CUT, 5, ANSWER))
    fakes[1].continues = True
    fakes[1].always(ANSWER)
    assert await streamed(models.chat("prefill")) == (ANSWER.text, None)
    (failed,) = request_context.failures
    assert failed.usage == Usage()
    assert request_context.usage.output_tokens > ANSWER.output_tokens


async def test_failed_calls_are_recorded_and_not_paid_for(
    models: Models, fakes: Fakes, request_context: RequestContext
) -> None:
    fakes[0].then(Fault.SERVER)
    fakes[1].then(Fault.CREDENTIAL)
    fakes[2].always(ANSWER)
    await models.chat().ainvoke("Hello")
    assert [(each.provider, each.reason) for each in request_context.failures] == [
        ("openai_compatible:a", "server_error"),
        ("openai_compatible:b", "authentication"),
    ]
    assert request_context.attempts == 3
    assert request_context.usage.output_tokens == ANSWER.output_tokens


@pytest.mark.parametrize("status", [402, 405, 410, 413, 422, 425, 451])
async def test_a_refusal_that_is_the_deployments_own_is_not_the_callers(models: Models, fakes: Fakes, status: int) -> None:
    fakes[0].always(Raw(b'{"error": {"message": "not here"}}', status))
    fakes[1].always(ANSWER)
    assert await invoked(models.chat()) == (ANSWER.text, None)
    assert len(fakes[0].asked) == 1


async def test_what_no_deployment_takes_is_the_requests_fault_and_opens_no_breaker(models: Models, fakes: Fakes) -> None:
    for fake in fakes:
        fake.always(Raw(b'{"error": {"message": "no such parameter"}}', 422))
    for _ in range(8):
        assert await invoked(models.chat()) == ("", "provider_rejected_request")
    assert all(row["breaker"] == "closed" for row in models.health()[0]["deployments"])
    assert all(len(fake.asked) == 8 for fake in fakes)


async def test_one_that_is_down_and_says_for_how_long_is_left_in_peace(models: Models, fakes: Fakes) -> None:
    fakes[0].always(Raw(b'{"error": {"message": "later"}}', 503, headers={"retry-after": "60"}))
    for _ in range(2):
        assert await invoked(models.chat("alone")) == ("", "provider_failed")
    assert len(fakes[0].asked) == 1
    assert 0 < models.health()[0]["deployments"][0]["held_s"] <= 10, "no longer than a probe interval: it may be well sooner"


async def test_answers_that_cannot_be_read_open_the_breaker(models: Models, fakes: Fakes) -> None:
    fakes[0].always(Raw(b'{"choices": [null]}'))
    fakes[1].always(ANSWER)
    for _ in range(6):
        assert await invoked(models.chat()) == (ANSWER.text, None)
    assert models.health()[0]["deployments"][0]["breaker"] == "open"


async def test_an_error_event_that_names_the_requests_fault_is_not_the_providers(models: Models, fakes: Fakes) -> None:
    event = b'data: {"error": {"message": "no", "code": 400}}\n\n'
    fakes[0].always(Raw(event, content_type="text/event-stream"))
    assert await streamed(models.chat("alone")) == ("", "provider_rejected_request")
    assert len(fakes[0].asked) == 1
    assert models.health()[0]["deployments"][0]["failures"] == 0


async def test_a_deployment_that_is_down_is_left_alone_and_found_again(configured: Settings, fakes: Fakes) -> None:
    models = Models(Settings.load(**configured.model_dump() | {"breaker": {"probe_s": 0.2}}))
    fakes[0].always(Fault.UNAVAILABLE)
    for fake in fakes[1:]:
        fake.always(ANSWER)
    for _ in range(40):
        assert (await models.chat().ainvoke("Hello")).text == ANSWER.text
    assert models.health()[0]["deployments"][0]["breaker"] in ("open", "half_open")
    calls = sum(len(fake.asked) for fake in fakes)
    assert len(fakes[0].asked) < calls / 2
    fakes[0].always(ANSWER)
    fakes[0].sent.clear()
    async with asyncio.timeout(60):
        while models.health()[0]["deployments"][0]["breaker"] != "closed":
            await models.chat().ainvoke("Hello")
    await models.chat().ainvoke("Hello")
    assert len(fakes[0].asked) >= 2
    await models.close()


async def test_with_all_breakers_open_a_request_makes_one_call(models: Models, fakes: Fakes) -> None:
    for fake in fakes:
        fake.always(Fault.UNAVAILABLE)
    standings = [served.standing for served in models.chat().deployments]  # type: ignore[attr-defined] # ours
    async with asyncio.timeout(60):
        while any(standing.breaker.closed for standing in standings):
            with pytest.raises(PlatformError):
                await models.chat().ainvoke("Hello")
    for fake in fakes:
        fake.sent.clear()
    for _ in range(4):
        with pytest.raises(PlatformError):
            await models.chat().ainvoke("Hello")
    assert all(len(fake.asked) == 1 for fake in fakes), "the one left alone for longest, so each in its turn"


async def test_an_alias_is_told_of_once_all_of_its_deployments_are_left_alone_and_when_one_answers(
    models: Models, fakes: Fakes
) -> None:
    for fake in fakes:
        fake.always(Fault.UNAVAILABLE)
    standings = [served.standing for served in models.chat().deployments]  # type: ignore[attr-defined] # ours
    with capture_logs() as told:
        async with asyncio.timeout(60):
            while any(standing.breaker.closed for standing in standings):
                assert _of_alias(told) == []
                with pytest.raises(PlatformError):
                    await models.chat().ainvoke("Hello")
        with pytest.raises(PlatformError):
            await models.chat().ainvoke("Hello")
        assert _of_alias(told) == ["alert.raised"]
        for fake in fakes:
            fake.always(ANSWER)
        await models.chat().ainvoke("Hello")
    assert _of_alias(told) == ["alert.raised", "alert.recovered"]


def _of_alias(told: Any) -> list[str]:
    return [each["event"] for each in told if each.get("kind") == "alias_unusable" and each["key"] == "default"]


async def test_a_cut_answer_that_is_continued_by_nothing_is_no_success(models: Models, fakes: Fakes) -> None:
    fakes[0].then(Break(Fault.CUT, 4, ANSWER))
    for fake in fakes[1:]:
        fake.always(Reply(text=""))
    text, code = await streamed(models.chat("prefill"))
    assert ANSWER.text.startswith(text)
    assert code == "stream_interrupted"


async def test_one_deployment_that_answers_does_not_mend_the_credential_of_another(configured: Settings, fakes: Fakes) -> None:
    here = [{"provider": "openai_compatible:a", "model": name} for name in ("allowed", "forbidden")]
    aliases = [{"alias": each["model"], "deployments": [each]} for each in here]
    models = Models(Settings.load(**configured.model_dump() | {"models": aliases}))
    with capture_logs() as told:
        for model, step in (("forbidden", Fault.FORBIDDEN), ("allowed", Fault.SERVER), ("allowed", ANSWER)):
            fakes[0].always(step)
            await invoked(models.chat(model))
        await models.close()
    credentials = [each["event"] for each in told if each.get("kind") == "authentication_failed"]
    assert credentials == ["alert.raised"]
