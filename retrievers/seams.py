"""Where a text may be cut: not within a word or an address, nor between the groups of a number, the lines of a private key, or
a secret and its name, whose parts no search for personal data would find."""

import re
from bisect import bisect_left
from enum import IntEnum

from core.redaction import credentials, pem

_BLANK = "[ \u00a0\u202f]"
_GROUPS = rf"\d(?:(?:{_BLANK}|{_BLANK}?[()/–-]{{1,2}}{_BLANK}?)?\d)"
#: Digits in groups, as telephones and cards have them, also with the letters of an insurance number around them or amid; and
#: what has the form of an IBAN.
_NUMBER = re.compile(
    rf"(?:(?<!\w)[A-Z]{{1,2}}{_BLANK})?[+(]{{0,2}}{_GROUPS}+(?:{_BLANK}[A-Z]{{1,2}}(?!\w)(?:{_BLANK}{_GROUPS}*)?)?"
    rf"|\b[A-Z]{{2}}\d\d(?:[ \u00a0-]?[A-Z0-9]{{4}}){{2,7}}(?:[ \u00a0-]?[A-Z0-9]{{1,4}}\b)?"
)
#: Characters of scripts that put no blanks between words.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff"
    "\uff01-\uff0f\uff1a-\uff20\U00020000-\U0003ffff]"
)
_MARKS_BEFORE, _MARKS_AFTER = frozenset(',;|<>{}[]"'), frozenset('|<>{}[]"')
#: Longer than a number with its groups gets.
_NUMBER_CHARACTERS = 64
#: How far the name of a secret reaches back from a blank before its value, and the value ahead.
_NAME_CHARACTERS, _VALUE_CHARACTERS = 120, 600
#: What each name of a secret has in it: hardly a place has to be looked at more closely.
_NAME = re.compile(r"pass|pwd|key|secret|token|bearer|auth|credential|[_-]pat", re.IGNORECASE)


class Seam(IntEnum):
    """What a cut would go through, the better the higher."""

    WORD = 0
    NUMBER = 1
    MARK = 2
    BLANK = 3


class Seams:
    """The seams of `text[start:end]`."""

    def __init__(self, text: str, start: int, end: int) -> None:
        self._text = text
        numbers = [match.span() for match in _NUMBER.finditer(text, start, min(len(text), end + _NUMBER_CHARACTERS))]
        self._begins, self._ends = [begin for begin, _ in numbers], [end for _, end in numbers]
        self._keys = list(pem.blocks(text, start, end))

    def at(self, place: int) -> Seam:
        """What a cut before `text[place]` goes through."""
        before, after = self._text[place - 1 : place], self._text[place : place + 1]
        blank = not before or not after or before.isspace() or after.isspace()
        for key in self._keys:
            if key.start < place < key.end:
                between = before != "\\" and any(first <= place <= last for first, last in key.breaks)
                return Seam.NUMBER if between else Seam.WORD
        number = bisect_left(self._begins, place) - 1
        if number >= 0 and place < self._ends[number]:
            return Seam.NUMBER if blank else Seam.WORD
        if blank and self._is_named(place):
            return Seam.NUMBER
        if blank or _UNSPACED.match(before) or _UNSPACED.match(after):
            return Seam.BLANK
        return Seam.MARK if before in _MARKS_BEFORE or after in _MARKS_AFTER else Seam.WORD

    def key_over(self, place: int) -> int | None:
        """Where the private key begins that a cut before `text[place]` would go through."""
        return next((key.start for key in self._keys if key.start < place < key.end), None)

    def _is_named(self, place: int) -> bool:
        """Whether the name of a secret stands before and its value behind."""
        offset = max(0, place - _NAME_CHARACTERS)
        if not _NAME.search(self._text, offset, place + _NAME_CHARACTERS):
            return False
        around = self._text[offset : place + _VALUE_CHARACTERS]
        return any(begin < place - offset < end for begin, end in credentials.labelled(around))


def last_seam(text: str, start: int, most: int, *, least: Seam = Seam.MARK) -> int | None:
    """The best place after `start` and up to `most` to cut the text at, the last one of its kind; `most` where the text is no
    longer. None where no seam is as good as `least`."""
    if most >= len(text):
        return len(text)
    seams = Seams(text, start, most)
    best: tuple[Seam, int] | None = None
    for place in range(most, start, -1):
        seam = seams.at(place)
        if seam is Seam.BLANK:
            return place
        if seam >= least and (best is None or seam > best[0]):
            best = seam, place
    return best[1] if best is not None else None
