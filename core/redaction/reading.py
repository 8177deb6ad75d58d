"""A text as a person or a model reads it, for the search: without what nobody sees, full width as usual width, what is
escaped as what it stands for.

What is found there is placed back on the text as it was written.
"""

import re
import unicodedata
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from core.redaction.entities import Entity

#: Zero width, direction marks, fillers, selectors of variants; Unicode tags are letters that nobody sees.
UNSEEN: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff"
    "\uffa0\ufff9-\ufffb\U000e0000-\U000e007f\U000e0100-\U000e01ef"
)
_UNSEEN: Final = re.compile(f"[{UNSEEN}]")
#: A hyphen of typesetters that breaks no line, and the minus sign: between digits they are hyphens.
_HYPHENS: Final = {"\u2010": "-", "\u2011": "-", "\u2212": "-"}
#: An `@` as addresses of the web write it, and characters as JSON writes them, those beyond the first plane as two.
_ESCAPED: Final = re.compile(
    r"(?<=[\w.+-])%40(?=\w)|"
    r"\\{1,4}u([dD][89abAB][0-9a-fA-F]{2})\\{1,4}u([dD][c-fC-F][0-9a-fA-F]{2})|"
    r"\\{1,4}u(?![dD][89a-fA-F])([0-9a-fA-F]{4})"
)


@dataclass(frozen=True, slots=True)
class Reading:
    """`text`, and for each of its characters where the written one begins that it comes from; and behind it ends."""

    text: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    def placed(self, found: Entity) -> Entity:
        """What was found in the reading, on the text as it was written."""
        return replace(found, start=self.starts[found.start], end=self.ends[found.end - 1])


def read(text: str) -> Reading | None:
    """How a text reads where that is otherwise than it is written; None where it is not, as of most."""
    escaped = {match.start(): match for match in _ESCAPED.finditer(text)} if "%40" in text or "\\u" in text else {}
    if text.isascii() and not escaped:
        return None
    if not escaped and not _UNSEEN.search(text) and not any(map(_plain, _beyond_ascii(text))):
        return None
    parts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    done = 0
    for at, character in enumerate(text):
        if at < done:
            continue  # the rest of an escape
        match = escaped.get(at)
        said, done = (_said(character), at + 1) if match is None else (_said(_meant(match)), match.end())
        parts.append(said)
        starts += [at] * len(said)
        ends += [done] * len(said)
    return Reading("".join(parts), tuple(starts), tuple(ends))


def plain(text: str) -> str:
    """The text as it reads."""
    found = read(text)
    return text if found is None else found.text


def _meant(escape: "re.Match[str]") -> str:
    high, low, alone = escape.groups()
    if alone is not None:
        return chr(int(alone, 16))
    return bytes.fromhex(high + low).decode("utf-16-be") if high is not None else "@"


def _beyond_ascii(text: str) -> set[str]:
    return {character for character in text if character > "\x7f"}


@lru_cache(maxsize=4096)
def _said(character: str) -> str:
    if character <= "\x7f":
        return character
    if _UNSEEN.match(character):
        return ""
    return _HYPHENS.get(character) or unicodedata.normalize("NFKC", character)


def _plain(character: str) -> bool:
    """Whether it reads otherwise than it is written."""
    return _said(character) != character
