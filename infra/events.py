"""Reading server-sent events off a response, for tests and measurements."""

import json
from collections.abc import Iterator
from typing import Any

import httpx


def events(response: httpx.Response) -> Iterator[tuple[str, Any]]:
    """Each event's name and its data, parsed where it is JSON; comments (heartbeats) are passed over."""
    name, data = "message", list[str]()
    for line in response.iter_lines():
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line and data:
            text = "\n".join(data)
            try:
                yield name, json.loads(text)
            except ValueError:
                yield name, text
        if not line:
            name, data = "message", []
        elif field == "event":
            name = value
        elif field == "data":
            data.append(value)
