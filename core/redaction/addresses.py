"""Postal addresses: a street with its number, or a box, and all that follows of it: flat, town, state, postcode, country.

A street is told by a word or an ending that means one in some language, or by numbers around capitalised words; from there on
the address goes on, over commas and lines, for as long as what follows can be a part of one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from core.redaction.entities import Entity, PIIType
from core.redaction.places import is_country
from core.redaction.wordlists import words

_TOKEN = re.compile(
    r"(?P<number>\d+(?:[-/–]\d+)*[A-Za-z]?(?!\w))|(?P<code>(?=[A-Za-z]*\d)[A-Za-z0-9]+)|(?P<word>[^\W\d_]+"
    r"(?:['’.-][^\W\d_]+)*\.?)|"
    r"(?P<line>\n)|(?P<comma>,)|(?P<mark>[#])|(?P<other>\S)"
)
#: Words that mean a street, alone or as a part of its name: English with the abbreviations, then the other languages' own.
_STREET = words("streets")
_ENDINGS = tuple(words("street_endings"))
_UNIT = words("units")
_PARTICLE = words("particles")
_MONTHS = words("calendar")
#: Words for a street that stand before its name, and in small letters.
_LEADING = words("leading_streets")
_MILITARY = frozenset({"apo", "fpo", "dpo"})
_CUE = re.compile(
    r"(?i)(?:address(?:es)?(?: (?:is|are|was|to|with|of|for|here|they|same|the))*|(?:located|live[sd]?|living|reside[sd]?|"
    r"residing|moved|return|ship(?:ped)?|deliver(?:ed|y)?|send|sent|mail(?:ed)?|taxi|cab|office is|me|arrived|directions|"
    r"meet|it['’]s|is) (?:at|to|in|it to)|\bat|"
    r"(?:street|home|billing|mailing|shipping|postal) address|\bto)[\s:=-]*$"
)
_CORNER = re.compile(r"(?i)(?:the )?corner of $")
_STOPS = re.compile(r"(?i)\b(?:at|to|in|on|from|is|are|was|the|this|that|my|your|our|please|with|i|you|we)\b")
_MARKERS = frozenset(">?*|-•")
_BOUND = 14  # an address has fewer parts than this


def _can_head(line: str, *, small: bool) -> bool:
    """Whether a line can be a name above an address: short, no sentence, with capitals where the text has any."""
    words = line.split()
    if len(line) > 60 or len(words) > 6 or (line[-1] in '.:;!?,"' and not line.endswith(("Inc.", "Ltd.", "Co."))):
        return False
    return small or 2 * sum(word[0].isupper() for word in words) >= len(words) or (len(words) > 2 and not _STOPS.search(line))


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int
    #: In small letters, without the full stop of an abbreviation.
    low: str
    #: The whole text is in small letters, so that they say nothing.
    small: bool

    @property
    def street(self) -> bool:
        """Whether it means a street."""
        low = self.low
        return low in _STREET or ((self.small or self.capital or self.caseless) and len(low) > 6 and low.endswith(_ENDINGS))

    @property
    def capital(self) -> bool:
        return self.kind == "word" and (self.text[0].isupper() or self.text[0].istitle())

    @property
    def caseless(self) -> bool:
        """Of a script without capitals."""
        return self.kind == "word" and self.text.lower() == self.text.upper()


def find(text: str) -> Iterator[Entity]:
    """The addresses of a text."""
    small = text.islower()
    tokens = [
        _Token(match.lastgroup or "", match[0], *match.span(), match[0].lower().rstrip("."), small)
        for match in _TOKEN.finditer(text)
    ]
    at = 0
    while at < len(tokens):
        core = _core(text, tokens, at)
        if core is None:
            at += 1
            continue
        end, score = core
        last = _extended(tokens, end)
        while last + 1 < len(tokens) and tokens[last].low in ("and", "&") and (crossing := _core(text, tokens, last + 1)):
            last = _extended(tokens, crossing[0])
        start = tokens[at].start
        if corner := _CORNER.search(text, max(0, start - 20), start):
            start = corner.start()
        end_of_text = tokens[last - 1].end
        if tokens[last - 1].text.endswith(".") and tokens[last - 1].low not in _STREET:
            end_of_text -= 1  # the sentence's
        yield Entity(PIIType.ADDRESS, start, end_of_text, round(min(1.0, score + 0.1 * (last > end)), 2))
        if _begins_line(tokens, at):
            yield from _letterhead(text, start)
        at = last


def _letterhead(text: str, address: int) -> Iterator[Entity]:
    """The lines above an address that begins a line: who is written to. Surer findings within them win."""
    lines: list[tuple[int, int]] = []
    end = text.rfind("\n", 0, address)
    while end > 0 and len(lines) < 4:
        begin = text.rfind("\n", 0, end) + 1
        line = text[begin:end]
        words = line.strip(" \t>?*|-")
        if words:
            if not _can_head(words, small=text.islower()):
                break
            lines.append((begin + line.index(words), begin + line.index(words) + len(words)))
        elif lines:
            break
        end = begin - 1
    for place, (begin, end) in enumerate(reversed(lines)):
        yield Entity(PIIType.PERSON if place == 0 else PIIType.ORGANIZATION, begin, end, 0.4)


def _core(text: str, tokens: list[_Token], at: int) -> tuple[int, float] | None:
    """Where the street (or box) that begins at `at` ends, and how sure it is; None when none begins there."""
    first = tokens[at]
    if first.kind not in ("number", "code", "word"):
        return None
    if (unit := _unit(tokens, at)) is not None:
        return unit, 0.7
    numbers = 0
    place = at
    while place < len(tokens) and tokens[place].kind == "number" and len(tokens[place].text) <= 6 and numbers < 2:
        numbers, place = numbers + 1, place + 1
    if place == at and not _opens_street(text, tokens, at):
        return None
    name_end, street, lower_named = _name(tokens, place, numbered=numbers > 0)
    if name_end == place:
        return None
    end = name_end + _has_number(text, tokens, name_end)
    trailing = end > name_end
    cued = bool(_CUE.search(text[max(0, first.start - 40) : first.start])) or _begins_line(tokens, at)
    if (
        street
        and (numbers or trailing)
        and (not lower_named or first.small or (numbers and cued and 2 <= name_end - place <= 4))
    ):
        return end, 0.85
    if lower_named and not (numbers and trailing and _begins_line(tokens, at) and _goes_on(tokens, end)):
        return None
    if numbers and trailing:
        return (end, 0.8) if cued or not _is_year(first.text) else None
    if numbers and cued and (_begins_line(tokens, at) or _goes_on(tokens, end)):
        return (end, 0.6) if not _is_count(tokens, place) else None
    if trailing and cued and not _counted(tokens[at].low) and name_end - place <= 5:
        return end, 0.55
    last = tokens[name_end - 1]
    if street and last.capital and last.street and (cued or (name_end - place >= 2 and last.low in _STREET)):
        return end, 0.5
    return None


def _opens_street(text: str, tokens: list[_Token], at: int) -> bool:
    """Whether a street's name can begin here: with a capital, or in small letters with a word for a street behind."""
    token = tokens[at]
    if token.kind != "word" or token.low in _MONTHS:
        return False
    if at and tokens[at - 1].kind == "word" and tokens[at - 1].capital and tokens[at - 1].end + 1 == token.start:
        before = tokens[at - 1].low
        return before in ("at", "to", "in", "on", "is", "and", "from", "address")
    leads = token.low in _LEADING and at + 1 < len(tokens) and tokens[at + 1].capital
    return token.capital or token.caseless or leads or (token.small and token.street)


def _name(tokens: list[_Token], at: int, *, numbered: bool) -> tuple[int, bool, bool]:
    """Where a street's name that begins at `at` ends; whether a word of it means a street; whether it is in small letters."""
    place, street, capitals, words, street_at = at, False, 0, 0, at
    while place < len(tokens) and words < 7:
        token = tokens[place]
        if place > at and tokens[place - 1].text.endswith(".") and len(tokens[place - 1].text) > 5:
            break
        if token.kind != "word" or token.low in _UNIT:
            break
        if token.capital or token.caseless:
            capitals += 1
        elif not ((token.low in _PARTICLE and place > at) or token.street or (numbered and not capitals)):
            break
        if token.low in _MONTHS:
            break
        words += 1
        place += 1
        if token.street:
            street, street_at = True, place
    while place > at and tokens[place - 1].low in _PARTICLE and not tokens[place - 1].capital:
        place -= 1
    lower = capitals == 0
    if lower and street:
        place = street_at
    return place, street, lower


def _has_number(text: str, tokens: list[_Token], at: int) -> bool:
    """Whether a house's number stands at `at`, on the same line as the street before it."""
    return (
        at < len(tokens)
        and tokens[at].kind == "number"
        and len(tokens[at].text) <= 6
        and "\n" not in text[tokens[at - 1].end : tokens[at].start]
        and not _is_time(text, tokens[at].end)
    )


def _extended(tokens: list[_Token], at: int) -> int:
    """Where the address whose street ends at `at` ends: parts are taken in for as long as they can belong to it."""
    end = at
    for _ in range(_BOUND):
        place, lines, commas = end, 0, 0
        while place < len(tokens) and (
            tokens[place].kind in ("line", "comma")
            or (lines and tokens[place].kind == "other" and tokens[place].text in _MARKERS)
        ):
            lines += tokens[place].kind == "line"
            commas += tokens[place].kind == "comma"
            place += 1
        if place >= len(tokens) or lines > 2:
            break
        part = _part(tokens, place, apart=bool(lines or commas))
        if part is None:
            break
        end = part
    return end


def _part(tokens: list[_Token], at: int, *, apart: bool) -> int | None:
    """Where a part of an address that begins at `at` ends: a flat, a postcode, a state, a town or a country."""
    token = tokens[at]
    if (unit := _unit(tokens, at)) is not None:
        return unit
    if token.kind == "number":
        digits = len(re.sub(r"\D", "", token.text))
        following = tokens[at + 1] if at + 1 < len(tokens) else None
        grouped = (
            following is not None
            and following.text in ("-", ".", "/", ":")
            and at + 2 < len(tokens)
            and tokens[at + 2].start == following.end
            and tokens[at + 2].kind in ("number", "code")
        )
        return at + 1 if (4 <= digits <= 9 or (not apart and digits <= 5)) and not grouped else None
    if token.kind == "code":
        return at + 1 if len(token.text) <= 5 else None
    if token.kind != "word":
        return None
    place = at
    while place < len(tokens) and place - at < 6 and _can_name(tokens, place, at):
        place += 1
    while place > at and tokens[place - 1].low in _PARTICLE and not tokens[place - 1].capital:
        place -= 1
    if place == at:
        return _small_place(tokens, at) if apart else None
    if is_country(" ".join(one.text for one in tokens[at:place])):
        return place
    return place if apart or tokens[at - 1].kind in ("number", "code") or _in_capitals(tokens[at:place]) else None


def _can_name(tokens: list[_Token], place: int, begin: int) -> bool:
    token = tokens[place]
    if token.kind != "word" or token.low in _MONTHS:
        return False
    if place > begin and tokens[place - 1].text.endswith(".") and len(tokens[place - 1].text) > 4:
        return False
    return token.capital or token.caseless or token.low == "nan" or (place > begin and token.low in _PARTICLE)


def _small_place(tokens: list[_Token], at: int) -> int | None:
    """A part in small letters: a line or a piece between commas that ends there and is no sentence."""
    place = at
    while place < len(tokens) and tokens[place].kind == "word" and place - at < 5:
        place += 1
    if place < len(tokens) and tokens[place].kind == "number" and len(tokens[place].text) >= 4:
        place += 1
    ends = place >= len(tokens) or tokens[place].kind in ("line", "comma")
    return place if ends and place - at <= 5 and not tokens[place - 1].text.endswith(".") else None


def _unit(tokens: list[_Token], at: int) -> int | None:
    """The end of `Apt. 12`, `Suite B`, `PO Box 99`, `Unit 12 Box 7`, `APO AE 80338`."""
    token = tokens[at]
    if token.kind == "mark" and at + 1 < len(tokens) and tokens[at + 1].kind in ("number", "code") and at:
        return at + 2 if len(tokens[at + 1].text) <= 5 and tokens[at - 1].kind in ("word", "comma") else None
    if token.kind != "word":
        return None
    if token.low in _MILITARY and token.text.isupper() and at + 2 < len(tokens):
        return at + 3 if tokens[at + 2].kind == "number" else None
    if token.low not in _UNIT and token.low != "p.o":
        return None
    place = at + 1
    while place < len(tokens) and place - at < 3 and (tokens[place].low in _UNIT or tokens[place].text in (".", "#")):
        place += 1
    if place < len(tokens) and tokens[place].kind in ("number", "code") and len(tokens[place].text) <= 7:
        if (
            token.low in ("room", "block", "office", "building", "door", "floor", "unit", "box", "m", "app", "lot", "flat")
            and not token.capital
        ):
            return None
        return place + 1
    return None


def _goes_on(tokens: list[_Token], at: int) -> bool:
    """Whether an address could go on at `at`: another part behind a comma or a line."""
    if at >= len(tokens):
        return True
    return tokens[at].kind in ("line", "comma") or tokens[at].low in _UNIT


def _begins_line(tokens: list[_Token], at: int) -> bool:
    place = at - 1
    while place >= 0 and tokens[place].kind == "other" and tokens[place].text in _MARKERS:
        place -= 1
    return place < 0 or tokens[place].kind == "line"


def _in_capitals(tokens: list[_Token]) -> bool:
    return all(token.text.isupper() or token.low in _PARTICLE for token in tokens)


def _is_year(text: str) -> bool:
    return len(text) == 4 and text.isdigit() and text[:2] in ("19", "20")


def _is_count(tokens: list[_Token], at: int) -> bool:
    """Whether what follows a number is counted by it: `50 Cent` alone, `3 Musketeers`."""
    return tokens[at].low.endswith("s") and tokens[at].low not in _STREET and not _goes_on(tokens, at + 1)


def _is_time(text: str, end: int) -> bool:
    """Whether a number that ends at `end` is a time, a share or a decimal."""
    following = text[end : end + 3]
    return following[:1] in (":", "%") or following.lower().strip() in ("am", "pm") or bool(re.match(r"\.\d", following))


_COUNTED = words("counted")


def _counted(word: str) -> bool:
    """Whether a number behind it is not a house's."""
    return word in _COUNTED
