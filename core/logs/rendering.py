"""A line's two looks: JSON for programs, colours for a person at a terminal."""

import json
from collections.abc import Callable, MutableMapping
from typing import Any

import orjson
import structlog

Event = MutableMapping[str, Any]
Render = Callable[[Event], str]


def as_json(event: Event) -> str:
    """One line, whatever the values are."""
    try:
        return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # half of a surrogate pair, or a number beyond 64 bits
        return json.dumps(event, default=str)


def pretty(*, colours: bool) -> Render:
    """For a terminal: what a caller has sent cannot steer it."""
    console = structlog.dev.ConsoleRenderer(colors=colours, pad_event_to=24)

    def render(event: Event) -> str:
        shown = {name: _visible(value) for name, value in event.items() if name not in ("exception", "stream")}
        if event["stream"] != "application":
            shown["event"] = f"{event['stream']}: {shown['event']}"
        lines = str(console(None, "", shown))
        return "\n".join([lines, *_traceback(event.get("exception") or [])])

    return render


def _visible(value: Any) -> Any:
    return value.encode("unicode_escape").decode() if isinstance(value, str) and not value.isprintable() else value


def _traceback(exceptions: list[dict[str, Any]]) -> list[str]:
    lines = []
    for exception in exceptions:
        lines.append(f"  {exception['exc_type']}: {_visible(exception.get('exc_value', ''))}")
        lines += [f"    {each['filename']}:{each['lineno']} {each['name']}" for each in exception.get("frames", ())]
    return lines
