"""What two versions do not say the same of, field by field."""

from collections.abc import Iterator, Mapping
from typing import Any

from providers.registry.content import plain


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Fields by their paths (`deployments.0.model`), with what each content says; None where one says nothing of it. How a
    price is written is no difference."""
    yield from _differences(plain(before), plain(after), "")


def _differences(before: Any, after: Any, place: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted(before.keys() | after.keys()):
            yield from _differences(before.get(name), after.get(name), f"{place}.{name}" if place else name)
    elif isinstance(before, list) and isinstance(after, list):
        for number in range(max(len(before), len(after))):
            one, other = (each[number] if number < len(each) else None for each in (before, after))
            yield from _differences(one, other, f"{place}.{number}")
    elif before != after:
        yield place, before, after
