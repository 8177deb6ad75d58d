"""Answers that keep to a pydantic class or a JSON schema, parsed as OpenAI's SDK parses them.

The SDK's own parsers are used on what our transport received, so that `parsed` and every error are the same.
"""

from collections.abc import Iterable
from typing import Any

from openai import omit
from openai.lib._parsing import parse_chat_completion, type_to_response_format_param
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk


def wire_format(form: Any) -> Any:
    """A response format as it is sent: a pydantic class as its JSON schema, anything else as it is."""
    return type_to_response_format_param(form)


def parsed_answer(answer: dict[str, Any], form: Any, tools: Iterable[Any] | None) -> Any:
    """A whole answer as the SDK's `parse` gives it.

    Raises:
        pydantic.ValidationError: it does not keep to the class.
        openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError: it is not whole.
    """
    completion = ChatCompletion.construct(**answer)
    return parse_chat_completion(response_format=form, input_tools=tools or omit, chat_completion=completion)


class Parsed:
    """The events of a stream, put together for a pydantic class."""

    def __init__(self, form: type, tools: Iterable[Any] | None) -> None:
        self._state: Any = ChatCompletionStreamState(response_format=form, input_tools=tools or omit)

    def add(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            self._state.handle_chunk(ChatCompletionChunk.construct(**event))

    def whole(self) -> Any:
        """The answer as the SDK's `parse` gives it. Raises as `parsed_answer` does."""
        return self._state.get_final_completion()
