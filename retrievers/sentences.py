"""Where sentences, lines and paragraphs end in a text: the places at which it may be cut and the units that are quoted."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

#: Abbreviations whose full stop does not end a sentence (lower case, without the stop).
_ABBREVIATIONS = frozenset(
    re.findall(
        r"\S+",
        "al approx ca cf co corp dept dr e.g eg eq etc fig figs i.e ie inc jr ltd max min mr mrs ms no nos p pp prof ref sec "
        "sr st u.s vol vs z.b bzw nr d.h u.a ggf bspw inkl zzgl abs bzgl evtl str jan feb apr aug sept oct nov dec",
    )
)
#: What an ordinal number of German stands behind, and before: "am 12. Mai", "im 3. Quartal".
_BEFORE_ORDINALS = frozenset(
    [
        "am",
        "ab",
        "an",
        "bis",
        "dem",
        "den",
        "der",
        "des",
        "die",
        "das",
        "im",
        "ins",
        "jede",
        "jeden",
        "jeder",
        "jedes",
        "seit",
        "vom",
        "vor",
        "zum",
        "zur",
    ]
)
_GERMAN_MONTH = re.compile(
    r"\s+(?:Jan(?:uar|\.)|Jänner|Feb(?:ruar|\.)|März|Apr(?:il|\.)|Mai|Jun[ij]|Jul[ij]|Aug(?:ust|\.)|Sept?(?:ember|\.)|Okt(?:ober|\.)"
    r"|Nov(?:ember|\.)|Dez(?:ember|\.))(?![^\W\d])"
)
_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’)\]*_`]*(?=\s)|[。！？]+[」』”’]*")
#: Code within a sentence. What is quoted in LaTeX's way (``so'') is none.
_CODE_SPAN = re.compile(r"(?<!`)(`{1,2})(?!`)(?:(?!'')[^`]){1,200}\1(?!`)")
_LAST_WORD = re.compile(r"([^\s(\[\"'“]+)$")
_PARAGRAPH = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
#: A line that stands for itself: a heading, list item, table row, numbered item, or a rule.
_STANDING_LINE = re.compile(r"[ \t]*(?:#{1,6}[ \t]|[-*+•‣–][ \t]|\d{1,3}[.)][ \t]|\||>|```|~~~|[-=*_]{3,}[ \t]*$)")
#: A heading such as "3. Bonfires": items of a list that go on in the next line are longer, or end in a comma.
_NUMBERED_HEADING = re.compile(r"[ \t]*\d{1,3}(?:[.)]|(?:\.\d{1,3})+\.?)[ \t]+[^\W\d_][^\n]{0,46}[\w)\"”'’?!][ \t]*\Z")


@dataclass(frozen=True, slots=True)
class Unit:
    """A sentence or a standing line, `text[start:end]` without blanks around it. `paragraph` numbers its paragraph."""

    start: int
    end: int
    paragraph: int
    #: True where a line of its own begins here.
    line: bool


def units(text: str, start: int = 0, end: int | None = None, *, lines: bool = False) -> list[Unit]:
    """The units of `text[start:end]` in order, as offsets into `text`. `lines` makes every line a unit (code, tables)."""
    end = len(text) if end is None else end
    found: list[Unit] = []
    position = start
    number = 0
    while position < end:
        blank = _PARAGRAPH.search(text, position, end)
        stop = blank.start() if blank else end
        for first, last in _blocks(text, position, stop, lines):
            new_line = True
            # the stops of a table's cells end no sentence: a row says what it says as a whole
            whole = lines or text.startswith("|", first)
            for a, b in [(first, last)] if whole else _sentences(text, first, last):
                while a < b and text[a].isspace():
                    a += 1
                while b > a and text[b - 1].isspace():
                    b -= 1
                if a < b:
                    found.append(Unit(a, b, number, new_line))
                    new_line = False
        number += 1
        position = blank.end() if blank else end
    return found


def _blocks(text: str, start: int, end: int, lines: bool) -> Iterator[tuple[int, int]]:
    """A paragraph's lines, those that continue a sentence joined."""
    block = start
    position = start
    while position < end:
        newline = text.find("\n", position, end)
        following = end if newline < 0 else newline + 1
        if following < end and (lines or _stands(text, block, following, end) or _is_heading(text, block, following)):
            yield block, following
            block = following
        position = following
    if block < end:
        yield block, end


def _stands(text: str, block: int, start: int, end: int) -> bool:
    """Whether the line that begins at `start` stands for itself, and is not the "12. Mai" of a sentence that began before."""
    if not _STANDING_LINE.match(text, start, end):
        return False
    before = _LAST_WORD.search(text, max(block, start - 40), start - 1)
    return before is None or before[1].lower() not in _BEFORE_ORDINALS or not text[start:].lstrip()[:1].isdigit()


def _is_heading(text: str, start: int, end: int) -> bool:
    """Whether the line `text[start:end]` is one: marked, or numbered and short, without a stop, before a line of its own or the
    first of its clauses (`2. Fees`, `2.1 The fee is …`)."""
    line = text[start : end - 1]
    if "\n" in line or line.startswith("#"):
        return "\n" not in line
    if _NUMBERED_HEADING.match(line) is None:
        return False
    number = line.split()[0].rstrip(".)")
    return text[end].isupper() or re.match(rf"{re.escape(number)}\.\d", text[end : end + 12]) is not None


def _sentences(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    first = start
    code = [span.span() for span in _CODE_SPAN.finditer(text, start, end)]
    for match in _SENTENCE_END.finditer(text, start, end):
        if match.end() >= end or any(a < match.start() < b for a, b in code) or not _ends_sentence(text, first, match):
            continue
        yield first, match.end()
        first = match.end()
    if first < end:
        yield first, end


def _ends_sentence(text: str, first: int, match: re.Match[str]) -> bool:
    if match.group()[0] not in ".…":
        return True
    word = _LAST_WORD.search(text, max(first, match.start() - 40), match.start())
    if word:
        last = word.group(1).lower()
        if (
            last in _ABBREVIATIONS
            or (len(last) == 1 and last.isalpha())
            or (last.isdigit() and len(last) <= 2 and (word.start() == first or _is_ordinal(text, first, word, match.end())))
        ):
            return False
    following = text[match.end() :][:8].lstrip()
    return not following or not following[0].islower()


def _is_ordinal(text: str, first: int, number: re.Match[str], end: int) -> bool:
    """Whether a number with a full stop is German's way to write "the twelfth"."""
    before = _LAST_WORD.search(text, max(first, number.start() - 40), number.start() - 1)
    return _GERMAN_MONTH.match(text, end) is not None or (before is not None and before[1].lower() in _BEFORE_ORDINALS)
