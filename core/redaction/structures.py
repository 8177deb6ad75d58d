"""JSON values as texts in which personal data can be found, and back: what was valid JSON stays it.

A value is searched with its name in front (`ssn: 123456789`), since mere digits tell nothing by themselves.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from core.redaction.entities import STRUCTURED, Entity

#: What an entity is replaced by; None leaves it as it is.
Replacement = Callable[[Entity, str], str | None]

_OPENS: Final = ("{", "[")
#: A number with fewer digits identifies nobody.
_DIGITS: Final = 6


@dataclass(frozen=True, slots=True)
class _Region:
    """Where a leaf or a key stands in the text."""

    start: int
    end: int
    key: bool


def as_json(text: str) -> Any | None:
    """The object or array that a text is; None where it is none."""
    if not text.lstrip()[:1].startswith(_OPENS):
        return None
    try:
        value = orjson.loads(str(text))
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, (dict, list)) else None


class Leaves:
    """A value of objects, arrays and leaves, with `text` for the recognisers."""

    def __init__(self, value: Any) -> None:
        self._value = value
        self._parts: list[str] = []
        self._regions: list[_Region] = []
        self._length = 0
        self._read(value, "")
        self.text = "".join(self._parts)

    def replaced(self, entities: Sequence[Entity], replacement: Replacement) -> Any:
        """The value with what was found replaced. Leaves that hold nothing are the same; a number becomes a string."""
        news: dict[int, str] = {}
        for number, region in enumerate(self._regions):
            within = [each for each in entities if each.start < region.end and each.end > region.start]
            if region.key:
                within = [each for each in within if each.type in STRUCTURED and each.end <= region.end]
            if within:
                news[number] = self._rewritten(region, within, replacement)
        if not news:
            return self._value
        numbers = iter(range(len(self._regions)))
        return self._rebuilt(self._value, numbers, news)

    def _rewritten(self, region: _Region, within: Sequence[Entity], replacement: Replacement) -> str:
        parts, at = [], region.start
        for one in within:
            start, end = max(one.start, region.start, at), min(one.end, region.end)
            by = replacement(one, self.text[start:end])
            if by is not None:
                parts += [self.text[at:start], by]
                at = end
        return "".join([*parts, self.text[at : region.end]])

    def _read(self, value: Any, name: str) -> None:
        if isinstance(value, Mapping):
            for key, item in value.items():
                self._say(str(key), key=True)
                self._add(": ")
                self._read(item, str(key))
        elif isinstance(value, (list, tuple)):
            for item in value:
                if not isinstance(item, (Mapping, list, tuple)) and name:
                    self._add(f"{name}: ")
                self._read(item, name)
        else:
            self._say(_said(value), key=False)
            self._add("\n")

    def _say(self, text: str, *, key: bool) -> None:
        self._regions.append(_Region(self._length, self._length + len(text), key))
        self._add(text)

    def _add(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)

    def _rebuilt(self, value: Any, numbers: Any, news: Mapping[int, str]) -> Any:
        if isinstance(value, Mapping):
            made = {}
            for key, item in value.items():
                name = news.get(next(numbers), key)
                made[name] = self._rebuilt(item, numbers, news)
            return made
        if isinstance(value, (list, tuple)):
            return [self._rebuilt(item, numbers, news) for item in value]
        said = news.get(next(numbers))
        return value if said is None or said == _said(value) else said


def _said(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return ""
    said = str(value)
    return said if sum(map(str.isdigit, said)) >= _DIGITS else ""


def dumped(value: Any) -> str:
    """JSON as text."""
    return orjson.dumps(value).decode()
