"""Where the platform tells what it does. Cheap to import: OpenTelemetry is loaded where traces are sent."""

import asyncio
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from core.errors import PlatformError

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from core.traces.sending import Tracing

Attributes = Mapping[str, str | int | float | bool | list[str]]


class Kind(StrEnum):
    """What a span stands for, by OpenTelemetry's names."""

    INTERNAL = "INTERNAL"
    CLIENT = "CLIENT"
    PRODUCER = "PRODUCER"
    CONSUMER = "CONSUMER"


#: The option of a message in which it is carried where it came from.
CARRIED = "traceparent"

_tracing: "Tracing | None" = None


def connect(tracing: "Tracing | None") -> None:
    """Let this process record into a tracing; None: record nothing."""
    global _tracing
    _tracing = tracing


def connected() -> "Tracing | None":
    """What is recorded into."""
    return _tracing


def are_on() -> bool:
    """Whether any request may be recorded."""
    return _tracing is not None


def has_content() -> bool:
    """Whether spans are to hold what was asked and answered."""
    return _tracing is not None and _tracing.content


def current() -> "Span | None":
    """The current span; None where it is not recorded."""
    return None if _tracing is None else _tracing.current()


def trace_id() -> str | None:
    """The identifier of the current trace, in hexadecimal; None where there is none."""
    return None if _tracing is None else _tracing.trace_id()


def carried() -> str | None:
    """The current span as W3C's `traceparent`, for what goes on elsewhere; None where there is none."""
    return None if _tracing is None else _tracing.carried()


def outward() -> str | None:
    """As `carried`, for who is not of the platform; None where the settings keep it from them."""
    return None if _tracing is None or not _tracing.settings.tell_providers else _tracing.carried()


def begin(name: str, attributes: Attributes | None = None, *, kind: Kind = Kind.INTERNAL) -> "Span | None":
    """A new span below the current one; None where that is not recorded. It does not become the current one."""
    return None if _tracing is None else _tracing.begin(name, attributes, kind)


def fail(told: "Span", error_type: str) -> None:
    """Mark a span as failed, by a stable code or the name of a class: never by a message."""
    if _tracing is not None:
        _tracing.fail(told, error_type)


def end(told: "Span | None", error: BaseException | None = None) -> None:
    """End a span. An error marks it; being cancelled, or given up by who reads it, is none."""
    if told is not None:
        mark(told, error)
        told.end()


def mark(told: "Span", error: BaseException | None) -> None:
    """Note how what a span stands for went, without ending it."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        told.set_attribute("genai.cancelled", True)
    elif error is not None:
        fail(told, error.code if isinstance(error, PlatformError) else type(error).__name__)


class within:  # noqa: N801 - used as the function that it would otherwise be
    """Make a span the current one for the block; None changes nothing. The block must not be left by a `yield`."""

    __slots__ = ("_span", "_token")

    def __init__(self, told: "Span | None") -> None:
        self._span = told

    def __enter__(self) -> None:
        if self._span is not None and _tracing is not None:
            self._token = _tracing.enter(self._span)

    def __exit__(self, *_: object) -> None:
        if self._span is not None and _tracing is not None:
            _tracing.leave(self._token)


class span:  # noqa: N801 - as above
    """A new span below the current one, which is the current one for the block; None where the current one is not recorded."""

    __slots__ = ("_attributes", "_kind", "_name", "_span", "_within")

    def __init__(self, name: str, attributes: Attributes | None = None, *, kind: Kind = Kind.INTERNAL) -> None:
        self._name, self._attributes, self._kind = name, attributes, kind

    def __enter__(self) -> "Span | None":
        return self._entered(None if _tracing is None else _tracing.begin(self._name, self._attributes, self._kind))

    def _entered(self, begun: "Span | None") -> "Span | None":
        self._span = begun
        if begun is not None:
            self._within = within(begun)
            self._within.__enter__()
        return begun

    def __exit__(self, _kind: Any, error: BaseException | None, _traceback: Any) -> None:
        if self._span is not None:
            self._within.__exit__()
            end(self._span, error)


class joining(span):  # noqa: N801 - as above
    """Work that was asked for elsewhere, for the block: below the span that `traceparent` tells, in a trace of its own where it
    tells none. Whether it is recorded is decided with that trace. `link`: another `traceparent` that led here."""

    __slots__ = ("_link", "_traceparent")

    def __init__(
        self, name: str, traceparent: str | None, *, link: str | None = None, attributes: Attributes | None = None
    ) -> None:
        super().__init__(name, attributes)
        self._traceparent, self._link = traceparent, link

    def __enter__(self) -> "Span | None":
        return self._entered(
            None if _tracing is None else _tracing.join(self._name, self._traceparent, self._link, self._attributes)
        )
