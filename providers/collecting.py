"""One answer out of the pieces of a stream: of LangChain's chunks, or, in half the time, of the events of OpenAI's protocol."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import add_ai_message_chunks
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from providers.call_numbers import CallNumbers, written
from providers.neutral import MISREAD, translating, unreadable

#: In a chunk's `generation_info`: the model gives something that is no part of the answer, as its reasoning is.
THINKS = "thinks"
#: The fields of a delta that LangChain makes a part of its chunk.
_OF_ANSWERS = frozenset({"role", "content", "refusal", "tool_calls", "function_call"})
_FINISH_NAMES = ("finish_reason", "stop_reason", "stopReason", "done_reason")


def finish_reason(chunk: ChatGeneration) -> str | None:
    """Why the answer ended, None in a chunk of one that goes on and where it does not say.

    Raises:
        ModelConnectionError: what is said is no word.
    """
    for source in (chunk.generation_info, chunk.message.response_metadata):
        if source:
            for name in _FINISH_NAMES:
                if value := source.get(name):
                    if not isinstance(value, str):
                        raise unreadable()
                    return value
    return None


def _text_of(content: Any) -> str:
    """The text of a piece of content, which some servers give in blocks. Raises TypeError or LookupError: it is neither."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise TypeError
    texts = [block if isinstance(block, str) else block["text"] for block in content if _is_text(block)]
    return "".join(texts)


def _is_text(block: Any) -> bool:
    return isinstance(block, str) or block["type"] == "text"


def thinks(event: dict[str, Any]) -> bool:
    """Whether an event of OpenAI's protocol tells something beside the answer."""
    choices = event.get("choices")
    delta: dict[str, Any] = (choices[0].get("delta") if choices else None) or {}
    return any(value for name, value in delta.items() if name not in _OF_ANSWERS)


def merged(chunks: list[ChatGenerationChunk]) -> ChatResult:
    """One generation of all the chunks of an answer."""
    messages = [chunk.message for chunk in chunks if isinstance(chunk.message, AIMessageChunk)]
    whole = add_ai_message_chunks(messages[0], *messages[1:])
    info: dict[str, Any] = {}
    logprobs: list[Any] = []
    for chunk in chunks:
        info |= chunk.generation_info or {}
        logprobs += ((chunk.generation_info or {}).get("logprobs") or {}).get("content") or ()
    if logprobs:
        info["logprobs"] = {"content": logprobs}
    message = AIMessage(
        content=whole.content,
        additional_kwargs=whole.additional_kwargs,
        response_metadata=whole.response_metadata | info,
        id=whole.id,
        tool_calls=whole.tool_calls,
        invalid_tool_calls=whole.invalid_tool_calls,
        usage_metadata=whole.usage_metadata,
    )
    return ChatResult(generations=[ChatGeneration(message=message, generation_info=info or None)])


def as_chunk(result: ChatResult) -> ChatGenerationChunk:
    """A whole answer as the only chunk of a stream."""
    generation = result.generations[0]
    message = cast("AIMessage", generation.message)
    chunk = AIMessageChunk(
        content=message.content,
        additional_kwargs=message.additional_kwargs,
        response_metadata=message.response_metadata,
        id=message.id,
        tool_calls=message.tool_calls,
        invalid_tool_calls=message.invalid_tool_calls,
        usage_metadata=message.usage_metadata,
        chunk_position="last",
    )
    return ChatGenerationChunk(message=chunk, generation_info=generation.generation_info)


class _Direct(Protocol):
    """What is used of a model that speaks OpenAI's protocol by our own transport."""

    path: str

    def _through_the_sdk(self, payload: dict[str, Any]) -> bool: ...
    def prepared(self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]) -> dict[str, Any]: ...
    def neutral(self, error: Exception) -> Exception: ...
    def events(self, path: str, payload: dict[str, Any]) -> AsyncGenerator[dict[str, Any]]: ...
    def used(self, answer: Mapping[str, Any]) -> ChatGeneration | None: ...
    def _create_chat_result(self, response: dict[str, Any]) -> ChatResult: ...


class Collector:
    """The events of a streamed chat completion, added up to the answer that was not streamed.

    A chunk of LangChain's costs some 15 µs, and nobody sees the pieces.
    """

    def __init__(self, model: _Direct, payload: dict[str, Any]) -> None:
        self._model, self._payload = model, payload
        self._head: dict[str, Any] = {}
        self._texts: list[str] = []
        self._refusals: list[str] = []
        self._calls: dict[int, dict[str, Any]] = {}
        self._numbers = CallNumbers()
        self._logprobs: dict[str, list[Any]] = {}
        self._finish: str | None = None
        self._usage: Any = None
        self._tier: Any = None
        self._more: dict[str, Any] = {}
        self._last: dict[str, Any] = {}

    @classmethod
    def of(
        cls, model: BaseChatModel, messages: list[BaseMessage], stop: list[str] | None, parameters: dict[str, Any]
    ) -> "Collector | None":
        """None where the model or the request has to go another way."""
        if not hasattr(model, "_through_the_sdk") or "response_format" in parameters:
            return None
        direct = cast("_Direct", model)
        payload = direct.prepared(messages, stop, parameters)
        if direct._through_the_sdk(payload):  # noqa: SLF001
            return None
        return cls(direct, payload | {"stream": True, "stream_options": {"include_usage": True}})

    @property
    def text(self) -> str:
        """What has come of the answer, as far as it is text."""
        return "".join(self._texts)

    @property
    def arguments(self) -> str:
        """What has come of its calls' arguments."""
        return "".join(call["function"]["arguments"] for call in self._calls.values())

    @property
    def finish(self) -> str | None:
        """The provider's reason for the end, once it has told it."""
        return self._finish

    def events(self) -> AsyncGenerator[dict[str, Any]]:
        """What the provider says. Iterate it within `translating`."""
        return self._model.events(self._model.path, self._payload)

    def translating(self) -> AbstractContextManager[None]:
        """Within it errors are those that the model itself raises."""
        return translating(self._model.neutral)

    def add(self, event: dict[str, Any]) -> bool:
        """Whether it tells anything of the answer. Of a server's own fields in a delta those that are texts are put together,
        as reasoning is.

        Raises:
            ModelConnectionError: it has not the form of an event.
        """
        try:
            return self._add(event)
        except MISREAD as error:
            raise unreadable() from error

    def _add(self, event: dict[str, Any]) -> bool:
        if not self._head:
            self._head = event
        if usage := event.get("usage"):
            self._usage = usage
        if tier := event.get("service_tier"):
            self._tier = tier
        choices = event.get("choices")
        if not choices:
            return False
        choice = choices[0]
        if reason := choice.get("finish_reason"):
            self._finish, self._last = reason, event
        for name, values in (choice.get("logprobs") or {}).items():
            if isinstance(values, list):
                self._logprobs.setdefault(name, []).extend(values)
        return self._add_delta(choice.get("delta") or {})

    def _add_delta(self, delta: dict[str, Any]) -> bool:
        tells = False
        for name, value in delta.items():
            if not value or name == "role":
                continue
            tells = True
            if name == "content":
                self._texts.append(_text_of(value))
            elif name == "refusal":
                self._refusals.append(value)
            elif name == "tool_calls":
                self._add_calls(value)
            elif isinstance(value, str):
                self._more[name] = self._more.get(name, "") + value
        return tells

    def used(self) -> ChatGeneration | None:
        """What the provider has said so far that was used, in a generation that says nothing else."""
        return self._model.used({**self._told(), "usage": self._usage}) if self._usage else None

    def _told(self) -> dict[str, Any]:
        """What its events tell beside their choices."""
        head = {name: value for name, value in self._head.items() if name not in ("choices", "usage", "object")}
        return head | ({"service_tier": self._tier} if self._tier else {}) | {"object": "chat.completion"}

    def result(self) -> ChatResult:
        """The answer as LangChain has it. Raises as `add` does.

        Raises:
            ContentRefused: the provider's policy ended it.
        """
        try:
            return self._result()
        except MISREAD as error:
            raise unreadable() from error

    def _result(self) -> ChatResult:
        from providers.openai_answers import complete, each_its_own, not_withheld

        message: dict[str, Any] = {"role": "assistant", "content": "".join(self._texts) or None, **self._more}
        message["refusal"] = "".join(self._refusals) or None
        if self._calls:
            message["tool_calls"] = [self._calls[index] for index in sorted(self._calls)]
        choice = {"index": 0, "message": message, "finish_reason": self._finish, "logprobs": self._logprobs or None}
        for named in (choice for choice in self._last.get("choices") or () if choice.get("content_filter_results")):
            choice["content_filter_results"] = named["content_filter_results"]
        answer = complete(self._told() | {"choices": [choice], "usage": self._usage})
        result = each_its_own(self._model._create_chat_result(answer), answer)  # noqa: SLF001
        not_withheld(result.generations[0], [self._last])
        return result

    def _add_calls(self, deltas: list[dict[str, Any]]) -> None:
        for delta in deltas:
            function = written(delta.get("function"))
            number = self._numbers.of(delta.get("index"), delta.get("id"), function.get("name"))
            call = self._calls.setdefault(number, {"type": "function", "function": {"name": "", "arguments": ""}})
            if identity := delta.get("id"):
                call.setdefault("id", identity)
            name = function.get("name") or ""
            if name != call["function"]["name"]:  # some servers tell it with each piece
                call["function"]["name"] += name
            call["function"]["arguments"] += function.get("arguments") or ""
