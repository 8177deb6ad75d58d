"""OpenAI's event streams, read: JSON objects from the blocks that arrive, and the errors that come within them."""

from typing import Any

import aiohttp
import httpx2
import openai
import orjson

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

    __slots__ = ("_lines", "ended", "error")

    def __init__(self) -> None:
        self._lines = Lines()
        self.ended = False
        self.error: Exception | None = None

    def of(self, block: bytes) -> list[dict[str, Any]]:
        """The events that are whole with this block."""
        events: list[dict[str, Any]] = []
        for line in self._lines.of(block):
            if not line.startswith(b"data:"):
                continue
            data = line[5:].strip()
            if data.startswith(b"[DONE]"):
                self.ended = True
                break
            try:
                event = parse(data)
            except aiohttp.ClientPayloadError as error:
                self.error = error
                break
            if event.get("error"):
                self.error = error_event(event["error"])
                break
            events.append(event)
        return events
