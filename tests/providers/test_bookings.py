"""What is booked of an answer is what its message says, whichever cloud gives it, and whatever it says that it used."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, aclosing
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio

from core import context, ledger
from core.context import RequestContext
from core.errors import ContentRefused, PlatformError, ProviderFailed
from core.ledger import Entry
from core.principals import SYSTEM
from core.settings import Settings
from providers.models import Models
from tests.fakes.bedrock import answered, event
from tests.fakes.clouds import CLOUDS, PATIENT
from tests.fakes.openai import OpenAIFake
from tests.fakes.scenarios import ANSWER
from tests.fakes.vertex import claude_events, claude_whole, gemini_chunks, gemini_whole
from tests.fakes.wire import Break, Fake, Fault, Raw, Reply, Step
from tests.providers.bookkeeping import Book

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.filterwarnings("ignore::DeprecationWarning")]

#: How an answer is asked for: in pieces; whole, of a deployment whose speed is not known; and of one that is fast.
WAYS = ("stream", "collected", "at-once")
PRICE = {"input_usd_per_million": "1000", "output_usd_per_million": "2000", "cached_usd_per_million": "100"}
#: Each cloud, and OpenAI's protocol over the SDK's transport.
NAMES = (*CLOUDS, "sdk")
WELL = Reply("It is well.", input_tokens=3, output_tokens=4)


@dataclass
class Seen:
    """What came of a call, with all that was booked of it."""

    text: str
    usage: tuple[int, int] | None
    request: RequestContext
    entries: list[Entry]
    error: PlatformError | None = None

    @property
    def told(self) -> tuple[int, int]:
        return self.request.usage.input_tokens, self.request.usage.output_tokens

    @property
    def booked(self) -> list[tuple[str, int, int]]:
        return [(entry.status, entry.tokens.input + entry.tokens.cached, entry.tokens.output) for entry in self.entries]


@dataclass
class Installation:
    """An alias for each of `NAMES`, and `NAME-and-well` where another deployment is well. Each has one place for a call."""

    models: Models
    fakes: dict[str, Fake]
    well: Fake

    async def ask(self, name: str, way: str, *steps: Step, alias: str = "") -> Seen:
        for fake in (self.fakes[name], self.well):
            fake.clear()
        self.fakes[name].always(*steps)
        self.well.always(WELL)
        model: Any = self.models.chat(alias or name)
        for served in model.deployments:
            served.standing.token_s.value = 1e-6 if way == "at-once" else None
            served.standing.held_until = 0
        book: Any = Book()
        ledger.connect(book)
        pieces, usage, error = [], None, None
        try:
            with context.serving(RequestContext("req_1", replace(SYSTEM, tenant="acme"))) as request:
                if way == "stream":
                    async with aclosing(model.astream("Hello")) as chunks:
                        answer: Any = None
                        async for chunk in chunks:
                            pieces.append(chunk.text)
                            answer = chunk if answer is None else answer + chunk
                else:
                    answer = await model.ainvoke("Hello")
                    pieces.append(answer.text)
                usage = answer.usage_metadata
        except PlatformError as raised:
            error = raised
        finally:
            ledger.connect(None)
        standings = [served.standing for served in model.deployments]
        assert [standing.in_flight for standing in standings] == [0] * len(standings), "a call is still counted"
        counts = (usage["input_tokens"], usage["output_tokens"]) if usage else None
        return Seen("".join(pieces), counts, request, book.entries, error)


@pytest.fixture(scope="module")
def fakes() -> Iterator[dict[str, Fake]]:
    with ExitStack() as stack:
        started = {cloud.provider: stack.enter_context(cloud.start()) for cloud in CLOUDS.values()}
        fakes = {name: started[cloud.provider] for name, cloud in CLOUDS.items()}
        yield fakes | {"sdk": stack.enter_context(OpenAIFake())}


@pytest.fixture(scope="module")
def well() -> Iterator[OpenAIFake]:
    with OpenAIFake() as fake:
        yield fake


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(
    fakes: dict[str, Fake], well: OpenAIFake, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    deployments = {name: cloud.deployment(price=PRICE, concurrent=1).model_dump() for name, cloud in CLOUDS.items()}
    deployments["sdk"] = deployments["compatible"] | {"provider": "openai_compatible:sdk"}
    other = {"provider": "openai_compatible:well", "model": "well"}
    aliases = [{"alias": name, "deployments": [each]} for name, each in deployments.items()]
    aliases += [{"alias": f"{name}-and-well", "deployments": [each, other]} for name, each in deployments.items()]
    configured: dict[str, Any] = {cloud.provider: cloud.settings(fakes[name]) for name, cloud in CLOUDS.items()}
    made = Models(
        Settings.load(
            data_dir=tmp_path_factory.mktemp("data"),
            models=aliases,
            providers=configured
            | {"openai_compatible:sdk": {"base_url": f"{fakes['sdk'].url}/v1", "transport": "sdk"}}
            | {"openai_compatible:well": {"base_url": well.base_url}},
            timeouts=PATIENT,
            retries={"attempts": 2, "pause_s": 0.01, "longest_pause_s": 0.02},
            breaker={"failures": 1_000_000, "window_calls": 1_000_000},
        )
    )
    await made.warm(local=False)
    yield Installation(made, fakes, well)
    await made.close()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NAMES)
async def test_of_every_cloud_the_message_the_request_and_the_ledger_say_the_same(
    name: str, way: str, here: Installation
) -> None:
    seen = await here.ask(name, way, ANSWER)
    assert (seen.text, seen.usage, seen.told) == (ANSWER.text, (12, 17), (12, 17))
    assert seen.booked == [("ok", 12, 17)]
    assert not seen.request.usage.estimated
    assert seen.request.cost_usd == seen.entries[0].cost_usd == Decimal("0.046")


@pytest.mark.parametrize("name", NAMES)
async def test_what_came_of_a_stream_that_broke_off_is_booked(name: str, here: Installation) -> None:
    seen = await here.ask(name, "stream", Break(Fault.CUT, here.fakes[name].length(ANSWER) - 4, ANSWER))
    status, given, made = seen.booked[0]
    assert status == "connection"
    assert given > 0
    assert made > 3, "the words that came, told or counted"


# --- answers that come to nothing -------------------------------------------------------------------------------------------

#: How each cloud says that its policy ended an answer, and that something went wrong with it.
ENDS = {
    "openai": ("content_filter", "banana"),
    "azure": ("content_filter", "banana"),
    "compatible": ("content_filter", "error"),
    "sdk": ("content_filter", "error"),
    "vertex": ("SAFETY", "OTHER"),
    "vertex-claude": ("refusal", "pause_turn"),
    "bedrock": ("content_filtered", "malformed_model_output"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("text", [ANSWER.text, ""], ids=["some", "nothing"])
@pytest.mark.parametrize("name", NAMES)
async def test_what_was_used_of_an_answer_that_is_withheld_is_booked_as_told(
    name: str, text: str, way: str, here: Installation
) -> None:
    seen = await here.ask(name, way, replace(ANSWER, text=text, finish=ENDS[name][0]))
    assert isinstance(seen.error, ContentRefused)
    assert seen.booked == [("content_refused", 12, 17)]
    assert (seen.entries[0].estimated, seen.entries[0].cost_usd) == (False, Decimal("0.046"))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NAMES)
async def test_what_was_used_of_an_answer_that_its_provider_calls_broken_is_booked_as_told(
    name: str, way: str, here: Installation
) -> None:
    seen = await here.ask(name, way, replace(ANSWER, finish=ENDS[name][1]))
    assert isinstance(seen.error, ProviderFailed)
    assert set(seen.booked) == {("server_error", 12, 17)}, "each time that it was asked"
    assert not any(entry.estimated for entry in seen.entries)


@pytest.mark.parametrize("way", WAYS)
async def test_what_was_used_of_a_prompt_that_is_refused_is_booked_as_told(way: str, here: Installation) -> None:
    seen = await here.ask("vertex", way, Fault.REFUSED)
    assert isinstance(seen.error, ContentRefused)
    assert (seen.booked, seen.entries[0].estimated) == ([("content_refused", 3, 0)], False)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("after", [Fault.CUT, Fault.STALLED, Fault.LATE_ERROR])
async def test_a_refusal_stays_one_whatever_comes_after_it(after: Fault, way: str, here: Installation) -> None:
    """What was used comes last, and may not come."""
    if way == "at-once":
        pytest.skip("it comes in one piece")
    reply = replace(ANSWER, finish="content_filter")
    seen = await here.ask("compatible", way, Break(after, here.fakes["compatible"].length(reply) - 2, reply))
    assert isinstance(seen.error, ContentRefused)
    ((status, given, made),) = seen.booked
    assert (status, seen.entries[0].estimated) == ("content_refused", True)
    assert given > 0
    assert made > 3, "the words that came"


@pytest.mark.parametrize("name", ["openai", "azure", "compatible"])
@pytest.mark.parametrize(
    "choices",
    [[], [{"index": 0, "message": {"role": "assistant", "content": 5}, "finish_reason": "stop"}]],
    ids=["none", "unreadable"],
)
async def test_what_was_used_of_an_answer_that_cannot_be_read_is_booked_as_told(
    name: str, choices: Any, here: Installation
) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    answer = {"id": "c1", "created": 1, "model": "m", "choices": choices, "usage": usage}
    seen = await here.ask(name, "at-once", Raw(json.dumps(answer).encode()))
    assert isinstance(seen.error, ProviderFailed)
    assert {numbers[1:] for numbers in seen.booked} == {(1000, 100)}, "each time that it was asked"


# --- usage that cannot be true ----------------------------------------------------------------------------------------------


def of_openai(usage: Any, way: str, *, each: bool = False) -> Raw:
    """An answer with this usage: in its last event, or in each."""
    head = {"id": "c1", "created": 1, "model": "m"}
    choice = {"index": 0, "finish_reason": "stop"}
    if way == "at-once":
        message = {"role": "assistant", "content": "Hello world."}
        return Raw(json.dumps(head | {"choices": [choice | {"message": message}], "usage": usage}).encode())
    deltas = ({"role": "assistant", "content": ""}, {"content": "Hello "}, {"content": "world."})
    events = [head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    events.append(head | {"choices": [choice | {"delta": {}}]})
    if each:
        events = [told | {"usage": usage(index) if callable(usage) else usage} for index, told in enumerate(events)]
    else:
        events.append(head | {"choices": [], "usage": usage})
    body = b"".join(b"data: " + json.dumps(told).encode() + b"\n\n" for told in events) + b"data: [DONE]\n\n"
    return Raw(body, content_type="text/event-stream")


UNLIKELY: dict[str, Any] = {
    "negative": {"prompt_tokens": -1_000_000, "completion_tokens": -5, "total_tokens": -1_000_005},
    "texts": {"prompt_tokens": "12", "completion_tokens": "5", "total_tokens": "17"},
    "fractions": {"prompt_tokens": 1.5, "completion_tokens": 2.5, "total_tokens": 4},
    "lists": {"prompt_tokens": [12], "completion_tokens": {"a": 1}},
    "no object": [1, 2],
    "a word": "many",
    "huge": {"prompt_tokens": 10**17, "completion_tokens": 10**17, "total_tokens": 2 * 10**17},
    "nothing": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["openai", "compatible", "sdk"])
@pytest.mark.parametrize("usage", UNLIKELY.values(), ids=UNLIKELY)
async def test_usage_that_no_call_can_have_is_counted_here(usage: Any, name: str, way: str, here: Installation) -> None:
    if name == "sdk" and usage == UNLIKELY["texts"]:
        pytest.skip("the SDK reads numbers in texts")
    for _ in range(2):  # a place that is not given back is missed by the second call
        seen = await here.ask(name, way, of_openai(usage, way))
        assert (seen.text, seen.usage, seen.error) == ("Hello world.", None, None)
        assert seen.request.usage.estimated
        assert seen.entries[0].estimated
        assert seen.booked == [("ok", *seen.told)]
        assert seen.told[0] > 0
        assert seen.told[1] in (2, 3, 4)
        assert seen.request.cost_usd == seen.entries[0].cost_usd
        assert Decimal(0) < (seen.request.cost_usd or 0) < Decimal("0.1")


OF_GEMINI: dict[str, Any] = {
    "negative": {"promptTokenCount": -12, "candidatesTokenCount": -5},
    "texts": {"promptTokenCount": "twelve", "candidatesTokenCount": "5"},
    "fractions": {"promptTokenCount": 1.5, "candidatesTokenCount": 2.5},
    "lists": {"promptTokenCount": [12], "candidatesTokenCount": {"a": 1}},
    "wrong details": {"promptTokenCount": 12, "candidatesTokenCount": 5, "promptTokensDetails": "many"},
    "no object": [1, 2],
    "a word": "many",
    "huge": {"promptTokenCount": 10**17, "candidatesTokenCount": 10**17},
    "large": {"promptTokenCount": 2**31 - 1, "candidatesTokenCount": 2**31 - 1},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("usage", OF_GEMINI.values(), ids=OF_GEMINI)
async def test_usage_of_geminis_that_cannot_be_read_is_counted_here(usage: Any, way: str, here: Installation) -> None:
    chunks = gemini_chunks(Reply("Hello world."))
    chunks[-1]["usageMetadata"] = usage
    body = b"".join(b"data: " + json.dumps(told).encode() + b"\n\n" for told in chunks)
    whole = Raw(json.dumps(gemini_whole(chunks)).encode()) if way == "at-once" else Raw(body, content_type="text/event-stream")
    for _ in range(2):  # a place that is not given back is missed by the second call
        seen = await here.ask("vertex", way, whole)
        assert (seen.text, seen.error) == ("Hello world.", None)
        assert seen.usage is None or way == "stream"  # its first chunk has told its own, and is with the caller
        assert seen.request.usage.estimated
        assert seen.booked == [("ok", *seen.told)]
        assert 0 < seen.told[1] < 10


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["openai", "sdk"])
@pytest.mark.parametrize("cached", ["x", -7, 1.5, 13, 10**12, [1]], ids=repr)
async def test_details_that_are_no_part_of_it_cost_as_all_of_it(cached: Any, name: str, way: str, here: Installation) -> None:
    usage = {
        "prompt_tokens": 12,
        "completion_tokens": 5,
        "total_tokens": 17,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
    seen = await here.ask(name, way, of_openai(usage, way))
    assert (seen.usage, seen.booked) == ((12, 5), [("ok", 12, 5)])
    assert seen.request.cost_usd == Decimal("0.022")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("counts", [{"input_tokens": -12}, {"output_tokens": -3}], ids=["input", "output"])
async def test_claude_can_say_no_more_than_others(counts: dict[str, Any], way: str, here: Installation) -> None:
    events = claude_events(Reply("Hello world."))
    if "input_tokens" in counts:
        events[0]["message"]["usage"] |= counts
    else:
        next(told for told in events if told["type"] == "message_delta")["usage"] |= counts
    body = b"".join(f"event: {told['type']}\ndata: {json.dumps(told)}\n\n".encode() for told in events)
    whole = claude_whole(Reply("Hello world."))
    whole["usage"] |= counts
    answer = Raw(json.dumps(whole).encode()) if way == "at-once" else Raw(body, content_type="text/event-stream")
    seen = await here.ask("vertex-claude", way, answer)
    assert (seen.text, seen.request.usage.estimated) == ("Hello world.", True)
    assert seen.booked == [("ok", *seen.told)]
    assert 0 < seen.told[1] < 10


@pytest.mark.parametrize("way", WAYS)
async def test_a_mistake_of_the_platforms_own_gives_the_place_back_and_goes_on_record(
    way: str, here: Installation, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = here.models.chat("openai")

    def mistaken(*_: Any) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(model.deployments[0].provider, "count_tokens", mistaken)
    model.deployments[0].standing.token_s.value = 1e-6 if way == "at-once" else None
    here.fakes["openai"].clear()
    here.fakes["openai"].always(of_openai(None, way))
    with pytest.raises(ZeroDivisionError):
        [_ async for _ in model.astream("Hello")] if way == "stream" else await model.ainvoke("Hello")
    assert model.deployments[0].standing.in_flight == 0
    assert book.told == [("openai", "error")]


# --- usage that is told more than once --------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["stream", "collected"])
@pytest.mark.parametrize("name", ["openai", "azure", "compatible", "sdk"])
@pytest.mark.parametrize("grows", [False, True], ids=["the same in each", "what was used so far"])
async def test_usage_in_every_chunk_adds_up_to_what_is_booked(grows: bool, name: str, way: str, here: Installation) -> None:
    def usage(index: int) -> dict[str, int]:
        made = 2 + index if grows else 5
        return {"prompt_tokens": 12, "completion_tokens": made, "total_tokens": 12 + made}

    seen = await here.ask(name, way, of_openai(usage, way, each=True))
    assert (seen.text, seen.usage, seen.told, seen.booked) == ("Hello world.", (12, 5), (12, 5), [("ok", 12, 5)])


@pytest.mark.parametrize("way", ["stream", "collected"])
async def test_geminis_chunks_may_be_silent_between(way: str, here: Installation) -> None:
    chunks = gemini_chunks(ANSWER)
    for chunk in chunks[1:-1]:
        chunk["usageMetadata"] = {"trafficType": "ON_DEMAND"}
    body = b"".join(b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n" for chunk in chunks)
    seen = await here.ask("vertex", way, Raw(body, content_type="text/event-stream"))
    assert (seen.text, seen.usage, seen.booked) == (ANSWER.text, (12, 17), [("ok", 12, 17)])


@pytest.mark.parametrize("way", WAYS)
async def test_geminis_thoughts_are_output(way: str, here: Installation) -> None:
    chunks = gemini_chunks(Reply("Hello world."))
    for chunk in chunks:
        chunk["usageMetadata"] |= {"thoughtsTokenCount": 100, "totalTokenCount": 117}
    body = b"".join(b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n" for chunk in chunks)
    chunks[-1]["candidates"][0]["content"]["parts"] = [{"text": "Hello world."}]
    whole = Raw(json.dumps(chunks[-1]).encode())
    seen = await here.ask("vertex", way, whole if way == "at-once" else Raw(body, content_type="text/event-stream"))
    assert (seen.text, seen.usage, seen.booked) == ("Hello world.", (12, 105), [("ok", 12, 105)])
    assert seen.entries[0].tokens.reasoning == 100


@pytest.mark.parametrize("way", ["stream", "collected"])
async def test_claudes_count_is_of_all_so_far(way: str, here: Installation) -> None:
    events = claude_events(Reply("Hello world."))
    last = next(told for told in events if told["type"] == "message_delta")
    before = json.loads(json.dumps(last))
    before["usage"]["output_tokens"], before["delta"]["stop_reason"] = 3, None
    events.insert(events.index(last), before)
    body = b"".join(f"event: {told['type']}\ndata: {json.dumps(told)}\n\n".encode() for told in events)
    seen = await here.ask("vertex-claude", way, Raw(body, content_type="text/event-stream"))
    assert (seen.text, seen.usage, seen.booked) == ("Hello world.", (12, 5), [("ok", 12, 5)])


# --- answers that are none --------------------------------------------------------------------------------------------------


def of_bedrock(way: str, *events: tuple[str, dict[str, Any]], **whole: Any) -> Raw:
    if way == "at-once":
        return Raw(json.dumps(answered(Reply("Hello")) | whole).encode())
    body = b"".join(event(kind, payload) for kind, payload in events)
    return Raw(body, content_type="application/vnd.amazon.eventstream")


def odd(name: str, way: str) -> Raw:
    """An answer that ends well, with something within that this provider's answers never have."""
    if name == "bedrock-union":
        delta = ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {}})
        message = {"message": {"role": "assistant", "content": [{}]}}
        return of_bedrock(
            way, ("messageStart", {"role": "assistant"}), delta, ("messageStop", {"stopReason": "end_turn"}), output=message
        )
    if name == "bedrock-text":
        delta = ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": 5}})
        message = {"message": {"role": "assistant", "content": [{"text": 5}]}}
        return of_bedrock(
            way, ("messageStart", {"role": "assistant"}), delta, ("messageStop", {"stopReason": "end_turn"}), output=message
        )
    content: Any = {"openai-number": 5, "openai-object": {"text": "Hello"}, "compatible-reason": ""}.get(name, "Hello")
    message = {"role": "nobody" if name == "openai-role" else "assistant", "content": content}
    choice = {"index": 0, "finish_reason": 5 if name == "compatible-reason" else "stop"}
    if way == "at-once":
        return Raw(json.dumps({"id": "c1", "model": "m", "choices": [choice | {"message": message}]}).encode())
    events: tuple[Any, ...] = ({"choices": [{"index": 0, "delta": message}]}, {"choices": [choice | {"delta": {}}]})
    body = b"".join(b"data: " + json.dumps(told).encode() + b"\n\n" for told in events) + b"data: [DONE]\n\n"
    return Raw(body, content_type="text/event-stream")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "name", ["openai-number", "openai-object", "bedrock-union", "bedrock-text", "openai-role", "compatible-reason"]
)
async def test_an_answer_that_cannot_be_read_goes_on_to_the_next_deployment(name: str, way: str, here: Installation) -> None:
    if name == "openai-role" and way != "at-once":
        pytest.skip("the role of a piece says nothing: the text is the model's")
    cloud = name.partition("-")[0]
    seen = await here.ask(cloud, way, odd(name, way), alias=f"{cloud}-and-well")
    assert (seen.error, seen.text, seen.usage) == (None, WELL.text, (3, 4))
    assert {status for status, _, _ in seen.booked[:-1]} == {"connection"}
    assert seen.booked[-1] == ("ok", 3, 4)


@pytest.mark.parametrize("way", WAYS)
async def test_text_in_blocks_is_text(way: str, here: Installation) -> None:
    blocks = ([{"type": "thinking", "thinking": []}, {"type": "text", "text": "Hello "}], [{"type": "text", "text": "world."}])
    choice = {"index": 0, "finish_reason": "stop"}
    if way == "at-once":
        message = {"role": "assistant", "content": [*blocks[0], *blocks[1]]}
        answer = Raw(json.dumps({"id": "c1", "choices": [choice | {"message": message}], "usage": {}}).encode())
    else:
        events: list[Any] = [{"choices": [{"index": 0, "delta": {"role": "assistant", "content": each}}]} for each in blocks]
        events.append({"choices": [choice | {"delta": {}}]})
        body = b"".join(b"data: " + json.dumps(told).encode() + b"\n\n" for told in events) + b"data: [DONE]\n\n"
        answer = Raw(body, content_type="text/event-stream")
    assert (await here.ask("compatible", way, answer, alias="compatible-and-well")).text == "Hello world."


#: By cloud, a reason for the end with which it says that the answer went wrong, or that it does not document.
BROKEN = [
    ("openai", "banana"),
    ("azure", "banana"),
    ("compatible", "error"),
    ("sdk", "abort"),
    ("vertex", "OTHER"),
    ("vertex", "MALFORMED_FUNCTION_CALL"),
    ("vertex", "OF_NEXT_YEAR"),
    ("vertex-claude", "pause_turn"),
    ("bedrock", "malformed_model_output"),
    ("bedrock", "malformed_tool_use"),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("name", "reason"), BROKEN)
@pytest.mark.parametrize("text", ["", "part of it"], ids=["nothing", "a part"])
async def test_an_answer_that_its_provider_calls_broken_is_no_success(
    text: str, name: str, reason: str, way: str, here: Installation
) -> None:
    seen = await here.ask(name, way, Reply(text, finish=reason), alias=f"{name}-and-well")
    if way == "stream" and text:
        assert seen.error is not None
        assert text.startswith(seen.text)
        assert seen.text
        assert seen.error.code == "stream_interrupted"
    else:
        assert (seen.text, seen.error) == (WELL.text, None)
        assert seen.told == (3, 4), "what was thrown away is no part of the answer"
        assert seen.booked[-1] == ("ok", 3, 4)
    assert seen.booked[0][0] == "server_error"
