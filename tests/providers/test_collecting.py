"""However an answer is asked for, streamed, gathered from a stream or whole, a provider is told and a caller gets the same."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from core import context
from core.context import RequestContext
from core.errors import ContentRefused, ProviderFailed
from core.principals import SYSTEM
from core.settings import Settings
from providers.models import Models
from tests.fakes.clouds import CLOUDS, PATIENT, installation
from tests.fakes.openai import OpenAIFake
from tests.fakes.wire import Break, Fault, Raw, Reply

Ask = Callable[..., Awaitable[str]]


@pytest.fixture(scope="module", params=["openai", "compatible", "azure"])
def cloud(request: pytest.FixtureRequest) -> Iterator[tuple[str, OpenAIFake]]:
    with CLOUDS[request.param].start() as fake:
        assert isinstance(fake, OpenAIFake)
        yield request.param, fake


@pytest.fixture
def fake(cloud: tuple[str, OpenAIFake]) -> OpenAIFake:
    cloud[1].clear()
    return cloud[1]


@pytest.fixture
async def models(settings: Settings, cloud: tuple[str, OpenAIFake]) -> AsyncIterator[Models]:
    name, fake = cloud
    limits = PATIENT.model_copy(update={"between_tokens": 0.4})
    made = Models(Settings.load(data_dir=settings.data_dir, **installation({name: fake}, timeouts=limits)))
    await made.warm(local=False)
    yield made
    await made.close()


@pytest.fixture(params=["streamed", "gathered", "at-once"])
def ask(request: pytest.FixtureRequest, models: Models) -> Ask:
    """A function from a question and its parameters to the text of the answer."""
    model: Any = models.chat()

    async def asked(text: str, **parameters: Any) -> str:
        if request.param == "streamed":
            return "".join([chunk.text async for chunk in model.astream(text, **parameters)])
        if request.param == "at-once":  # a deployment that is known to be fast
            model.deployments[0].standing.token_s.value = 1e-9
        return str((await model.ainvoke(text, **parameters)).text)

    return asked


async def test_an_answer_that_is_withheld_halfway_is_refused(ask: Ask, fake: OpenAIFake) -> None:
    fake.then(Reply(text="Half of an answer", finish="content_filter"))
    with pytest.raises(ContentRefused):
        await ask("Hi")


async def test_the_category_reaches_the_caller(ask: Ask, fake: OpenAIFake, cloud: tuple[str, OpenAIFake]) -> None:
    error = {"code": "content_policy_violation", "message": "Oslo", "categories": {"violence": True, "hate": False}}
    fake.then(Fault.REFUSED if cloud[0] == "azure" else Raw(json.dumps({"error": error}).encode(), status=400))
    with pytest.raises(ContentRefused, match=r"by its policy: violence\.$"):
        await ask("Hi")
    if cloud[0] == "azure":
        fake.then(Reply(text="Half of an answer", finish="content_filter"))
        with pytest.raises(ContentRefused, match=r"by its policy: violence\.$"):
            await ask("Hi")


async def test_parameters_have_the_providers_names(ask: Ask, fake: OpenAIFake, cloud: tuple[str, OpenAIFake]) -> None:
    await ask("Hi", max_tokens=7, temperature=0.5, stop=["END"], seed=1)
    sent = fake.last.body
    assert (sent["temperature"], sent["stop"], sent["seed"]) == (0.5, ["END"], 1)
    names = {name for name in sent if sent[name] == 7}
    assert names == {"max_tokens" if cloud[0] == "compatible" else "max_completion_tokens"}


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "streamed"])
async def test_a_text_whose_continuation_is_withheld_halfway_is_refused(models: Models, fake: OpenAIFake, whole: bool) -> None:
    fake.then(Reply(text="Half of a text", finish="content_filter"))
    completion: Any = models.completion()

    async def streamed(asked: dict[str, Any]) -> list[str]:
        return [text async for text in completion.astream(asked)]

    with pytest.raises(ContentRefused):
        await (completion.ainvoke if whole else streamed)({"prompt": "Once"})


@pytest.mark.parametrize("ending", ["no-marker", "cut", "garbage", "stall"])
@pytest.mark.parametrize("way", ["streamed", "gathered"])
async def test_what_goes_wrong_after_the_reason_for_the_end_takes_nothing_from_the_answer(
    models: Models, fake: OpenAIFake, ending: str, way: str
) -> None:
    reply = Reply()
    after = fake.length(reply) - (1 if ending == "no-marker" else 2)  # behind the reason come the usage and the marker
    faults = {"no-marker": Fault.UNTERMINATED, "cut": Fault.CUT, "garbage": Fault.MALFORMED, "stall": Fault.STALLED}
    fake.then(Break(faults[ending], after, reply))
    model: Any = models.chat()
    with context.serving(RequestContext(request_id="r", principal=SYSTEM)) as request:
        if way == "streamed":
            text = "".join([chunk.text async for chunk in model.astream("Hi")])
        else:
            text = (await model.ainvoke("Hi")).text
    assert (text, request.attempts, request.failures) == (reply.text, 1, [])
    assert request.usage.output_tokens > 0
    assert request.usage.estimated is (ending != "no-marker"), "where the provider did not come to tell it, it is counted here"


@pytest.mark.parametrize("way", ["streamed", "gathered"])
async def test_an_error_that_the_provider_tells_after_the_reason_for_the_end_is_one(
    models: Models, fake: OpenAIFake, way: str
) -> None:
    fake.always(Break(Fault.LATE_ERROR, fake.length(Reply()) - 2))
    model: Any = models.chat()

    async def streamed(text: str) -> list[Any]:
        return [chunk async for chunk in model.astream(text)]

    with pytest.raises(ProviderFailed):
        await (streamed if way == "streamed" else model.ainvoke)("Hi")


def calls_as_others_send_them() -> Raw:
    """A stream whose arguments are an object, and whose name comes with each piece."""
    pieces: list[dict[str, Any]] = [
        {"index": 0, "id": "a", "function": {"name": "find", "arguments": {"city": "Oslo"}}},
        {"index": 1, "id": "b", "function": {"name": "count", "arguments": '{"n"'}},
        {"index": 1, "function": {"name": "count", "arguments": ": 1}"}},
    ]
    choices = [{"index": 0, "delta": {"tool_calls": [piece]}} for piece in pieces]
    events = [
        {"id": "x", "choices": [choice]} for choice in (*choices, {"index": 0, "delta": {}, "finish_reason": "tool_calls"})
    ]
    lines = [f"data: {json.dumps(event)}\n\n" for event in events]
    return Raw("".join([*lines, "data: [DONE]\n\n"]).encode(), content_type="text/event-stream")


async def test_arguments_that_come_as_an_object_are_the_calls_own(models: Models, fake: OpenAIFake) -> None:
    tools = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in ("find", "count")]
    model = models.chat().bind(tools=tools)
    fake.then(calls_as_others_send_them())
    gathered: Any = await model.ainvoke("Which?")
    assert [(call["name"], call["args"]) for call in gathered.tool_calls] == [("find", {"city": "Oslo"}), ("count", {"n": 1})]
    fake.then(calls_as_others_send_them())
    streamed: Any = None
    async for chunk in model.astream("Which?"):
        streamed = chunk if streamed is None else streamed + chunk
    assert [call["args"] for call in streamed.tool_calls] == [{"city": "Oslo"}, {"n": 1}]
