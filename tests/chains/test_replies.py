"""A model's reply as a capability yields it."""

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGenerationChunk

from chains.replies import answered, finish_of
from chains.spec import Delta
from core.context import RequestContext, serving
from core.principals import SYSTEM


class Streamed:
    """A chat model of which only the stream's pieces matter."""

    def __init__(self, *chunks: ChatGenerationChunk) -> None:
        self._chunks = chunks

    async def _astream(self, *_: Any, **__: Any) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._chunks:
            yield chunk


def chunk(text: str = "", info: dict[str, Any] | None = None, **message: Any) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(content=text, **message), generation_info=info)


async def reply(*chunks: ChatGenerationChunk) -> tuple[list[Delta], AIMessage]:
    with serving(RequestContext("req_1", SYSTEM)):
        deltas = [delta async for delta in answered(cast("Any", Streamed(*chunks)), [HumanMessage("hi")], {})]
    return deltas[:-1], deltas[-1].final


async def test_usage_that_comes_in_parts_adds_up() -> None:
    first = {"input_tokens": 7, "output_tokens": 0, "total_tokens": 7}
    second = {"input_tokens": 0, "output_tokens": 3, "total_tokens": 3}
    _, whole = await reply(chunk("a", usage_metadata=first), chunk("b", {"finish_reason": "stop"}, usage_metadata=second))
    assert whole.text == "ab"
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["total_tokens"] == 10


async def test_arguments_that_are_no_json_are_told_as_they_are() -> None:
    call = {"type": "tool_call_chunk", "name": "look", "args": "{no", "id": "c1", "index": 0}
    deltas, whole = await reply(chunk(tool_call_chunks=[call]), chunk(info={"finish_reason": "tool_calls"}))
    assert deltas[0].data["tool_call_chunks"][0]["args"] == "{no"
    assert [each["args"] for each in whole.invalid_tool_calls] == ["{no"]
    assert whole.response_metadata["finish_reason"] == "tool_calls"


async def test_log_probabilities_are_told_with_their_piece_and_together_at_the_end() -> None:
    logprobs = [{"content": [{"token": token, "logprob": -1.0}]} for token in ("a", "b")]
    deltas, whole = await reply(chunk("a", {"logprobs": logprobs[0]}), chunk("b", {"logprobs": logprobs[1]}))
    assert [[each["token"] for each in delta.data["logprobs"]] for delta in deltas] == [["a"], ["b"]]
    assert [each["token"] for each in whole.response_metadata["logprobs"]["content"]] == ["a", "b"]


async def test_log_probabilities_carry_what_openais_do_and_nothing_of_a_servers_own() -> None:
    other = {"token": "b", "logprob": -2.0, "bytes": [98]}
    told = {"content": [{"id": 7, "token": "a", "logprob": -1.0, "bytes": [97], "top_logprobs": [other | {"id": 8}]}]}
    (delta, *_), whole = await reply(chunk("a", {"logprobs": told}))
    expected = [{"token": "a", "logprob": -1.0, "bytes": [97], "top_logprobs": [other]}]
    assert delta.data["logprobs"] == expected
    assert whole.response_metadata["logprobs"]["content"] == expected


@pytest.mark.parametrize(
    ("metadata", "calls", "finish"),
    [
        ({"finish_reason": "stop"}, False, "stop"),
        ({"stop_reason": "max_tokens"}, False, "length"),
        ({"stop_reason": "tool_use"}, True, "tool_calls"),
        ({"stopReason": "guardrail_intervened"}, False, "content_filter"),
        ({"finish_reason": "STOP"}, True, "tool_calls"),
        ({"finish_reason": "MAX_TOKENS"}, False, "length"),
        ({"finish_reason": "something new"}, False, "stop"),
        ({}, False, None),
    ],
)
def test_every_clouds_reason_for_the_end_has_openais_name(metadata: dict[str, Any], calls: bool, finish: str | None) -> None:
    assert finish_of(metadata, calls=calls) == finish
