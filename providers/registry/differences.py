"""What two versions do not say the same of, field by field."""

from collections.abc import Iterator
from typing import Any


def differences(before: Any, after: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Fields by their paths (`deployments.0.model`), with what each says; None where one says nothing of it."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted(before.keys() | after.keys()):
            yield from differences(before.get(name), after.get(name), f"{place}.{name}" if place else name)
    elif isinstance(before, list) and isinstance(after, list):
        for number in range(max(len(before), len(after))):
            one, other = (each[number] if number < len(each) else None for each in (before, after))
            yield from differences(one, other, f"{place}.{number}")
    elif before != after:
        yield place, before, after
