"""What every provider has to do, through its real SDK against a fake of its cloud at the wire: each one's test inherits it."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from io import BytesIO
from typing import Any, ClassVar

import pytest
import pytest_asyncio
from langchain_core.exceptions import ModelError
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from PIL import Image
from pydantic import BaseModel

from core.errors import PlatformError
from core.settings import Settings, Timeouts
from providers import PROVIDERS, wire
from providers.base import ModelFacts, Provider
from providers.failures import Kind, understand
from tests.fakes.clouds import CLOUDS, Cloud
from tests.fakes.openai import OpenAIFake
from tests.fakes.scenarios import ANSWER, cuts
from tests.fakes.vertex import VertexFake
from tests.fakes.wire import RETRY_AFTER_S, Fake, Fault, Raw, Reply

TIMEOUTS = Timeouts(connect=5, first_token=10, between_tokens=10, total=10)
BRIEF = Timeouts(connect=5, first_token=0.4, between_tokens=0.4, total=0.4)
KINDS = {
    Fault.RATE: Kind.RATE,
    Fault.RATE_BARE: Kind.RATE,
    Fault.SERVER: Kind.SERVER,
    Fault.GATEWAY: Kind.SERVER,
    Fault.UNAVAILABLE: Kind.SERVER,
    Fault.CREDENTIAL: Kind.AUTH,
    Fault.FORBIDDEN: Kind.AUTH,
    Fault.MISSING: Kind.MISSING,
    Fault.INVALID: Kind.REQUEST,
    Fault.RESET: Kind.CONNECTION,
    Fault.TOO_LONG: Kind.CONTEXT,
    Fault.REFUSED: Kind.CONTENT,
    Fault.BLOCKED: Kind.CONTENT,
}
HALFWAY = {
    Fault.CUT: {Kind.CONNECTION},
    Fault.UNTERMINATED: {Kind.CONNECTION},
    Fault.MALFORMED: {Kind.CONNECTION},
    Fault.LATE_ERROR: {Kind.SERVER, Kind.RATE},
}
#: Bodies with a status of success that no provider's answer has.
MALFORMED_ANYWHERE = (b"[]", b'"x"', b"null", b"5", b"", b"{", b"<html>Sign in</html>")
MALFORMED_EVENTS: dict[type[Fake], tuple[Any, ...]] = {
    OpenAIFake: (
        {"choices": [None]},
        {"choices": "x"},
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": 5}}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": "x"}}]},
        {"choices": [{"index": 0, "delta": {"content": "x"}}], "usage": "many"},
        {"choices": [{"index": 0, "delta": {"content": "x"}, "logprobs": "x"}]},
        [1],
        5,
    ),
    VertexFake: ({"candidates": [None]}, {"candidates": "x"}, {"candidates": [{"content": {"parts": [{"text": 5}]}}]}),
}
MALFORMED_ANSWERS: dict[type[Fake], tuple[dict[str, Any], ...]] = {
    OpenAIFake: (
        {"choices": [None]},
        {"choices": "x"},
        {"choices": [{"index": 0, "message": {"role": "assistant", "content": 5}, "finish_reason": "stop"}]},
        {"choices": [{"index": 0, "message": {"role": "assistant", "tool_calls": "x"}, "finish_reason": "tool_calls"}]},
    ),
    VertexFake: ({"candidates": [None]}, {"candidates": "x"}, {"candidates": [{"content": {"parts": [{"text": 5}]}}]}),
}
STATUSES = {
    402: Kind.AUTH,
    405: Kind.MISSING,
    410: Kind.MISSING,
    413: Kind.DECLINED,
    422: Kind.DECLINED,
    425: Kind.DECLINED,
    451: Kind.AUTH,
    409: Kind.SERVER,
}


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return city


class Weather(BaseModel):
    """A reading."""

    city: str
    degrees: int


def png() -> str:
    """A real image, base64: some SDKs look into it."""
    data = BytesIO()
    Image.new("RGB", (1, 1)).save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


async def ask(model: BaseChatModel, way: str, prompt: Any = "Hi", **parameters: Any) -> Any:
    """The message that answers, whichever way it is asked for."""
    if way == "ainvoke":
        return await model.ainvoke(prompt, **parameters)
    if way == "invoke":
        return await asyncio.to_thread(model.invoke, prompt, **parameters)
    if way == "stream":
        chunks = await asyncio.to_thread(lambda: list(model.stream(prompt, **parameters)))
    else:
        chunks = [chunk async for chunk in model.astream(prompt, **parameters)]
    total = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    return total


async def read_on(model: BaseChatModel, begun: asyncio.Event) -> None:
    """Read a stream as failover does, which closes it; LangChain's `astream` leaves that to the garbage collector."""
    stream: Any = model._astream([HumanMessage("Hi")])
    async with aclosing(stream) as chunks:
        async for _ in chunks:
            begun.set()


@pytest.mark.asyncio(loop_scope="class")
class ProviderContract:
    """`cloud` names the row of `CLOUDS`, `settings` what is set besides."""

    cloud: ClassVar[str]
    settings: ClassVar[dict[str, Any]] = {}
    #: Whether the SDK's own synchronous streams raise errors of their own for what cannot be read.
    raw_synchronous_streams: ClassVar[bool] = False
    #: Whether a structured answer is a tool call rather than text.
    structured_by_tool: ClassVar[bool] = True

    @property
    def row(self) -> Cloud:
        return CLOUDS[self.cloud]

    @classmethod
    def make(cls, fake: Fake, **more: Any) -> Provider:
        row = CLOUDS[cls.cloud]
        provider: Provider = PROVIDERS.load(row.provider)(row.provider, Settings(), row.settings(fake, **cls.settings, **more))
        return provider

    @pytest.fixture(scope="class")
    @classmethod
    def running(cls) -> Iterator[Fake]:
        with CLOUDS[cls.cloud].start() as fake:
            yield fake

    @pytest_asyncio.fixture(scope="class", loop_scope="class")
    @classmethod
    async def provider(cls, running: Fake) -> AsyncIterator[Provider]:
        provider = cls.make(running)
        await provider.warm(CLOUDS[cls.cloud].chat)
        yield provider
        await provider.close()

    @pytest.fixture
    def fake(self, running: Fake) -> Fake:
        running.clear()
        return running

    @pytest_asyncio.fixture(loop_scope="class")
    async def model(self, provider: Provider, fake: Fake) -> BaseChatModel:
        return provider.chat(self.row.chat, TIMEOUTS)

    async def test_making_a_provider_is_cheap_and_asks_nobody(self, fake: Fake) -> None:
        provider = self.make(fake)
        assert provider.state(self.row.chat).state in ("idle", "ready")
        assert isinstance(provider.facts(self.row.chat), ModelFacts)
        assert provider.count_tokens(self.row.chat, "Hello there, how are you?") in range(4, 12)
        assert fake.sent == []

    @pytest.mark.parametrize("way", ["ainvoke", "astream", "invoke", "stream"])
    async def test_an_answer_is_whole_with_its_usage(self, way: str, model: BaseChatModel, fake: Fake) -> None:
        fake.then(ANSWER)
        prompt = [SystemMessage("Be kind."), HumanMessage("Hi")]
        answer = await ask(model, way, prompt, temperature=0.5, max_tokens=9, stop=["END"], seed=1)
        assert answer.text == ANSWER.text
        assert (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"]) == (12, 17)
        assert len(fake.asked) == 1

    async def test_a_stream_comes_in_pieces(self, model: BaseChatModel, fake: Fake) -> None:
        fake.then(ANSWER)
        assert [chunk.text async for chunk in model.astream("Hi") if chunk.text] == ANSWER.pieces

    async def test_a_late_first_token_within_the_limits_is_waited_for(self, model: BaseChatModel, fake: Fake) -> None:
        fake.then(Reply(first_token_s=0.1, between_s=0.02))
        assert (await ask(model, "astream")).text == Reply().text

    async def test_one_model_serves_several_event_loops(self, model: BaseChatModel, fake: Fake) -> None:
        for _ in range(2):
            answer = await asyncio.to_thread(lambda: asyncio.run(model.ainvoke("Hi")))
            assert answer.text == Reply().text

    @pytest.mark.parametrize("way", ["ainvoke", "astream"])
    async def test_a_tool_is_called_and_its_result_goes_back(self, way: str, model: BaseChatModel, fake: Fake) -> None:
        fake.then(Reply(text="", calls=[("weather", {"city": "Oslo"})]))
        bound: Any = model.bind_tools([weather], tool_choice="any")
        answer = await ask(bound, way, "Oslo?")
        assert [(call["name"], call["args"]) for call in answer.tool_calls] == [("weather", {"city": "Oslo"})]
        call = {"name": "weather", "args": {"city": "Oslo"}, "id": "t1"}
        messages = [HumanMessage("Oslo?"), AIMessage("", tool_calls=[call]), ToolMessage("3 degrees", tool_call_id="t1")]
        await ask(bound, way, messages)
        assert "3 degrees" in str(fake.last.body)

    async def test_tools_in_openais_form_are_understood(self, model: BaseChatModel, fake: Fake) -> None:
        fake.then(Reply(text="", calls=[("weather", {"city": "Oslo"})]))
        function = {
            "name": "weather",
            "description": "The weather of a city.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        }
        tools = [{"type": "function", "function": function}]
        answer = await ask(model, "astream", tools=tools, tool_choice="required")
        assert [(call["name"], call["args"]) for call in answer.tool_calls] == [("weather", {"city": "Oslo"})]

    async def test_structured_output_is_parsed(self, model: BaseChatModel, fake: Fake) -> None:
        as_call = Reply(text="", calls=[("Weather", {"city": "Oslo", "degrees": 3})])
        fake.then(as_call if self.structured_by_tool else Reply(text='{"city": "Oslo", "degrees": 3}'))
        assert await model.with_structured_output(Weather).ainvoke("Oslo?") == Weather(city="Oslo", degrees=3)

    async def test_an_image_is_sent_inline(self, model: BaseChatModel, fake: Fake) -> None:
        data = png()
        for image in (
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
            {"type": "image", "base64": data, "mime_type": "image/png"},
        ):
            await model.ainvoke([HumanMessage([{"type": "text", "text": "What?"}, image])])
            assert data in str(fake.last.body)

    @pytest.mark.parametrize("way", ["ainvoke", "astream", "invoke", "stream"])
    @pytest.mark.parametrize("fault", KINDS)
    async def test_a_fault_is_understood_after_one_attempt(
        self, fault: Fault, way: str, model: BaseChatModel, fake: Fake
    ) -> None:
        fake.then(fault)
        with pytest.raises((ModelError, PlatformError)) as caught:
            await ask(model, way)
        failure = understand(caught.value)
        assert failure.kind == KINDS[fault]
        assert len(fake.asked) == 1
        if fault in (Fault.RATE, Fault.RATE_BARE) and way.startswith("a"):
            assert failure.retry_after_s == (RETRY_AFTER_S if fault is Fault.RATE else None)

    @pytest.mark.parametrize("way", ["astream", "stream"])
    @pytest.mark.parametrize("fault", HALFWAY)
    async def test_a_broken_stream_never_ends_as_success(
        self, fault: Fault, way: str, model: BaseChatModel, fake: Fake
    ) -> None:
        fake.then(fault)
        raw = self.raw_synchronous_streams and way == "stream"
        with pytest.raises(Exception if raw else (ModelError, PlatformError)) as caught:
            await ask(model, way)
        assert raw or understand(caught.value).kind in HALFWAY[fault]

    @pytest.mark.parametrize("fault", [Fault.CUT, Fault.MALFORMED])
    async def test_a_broken_whole_answer_is_no_success(self, fault: Fault, model: BaseChatModel, fake: Fake) -> None:
        fake.then(fault)
        with pytest.raises((ModelError, PlatformError)) as caught:
            await ask(model, "ainvoke")
        assert understand(caught.value).kind in (Kind.CONNECTION, Kind.SERVER)

    @pytest.mark.parametrize("way", ["ainvoke", "astream", "invoke"])
    @pytest.mark.parametrize("body", MALFORMED_ANYWHERE)
    async def test_an_answer_of_another_form_is_the_providers_failure(
        self, body: bytes, way: str, model: BaseChatModel, fake: Fake
    ) -> None:
        fake.then(Raw(body))
        with pytest.raises((ModelError, PlatformError)) as caught:
            await ask(model, way)
        assert understand(caught.value).kind in (Kind.CONNECTION, Kind.SERVER)

    @pytest.mark.parametrize("way", ["ainvoke", "astream"])
    async def test_events_and_answers_of_another_form_are_the_providers_failure(
        self, way: str, model: BaseChatModel, fake: Fake
    ) -> None:
        shapes = MALFORMED_EVENTS.get(self.row.fake, ()) if way == "astream" else MALFORMED_ANSWERS.get(self.row.fake, ())
        understood = []
        for shape in shapes:
            named = f"event: {shape['type']}\n".encode() if isinstance(shape, dict) and "type" in shape else b""
            event = Raw(named + b"data: " + json.dumps(shape).encode() + b"\n\n", content_type="text/event-stream")
            fake.then(event if way == "astream" else Raw(json.dumps(shape).encode()))
            try:
                await ask(model, way)
            except (ModelError, PlatformError) as error:
                understood.append(understand(error).kind)
        assert understood == [Kind.CONNECTION] * len(shapes)

    @pytest.mark.parametrize("way", ["ainvoke", "astream", "invoke"])
    @pytest.mark.parametrize("status", STATUSES)
    async def test_a_status_says_whether_another_deployment_may_do_better(
        self, status: int, way: str, model: BaseChatModel, fake: Fake
    ) -> None:
        fake.then(Raw(b'{"error": {"message": "no", "code": ["a"], "type": {"b": 1}}}', status))
        with pytest.raises((ModelError, PlatformError)) as caught:
            await ask(model, way)
        assert understand(caught.value).kind == STATUSES[status]

    @pytest.mark.parametrize("way", ["ainvoke", "astream", "invoke"])
    async def test_nothing_is_sent_where_a_redirect_points(
        self, way: str, model: BaseChatModel, provider: Provider, fake: Fake
    ) -> None:
        with CLOUDS[self.cloud].start() as elsewhere:
            fake.always(Raw(b"", 307, headers={"location": f"{elsewhere.url}{self.row.path}/leak"}))
            asked = [ask(model, way)]
            if self.row.embedding is not None:
                asked.append(provider.embeddings(self.row.embedding, TIMEOUTS).aembed_query("Hi"))
            for work in asked:
                with pytest.raises((ModelError, PlatformError)) as caught:
                    await work
                assert understand(caught.value).kind in (Kind.SERVER, Kind.CONNECTION)
            assert elsewhere.sent == []

    @pytest.mark.parametrize("way", ["ainvoke", "astream"])
    async def test_an_answer_without_end_is_not_read_on(
        self, way: str, model: BaseChatModel, fake: Fake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if self.cloud == "bedrock":
            pytest.skip("botocore reads its answers, and bounds the messages of a stream")
        monkeypatch.setattr(wire, "ANSWER_BYTES", 10_000)
        fake.then(Reply(text="x " * 20_000))
        with pytest.raises((ModelError, PlatformError)) as caught:
            await ask(model, way)
        assert understand(caught.value).kind is Kind.CONNECTION

    async def test_a_provider_that_is_down_may_say_for_how_long(self, model: BaseChatModel, fake: Fake) -> None:
        fake.then(Raw(b'{"error": {"message": "later"}}', 503, headers={"retry-after": "7"}))
        with pytest.raises((ModelError, PlatformError)) as caught:
            await ask(model, "astream")
        assert (understand(caught.value).kind, understand(caught.value).retry_after_s) == (Kind.SERVER, 7)

    async def test_a_stream_that_is_cut_at_any_chunk_is_whole_or_fails(self, model: BaseChatModel, fake: Fake) -> None:
        for cut in cuts(fake):
            fake.then(cut)
            try:
                text = (await ask(model, "astream")).text
            except (ModelError, PlatformError) as error:
                text = understand(error).kind
            assert text in (ANSWER.text, Kind.CONNECTION, Kind.CUT)

    async def test_a_provider_that_recovers_is_used_again_at_once(self, model: BaseChatModel, fake: Fake) -> None:
        fake.always(Fault.UNAVAILABLE, Reply(), Fault.RESET, Reply())
        for _ in range(2):
            with pytest.raises((ModelError, PlatformError)):
                await ask(model, "astream")
            assert (await ask(model, "astream")).text == Reply().text

    @pytest.mark.parametrize(
        ("fault", "way"),
        [(fault, way) for fault in (Fault.SILENT, Fault.SLOW, Fault.STALLED) for way in ("astream", "ainvoke")],
    )
    async def test_a_silent_provider_is_left_at_its_limit(self, fault: Fault, way: str, provider: Provider, fake: Fake) -> None:
        fake.then(fault)
        with pytest.raises((ModelError, PlatformError)) as caught:
            await ask(provider.chat(self.row.chat, BRIEF), way)
        assert understand(caught.value).kind == Kind.TIMEOUT

    @pytest.mark.parametrize("way", ["astream", "ainvoke"])
    @pytest.mark.parametrize("fault", [Fault.SILENT, Fault.STALLED])
    async def test_leaving_a_call_ends_it_at_the_provider(
        self, fault: Fault, way: str, model: BaseChatModel, fake: Fake
    ) -> None:
        if fault is Fault.STALLED and way == "astream" and self.settings.get("transport") == "sdk":
            pytest.skip("a stream of the SDK's is closed only when it is collected")
        fake.then(fault)
        begun = asyncio.Event()
        asked = asyncio.create_task(ask(model, way) if way == "ainvoke" else read_on(model, begun))
        await fake.until(lambda: len(fake.asked) == 1)
        if way == "astream" and fault is Fault.STALLED:
            await begun.wait()
        asked.cancel()
        await fake.until(lambda: fake.left == 1)
        assert (await ask(model, way)).text == Reply().text

    async def test_an_answer_in_one_piece_that_names_no_reason_for_its_end_is_cut(
        self, model: BaseChatModel, fake: Fake
    ) -> None:
        fake.then(Reply(finish=""), Reply(text="", finish=""))
        if self.cloud == "compatible":  # of those some leave it out
            assert (await ask(model, "ainvoke")).text == Reply().text
        else:
            with pytest.raises(ModelError) as caught:
                await ask(model, "ainvoke")
            assert understand(caught.value).kind == Kind.CONNECTION
            fake.clear()
            fake.then(Reply(text="", finish=""))
        with pytest.raises(ModelError) as caught:
            await ask(model, "ainvoke")
        assert understand(caught.value).kind == Kind.CONNECTION

    async def test_an_answer_that_is_begun_may_be_refused(self, model: BaseChatModel, fake: Fake) -> None:
        fake.then(Fault.PREFILL)
        with pytest.raises((ModelError, PlatformError)) as caught:
            await ask(model, "astream", [HumanMessage("Hi"), AIMessage("Hello from")])
        assert understand(caught.value).kind == Kind.REQUEST

    async def test_what_the_facts_say_of_prefill_holds(self, provider: Provider, model: BaseChatModel, fake: Fake) -> None:
        answer = await ask(model, "astream", [HumanMessage("Hi"), AIMessage("Hello from")])
        rest = " the other side."
        assert answer.text == (rest if provider.facts(self.row.chat).prefill else Reply().text)

    async def test_connections_are_used_again(self, model: BaseChatModel, fake: Fake) -> None:
        for _ in range(3):
            await ask(model, "astream")
            await ask(model, "ainvoke")
        assert len(fake.connections) == 1

    async def test_no_more_connections_are_opened_than_allowed(self, fake: Fake) -> None:
        provider = self.make(fake, connections=2)
        await provider.warm(self.row.chat)
        model = provider.chat(self.row.chat, TIMEOUTS)
        fake.always(Reply(first_token_s=0.05))
        await asyncio.gather(*(ask(model, "astream") for _ in range(6)))
        assert len(fake.connections) == 2
        await provider.close()

    async def test_the_systems_proxy_is_used_unless_the_server_is_exempt(
        self, fake: Fake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTP_PROXY", fake.url)
        monkeypatch.setenv("NO_PROXY", "localhost")
        provider = self.make(fake, base_url=f"http://cloud.invalid{self.row.path}")
        await provider.chat(self.row.chat, TIMEOUTS).ainvoke("Hi")
        assert fake.last.headers["host"] == "cloud.invalid"
        await provider.close()
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        provider = self.make(fake)
        await provider.chat(self.row.chat, TIMEOUTS).ainvoke("Hi")
        assert fake.last.headers["host"] == fake.url.removeprefix("http://")
        await provider.close()

    async def test_embeddings_come_in_the_order_of_the_texts(self, provider: Provider, fake: Fake) -> None:
        if self.row.embedding is None:
            pytest.skip("this cloud's model has no embeddings beside it")
        embeddings = provider.embeddings(self.row.embedding, TIMEOUTS)
        vectors = await embeddings.aembed_documents(["a", "bbb", "cc"])
        assert [vector[0] for vector in vectors] == [1.0, 3.0, 2.0]
        assert await embeddings.aembed_query("bb") == [2.0] * 8
        assert await asyncio.to_thread(embeddings.embed_query, "bb") == [2.0] * 8
        for fault in (Fault.RATE, Fault.SERVER, Fault.RESET, Fault.CREDENTIAL):
            fake.clear()
            fake.then(fault)
            with pytest.raises((ModelError, PlatformError)) as caught:
                await embeddings.aembed_query("Hi")
            assert understand(caught.value).kind == KINDS[fault]
            assert len(fake.asked) == 1

    async def test_a_probe_asks_for_no_tokens_and_tells_what_is_wrong(self, provider: Provider, fake: Fake) -> None:
        await provider.probe(self.row.chat)
        assert len(fake.sent) == 1
        assert not str(fake.last.path).endswith(("generateContent", "streamRawPredict"))
        for fault in (Fault.SERVER, Fault.CREDENTIAL, Fault.RATE, Fault.RESET):
            fake.always(fault)
            with pytest.raises((ModelError, PlatformError)) as caught:
                await provider.probe(self.row.chat)
            assert understand(caught.value).kind == KINDS[fault]
