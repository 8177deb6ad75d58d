"""What a line must not hold is taken out here, whoever wrote it: credentials, values of validation errors, endless texts."""

import sys
from collections.abc import Mapping, MutableMapping
from functools import lru_cache
from typing import Any

from structlog.tracebacks import ExceptionDictTransformer

from core.redaction import credentials

Event = MutableMapping[str, Any]

#: Fields that the platform makes itself, of known form.
_OWN = frozenset({"timestamp", "level", "stream", "event", "principal", "tenant", "trace_id", "span_id", "job_id", "key_id"})
#: An identifier that was made here, not the caller's own, which could be anything.
_MADE_ID = "req_"
_MADE_ID_LENGTH = 28
_MOST_CHARACTERS = 2_000
_MOST_OF_A_CAUSE = 500
_CUT = "…"
#: Nothing that is shorter is known for a secret by its form, and names with a value behind them have a sign between.
_SHORTEST = 15

_frames = ExceptionDictTransformer(show_locals=False, max_frames=20)


def structured(event: Event) -> None:
    """`exc_info`, in whatever form, becomes `exception`: type, text and frames of each, without local variables."""
    given = event.pop("exc_info", None)
    event.pop("stack_info", None)
    if not given:
        return
    if isinstance(given, BaseException):
        given = (type(given), given, given.__traceback__)
    elif not isinstance(given, tuple):
        given = sys.exc_info()
    if given[0] is None:
        return
    event["exception"] = [_without_values(one) for one in _frames(given)]


def _without_values(exception: dict[str, Any]) -> dict[str, Any]:
    """Validation errors print what they were given: only their type and place stay."""
    if "Validation" in str(exception.get("exc_type")):
        exception["exc_value"] = "(not logged)"
        exception.pop("exc_notes", None)
    else:
        exception["exc_value"] = harmless(str(exception.get("exc_value") or ""), most=_MOST_OF_A_CAUSE)
        exception["exc_notes"] = [harmless(str(note), most=_MOST_OF_A_CAUSE) for note in exception.get("exc_notes") or ()]
    inner = exception.get("exceptions") or []
    exception["exceptions"] = [[_without_values(one) for one in each] for each in inner]
    return {name: value for name, value in exception.items() if value not in ([], None, "", False) or name == "exc_value"}


def clean(event: Event) -> None:
    """Take out of every text what looks like a credential, and cut what is endless."""
    for name, value in event.items():
        if name in _OWN or name == "exception":
            continue
        if isinstance(value, str):
            if len(value) < _SHORTEST and "=" not in value and ":" not in value:
                continue
            if name == "request_id" and len(value) == _MADE_ID_LENGTH and value.startswith(_MADE_ID):
                continue
            event[name] = harmless(value)
        elif value is not None and not isinstance(value, int | float):
            event[name] = _cleaned(value)


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return harmless(value)
    if isinstance(value, Mapping):
        return {name: _cleaned(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(each) for each in value]
    if isinstance(value, BaseException):  # its text is nobody's promise
        return type(value).__name__
    return value


def harmless(text: str, *, most: int = _MOST_CHARACTERS) -> str:
    """The text without what looks like a credential, and not endless."""
    if len(text) > most:
        text = text[:most] + _CUT
    return _known(text) if len(text) <= _MOST_OF_A_CAUSE else _redacted(text)


def _redacted(text: str) -> str:
    for found in sorted(credentials.find(text), key=lambda found: found.start, reverse=True):
        text = text[: found.start] + _CUT + text[found.end :]
    return text


#: Most texts are few and come again: names of routes, models, providers. Looking for credentials takes 2 µs a character.
_known = lru_cache(maxsize=4096)(_redacted)
