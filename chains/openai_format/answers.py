"""Answers as OpenAI's clients expect them: whole, and as the events of a stream.

Events are put together from bytes that a stream's chunks share: a stream has one for each token.
"""

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from chains.openai_format.errors import body_of
from core.errors import PlatformError

DONE = b"data: [DONE]\n\n"


def new_id(prefix: str) -> str:
    """An identifier of an answer: `chatcmpl-…`, `cmpl-…`."""
    return f"{prefix}-{secrets.token_hex(12)}"


def usage_of(flat: Mapping[str, Any], metadata: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """The usage of a flat answer; `metadata`, LangChain's of the same calls, adds what was cached and what was thought."""
    told = flat["usage"]
    usage: dict[str, Any] = {
        "prompt_tokens": told["input_tokens"],
        "completion_tokens": told["output_tokens"],
        "total_tokens": told["total_tokens"],
    }
    cached = sum((each.get("input_token_details") or {}).get("cache_read") or 0 for each in metadata)
    thought = sum((each.get("output_token_details") or {}).get("reasoning") or 0 for each in metadata)
    if cached:
        usage["prompt_tokens_details"] = {"cached_tokens": cached}
    if thought:
        usage["completion_tokens_details"] = {"reasoning_tokens": thought}
    return usage


def total(usages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The usage of several answers of one request."""
    if len(usages) == 1:
        return dict(usages[0])
    summed: dict[str, Any] = {}
    for usage in usages:
        for name, value in usage.items():
            summed[name] = total([summed.get(name, {}), value]) if isinstance(value, Mapping) else summed.get(name, 0) + value
    return summed


class ToolCalls:
    """The tool calls of one answer. Providers number their pieces as they like, or not at all; OpenAI counts from 0."""

    def __init__(self) -> None:
        self._calls: list[dict[str, Any]] = []
        self._known: dict[Any, int] = {}

    def add(self, chunk: Mapping[str, Any]) -> dict[str, Any]:
        """Take a piece (LangChain's tool call chunk); gives OpenAI's delta for it."""
        number, identifier, arguments = chunk.get("index"), chunk.get("id"), chunk.get("args") or ""
        key = number if number is not None else identifier
        index = self._known.get(key) if key is not None else len(self._calls) - 1
        known = index is not None and index >= 0
        if known and identifier and index is not None and self._calls[index]["id"] != identifier:
            known = False  # the number of another call, come again
        if known and index is not None:
            self._calls[index]["function"]["arguments"] += arguments
            return {"index": index, "function": {"arguments": arguments}}
        index = len(self._calls)
        function = {"name": chunk.get("name") or "", "arguments": arguments}
        self._known[key] = index
        self._calls.append({"id": identifier or new_id("call"), "type": "function", "function": function})
        return {"index": index, **self._calls[index], "function": dict(function)}

    def rest(self) -> list[dict[str, Any]]:
        """The deltas that are still to come at the end: a call without arguments has an empty object of them."""
        deltas = []
        for index, call in enumerate(self._calls):
            if not call["function"]["arguments"]:
                call["function"]["arguments"] = "{}"
                deltas.append({"index": index, "function": {"arguments": "{}"}})
        return deltas


def calls_of(flat: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tool calls of a flat answer, as a message carries them."""
    return [
        {
            "id": call["id"] or new_id("call"),
            "type": "function",
            "function": {"name": call["name"], "arguments": _text_of(call["args"])},
        }
        for call in (*flat.get("tool_calls", ()), *flat.get("invalid_tool_calls", ()))
    ]


def _text_of(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()


class ChatFormat:
    """The chunks and the whole of one answer to `/v1/chat/completions`. `model` is the alias that was asked for."""

    def __init__(self, model: str, *, with_usage: bool = False) -> None:
        self._id, self._created, self._model = new_id("chatcmpl"), int(time.time()), model
        head = {"id": self._id, "object": "chat.completion.chunk", "created": self._created, "model": model}
        self._head = b"data: " + orjson.dumps(head)[:-1]
        #: Where a stream tells its usage, all chunks but the last carry an empty one.
        self._tail = b'],"usage":null}\n\n' if with_usage else b"]}\n\n"
        self._text_heads: dict[int, bytes] = {}

    def start(self, index: int) -> bytes:
        """The first chunk of an answer: who speaks."""
        return self._chunk(index, {"role": "assistant", "content": "", "refusal": None})

    def text(self, index: int, text: str, logprobs: list[Any] | None = None) -> bytes:
        """A piece of the text."""
        if logprobs is not None:
            return self._chunk(index, {"content": text}, logprobs={"content": logprobs, "refusal": None})
        head = self._text_heads.get(index)
        if head is None:
            head = self._head + b',"choices":[{"index":%d,"delta":{"content":' % index
            self._text_heads[index] = head
        return b'%b%b},"logprobs":null,"finish_reason":null}%b' % (head, orjson.dumps(text), self._tail)

    def refusal(self, index: int, text: str) -> bytes:
        """A piece of what the model says of why it will not answer."""
        return self._chunk(index, {"refusal": text})

    def calls(self, index: int, deltas: list[dict[str, Any]]) -> bytes:
        """Pieces of tool calls."""
        return self._chunk(index, {"tool_calls": deltas})

    def finish(self, index: int, reason: str | None) -> bytes:
        """The last chunk of an answer."""
        return self._chunk(index, {}, finish=reason or "stop")

    def usage(self, usage: Mapping[str, Any], told: Mapping[str, Any]) -> bytes:
        """The last chunk of a stream that tells its usage. `told`: what streams have no headers left to carry."""
        return self._head + b',"choices":[],"usage":%b,"genai":%b}\n\n' % (orjson.dumps(usage), orjson.dumps(told))

    def whole(self, choices: list[dict[str, Any]], usage: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a request that is not streamed."""
        return {
            "id": self._id,
            "object": "chat.completion",
            "created": self._created,
            "model": self._model,
            "choices": choices,
            "usage": usage,
        }

    def choice(self, index: int, flat: Mapping[str, Any]) -> dict[str, Any]:
        """One of the whole answers."""
        calls = calls_of(flat)
        text = flat["output"] or (None if calls else "")
        said = {"content": None, "refusal": text} if flat.get("refusal") else {"content": text, "refusal": None}
        message: dict[str, Any] = {"role": "assistant", **said}
        if calls:
            message["tool_calls"] = calls
        logprobs = {"content": flat["logprobs"], "refusal": None} if flat.get("logprobs") else None
        finish = flat.get("finish_reason") or "stop"
        return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": finish}

    def _chunk(
        self, index: int, delta: dict[str, Any], *, logprobs: dict[str, Any] | None = None, finish: str | None = None
    ) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return self._head + b',"choices":[' + orjson.dumps(choice) + self._tail


class CompletionFormat:
    """The same of `/v1/completions`."""

    def __init__(self, model: str, *, with_usage: bool = False) -> None:
        self._base = {"id": new_id("cmpl"), "object": "text_completion", "created": int(time.time()), "model": model}
        self._more = {"usage": None} if with_usage else {}

    def text(self, index: int, text: str) -> bytes:
        """A piece of the text."""
        return _event(self._base | {"choices": [_completion_choice(index, text, None)]} | self._more)

    def finish(self, index: int, reason: str | None) -> bytes:
        """The last chunk of an answer."""
        return _event(self._base | {"choices": [_completion_choice(index, "", reason or "stop")]} | self._more)

    def usage(self, usage: Mapping[str, Any], told: Mapping[str, Any]) -> bytes:
        """The last chunk of a stream that tells its usage."""
        return _event(self._base | {"choices": [], "usage": usage, "genai": told})

    def choice(self, index: int, flat: Mapping[str, Any], before: str = "") -> dict[str, Any]:
        """One of the whole answers, after `before`."""
        return _completion_choice(index, before + flat["output"], flat.get("finish_reason") or "stop")

    def whole(self, choices: list[dict[str, Any]], usage: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a request that is not streamed."""
        return self._base | {"choices": choices, "usage": usage}


def _completion_choice(index: int, text: str, finish: str | None) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish}


def error_event(error: PlatformError) -> bytes:
    """The last event of a stream that was cut: no `[DONE]` comes after it."""
    return _event(body_of(error))


def _event(data: Mapping[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(data) + b"\n\n"
