"""The door's wire format and refusals, on the real chains and a provider at the wire."""

import base64
import json
import struct
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from core.settings import Settings
from tests.fakes.openai import DIMENSIONS, OpenAIFake
from tests.fakes.wire import Break, Fault, Raw, Reply
from tests.server.conftest import ON_SQLITE, Guarded
from tests.server.doors import HELLO, error_of, events_of, opened, with_provider
from tests.server.serving import platform


@pytest.fixture
def provider() -> Iterator[OpenAIFake]:
    with OpenAIFake() as fake:
        yield fake


@dataclass
class Door:
    client: httpx.AsyncClient
    provider: OpenAIFake
    headers: dict[str, str]

    async def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        return await self.client.post(f"/v1/{path}", json=body, headers=self.headers | headers)

    async def refused(self, path: str, body: Any) -> tuple[int, dict[str, Any]]:
        answer = await self.post(path, body)
        return answer.status_code, error_of(answer)


@pytest.fixture
async def door(settings: Settings, provider: OpenAIFake) -> AsyncIterator[Door]:
    """Behind the platform's limits and error shapes."""
    settings = with_provider(settings, provider)
    app = platform(settings)
    models = opened(app, settings)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield Door(client, provider, {})
    await models.close()


@pytest.fixture
async def guarded_door(guarded: Guarded, settings: Settings, provider: OpenAIFake) -> AsyncIterator[Door]:
    """Behind the whole stack of middleware, with an administrator's key."""
    models = opened(guarded.app, with_provider(settings, provider))
    yield Door(guarded.client, provider, guarded.headers)
    await models.close()


async def test_a_stream_has_openais_events_in_openais_order(door: Door) -> None:
    events = events_of(await door.post("chat/completions", HELLO | {"stream": True}))
    assert events[-1] == "[DONE]"
    first, *middle, last = events[:-1]
    assert first["choices"] == [
        {"index": 0, "delta": {"role": "assistant", "content": "", "refusal": None}, "logprobs": None, "finish_reason": None}
    ]
    assert [event["choices"][0]["delta"] for event in middle] == [{"content": piece} for piece in Reply().pieces]
    assert last["choices"] == [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}]
    assert {event["object"] for event in events[:-1]} == {"chat.completion.chunk"}
    assert not any("usage" in event for event in events[:-1])


async def test_a_stream_that_tells_its_usage_tells_what_headers_cannot(door: Door) -> None:
    events = events_of(await door.post("chat/completions", HELLO | {"stream": True, "stream_options": {"include_usage": True}}))
    *chunks, last, done = events
    assert done == "[DONE]"
    assert all(chunk["usage"] is None for chunk in chunks)
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 17)
    assert (last["genai"]["model"], last["genai"]["attempts"], last["genai"]["cache"]) == ("gpt-4o-mini", 1, "bypass")


async def test_tool_calls_come_in_pieces_with_name_and_number_first(door: Door) -> None:
    door.provider.then(Reply("", calls=[("look", {"at": "it"}), ("wait", {})]))
    tools = [{"type": "function", "function": {"name": name}} for name in ("look", "wait")]
    events = events_of(await door.post("chat/completions", HELLO | {"stream": True, "tools": tools}))
    calls = [call for event in events[:-1] for call in event["choices"][0]["delta"].get("tool_calls", [])]
    assert [(call["index"], call["function"].get("name")) for call in calls if "id" in call] == [(0, "look"), (1, "wait")]
    for index, arguments in enumerate(({"at": "it"}, {})):
        pieces = [call["function"]["arguments"] for call in calls if call["index"] == index]
        assert json.loads("".join(pieces)) == arguments
    assert events[-2]["choices"][0]["finish_reason"] == "tool_calls"


async def test_what_a_model_proposes_to_call_is_told_and_never_run(door: Door) -> None:
    """Neither a tool of the caller's nor one that nobody has offered, nor what its arguments name, is touched."""
    with OpenAIFake() as elsewhere:
        proposed: list[tuple[str, dict[str, Any]]] = [
            ("fetch", {"url": f"{elsewhere.url}/pixel"}),
            ("python_repl", {"code": f"import urllib.request; urllib.request.urlopen('{elsewhere.url}')"}),
        ]
        tools = [{"type": "function", "function": {"name": "fetch"}}]
        for more in ({}, {"stream": True}):
            door.provider.then(Reply(f"<tool_call>{elsewhere.url}</tool_call>", calls=proposed))
            answer = await door.post("chat/completions", HELLO | {"tools": tools, **more})
            assert (answer.status_code, "python_repl" in answer.text) == (200, True)
        assert len(door.provider.asked) == 2  # no result went back to the model
        assert elsewhere.sent == []


@pytest.mark.parametrize("fault", [Fault.CUT, Fault.LATE_ERROR, Fault.MALFORMED, Fault.UNTERMINATED])
@pytest.mark.parametrize("path", ["chat/completions", "completions"])
async def test_a_stream_that_is_cut_ends_with_an_error_and_without_done(door: Door, path: str, fault: Fault) -> None:
    door.provider.always(Break(fault, 3))
    body = HELLO if path == "chat/completions" else {"prompt": "Once"}
    *chunks, last = events_of(await door.post(path, body | {"stream": True}))
    assert chunks
    assert last["error"]["type"] == "server_error"
    assert last["error"]["code"] == "stream_interrupted"


async def test_earlier_tool_calls_reach_the_provider_as_the_model_wrote_them(door: Door) -> None:
    calls = [
        {"id": str(number), "type": "function", "function": {"name": "look", "arguments": arguments}}
        for number, arguments in enumerate(['{"x": ', '{ "x":1,  "y": "\u00e9" }'])
    ]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "3"} for call in calls]
    said = [*HELLO["messages"], {"role": "assistant", "content": None, "tool_calls": calls}, *results]
    assert (await door.post("chat/completions", {"messages": said})).status_code == 200
    assert door.provider.sent[-1].body["messages"] == said


async def test_a_refusal_before_the_first_token_of_a_stream_is_a_plain_answer(door: Door) -> None:
    door.provider.always(Fault.TOO_LONG)
    status, error = await door.refused("chat/completions", HELLO | {"stream": True})
    assert (status, error["type"], error["code"]) == (400, "invalid_request_error", "context_length_exceeded")


def refusing(*deltas: dict[str, Any]) -> Raw:
    """A stream of a model that will not answer."""
    events = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    body = b"".join(b"data: " + json.dumps({"id": "c", "model": "m"} | event).encode() + b"\n\n" for event in events)
    return Raw(body + b"data: [DONE]\n\n", content_type="text/event-stream")


@pytest.mark.parametrize("form", [{}, {"response_format": {"type": "json_object"}}], ids=["text", "json"])
async def test_what_a_model_says_of_why_it_will_not_answer_is_told(door: Door, form: dict[str, Any]) -> None:
    step = refusing({"role": "assistant", "content": "", "refusal": None}, {"refusal": "I cannot "}, {"refusal": "do it."})
    door.provider.always(step)
    message = (await door.post("chat/completions", HELLO | form)).json()["choices"][0]["message"]
    assert (message["content"], message["refusal"]) == (None, "I cannot do it.")
    events = events_of(await door.post("chat/completions", HELLO | form | {"stream": True}))
    deltas = [choice["delta"] for event in events if isinstance(event, dict) for choice in event["choices"]]
    assert "".join(delta.get("refusal") or "" for delta in deltas) == "I cannot do it."
    assert "".join(delta.get("content") or "" for delta in deltas) == ""


@pytest.mark.parametrize("stream", [True, False])
async def test_an_end_without_a_delta_is_an_end(door: Door, stream: bool) -> None:
    events = [{"delta": {"role": "assistant", "content": "Hi"}}, {"delta": None, "finish_reason": "stop"}]
    said = [{"id": "c", "model": "m", "choices": [{"index": 0} | event]} for event in events]
    body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in said) + b"data: [DONE]\n\n"
    door.provider.always(Raw(body, content_type="text/event-stream"))
    answer = await door.post("chat/completions", HELLO | {"stream": stream})
    assert answer.status_code == 200
    assert "error" not in answer.text
    assert '"finish_reason":"stop"' in answer.text


def said(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"messages": list(messages)}


def part(one: dict[str, Any]) -> dict[str, Any]:
    return said({"role": "user", "content": [one]})


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"nonsense": 1}, "unknown_parameter", "nonsense"),
        ({"api_key": "x"}, "unknown_parameter", "api_key"),
        ({"extra_body": {}}, "unknown_parameter", "extra_body"),
        ({"messages": []}, "invalid_value", "messages"),
        ({"messages": None}, "invalid_type", "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "invalid_value", "messages[0]"),
        ({"messages": [{"role": "user"}]}, "missing_required_parameter", "messages[0].content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}]},
            "invalid_value",
            "messages[0].content[0].image_url.url",
        ),
        ({"temperature": "warm"}, "invalid_type", "temperature"),
        ({"temperature": 3}, "invalid_value", "temperature"),
        ({"n": 17}, "invalid_value", "n"),
        ({"top_logprobs": 2}, "invalid_value", "top_logprobs"),
        ({"max_tokens": 1, "max_completion_tokens": 1}, "invalid_value", "max_completion_tokens"),
        ({"stream_options": {"include_usage": True}}, "invalid_value", "stream_options"),
        ({"tool_choice": "auto"}, "invalid_value", "tool_choice"),
        ({"parallel_tool_calls": False}, "invalid_value", "parallel_tool_calls"),
        ({"n": 2, "session_id": "s1"}, "invalid_value", "n"),
        ({"stop": {"a": 1}}, "invalid_type", "stop"),
        ({"stop": ["x"] * 20}, "invalid_value", "stop"),
        ({"stop": ["x", 1]}, "invalid_type", "stop[1]"),
        (said({"role": "user", "content": []}), "invalid_value", "messages[0].content"),
        (said({"role": "user", "content": {"a": 1}}), "invalid_type", "messages[0].content"),
        (said({"role": "user", "content": "x", "cache_control": {}}), "unknown_parameter", "messages[0].cache_control"),
        (said({"type": "human", "content": "x"}), "invalid_value", "messages[0]"),
        (said({"role": "function", "name": "f", "content": "x"}), "unsupported_parameter", "messages[0]"),
        (said({"role": "tool", "tool_call_id": "1"}), "missing_required_parameter", "messages[0].content"),
        (said({"role": "assistant", "function_call": {"name": "f"}}), "unsupported_parameter", "messages[0].function_call"),
        (said({"role": "assistant", "audio": {"id": "1"}}), "unsupported_parameter", "messages[0].audio"),
        (
            said({"role": "assistant", "tool_calls": [{"id": "1"}]}),
            "missing_required_parameter",
            "messages[0].tool_calls[0].function",
        ),
        (part({"type": "input_audio", "input_audio": {}}), "unsupported_parameter", "messages[0].content[0].input_audio"),
        (part({"type": "file", "file": {}}), "unsupported_parameter", "messages[0].content[0].file"),
        (part({"type": "input_audio", "input_audio": None}), "unsupported_parameter", "messages[0].content[0].input_audio"),
        (part({"type": "file", "file": None}), "unsupported_parameter", "messages[0].content[0].file"),
        (part({"type": "text", "text": "x", "more": 1}), "unknown_parameter", "messages[0].content[0].more"),
        (part({"type": "text"}), "missing_required_parameter", "messages[0].content[0].text"),
        (part({"type": "refusal", "refusal": "No."}), "invalid_value", "messages[0].content[0]"),
        ({"audio": {"voice": "alloy"}}, "unsupported_parameter", "audio"),
        ({"functions": []}, "unsupported_parameter", "functions"),
        ({"store": True}, "invalid_value", "store"),
        ({"response_format": {"type": "yaml"}}, "invalid_value", "response_format"),
        ({"model": 7}, "invalid_type", "model"),
    ],
)
async def test_a_body_that_does_not_fit_is_a_400_that_names_the_field(
    door: Door, change: dict[str, Any], code: str, param: str | None
) -> None:
    status, error = await door.refused("chat/completions", HELLO | change)
    assert (status, error["type"], error["code"], error["param"]) == (400, "invalid_request_error", code, param)
    assert not door.provider.sent


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("completions", {"model": "default"}, "prompt"),
        ("completions", {"prompt": "x", "logprobs": 1}, "logprobs"),
        ("completions", {"prompt": "x", "best_of": 3}, "best_of"),
        ("embeddings", {"input": []}, "input"),
        ("embeddings", {"input": {"a": 1}}, "input"),
        ("embeddings", {"input": [""]}, "input[0]"),
        ("embeddings", {"input": "x", "encoding_format": "hex"}, "encoding_format"),
        ("embeddings", {"input": "x", "stream": True}, "stream"),
    ],
)
async def test_the_other_bodies_are_checked_as_strictly(door: Door, path: str, body: Any, param: str) -> None:
    status, error = await door.refused(path, body)
    assert (status, error["param"]) == (400, param)


async def test_what_does_not_fit_is_told_of_the_type_that_was_sent(door: Door) -> None:
    for change, reason in [
        ({"stop": ["x"] * 20}, "at most 16 items"),
        (said({"role": "user", "content": []}), "at least 1 item"),
        ({"stop": 7}, "valid string, or: Input should be a valid array"),
    ]:
        assert reason in (await door.refused("chat/completions", HELLO | change))[1]["message"]
    assert "at least 1 item" in (await door.refused("embeddings", {"input": []}))[1]["message"]


async def test_what_openai_answered_may_be_sent_back_to_it(door: Door) -> None:
    nothing = {"refusal": None, "annotations": [], "audio": None, "function_call": None}
    answers = [
        {"role": "assistant", "content": "Hi.", "name": "bot", "tool_calls": None} | nothing,
        {"role": "assistant", "content": None, "refusal": "I will not."},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}, {"type": "text", "text": "Sorry."}]},
    ]
    messages = [{"role": "developer", "content": "Be brief.", "name": "us"}, *answers, {"role": "user", "content": "Why?"}]
    assert (await door.post("chat/completions", HELLO | {"messages": messages})).status_code == 200
    system, first, second, third, _ = door.provider.last.body["messages"]
    assert system == {"role": "system", "content": "Be brief.", "name": "us"}
    assert first == {"role": "assistant", "content": "Hi.", "name": "bot"}
    assert second["content"] == "I will not."
    assert [each["text"] for each in third["content"]] == ["No.", "Sorry."]


async def test_seeds_count_on_within_64_bits(door: Door) -> None:
    for seed, sent in ((-5, {-5, -4}), (2**63 - 1, {2**63 - 1, 0})):
        assert (await door.post("chat/completions", HELLO | {"n": 2, "seed": seed})).status_code == 200
        assert {request.body["seed"] for request in door.provider.sent[-2:]} == sent


async def test_a_field_without_effect_is_taken_and_not_sent_on(door: Door) -> None:
    labels = {"user": "u", "metadata": {"a": "b"}, "store": False, "service_tier": "auto", "prompt_cache_key": "k", "stop": []}
    answer = await door.post("chat/completions", HELLO | labels)
    assert answer.status_code == 200
    assert not labels.keys() & door.provider.last.body.keys()


@ON_SQLITE
async def test_a_batch_that_does_not_fit_is_refused_as_other_requests_are(guarded_door: Door) -> None:
    made = {"input_file_id": "file_1", "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    for body, code, param in [
        ({"endpoint": "/v1/chat/completions", "completion_window": "24h"}, "missing_required_parameter", "input_file_id"),
        (made | {"output_expires_after": 1}, "unknown_parameter", "output_expires_after"),
        (made | {"completion_window": "1h"}, "invalid_value", "completion_window"),
        (made | {"endpoint": 7}, "invalid_type", "endpoint"),
        (made | {"metadata": {"a": {}}}, "invalid_type", "metadata.a"),
    ]:
        status, error = await guarded_door.refused("batches", body)
        assert (status, error["code"], error["param"]) == (400, code, param)


@ON_SQLITE
async def test_every_kind_of_refusal_has_openais_shape(guarded_door: Door) -> None:
    door = guarded_door

    async def of(method: str, path: str, headers: dict[str, str] = door.headers, **more: Any) -> tuple[int, Any]:
        answer = await door.client.request(method, path, headers=headers, **more)
        return answer.status_code, error_of(answer)["code"]

    assert await of("GET", "/v1/models", {}) == (401, "invalid_api_key")
    assert await of("GET", "/v1/models", {"authorization": "Bearer wrong"}) == (401, "invalid_api_key")
    assert await of("GET", "/v1/nowhere") == (404, "not_found")
    assert await of("GET", "/v1") == (404, "not_found")
    assert await of("GET", "/v1/models/nobody") == (404, "model_not_found")
    assert await of("GET", "/v1/models/no%0Abody") == (404, "model_not_found")
    assert await of("DELETE", "/v1/models") == (405, "method_not_allowed")
    assert await of("GET", "/v1/chat/completions") == (405, "method_not_allowed")
    as_json = door.headers | {"content-type": "application/json"}
    assert await of("POST", "/v1/chat/completions", as_json, content=b'{"model"') == (400, "malformed_json")
    assert await of("POST", "/v1/chat/completions", as_json, content=b"") == (400, "malformed_json")
    assert await of("POST", "/v1/chat/completions", as_json, content=b"[]") == (400, "invalid_type")
    assert await of("POST", "/v1/completions", as_json, content=b" " * (4 * 2**20 + 1)) == (413, "body_too_large")
    as_text = door.headers | {"content-type": "text/plain"}
    assert await of("POST", "/v1/completions", as_text, content=b"hi") == (415, "unsupported_media_type")
    assert await of("POST", "/v1/chat/completions", door.headers, json=HELLO | {"model": "nobody"}) == (404, "model_not_found")
    keyed = door.headers | {"idempotency-key": "two words"}
    assert await of("POST", "/v1/chat/completions", keyed, json=HELLO) == (400, "invalid_idempotency_key")
    other = await door.client.get("/api/v1/nowhere", headers=door.headers)
    assert set(other.json()["error"]) == {"code", "message", "request_id"}


@ON_SQLITE
async def test_an_idempotency_key_gives_the_first_answer_again(guarded_door: Door) -> None:
    door = guarded_door
    first = await door.post("chat/completions", HELLO, **{"idempotency-key": "once"})
    second = await door.post("chat/completions", HELLO, **{"idempotency-key": "once"})
    assert first.json() == second.json()
    assert second.headers["idempotent-replayed"] == "true"
    assert len(door.provider.asked) == 1
    other = await door.post("chat/completions", HELLO | {"seed": 1}, **{"idempotency-key": "once"})
    assert (other.status_code, error_of(other)["code"]) == (400, "idempotency_mismatch")


@ON_SQLITE
async def test_what_the_node_client_sends_is_answered_as_it_expects(guarded_door: Door) -> None:
    """The requests of the npm package openai 6.49.0 on Node 20, byte for byte, as they were seen on a socket."""
    sent = {
        "accept": "application/json",
        "user-agent": "OpenAI/JS 6.49.0",
        "x-stainless-retry-count": "0",
        "x-stainless-lang": "js",
        "x-stainless-package-version": "6.49.0",
        "x-stainless-os": "Linux",
        "x-stainless-arch": "x64",
        "x-stainless-runtime": "node",
        "x-stainless-runtime-version": "v20.20.2",
        "content-type": "application/json",
        "accept-language": "*",
        "sec-fetch-mode": "cors",
        "accept-encoding": "gzip, deflate",
    } | guarded_door.headers
    chat = (
        b'{"model":"default","messages":[{"role":"user","content":"Hello?"}],'
        b'"stream":true,"stream_options":{"include_usage":true}}'
    )
    streamed = events_of(await guarded_door.client.post("/v1/chat/completions", content=chat, headers=sent))
    assert streamed[-1] == "[DONE]"
    body = b'{"model":"vectors","input":"abc","encoding_format":"base64"}'
    vectors = await guarded_door.client.post("/v1/embeddings", content=body, headers=sent)
    assert vectors.json()["data"][0]["embedding"] == base64.b64encode(struct.pack("<8f", *[3.0] * 8)).decode()
    del sent["content-type"]
    assert (await guarded_door.client.get("/v1/models", headers=sent)).json()["object"] == "list"


async def test_dimensions_are_refused_where_vectors_cannot_be_cut(door: Door) -> None:
    status, error = await door.refused("embeddings", {"model": "vectors", "input": "abc", "dimensions": DIMENSIONS + 1})
    assert (status, error["code"], error["param"]) == (400, "unsupported_parameter", "dimensions")


@pytest.mark.parametrize("one", ["abc", [1, 2]])
async def test_more_inputs_than_one_request_may_have_are_told_as_too_many(door: Door, one: object) -> None:
    status, error = await door.refused("embeddings", {"model": "vectors", "input": [one] * 2049})
    assert (status, error["code"], error["param"]) == (400, "invalid_value", "input")
    assert "at most 2048 items" in error["message"]
