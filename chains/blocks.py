"""What a passage is made of: headings, sentences, entries of lists, code, tables and records, as spans of its text.

A short line without an end of its own may be a heading or all that a price list says of a thing. Which of the two is told by
what stands round it, never by its length.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from retrievers.sentences import Unit, units

_TABLE_CHARACTERS = 500
_RECORD_CHARACTERS = 300
_TITLE_CHARACTERS = 70
_FENCED = re.compile(r"^[ \t]*(```|~~~)[^\n]*\n(?:.*?^[ \t]*\1[ \t]*$|.*\Z)", re.M | re.S)
_INDENTED = re.compile(r"(?<=\n\n)(?:(?: {4}|\t)[^\n]*[^\s.!?](?:\n|\Z))+")
RULED = re.compile(r"^[ \t]*\|[ \t:|-]*-[ \t:|-]*$", re.M)
#: What the loaders write of a record: `city: London`. A table's row is one line, `name: Ada | city: London`.
_SAID = r"[\w.\[\]-]+(?: [\w.\[\]-]+){0,3}: \S[^\n]*"
SAYS = re.compile(rf"{_SAID}(?<![.!?])$")
#: Such a row by itself: `roast: Pyra | origin: Brazil`.
RECORD_ROW = re.compile(r"[\w.\[\] -]+: [^|\n]*(?: \| [\w.\[\] -]+: [^|\n]*)+")
_ROWS = re.compile(r"(?:^(?![ \t]*\|)[^\n]*\S \| [^\n]*(?:\n|\Z)){2,}", re.M)
_RECORD = re.compile(rf"(?:\A|(?<=\n\n))(?:{_SAID}(?:\n(?!\n)|(?=\n\n)|\Z)){{2,}}(?=\n|\Z)")
_LINE = re.compile(r"[^\n]+")
_PARAGRAPH = re.compile(r"\S[^\n]*(?:\n[ \t]*\S[^\n]*)*")
ITEM = re.compile(r"[ \t]*(?:[-*+•‣–]|\d{1,3}[.)])[ \t]+")
#: What an entry or a title does not end with: a sentence's end, or what shows that it goes on.
_ENDED = re.compile(r"[.!?…:;,=(|`。-]$")
_BULLET = re.compile(r"[-*+•‣–][ \t]")


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch `text[start:end]`. Kinds: `heading`, `aside` (a question amid a paragraph), `text`, `entry` (a line that says
    something without being a sentence), `code`, `header` (of a table), `table` (all rows of a short one, before the rows
    themselves), `row`, and `line` (of a long record)."""

    start: int
    end: int
    kind: str
    #: Whether it begins as an item of a list, or is an entry.
    listed: bool = False


def parts(text: str, headings: Sequence[str] = ()) -> list[Part]:
    """The text's parts in order. `headings` are those that it is known to stand under."""
    found = [Part(*match.span(), "code") for pattern in (_FENCED, _INDENTED) for match in pattern.finditer(text)]
    found += [row for row in _rows(text) if not _within(row, found)]
    taken = list(found)
    spans = [
        (unit, first)
        for paragraph in _PARAGRAPH.finditer(text)
        for unit, first in _units(text, *paragraph.span())
        if re.search(r"\w", text[unit.start : unit.end]) and not _within(unit, taken)
    ]
    bodies: list[Part | Unit] = sorted([*taken, *(unit for unit, _ in spans)], key=lambda one: one.start)
    place = {one.start: number for number, one in enumerate(bodies)}
    known = {_bare(heading) for heading in headings}
    for unit, first in spans:
        following = bodies[place[unit.start] + 1] if place[unit.start] + 1 < len(bodies) else None
        kind = _kind(text, unit, first, following, known)
        listed = unit.line and (kind == "entry" or (kind == "text" and bool(ITEM.match(text, unit.start))))
        found.append(Part(unit.start, unit.end, kind, listed))
        if kind == "header":
            found += _table(text, unit.end)
    return sorted(found, key=lambda part: (part.start, -part.end))


def _within(one: Part | Unit, others: Sequence[Part]) -> bool:
    return any(other.start < one.end and one.start < other.end for other in others)


def _units(text: str, start: int, end: int) -> list[tuple[Unit, bool]]:
    """A paragraph's sentences, or its lines where they are a list's, each with whether it begins the paragraph."""
    lines = [line for line in text[start:end].splitlines() if line.strip()]
    ended = sum(bool(_ENDED.search(line.rstrip(" *_"))) for line in lines)
    listed = len(lines) > 1 and 2 * ended < len(lines) and not any(line.lstrip()[:1].islower() for line in lines)
    return [(unit, unit.start <= start) for unit in units(text, start, end, lines=listed)]


def _kind(text: str, unit: Unit, first: bool, following: Part | Unit | None, known: set[str]) -> str:
    line = text[unit.start : unit.end]
    if line.startswith("|"):
        return "header" if RULED.match(text, text.find("\n", unit.end) + 1 or len(text)) else "text"
    if line.startswith("#") and "\n" not in line:
        return "heading"
    if line.rstrip("*_ ").endswith("?"):
        return "heading" if unit.line else "aside"
    if not unit.line or "\n" in line or _ENDED.search(line.rstrip("*_ ")) or not _is_last(text, unit):
        return "text"
    title = first and len(line) < _TITLE_CHARACTERS and not _BULLET.match(line)
    if title and (_bare(line) in known or (following is not None and _heads(text, unit, following))):
        return "heading"
    return "entry"


def _is_last(text: str, unit: Unit) -> bool:
    """Whether its line ends with it."""
    return not text[unit.end :].split("\n", 1)[0].strip(" *_\t")


def _heads(text: str, unit: Unit, following: Part | Unit) -> bool:
    """Whether a short line is the heading of what follows it: of a sentence, of a list, a table or a block, of several lines
    behind a blank one, or of lines that have numbers where it has none."""
    if isinstance(following, Part):
        return True
    line, body = text[unit.start : unit.end], text[following.start : following.end]
    if body.startswith("#") or (ITEM.match(line) and ITEM.match(body)):
        return False
    if ITEM.match(body) or "\n" in body or _ENDED.search(body.rstrip("*_ ")):
        return True
    paragraph = _PARAGRAPH.match(text, following.start)
    rest = paragraph[0].splitlines() if paragraph else []
    if text[unit.end : following.start].count("\n") > 1:
        return len(rest) > 1
    return not re.search(r"\d", line) and 2 * sum(bool(re.search(r"\d", one)) for one in rest) > len(rest)


def _bare(heading: str) -> str:
    return heading.strip("#*_ \t").lower()


def _table(text: str, header: int) -> list[Part]:
    """The rows of a table as a whole, where they are few."""
    first = text.find("\n", text.find("\n", header) + 1) + 1
    body = re.compile(r"(?:[ \t]*\|[^\n]*(?:\n|\Z))+").match(text, first) if first else None
    if body and body[0].count("\n") <= 8 and len(body[0]) <= _TABLE_CHARACTERS:
        return [Part(first, first + len(body[0].rstrip()), "table")]
    return []


def _rows(text: str) -> list[Part]:
    """A table's rows, and the records of what was JSON: each as a whole (`row`), or the lines of a long one (`line`)."""
    found = [
        Part(table.start() + row.start(), table.start() + row.end(), "row")
        for table in _ROWS.finditer(text)
        for row in _LINE.finditer(table[0])
    ]
    for record in _RECORD.finditer(text):
        whole = Part(record.start(), record.start() + len(record[0].rstrip()), "row")
        if _within(whole, found):
            continue
        if whole.end - whole.start <= _RECORD_CHARACTERS:
            found.append(whole)
        else:
            found += [
                Part(record.start() + line.start(), record.start() + line.end(), "line") for line in _LINE.finditer(record[0])
            ]
    return found
