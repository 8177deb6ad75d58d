"""The stretches of a passage that can be quoted, as spans of the stored document, and how they read as a sentence."""

import re
from dataclasses import dataclass

from retrievers.base import Chunk
from retrievers.seams import last_seam
from retrievers.sentences import units

_UNIT_CHARACTERS = 600
_CODE_CHARACTERS = 300
_TABLE_CHARACTERS = 500
_LABEL_CHARACTERS = 120
_FENCED = re.compile(r"^[ \t]*(```|~~~)[^\n]*\n(?:.*?^[ \t]*\1[ \t]*$|.*\Z)", re.M | re.S)
_INDENTED = re.compile(r"(?<=\n\n)(?:(?: {4}|\t)[^\n]*[^\s.!?](?:\n|\Z))+")
_RULED = re.compile(r"^[ \t]*\|[ \t:|-]*-[ \t:|-]*$", re.M)
#: What the loaders write of a record: `city: London`. A table's row is one line, `name: Ada | city: London`.
_SAID = r"[\w.\[\]-]+(?: [\w.\[\]-]+){0,3}: \S[^\n]*"
_SAYS = re.compile(rf"{_SAID}(?<![.!?])$")
_ROWS = re.compile(r"(?:^(?![ \t]*\|)[^\n]*\S \| [^\n]*(?:\n|\Z)){2,}", re.M)
_RECORD = re.compile(rf"(?:\A|(?<=\n\n))(?:{_SAID}(?:\n(?!\n)|(?=\n\n)|\Z)){{2,}}(?=\n|\Z)")
_RECORD_CHARACTERS = 300
_LINE = re.compile(r"[^\n]+")
#: What may be joined with what announces it; rows and records speak for themselves.
_ANNOUNCED = ("text", "code", "table", "header")
#: A heading that its paragraph begins with: `3. Grant of Patent License.`
_RUN_IN = re.compile(
    r"\W*(?:\d+[.)]\s+)?[A-Z][\w'’-]*(?:,?\s+(?:[A-Z][\w'’-]*|of|and|or|the|to|for|in|on|with|by|a|an)){1,8}\."
)
_CLAUSE_END = re.compile(r"[;:](?=\s)|,(?=\s+(?:and|or|but|where|which|provided|unless|except|if|und|oder)\b)")
_HEADING_LINE = re.compile(r"#{1,6}[ \t]+([^\n]+)")
_MARKUP = re.compile(
    r"\*\*|(?<![\w*])\*(?=\w)|(?<=\w)\*(?![\w*])|`{3,}\w*|^#{1,6}\s+|^>\s?|^[-*+•]\s+|^\d{1,2}[.)]\s+",
    re.M,
)


#: A sentence that begins so says something of the one before it.
REFERS = re.compile(
    r"(it|its|they|their|he|his|she|her|this|these|er|sein|seine|sie|ihr|ihre|dies|diese|dieser|dieses)\b", re.I
)


@dataclass(frozen=True, slots=True)
class Quote:
    """A stretch of a chunk: `text` equals the document's `[start:end]`. `relevance` grows with how well it answers."""

    chunk: Chunk
    start: int
    end: int
    relevance: float
    #: The heading right above it, empty where there is none, and how many stretches stand between them.
    heading: str = ""
    place: int = 0
    #: The header of the table that it is a row of.
    columns: str = ""
    #: Whether it is a row or a record, which speaks of one thing, and not of what the rows beside it speak of.
    row: bool = False
    #: Whether its sentence goes on behind it.
    cut: bool = False

    @property
    def text(self) -> str:
        return self.chunk.text[self.start - self.chunk.start : self.end - self.chunk.start]


def candidates(chunk: Chunk, *, code: bool = False) -> list[Quote]:
    """The stretches of a chunk that can be quoted: its sentences and lines, and each short table as a whole. What announces
    something (a line that ends with a colon, an item's key word) is joined with what follows it. What says nothing itself is
    left out: headings and titles, the header of a table, and code without what announces it, unless `code` asks for it."""
    text = chunk.text
    found: list[Quote] = []
    heading = chunk.context.split("\n", 1)[0].rsplit(" › ", 1)[-1]
    place = 0
    columns = ""
    parts = _parts(text)
    for number, (start, end, kind) in enumerate(parts):
        if kind == "heading":
            named = _HEADING_LINE.match(text, start, end)
            heading, place = (named[1].strip("# ") if named else text[start:end]), 0
        columns = plain(text[start:end]) if kind == "header" else columns if text.startswith("|", start) else ""
        if kind in ("heading", "header") or (kind == "code" and not (code and end - start <= _CODE_CHARACTERS)):
            continue
        if kind == "line":
            columns = _label(text, start)
        following = number + 1
        while kind == "text" and following < len(parts) and _announces(text[start:end]) and parts[following][2] in _ANNOUNCED:
            last = parts[following][1]
            if (last - start > _UNIT_CHARACTERS and not _RUN_IN.fullmatch(text, start, end)) or (
                parts[following][2] == "code" and last - end > _CODE_CHARACTERS
            ):
                break
            end = last
            following += 1
            if parts[following - 1][2] in ("code", "table"):
                break
            if not text[start:end].rstrip().endswith(":") and following - number > (8 if ":" in text[start:end] else 2):
                break
        cut = end - start > _UNIT_CHARACTERS
        end = _clause_end(text, start) if cut else end
        if text[start:end].endswith(":"):
            continue
        row = kind in ("row", "line") or (kind == "text" and text.startswith("|", start))
        found.append(Quote(chunk, chunk.start + start, chunk.start + end, 0.0, heading, place, columns, row, cut))
        place += 1
    return found


def _parts(text: str) -> list[tuple[int, int, str]]:
    """The text's units in order, as `(start, end, kind)`; a block of code is one. Kinds: text, heading, header, code, table
    (all rows of a short table, before the rows themselves)."""
    blocks = [match.span() for pattern in (_FENCED, _INDENTED) for match in pattern.finditer(text)]
    parts = [(start, end, "code") for start, end in blocks]
    rows = [row for row in _rows(text) if not any(a < row[1] and row[0] < b for a, b in blocks)]
    parts += rows
    blocks += [(start, end) for start, end, _ in rows]
    lines = text.count("\n") > 3 and len(text) / text.count("\n") < 40
    spans = [
        (unit.start, unit.end)
        for unit in units(text, lines=lines)
        if re.search(r"\w", text[unit.start : unit.end]) and not any(a < unit.end and unit.start < b for a, b in blocks)
    ]
    for start, end in spans:
        line = text[start:end]
        heading = line.startswith("#") or (len(spans) > 1 and _is_title(line))
        header = line.startswith("|") and bool(_RULED.match(text, text.find("\n", end) + 1 or len(text)))
        parts.append((start, end, "heading" if heading and "\n" not in line else "header" if header else "text"))
        if header:
            first = text.find("\n", text.find("\n", end) + 1) + 1
            body = re.compile(r"(?:[ \t]*\|[^\n]*(?:\n|\Z))+").match(text, first) if first else None
            if body and body[0].count("\n") <= 8 and len(body[0]) <= _TABLE_CHARACTERS:
                parts.append((first, first + len(body[0].rstrip()), "table"))
    return sorted(parts, key=lambda part: (part[0], -part[1]))


def _rows(text: str) -> list[tuple[int, int, str]]:
    """A table's rows, and the records of what was JSON: each as a whole (`row`), or the lines of a long one (`line`)."""
    found = [
        (table.start() + row.start(), table.start() + row.end(), "row")
        for table in _ROWS.finditer(text)
        for row in _LINE.finditer(table[0])
    ]
    for record in _RECORD.finditer(text):
        start, end = record.start(), record.start() + len(record[0].rstrip())
        if any(a < end and start < b for a, b, _ in found):
            continue
        if end - start <= _RECORD_CHARACTERS:
            found.append((start, end, "row"))
        else:
            found += [(start + line.start(), start + line.end(), "line") for line in _LINE.finditer(record[0])]
    return found


def _label(text: str, start: int) -> str:
    """What the record that a line is of begins with: its name, mostly."""
    first = text.rfind("\n\n", 0, start)
    return text[first + 2 if first >= 0 else 0 :].split("\n", 1)[0][:_LABEL_CHARACTERS]


def _announces(text: str) -> bool:
    first = text.split("\n", 1)[0].rstrip("* ")
    if first.startswith("|"):
        return False
    return first.endswith(":") or bool(re.fullmatch(r"\W*\d*\W*(\w+\W*){1,2}", first) or _RUN_IN.fullmatch(text))


def _clause_end(text: str, start: int) -> int:
    """Where to cut a sentence that is too long to quote: behind a clause, else behind a word."""
    part = text[start : start + _UNIT_CHARACTERS]
    ends = [match.end() for match in _CLAUSE_END.finditer(part) if match.end() > _UNIT_CHARACTERS // 3]
    return start + ends[-1] if ends else last_seam(text, start, start + len(part)) or start + len(part)


def _is_title(text: str) -> bool:
    """A heading, or a short line of words without an end of its own."""
    line = text.rstrip("* ")
    if line.startswith("#"):
        return "\n" not in line
    return len(line) < 70 and line[:1].isalnum() and line.count(" ") > 1 and not re.search(r"[^\w\s’'-]$|[:=(|`]|\n", line)


def plain(text: str) -> str:
    """A quote as a sentence to read: without Markdown's marks, a table's row as `Weight: 18.5 kg`, on one line."""
    lines = []
    rows = _MARKUP.sub("", text).splitlines()
    for number, line in enumerate(rows):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.lstrip().startswith("|") else [line]
        if len(cells) == 1 and " | " in line:
            line = line.removesuffix(" |").replace(" | ", ", ")
        header = len(cells) > 1 and number + 2 < len(rows) and _RULED.match(rows[number + 1])
        if header or all(not cell.strip(" -:=") for cell in cells):
            continue
        lines.append(": ".join(cells[:2]) + "".join(f", {cell}" for cell in cells[2:]) if len(cells) > 1 else line)
    record = len(lines) > 1 and all(_SAYS.match(line) for line in lines)
    return " ".join((", " if record else " ").join(lines).split())
