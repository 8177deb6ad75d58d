"""OpenAI's event streams, read: JSON objects from the blocks that arrive, and the errors that come within them."""

from typing import Any

import aiohttp
import httpx2
import openai
import orjson

from providers.usage import readable
from providers.wire import Lines

#: The SDK's errors want one; nobody reads it.
REQUEST = httpx2.Request("POST", "https://provider/chat/completions")


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object that an answer or an event is. Raises aiohttp.ClientPayloadError: it is none."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise aiohttp.ClientPayloadError("the answer is not JSON") from error
    if not isinstance(answer, dict):
        raise aiohttp.ClientPayloadError("the answer is not a JSON object")
    return answer


def error_event(error: Any) -> openai.APIError:
    """The error that the SDK would make of an error within a stream."""
    message = error.get("message") if isinstance(error, dict) else None
    text = message if isinstance(message, str) and message else "An error occurred during streaming"
    return openai.APIError(text, request=REQUEST, body=error)


class Events:
    """The JSON objects of a server-sent event stream, from the blocks that arrive. `ended` once `[DONE]` has come; `error` is
    that of an error event, or of one that is not JSON: what came before it counts."""

    __slots__ = ("_begun", "_lines", "ended", "error")

    def __init__(self) -> None:
        self._lines = Lines()
        self._begun: list[bytes] = []  # the lines of an event that goes on
        self.ended = False
        self.error: Exception | None = None

    def of(self, block: bytes) -> list[dict[str, Any]]:
        """The events that are whole with this block."""
        events: list[dict[str, Any]] = []
        for line in self._lines.of(block):
            if line.startswith(b"data:"):
                data = line[5:].strip()
                if not self._begun and data.startswith(b"[DONE]"):
                    self.ended = True
                    break
                event = self._of_line(data)
            else:
                event = self._of_lines() if self._begun and not line else None
            if self.error is not None:
                break
            if event is None:
                continue
            if event.get("error"):
                self.error = error_event(event["error"])
                break
            events.append(event)
        return events

    def _of_line(self, data: bytes) -> dict[str, Any] | None:
        """The event that a line of data is, as nearly every one; None for one that goes on: an empty line ends it."""
        if not self._begun:
            try:
                return parse(data)
            except aiohttp.ClientPayloadError:
                pass
        self._begun.append(data)
        return None

    def _of_lines(self) -> dict[str, Any] | None:
        """The event that has ended; None where it cannot be read."""
        data, self._begun = b"\n".join(self._begun), []
        try:
            return parse(data)
        except aiohttp.ClientPayloadError as error:
            self.error = error if data else None
            return None


def begins_json(block: bytes) -> bool:
    """Whether an answer that begins with this block is JSON and no event stream, in which no line begins so."""
    return block.lstrip()[:1] == b"{"


def whole_as_events(answer: dict[str, Any], *, ends_unnamed: bool = False) -> list[dict[str, Any]]:
    """The events of a stream that would have told a whole answer. `ends_unnamed`: one without a reason for its end is whole.

    Raises:
        openai.APIError: it is an error.
        aiohttp.ClientPayloadError: it is no answer.
    """
    if answer.get("error"):
        raise error_event(answer["error"])
    choices = answer.get("choices")
    if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
        raise aiohttp.ClientPayloadError("the answer has no choices")
    head = {name: value for name, value in answer.items() if name not in ("choices", "usage", "object")}
    events = [head | {"object": "chat.completion.chunk", "choices": [_as_delta(choice, ends_unnamed)]} for choice in choices]
    return [*events, head | {"object": "chat.completion.chunk", "choices": [], "usage": readable(answer.get("usage"))}]


def _as_delta(choice: dict[str, Any], ends_unnamed: bool) -> dict[str, Any]:
    """A choice of a whole answer as one of a stream; that of a text completion is one already."""
    message = choice.get("message")
    if not isinstance(message, dict):
        return choice
    made = {name: value for name, value in choice.items() if name != "message"} | {"delta": dict(message)}
    calls = message.get("tool_calls")
    if isinstance(calls, list):
        made["delta"]["tool_calls"] = [
            {**call, "index": number} if isinstance(call, dict) else call for number, call in enumerate(calls)
        ]
    if ends_unnamed and not made.get("finish_reason") and (message.get("content") or calls):
        made["finish_reason"] = "tool_calls" if calls else "stop"
    return made
