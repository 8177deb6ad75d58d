"""The parts of answers in OpenAI's form that no single provider shows."""

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from langchain_core.language_models import BaseChatModel

from chains.chat import SPEC
from chains.openai_format.answering import chat_completion, chat_completion_events
from chains.openai_format.answers import ToolCalls, total, usage_of
from chains.openai_format.errors import error_body, status_of
from chains.openai_format.requests import ChatCompletionRequest
from chains.spec import ChainDeps
from core.context import RequestContext, current, serving
from core.deadline import Deadline
from core.principals import SYSTEM
from core.settings import Settings
from tests.chains.fakes import ScriptedModels


def piece(index: Any, identifier: str | None = None, name: str | None = None, args: str | None = None) -> dict[str, Any]:
    return {"index": index, "id": identifier, "name": name, "args": args}


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param(
            [piece(0, "a", "one", ""), piece(0, args='{"x":'), piece(0, args="1}"), piece(1, "b", "two", '{"y":2}')],
            id="OpenAI",
        ),
        pytest.param(
            [piece(1, "a", "one"), piece(1, args='{"x":1}'), piece(2, "b", "two", ""), piece(2, args='{"y":2}')],
            id="blocks of content are counted, as Anthropic does",
        ),
        pytest.param([piece(None, "a", "one", '{"x":1}'), piece(None, "b", "two", '{"y":2}')], id="whole calls, as Gemini's"),
        pytest.param([piece(0, "a", "one", '{"x":1}'), piece(0, "b", "two", '{"y":2}')], id="a number that comes again"),
        pytest.param(
            [piece(None, "a", "one", '{"x":'), piece(None, args="1}"), piece(None, "b", "two", '{"y":2}')], id="no numbers"
        ),
    ],
)
def test_tool_calls_are_counted_from_0_whatever_the_provider_calls_them(pieces: list[dict[str, Any]]) -> None:
    calls = ToolCalls()
    deltas = [calls.add(each) for each in pieces]
    assert [delta["index"] for delta in deltas if "id" in delta] == [0, 1]
    for index, (name, arguments) in enumerate([("one", {"x": 1}), ("two", {"y": 2})]):
        mine = [delta["function"] for delta in deltas if delta["index"] == index]
        assert mine[0]["name"] == name
        assert json.loads("".join(function["arguments"] for function in mine)) == arguments


def test_a_call_without_arguments_ends_with_an_empty_object() -> None:
    calls = ToolCalls()
    calls.add(piece(0, None, "look", ""))
    assert calls.rest() == [{"index": 0, "function": {"arguments": "{}"}}]
    assert calls.rest() == []


def test_usage_tells_what_was_cached_and_thought_and_adds_up() -> None:
    flat = {"usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}}
    metadata = {"input_token_details": {"cache_read": 4}, "output_token_details": {"reasoning": 3}}
    usage = usage_of(flat, [metadata])
    assert usage["prompt_tokens_details"] == {"cached_tokens": 4}
    assert usage["completion_tokens_details"] == {"reasoning_tokens": 3}
    both = total([usage, usage_of(flat)])
    assert (both["total_tokens"], both["prompt_tokens_details"]) == (30, {"cached_tokens": 4})


@pytest.mark.parametrize(
    ("status", "shown", "kind"),
    [
        (422, 400, "invalid_request_error"),
        (402, 402, "insufficient_quota"),
        (429, 429, "rate_limit_error"),
        (409, 409, "invalid_request_error"),
        (504, 504, "server_error"),
    ],
)
def test_a_status_has_openais_type(status: int, shown: int, kind: str) -> None:
    assert status_of(status) == shown
    assert error_body(status, "x", "y")["error"]["type"] == kind


@pytest.mark.parametrize(
    ("asked", "apart"), [({"n": 2}, True), ({"n": 2, "temperature": 0}, False), ({"n": 2, "seed": 1}, False), ({}, False)]
)
async def test_answers_that_are_to_differ_do_not_come_out_of_the_response_cache(
    settings: Settings, asked: dict[str, Any], apart: bool
) -> None:
    models = ScriptedModels()
    root = SPEC.build(ChainDeps(settings, cast("Any", models), cast("Any", None), cast("Any", SimpleNamespace())))
    request = ChatCompletionRequest.model_validate({"messages": [{"role": "user", "content": "hi"}]} | asked)
    with serving(RequestContext("req_1", SYSTEM)) as context:
        answer = await chat_completion(root, request)
    assert len(answer["choices"]) == asked.get("n", 1)
    assert (context.cache_control == "no-store") is apart


async def test_several_answers_to_one_request_have_one_deadline_together(settings: Settings) -> None:
    class Noting(ScriptedModels):
        def chat(self, alias: str | None = None) -> BaseChatModel:
            deadlines.append(current().deadline)
            return super().chat(alias)

    deadlines: list[Deadline | None] = []
    root = SPEC.build(ChainDeps(settings, cast("Any", Noting()), cast("Any", None), cast("Any", SimpleNamespace())))
    asked = {"messages": [{"role": "user", "content": "hi"}], "n": 12}
    await chat_completion(root, ChatCompletionRequest.model_validate(asked))
    assert len(deadlines) == 12
    assert len(set(deadlines)) == 1
    _ = [event async for event in chat_completion_events(root, ChatCompletionRequest.model_validate(asked | {"stream": True}))]
    assert None not in deadlines
    assert (len(deadlines), len(set(deadlines))) == (24, 2)
