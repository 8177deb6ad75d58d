"""What both transports of OpenAI's protocol have: the request as it is written, and what a server is known to take of it."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar

import openai
from langchain_core.exceptions import ModelError
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_openai.chat_models.base import BaseChatOpenAI
from pydantic import Field, PrivateAttr

from providers.call_numbers import place_of, written
from providers.collecting import THINKS, thinks
from providers.neutral import MISREAD
from providers.openai_answers import refusal_of, with_readable_usage, without_words
from providers.openai_errors import declined
from providers.openai_streaming import REFUSING, Streaming, refused_field, without
from providers.tiers import mark
from providers.usage import AddingUp, add_images, readable


class AsWritten(AddingUp, BaseChatOpenAI):
    """What both transports have. Sends earlier tool calls on as the model wrote them, where a message has that: put together
    again from parsed arguments they would be another prompt, which no provider's cache knows, and cut ones would be lost. Marks
    chunks of reasoning, of which LangChain tells nothing. `path` takes chat completions."""

    #: Whether its answers always name the reason for their end.
    names_ends: ClassVar[bool] = True

    path: str = Field("/chat/completions", exclude=True)
    _streaming: Streaming = PrivateAttr(default_factory=Streaming)

    def ends_unnamed(self, generation: ChatGeneration) -> bool:
        """Whether an answer that came in one piece is whole although it names no reason for its end. OpenAI's always do."""
        return False

    def _through_the_sdk(self, payload: dict[str, Any]) -> bool:
        return bool(self.include_response_headers) or self._use_responses_api(payload)

    def _get_request_payload(self, input_: Any, *, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        payload: dict[str, Any] = super()._get_request_payload(input_, stop=stop, **kwargs)
        if isinstance(input_, list) and "messages" in payload:
            for message, sent in zip(input_, payload["messages"], strict=False):
                calls = message.additional_kwargs.get("tool_calls") if isinstance(message, AIMessage) else None
                if calls and sent.get("tool_calls"):
                    sent["tool_calls"] = calls
        return payload

    def _fitted(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """A request for a stream as the server is known to take it."""
        return self._streaming.fitted(payload, options=self.stream_usage is not False)

    def _less(
        self, payload: dict[str, Any], error: openai.APIStatusError, refused: list[tuple[str, Any]]
    ) -> dict[str, Any] | None:
        """The request without the field of the platform's own that the error is about, which `refused` keeps; None where it is
        about none.

        Raises:
            Declined: the request has no such field any more.
        """
        field = refused_field(error.body) if error.status_code in REFUSING else None
        if field is None:
            return None
        if field not in payload:
            raise declined(error, str(error.message)) from error
        refused.append((field, error.body))
        return without(payload, field)

    def _learn(self, refused: list[tuple[str, Any]], payload: Mapping[str, Any]) -> None:
        for field, body in refused:
            self._streaming.learn(field, payload, body)
        refused.clear()

    def _convert_chunk_to_generation_chunk(self, chunk: dict[str, Any], *more: Any) -> ChatGenerationChunk | None:
        for choice in chunk.get("choices") or ():
            if choice.get("delta") is None and choice.get("finish_reason"):
                choice["delta"] = {}  # langchain-openai passes over an end without one
            for call in (choice.get("delta") or {}).get("tool_calls") or ():
                # without an `index`, which the SDK's types add, langchain-openai passes over the calls
                call["index"] = place_of(call.get("index"))
                call["function"] = written(call.get("function"))
        if usage := chunk.get("usage"):
            chunk = chunk | {"usage": readable(usage)}
        converted: ChatGenerationChunk | None = super()._convert_chunk_to_generation_chunk(chunk, *more)
        if converted is not None and thinks(chunk):
            converted.generation_info = {**(converted.generation_info or {}), THINKS: True}
        if converted is not None and (words := refusal_of(chunk)):
            converted.message.additional_kwargs["refusal"] = words
        if converted is not None:
            mark(converted, chunk.get("service_tier"))
            add_images(converted.message, chunk.get("usage"))
        return converted

    def used(self, answer: Mapping[str, Any]) -> ChatGeneration | None:
        """What an answer says that it used, as a generation that says nothing else; None where that cannot be read."""
        with suppress(ModelError, *MISREAD):
            return self._create_chat_result(without_words(answer)).generations[0]
        return None

    def _create_chat_result(self, response: Any, generation_info: dict[str, Any] | None = None) -> ChatResult:
        result = super()._create_chat_result(with_readable_usage(response), generation_info)
        said = (
            response if isinstance(response, dict) else response.model_dump(include={"service_tier", "usage"}, warnings=False)
        )
        for generation in result.generations:
            mark(generation, said.get("service_tier"))
            add_images(generation.message, said.get("usage"))
        return result


class OfOthers(BaseChatOpenAI):
    """For servers other than OpenAI's, which know `max_tokens` and may not know its successor `max_completion_tokens`. Some may
    leave out the reason for the end: Ollama, vLLM and OpenRouter declare it optional (November 2026)."""

    names_ends: ClassVar[bool] = False

    def ends_unnamed(self, generation: ChatGeneration) -> bool:
        message: Any = generation.message
        return bool(message.content or message.tool_calls or message.invalid_tool_calls)

    def _get_request_payload(self, input_: Any, *, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        payload: dict[str, Any] = super()._get_request_payload(input_, stop=stop, **kwargs)
        if "max_completion_tokens" in payload:
            payload["max_tokens"] = payload.pop("max_completion_tokens")
        return payload
