"""A chat model's reply as a capability yields it: pieces as they come, then the whole, whichever provider answered."""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, InvalidToolCall, ToolCall
from langchain_core.messages.ai import add_ai_message_chunks, add_usage
from langchain_core.messages.tool import invalid_tool_call as create_invalid_tool_call
from langchain_core.messages.tool import tool_call as create_tool_call
from langchain_core.outputs import ChatGenerationChunk

from chains.spec import Delta
from core.context import current

#: The clouds' names for why an answer ended, by ours, which are OpenAI's. As their API references list them, November 2026:
#: Anthropic and Bedrock (stop_reason), Gemini (finishReason), Ollama (done_reason).
_FINISHES = {
    "stop": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "complete": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
    "refusal": "content_filter",
    "safety": "content_filter",
    "recitation": "content_filter",
    "blocklist": "content_filter",
    "prohibited_content": "content_filter",
    "spii": "content_filter",
}
_OF_A_TOKEN = frozenset({"token", "logprob", "bytes"})
_FINISH_NAMES = ("finish_reason", "stop_reason", "stopReason", "done_reason")


async def answered(model: BaseChatModel, prompt: Sequence[BaseMessage], parameters: dict[str, Any]) -> AsyncGenerator[Delta]:
    """The reply of `model`. Deltas carry text, and in `data` what else a piece tells; the last has an `AIMessage` as `final`.

    `data`: `tool_call_chunks` (LangChain's), `logprobs` (OpenAI's, of the piece's tokens), `usage_metadata`, and `refusal`: the
    text, from here on, says why the model will not answer. The final message's `finish_reason` is one of OpenAI's, its
    `logprobs` are of all tokens.
    """
    named = dict(parameters)
    stop = named.pop("stop", None)
    if current().whole:
        message = await _whole(model, list(prompt), stop, named)
        if message.usage_metadata and len(message.usage_metadata) > 3:
            yield Delta(data={"usage_metadata": message.usage_metadata})
        yield Delta(final=message)
        return
    pieces: list[AIMessageChunk] = []
    metadata: dict[str, Any] = {}
    logprobs: list[Any] = []
    # the extension points of a chat model: the capability's run is the one that callers see, and a second costs 0.2 ms
    chunks = cast("AsyncGenerator[ChatGenerationChunk]", model._astream(list(prompt), stop, None, **named))  # noqa: SLF001
    async with aclosing(chunks):
        async for chunk in chunks:
            piece = cast("AIMessageChunk", chunk.message)
            pieces.append(piece)
            data = _told(piece, chunk.generation_info)
            logprobs += data.get("logprobs", ())
            metadata |= chunk.generation_info or {}
            metadata |= piece.response_metadata | ({"refusal": True} if "refusal" in data else {})
            text = _text(piece)
            if text or data:
                yield Delta(text=text, data=data)
    yield Delta(final=_final(_joined(pieces), metadata, logprobs))


async def _whole(model: BaseChatModel, prompt: list[BaseMessage], stop: list[str] | None, named: dict[str, Any]) -> AIMessage:
    result = await model._agenerate(prompt, stop, None, **named)  # noqa: SLF001
    generation = result.generations[0]
    message = cast("AIMessage", generation.message)
    metadata = message.response_metadata | (generation.generation_info or {})
    return _final(message, metadata, _as_openai_tells((metadata.get("logprobs") or {}).get("content") or ()))


def _as_openai_tells(logprobs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each token's, without what a server adds of its own (llama.cpp: the token's number)."""
    return [
        {
            **{name: value for name, value in each.items() if name in _OF_A_TOKEN},
            "top_logprobs": [
                {name: value for name, value in other.items() if name in _OF_A_TOKEN}
                for other in each.get("top_logprobs") or ()
            ],
        }
        for each in logprobs
    ]


def _told(piece: AIMessageChunk, info: dict[str, Any] | None) -> dict[str, Any]:
    """What a piece tells beside its text."""
    data: dict[str, Any] = {}
    if piece.tool_call_chunks:
        data["tool_call_chunks"] = piece.tool_call_chunks
    logprobs = (info or {}).get("logprobs") or piece.response_metadata.get("logprobs")
    if logprobs and logprobs.get("content"):
        data["logprobs"] = _as_openai_tells(logprobs["content"])
    if _refuses(piece):
        data["refusal"] = True
    if piece.usage_metadata:
        data["usage_metadata"] = piece.usage_metadata
    return data


def _text(message: AIMessage) -> str:
    """Its text: where it has none, the words with which the model says that it will not answer."""
    content = message.content
    text = content if isinstance(content, str) else message.text
    return text or str(message.additional_kwargs.get("refusal") or "")


def _refuses(message: AIMessage) -> bool:
    return not message.content and bool(message.additional_kwargs.get("refusal"))


def _joined(pieces: list[AIMessageChunk]) -> AIMessage:
    """The whole of a stream. LangChain's own sum is exact and slow (30 µs a piece): it serves where there are tool calls."""
    if any(piece.tool_call_chunks for piece in pieces):
        return _with_whole_calls(add_ai_message_chunks(pieces[0], *pieces[1:]))
    usage = None
    for piece in pieces:
        if piece.usage_metadata:
            usage = add_usage(usage, piece.usage_metadata)
    return AIMessage("".join(map(_text, pieces)), usage_metadata=usage)


def _with_whole_calls(message: AIMessageChunk) -> AIMessage:
    """The message with its tool calls. LangChain makes a call of half its arguments, too: a call that was cut off is none."""
    calls: list[ToolCall] = []
    broken: list[InvalidToolCall] = []
    for chunk in message.tool_call_chunks:
        name, identifier, said = chunk["name"] or "", chunk["id"], chunk["args"] or "{}"
        try:
            arguments = json.loads(said)
        except ValueError:
            arguments = None
        if isinstance(arguments, dict):
            calls.append(create_tool_call(name=name, args=arguments, id=identifier))
        else:
            broken.append(create_invalid_tool_call(name=name, args=said, id=identifier, error="no JSON object"))
    return AIMessage(_text(message), tool_calls=calls, invalid_tool_calls=broken, usage_metadata=message.usage_metadata)


def _final(message: AIMessage, metadata: dict[str, Any], logprobs: list[Any] | None) -> AIMessage:
    told: dict[str, Any] = {"logprobs": {"content": logprobs}} if logprobs else {}
    if finish := finish_of(metadata, calls=bool(message.tool_calls or message.invalid_tool_calls)):
        told["finish_reason"] = finish
    if metadata.get("refusal") or _refuses(message):
        told["refusal"] = True
    return AIMessage(
        _text(message),
        tool_calls=message.tool_calls,
        invalid_tool_calls=message.invalid_tool_calls,
        usage_metadata=message.usage_metadata,
        response_metadata=told,
    )


def finish_of(metadata: Mapping[str, Any], *, calls: bool = False) -> str | None:
    """Why an answer ended, in OpenAI's words; None where its provider did not say."""
    said = next((str(metadata[name]) for name in _FINISH_NAMES if metadata.get(name)), None)
    finish = None if said is None else _FINISHES.get(said.lower(), "stop")
    return "tool_calls" if calls and finish == "stop" else finish  # Gemini ends a call with STOP
