"""What a server of OpenAI's protocol takes of the fields that the platform itself adds to a request: `stream` and
`stream_options`. Some refuse either with 400: OpenAI streams some models to verified organisations alone, and older servers do
not know `stream_options`. Such a request is sent again without the field, and the server is known for it."""

import re
import time
from collections.abc import Mapping
from typing import Any

#: Seconds for which a refusal is believed. Then a field is sent again: an organisation may have been verified.
BELIEVED_S = 3600.0
#: The statuses with which servers refuse a field.
REFUSING = frozenset({400, 422})
_OPTIONS = "stream_options"
#: Of such requests the refusal may be of what else they ask for, together with a stream.
_MORE_THAN_TEXT = frozenset({"tools", "response_format", "logprobs", "n", "audio", "modalities"})
_ABOUT_STREAMS = re.compile(r"\bstream(?:ed|ing|s)?\b", re.IGNORECASE)


def refused_field(body: Any) -> str | None:
    """`stream` or `stream_options`, where an error's body is about it; else None."""
    error = body if isinstance(body, dict) else {"message": body if isinstance(body, str) else ""}
    param = error.get("param")
    if _OPTIONS in (told := str(error)):
        return _OPTIONS
    if isinstance(param, str) and param:
        return "stream" if param == "stream" else None
    return "stream" if _ABOUT_STREAMS.search(told) else None


class Streaming:
    """Of one model of a server. Both fields are sent until they are refused."""

    __slots__ = ("_no_options_until", "_whole_until")

    def __init__(self) -> None:
        self._no_options_until = self._whole_until = 0.0

    @property
    def options(self) -> bool:
        """Whether `stream_options` is sent."""
        return time.monotonic() >= self._no_options_until

    @property
    def streams(self) -> bool:
        """Whether `stream` is sent."""
        return time.monotonic() >= self._whole_until

    def fitted(self, payload: Mapping[str, Any], *, options: bool = True) -> dict[str, Any]:
        """A request for a stream as the server takes it. `options`: whether the operator lets it be asked for the usage."""
        if not self.streams:
            return without(payload, "stream")
        return dict(payload) if options and self.options else without(payload, _OPTIONS)

    def learn(self, field: str, payload: Mapping[str, Any], body: Any) -> None:
        """The request, which was answered, was refused with `body` as long as it had the field."""
        until = time.monotonic() + BELIEVED_S
        if field == _OPTIONS:
            self._no_options_until = until
        elif (isinstance(body, dict) and body.get("param") == "stream") or not payload.keys() & _MORE_THAN_TEXT:
            self._whole_until = until


def without(payload: Mapping[str, Any], field: str) -> dict[str, Any]:
    """The request without the field; without `stream` it has no options for one either."""
    return {name: value for name, value in payload.items() if name not in (field, _OPTIONS)}
