"""The direct transport gives what the SDK's own path gives, field by field, for answers, streams and errors."""

import asyncio
import json
import pickle
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from core.errors import PlatformError
from core.settings import Settings, Timeouts
from providers.azure import AzureProvider
from providers.models import Models
from providers.openai_transport import DirectChatOpenAI
from providers.wire import Wire, limits_of
from tests.fakes.clouds import CLOUDS, installation
from tests.fakes.wire import Raw, Reply

LIMITS = limits_of(Timeouts(connect=5, total=20))
PAYLOADS = web.AppKey("payloads", list)
USAGE = {
    "prompt_tokens": 12,
    "completion_tokens": 5,
    "total_tokens": 17,
    "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
LOGPROBS = {"content": [{"token": "Hi", "logprob": -0.1, "bytes": [72, 105], "top_logprobs": []}], "refusal": None}


def answer(message: dict[str, Any], finish: str = "stop", **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish, **more.pop("choice", {})}
    return {"id": "c1", "object": "chat.completion", "created": 1, "model": "m-1", "choices": [choice], "usage": USAGE, **more}


ANSWERS: dict[str, dict[str, Any]] = {
    "text": answer({"content": "Hi there"}),
    "unicode": answer({"content": "Grüße, 世界 🌍\n\ttab"}),
    "tools": answer({"content": None, "tool_calls": [CALL, CALL | {"id": "call_2"}]}, "tool_calls"),
    "refusal": answer({"content": None, "refusal": "I will not."}),
    "logprobs": answer({"content": "Hi"}, choice={"logprobs": LOGPROBS}),
    "fingerprint": answer({"content": "Hi"}, system_fingerprint="fp_1", service_tier="default"),
    "length": answer({"content": "Hi"}, "length"),
    "no-usage": answer({"content": "Hi"}) | {"usage": None},
    "structured": answer({"content": '{"city": "Oslo", "degrees": 3}'}),
    "structured-call": answer(
        {
            "content": None,
            "tool_calls": [CALL | {"function": {"name": "Weather", "arguments": '{"city": "Oslo", "degrees": 3}'}}],
        },
        "tool_calls",
    ),
}
SEVERAL = answer({"content": "Hi"}, choice={"logprobs": LOGPROBS})
SEVERAL["choices"].append({"index": 1, "message": {"role": "assistant", "content": "Ho"}, "finish_reason": "length"})
ANSWERS_OF_OURS = {"several": SEVERAL}


def delta(content: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": content, "finish_reason": finish, **more}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m-1", "choices": [choice]}


def part(index: int, **function: str) -> dict[str, Any]:
    head = {"id": f"call_{index}", "type": "function"} if "name" in function else {}
    return {"tool_calls": [{"index": index, **head, "function": function}]}


WITHOUT_DELTA = {key: value for key, value in delta({}).items() if key != "choices"} | {"choices": [{"index": 0}]}
STREAMS: dict[str, list[dict[str, Any]]] = {
    "text": [
        delta({"role": "assistant", "content": ""}),
        delta({"content": "Hi "}),
        delta({"content": "there"}),
        delta({}, "stop"),
    ],
    "unicode": [delta({"role": "assistant", "content": "Grüße "}), delta({"content": "🌍"}), delta({}, "stop")],
    "tools": [
        delta({"role": "assistant", "content": None, **part(0, name="weather", arguments="")}),
        delta(part(0, arguments='{"city": ')),
        delta(part(0, arguments='"Oslo"}')),
        delta(part(1, name="weather", arguments="{}")),
        delta({}, "tool_calls"),
    ],
    "logprobs": [delta({"role": "assistant", "content": "Hi"}, logprobs=LOGPROBS), delta({}, "stop")],
    "fingerprint": [delta({"role": "assistant", "content": "Hi"}) | {"system_fingerprint": "fp_1"}, delta({}, "stop")],
    "refusal": [delta({"role": "assistant", "content": None, "refusal": "I will not."}), delta({}, "stop")],
    "no-delta": [delta({"role": "assistant", "content": "Hi"}), WITHOUT_DELTA, delta({"content": "!"}), delta({}, "stop")],
    "ended-by-cr": [delta({"role": "assistant", "content": "Hi"}), delta({"content": "\r\n!"}), delta({}, "stop")],
    "structured": [
        delta({"role": "assistant", "content": '{"city": "Oslo", '}),
        delta({"content": '"degrees": 3}'}),
        delta({}, "stop"),
    ],
}
STREAM_OF_SEVERAL = [
    delta({"role": "assistant", "content": "Hi "}, index=0),
    delta({"role": "assistant", "content": "Ho "}, index=1),
    delta({"content": "there"}, index=0),
    delta({"content": "there"}, index=1),
    delta({}, "stop", index=0),
    delta({}, "stop", index=1),
]
FAILURES = {
    "429": (429, {"error": {"message": "Slow down", "type": "requests", "code": "rate_limit_exceeded"}}),
    "401": (401, {"error": {"message": "Bad key", "code": "invalid_api_key"}}),
    "403": (403, {"error": {"message": "No"}}),
    "404": (404, {"error": {"message": "No such model", "code": "model_not_found"}}),
    "400": (400, {"error": {"message": "Bad", "code": "invalid_request_error"}}),
    "context": (400, {"error": {"message": "too long: context_length_exceeded", "code": "context_length_exceeded"}}),
    "500": (500, {"error": {"message": "Oops"}}),
    "503": (503, {"detail": "busy"}),
    "html": (502, "<html>bad gateway</html>"),
}


async def serve(request: web.Request) -> web.StreamResponse:
    payload = json.loads(await request.read())
    assert request.headers["authorization"] == "Bearer sk-test"
    request.app[PAYLOADS].append(payload)
    name = payload["model"]
    if name in FAILURES:
        status, body = FAILURES[name]
        return web.Response(
            status=status, text=body if isinstance(body, str) else json.dumps(body), content_type="application/json"
        )
    if not payload.get("stream"):
        return web.json_response((ANSWERS | ANSWERS_OF_OURS)[name])
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    usage = [{**delta({}), "choices": [], "usage": USAGE}] if payload.get("stream_options", {}).get("include_usage") else []
    text = ": comment\n\n" + "".join(
        f"data: {json.dumps(event)}\n\n"
        for event in (STREAM_OF_SEVERAL if name == "several" else STREAMS.get(name) or STREAMS["text"]) + usage
    )
    if name == "error-event":
        text += 'data: {"error": {"message": "overloaded", "code": "overloaded"}}\n\n'
    elif name == "malformed":
        text += "data: {not json\n\n"
    elif name != "cut":
        text += "data: [DONE]\n\n"
    if name == "ended-by-cr":
        text = text.replace("\n", "\r")
    for offset in range(0, len(raw := text.encode()), 7):  # split inside of lines and characters
        await response.write(raw[offset : offset + 7])
    return response


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    app = web.Application()
    app[PAYLOADS] = []
    app.router.add_post("/v1/chat/completions", serve)
    async with TestServer(app) as running:
        yield running


@pytest.fixture
async def pair(server: TestServer) -> AsyncIterator[Any]:
    """A function from a model's name to (ours, the SDK's), configured alike."""
    base = str(server.make_url("/v1"))
    wire = Wire(base, {"authorization": "Bearer sk-test"})

    def make(model: str) -> tuple[ChatOpenAI, ChatOpenAI]:
        options: dict[str, Any] = {"base_url": base, "api_key": "sk-test", "max_retries": 0, "stream_usage": True}
        return DirectChatOpenAI(model=model, wire=wire, limits=LIMITS, **options), ChatOpenAI(model=model, **options)

    yield make
    await wire.close()


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return city


class Weather(BaseModel):
    """A reading."""

    city: str
    degrees: int


IMAGE = HumanMessage(
    [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
)


def comparable(message: BaseMessage) -> dict[str, Any]:
    """Of an answer in a form that is no class the SDK says that it has not parsed it, which tells nothing."""
    more = message.additional_kwargs
    told = {name: value for name, value in more.items() if name != "parsed" or value is not None}
    return {name: value for name, value in message.model_dump().items() if name != "id"} | {"additional_kwargs": told}


@pytest.mark.parametrize("name", [name for name in ANSWERS if not name.startswith("structured")])
async def test_an_answer_is_the_same_in_every_field(name: str, pair: Any, server: TestServer) -> None:
    ours, theirs = pair(name)
    options = {"temperature": 0.3, "stop": ["END"], "max_tokens": 9, "seed": 1, "logprobs": True}
    results = [await model.bind_tools([weather]).ainvoke([IMAGE], **options) for model in (ours, theirs)]
    assert comparable(results[0]) == comparable(results[1])
    sent = server.app[PAYLOADS]
    assert sent[0] == sent[1]


@pytest.mark.parametrize("name", STREAMS)
async def test_a_stream_is_the_same_in_every_chunk(name: str, pair: Any, server: TestServer) -> None:
    ours, theirs = pair(name)
    chunks = [[comparable(chunk) async for chunk in model.astream("Hi")] for model in (ours, theirs)]
    # LangChain's own streams tell nothing of the words with which a model says that it will not answer
    refused = [words for chunk in chunks[0] if (words := chunk["additional_kwargs"].pop("refusal", None))]
    assert bool(refused) == (name == "refusal")
    assert chunks[0] == chunks[1]
    sent = server.app[PAYLOADS]
    assert sent[0] == sent[1]


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize("streamed", [False, True])
async def test_an_error_is_the_same_class_and_text(name: str, streamed: bool, pair: Any) -> None:
    failures = []
    for model in pair(name):
        with pytest.raises(Exception) as caught:
            _ = [chunk async for chunk in model.astream("Hi")] if streamed else await model.ainvoke("Hi")
        failures.append(caught.value)
    ours, theirs = failures
    assert type(ours) is type(theirs)
    assert str(ours) == str(theirs)
    assert ours.body == theirs.body
    assert ours.response.status_code == theirs.response.status_code


async def test_structured_output_is_the_same(pair: Any) -> None:
    results = [await model.with_structured_output(Weather).ainvoke("Oslo?") for model in pair("structured")]
    assert results[0] == results[1] == Weather(city="Oslo", degrees=3)


@pytest.mark.parametrize("name", ["cut", "malformed", "error-event"])
async def test_a_broken_stream_never_ends_as_success(name: str, pair: Any) -> None:
    ours, _ = pair(name)
    with pytest.raises(Exception, match=r"Connection error|overloaded"):
        _ = [chunk async for chunk in ours.astream("Hi")]


async def test_a_server_that_is_not_there_is_a_retryable_connection_error(unused_tcp_port: int) -> None:
    wire = Wire(f"http://127.0.0.1:{unused_tcp_port}/v1")
    model = DirectChatOpenAI(model="m", wire=wire, limits=LIMITS, api_key="sk-test", base_url=wire.base_url, max_retries=0)
    with pytest.raises(Exception) as caught:
        await model.ainvoke("Hi")
    assert caught.value.is_retryable  # type: ignore[attr-defined]
    await wire.close()


async def test_several_choices_keep_their_own_reasons_and_log_probabilities(pair: Any) -> None:
    ours, _ = pair("several")
    result = await ours._agenerate([HumanMessage("Hi")], n=2, logprobs=True)
    assert [generation.text for generation in result.generations] == ["Hi", "Ho"]
    assert [generation.generation_info["finish_reason"] for generation in result.generations] == ["stop", "length"]
    assert [generation.generation_info["logprobs"] for generation in result.generations] == [LOGPROBS, None]


async def test_a_streamed_choice_is_named(pair: Any) -> None:
    ours, _ = pair("several")
    chunks = [chunk async for chunk in ours._astream([HumanMessage("Hi")], n=2)]
    texts = ["".join(c.text for c in chunks if (c.generation_info or {}).get("choice", 0) == choice) for choice in (0, 1)]
    assert texts == ["Hi there", "Ho there"]


@pytest.mark.parametrize("name", [*STREAMS, "several"])
async def test_chunks_that_are_merged_say_the_same(name: str, pair: Any) -> None:
    ours, _ = pair(name)
    one, merged = [[chunk async for chunk in ours._astream([HumanMessage("Hi")], merged=flag)] for flag in (False, True)]
    assert len(merged) <= len(one)
    totals = [sum(chunks[1:], chunks[0]) for chunks in (one, merged)]
    assert comparable(totals[0].message) == comparable(totals[1].message)


async def test_a_copied_chunk_is_a_chunk_like_any_other(pair: Any) -> None:
    ours, theirs = pair("text")
    for model in (ours, theirs):
        model.stream_usage = True
    copied, made = [[chunk async for chunk in model._astream([HumanMessage("Hi")])] for model in (ours, theirs)]
    for left, right in zip(copied, made, strict=True):
        assert left == right
        assert (left.model_fields_set, left.message.model_fields_set) == (
            right.model_fields_set,
            right.message.model_fields_set,
        )
        assert pickle.loads(pickle.dumps(left)) == right
        left.message.response_metadata["mine"] = 1
        left.message.id = "a"
    assert all(one.message.response_metadata is not other.message.response_metadata for one, other in pairwise(copied))


@pytest.mark.parametrize("schema", [Weather, Weather.model_json_schema() | {"title": "Weather"}])
@pytest.mark.parametrize("method", ["json_schema", "json_mode", "function_calling"])
async def test_a_schema_is_sent_and_parsed_the_same(schema: Any, method: str, pair: Any, server: TestServer) -> None:
    name = "structured-call" if method == "function_calling" else "structured"
    results = []
    for model in pair(name):
        bound = model.with_structured_output(schema, method=method, include_raw=True)
        answered = await bound.ainvoke("Oslo, as JSON?")
        answered["raw"] = comparable(answered["raw"])
        results.append(answered)
    assert results[0] == results[1]
    assert results[0]["parsed"]
    sent = server.app[PAYLOADS]
    assert sent[0] == sent[1]


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # langchain-openai dumps the SDK's parsed answer
async def test_a_streamed_class_ends_with_the_same_parsed_chunk(pair: Any) -> None:
    chunks = []
    for model in pair("structured"):
        bound = model.bind(response_format=Weather)
        chunks.append([chunk async for chunk in bound.astream("Oslo?")])
    assert comparable(chunks[0][-1]) == comparable(chunks[1][-1])
    ours, theirs = [sum(each[1:], each[0]) for each in chunks]
    assert (ours.text, ours.usage_metadata, ours.additional_kwargs) == (
        theirs.text,
        theirs.usage_metadata,
        theirs.additional_kwargs,
    )


@pytest.mark.parametrize("streamed", [False, True])
async def test_azure_gives_the_same_in_every_field(streamed: bool) -> None:
    with CLOUDS["azure"].start() as fake:
        models: list[Any] = []
        providers = []
        for transport in ("direct", "sdk"):
            settings = CLOUDS["azure"].settings(fake, transport=transport, extra_headers={"x-team": "a"})
            providers.append(AzureProvider("azure", Settings(), settings))
            models.append(await asyncio.to_thread(providers[-1]._built.build, "our-chat#gpt-4o", Timeouts()))
        calls = Reply(text="Let me look.", calls=[("weather", {"city": "Oslo"})])
        for reply in (Reply(text="Grüße 🌍"), calls, Reply(finish="length")):
            options: dict[str, Any] = {"temperature": 0.3, "max_tokens": 9, "seed": 1, "logprobs": True, "top_logprobs": 1}
            answers = []
            for model in models:
                fake.then(reply)
                bound = model.bind_tools([weather])
                if streamed:
                    answers.append([comparable(chunk) async for chunk in bound.astream([IMAGE], stop=["END"], **options)])
                else:
                    answers.append(comparable(await bound.ainvoke([IMAGE], stop=["END"], **options)))
            assert answers[0] == answers[1]
            ours, theirs = fake.sent[-2:]
            assert (ours.body, ours.path, ours.query) == (theirs.body, theirs.path, theirs.query)
            assert [sent.headers[name] for sent in (ours, theirs) for name in ("api-key", "x-team")] == ["azure-key", "a"] * 2
        for provider in providers:
            await provider.close()


CALLS = Reply(text="Let me look.", calls=[("weather", {"city": "Oslo"})])
TOOLS = {"tools": [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]}
FORM = {"type": "json_schema", "json_schema": {"name": "Weather", "schema": Weather.model_json_schema()}}
ASKED: dict[str, tuple[Reply, dict[str, Any]]] = {
    "text": (Reply(text="Grüße 🌍"), {}),
    "long": (Reply(finish="length"), {"max_tokens": 4}),
    "thoughts": (Reply(thoughts=["Hm, ", "well."]), {}),
    "logprobs": (Reply(), {"logprobs": True, "top_logprobs": 1}),
    "tools": (CALLS, TOOLS),
    "form": (Reply(text='{"city": "Oslo", "degrees": 3}'), {"response_format": FORM}),
    "long-form": (Reply(text='{"city": "Os', finish="length"), {"response_format": FORM, "max_tokens": 4}),
    "form-tools": (CALLS, TOOLS | {"response_format": {"type": "json_object"}}),
}


@pytest.mark.parametrize("way", ["streamed", "gathered", "at-once"])
@pytest.mark.parametrize("cloud", ["openai", "azure"])
async def test_a_caller_gets_the_same_of_either_transport_in_every_field(settings: Settings, cloud: str, way: str) -> None:
    found: list[dict[str, Any]] = []
    with CLOUDS[cloud].start() as fake:
        for transport in ("direct", "sdk"):
            over = {"providers": {CLOUDS[cloud].provider: CLOUDS[cloud].settings(fake, transport=transport)}}
            models = Models(Settings.load(data_dir=settings.data_dir, **installation({cloud: fake}) | over))
            await models.warm(local=False)
            model: Any = models.chat()
            found.append({})
            for name, (reply, parameters) in ASKED.items():
                fake.clear()
                fake.then(reply)
                model.deployments[0].standing.token_s.value = 1e-9 if way == "at-once" else None
                if way == "streamed":
                    chunks = [chunk async for chunk in model.astream("Oslo, as JSON?", **parameters)]
                    answer = sum(chunks[1:], chunks[0])
                else:
                    answer = await model.ainvoke("Oslo, as JSON?", **parameters)
                found[-1][name] = (comparable(answer), [(sent.path, sent.query, sent.body) for sent in fake.sent])
            await models.close()
    assert found[0] == found[1]
    assert all(len(sent) == 1 for _, sent in found[0].values())


AS_JSON: dict[str, Any] = {
    **{name: ANSWERS[name] for name in ("text", "unicode", "tools", "refusal", "logprobs", "length", "no-usage")},
    "thoughts": answer({"content": "Hi", "reasoning_content": "Hm."}),
    "no-reason": answer({"content": "Hi"}, choice={"finish_reason": None}),
    "withheld": answer({"content": "Hi"}, "content_filter"),
    "no-text": answer({"content": None}),
    "wrong-usage": answer({"content": "Hi"}) | {"usage": {"prompt_tokens": "12", "completion_tokens": -1}},
    "too-long": {"error": {"message": "Too long.", "code": "context_length_exceeded"}},
    "busy": {"error": {"message": "Slow down.", "code": "rate_limit_exceeded"}},
    "bare-error": {"error": "overloaded"},
    "no-choices": {"detail": "busy"},
    "null-choices": {"choices": None},
    "wrong-choices": {"choices": ["Hi"]},
    "cut": None,
}


@pytest.mark.parametrize("way", ["streamed", "gathered"])
@pytest.mark.parametrize("cloud", ["openai", "compatible", "azure"])
async def test_json_for_a_stream_is_the_same_by_either_transport(settings: Settings, cloud: str, way: str) -> None:
    found: list[dict[str, Any]] = []
    with CLOUDS[cloud].start() as fake:
        for transport in ("direct", "sdk"):
            over = {
                "providers": {CLOUDS[cloud].provider: CLOUDS[cloud].settings(fake, transport=transport)},
                "retries": {"attempts": 1},
            }
            models = Models(Settings.load(data_dir=settings.data_dir, **installation({cloud: fake}) | over))
            await models.warm(local=False)
            model: Any = models.chat()
            found.append({})
            for name, body in AS_JSON.items():
                fake.clear()
                fake.always(Raw(json.dumps(body).encode() if body else b'{"choices": [{"mess'))
                model.deployments[0].standing.token_s.value = None
                model.deployments[0].standing.breaker.close()
                try:
                    if way == "streamed":
                        chunks = [chunk async for chunk in model.astream("Hi")]
                        found[-1][name] = [comparable(chunk) for chunk in chunks]
                    else:
                        found[-1][name] = comparable(await model.ainvoke("Hi"))
                except PlatformError as error:
                    found[-1][name] = type(error), str(error), type(error.__cause__), str(error.__cause__)
            await models.close()
    for name in AS_JSON:
        assert found[0][name] == found[1][name], name
    assert sum(isinstance(each, tuple) for each in found[0].values()) >= 7
