"""Personal data in what a model is sent and what it answers: handled before anything leaves, put back in what comes.

It stands before the response cache: what is kept and shared has pseudonyms alone.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import orjson
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import invalid_tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from core.context import current
from core.policies.policy import Place
from core.policies.privacy import Passing, Privacy, record_of
from core.redaction.replacement import JSONPseudonyms, Pseudonyms
from core.redaction.streaming import StreamRestorer
from core.redaction.structures import as_json, dumped
from providers.collecting import finish_reason

Chunks = AsyncGenerator[ChatGenerationChunk]
#: Texts within messages that are no address of an image.
_TEXTS = ("text", "input_text", "output_text")


async def protected(privacy: Privacy, messages: list[BaseMessage]) -> list[BaseMessage]:
    """The messages as they may leave; the same where no policy says otherwise.

    Raises:
        PersonalDataBlocked, TooLarge
    """
    modes = privacy.modes(Place.PROMPTS, Place.RETRIEVED)
    if not modes:
        return messages
    passing = privacy.passing(modes)
    for message in messages:
        passing.reserve(message.text)
        for call in _written_calls(message):
            passing.reserve(call["function"].get("arguments") or "")
    handled = [await _message(passing, message) for message in messages]
    passing.told()
    return handled


async def protected_text(privacy: Privacy, text: str) -> str:
    """The same for a text that goes beside messages."""
    modes = privacy.modes(Place.PROMPTS, Place.RETRIEVED)
    if not modes:
        return text
    passing = privacy.passing(modes)
    handled = await passing.text(text)
    passing.told()
    return handled


async def protected_texts(privacy: Privacy, texts: list[str], place: Place) -> list[str]:
    """Texts that are to be embedded: what would get a pseudonym is taken out, since vectors are compared over all time."""
    modes = privacy.modes(place, capability=current().capability or "rag")
    if not modes:
        return texts
    passing = privacy.passing(modes, first=place, for_good=True)
    handled = [await passing.text(text) for text in texts]
    passing.told()
    return handled


async def _message(passing: Passing, message: BaseMessage) -> BaseMessage:
    news: dict[str, Any] = {}
    content = message.content
    if isinstance(content, str):
        if (text := await passing.text(content)) != content:
            news["content"] = text
    else:
        news["content"] = await _blocks(passing, content)
    if isinstance(message, AIMessage) and message.tool_calls:
        news |= await _calls(passing, message)
    if message.name and await passing.text(message.name) != message.name:
        news["name"] = None  # providers take no brackets in it
    return message.model_copy(update=news) if news else message


def _written_calls(message: BaseMessage) -> list[Any]:
    """Earlier calls of tools as the model wrote them, which providers are sent in place of the parsed ones."""
    return (message.additional_kwargs.get("tool_calls") or []) if isinstance(message, AIMessage) else []


async def _calls(passing: Passing, message: AIMessage) -> dict[str, Any]:
    written = _written_calls(message)
    if not written:
        return {"tool_calls": [call | {"args": await passing.value(call["args"])} for call in message.tool_calls]}
    calls, news = [], []
    for call, each in zip(message.tool_calls, written, strict=True):
        arguments = each["function"].get("arguments") or ""
        handled = await passing.text(arguments)
        if handled != arguments:
            call, each = call | {"args": as_json(handled) or {}}, each | {"function": each["function"] | {"arguments": handled}}
        calls.append(call)
        news.append(each)
    return {"tool_calls": calls, "additional_kwargs": message.additional_kwargs | {"tool_calls": news}}


async def _blocks(passing: Passing, blocks: Sequence[Any]) -> list[Any]:
    """Blocks of a message as they may pass. One whose text is all of a value that begins before it is left out: providers
    take no empty ones."""
    texts = [text for block in blocks if (text := _text_of(block)) is not None]
    handled = iter(zip(texts, await passing.parts(texts), strict=True))
    made: list[Any] = []
    for block in blocks:
        if _text_of(block) is None:
            made.append(block)
            continue
        before, text = next(handled)
        if text or not before:
            made.append(text if isinstance(block, str) else block | {"text": text})
    return made


def _text_of(block: Any) -> str | None:
    if isinstance(block, str):
        return block
    if isinstance(block, dict) and block.get("type") in _TEXTS and isinstance(block.get("text"), str):
        return str(block["text"])
    return None


def restoring() -> Pseudonyms | None:
    """The pseudonyms that the request has given to what it sent; None where it has given none."""
    record = current().privacy
    return record_of(current()).restoring if record is not None and record.given else None


def restored_result(result: ChatResult, given: Pseudonyms, *, json: bool) -> ChatResult:
    """A whole answer with the values back. `json`: its text is to be a JSON document."""
    return ChatResult(
        generations=[
            ChatGeneration(message=_restored(one.message, given, json=json), generation_info=one.generation_info)
            for one in result.generations
        ],
        llm_output=result.llm_output,
    )


def _restored(message: BaseMessage, given: Pseudonyms, *, json: bool) -> BaseMessage:
    text = message.text
    news: dict[str, Any] = {"content": _writer(given, json=json or is_json(text)).restore(text)}
    if isinstance(message, AIMessage):
        news["tool_calls"] = [call | {"args": restored_value(call["args"], given)} for call in message.tool_calls]
        written = _writer(given, json=True)
        news["invalid_tool_calls"] = [
            invalid_tool_call(name=call["name"], args=written.restore(call["args"] or ""), id=call["id"], error=call["error"])
            for call in message.invalid_tool_calls
        ]
    return message.model_copy(update=news)


async def restored_chunks(chunks: Chunks, given: Pseudonyms, *, json: bool) -> Chunks:
    """A stream with the values back, also of pseudonyms that are split over chunks. Calls of tools come whole, at their end."""
    text: StreamRestorer | None = None
    calls = _Calls()
    async with aclosing(chunks):
        async for chunk in chunks:
            message: Any = chunk.message
            calls.add(message.tool_call_chunks)
            said = chunk.text
            if text is None and said.strip():
                text = StreamRestorer(_writer(given, json=json or is_json(said)))
            if text is not None:
                said = text.feed(said)
            last = finish_reason(chunk) is not None
            if last:
                said += text.finish() if text is not None else ""
                text = None
            news = {"content": said, "tool_call_chunks": calls.whole(given) if last else [], "tool_calls": []}
            if said or not chunk.text or message.usage_metadata or last:
                yield ChatGenerationChunk(message=_copy(message, news), generation_info=chunk.generation_info)
    said, rest = text.finish() if text is not None else "", calls.whole(given)
    if said or rest:
        yield ChatGenerationChunk(message=AIMessageChunk(content=said, tool_call_chunks=rest))


def _copy(message: AIMessageChunk, news: dict[str, Any]) -> AIMessageChunk:
    return AIMessageChunk(
        content=news["content"],
        additional_kwargs=message.additional_kwargs,
        id=message.id,
        tool_call_chunks=news["tool_call_chunks"],
        usage_metadata=message.usage_metadata,
        response_metadata=message.response_metadata,
        chunk_position=message.chunk_position,
    )


def restored_value(value: Any, given: Pseudonyms) -> Any:
    """A value of JSON with the values back in its strings."""
    if isinstance(value, str):
        return given.restore(value)
    if isinstance(value, dict):
        return {given.restore(name): restored_value(item, given) for name, item in value.items()}
    if isinstance(value, list):
        return [restored_value(item, given) for item in value]
    return value


def is_json(text: str) -> bool:
    """Whether an answer that begins so looks like a JSON document."""
    return text.lstrip().startswith(("{", "[", "```json"))


def _writer(given: Pseudonyms, *, json: bool) -> Pseudonyms:
    return JSONPseudonyms(given.mapping) if json else given


class _Calls:
    """The tool calls of a stream, gathered from their pieces."""

    def __init__(self) -> None:
        self._pieces: dict[Any, dict[str, Any]] = {}
        self._last: Any = None

    def add(self, pieces: Sequence[Any]) -> None:
        for piece in pieces:
            key = piece.get("index") if piece.get("index") is not None else piece.get("id") or self._last
            known = self._pieces.get(key)
            if known is not None and piece.get("id") and known["id"] and piece["id"] != known["id"]:
                key, known = (key, piece["id"]), None  # the number of another call, come again
            if known is None:
                known = self._pieces.setdefault(key, {"name": None, "id": None, "args": ""})
            self._last = key
            known["name"] = known["name"] or piece.get("name")
            known["id"] = known["id"] or piece.get("id")
            known["args"] += piece.get("args") or ""

    def whole(self, given: Pseudonyms) -> list[Any]:
        """The calls so far, with the values back; each is given once."""
        made = [
            tool_call_chunk(name=call["name"], args=_arguments(call["args"], given), id=call["id"], index=number)
            for number, call in enumerate(self._pieces.values())
        ]
        self._pieces.clear()
        return made


def _arguments(text: str, given: Pseudonyms) -> str:
    try:
        return dumped(restored_value(orjson.loads(text or "{}"), given))
    except orjson.JSONDecodeError:
        return _writer(given, json=True).restore(text)
