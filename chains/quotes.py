"""The stretches of a passage that can be quoted, as spans of the stored document, and how they read as a sentence."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from chains.blocks import ITEM, RULED, SAYS, Part, parts
from chains.source_code import program_of, stretches
from retrievers.base import Chunk
from retrievers.seams import last_seam

_UNIT_CHARACTERS = 600
_CODE_CHARACTERS = 300
_LABEL_CHARACTERS = 120
#: What may be joined with what announces it; rows and records speak for themselves.
_ANNOUNCED = ("text", "entry", "code", "table", "header")
#: A heading that its paragraph begins with: `3. Grant of Patent License.`
_RUN_IN = re.compile(
    r"\W*(?:\d+[.)]\s+)?[A-Z][\w'’-]*(?:,?\s+(?:[A-Z][\w'’-]*|of|and|or|the|to|for|in|on|with|by|a|an)){1,8}\."
)
_DATED = re.compile(r"\b(?:1\d|20)\d\d\b")
_NUMBERED = re.compile(r"\b(?:no|nr|number|nummer)\.? ?[\w/-]*\d|#\d", re.I)
_CLAUSE_END = re.compile(r"[;:](?=\s)|,(?=\s+(?:and|or|but|where|which|provided|unless|except|if|und|oder)\b)")
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
    #: Whether what it is of goes on behind it: a sentence, or a list.
    cut: bool = False
    #: What part of a text it is, as `chains.blocks` calls it; `list` for a whole one; `remedy` for a trouble and what to do.
    kind: str = "text"
    #: Of one entry of a list, the span of the whole list within the chunk's text, and whether it is cut there.
    whole: tuple[int, int, bool] | None = None
    #: The language of the program that it is of, empty where it is of none: it is shown as it stands.
    program: str = ""

    @property
    def text(self) -> str:
        return self.chunk.text[self.start - self.chunk.start : self.end - self.chunk.start]

    @property
    def title(self) -> str:
        """Its document's."""
        return self.chunk.context.split("\n", 1)[0].split(" › ", 1)[0]

    @property
    def topic(self) -> str:
        """The heading that tells what it is about from what the rest of its document is: the title does not."""
        return "" if self.heading == self.title else self.heading

    def listed(self) -> "Quote":
        """The whole list that it is an entry of, as far as that can be quoted; itself, where it is of none."""
        if self.whole is None:
            return self
        start, end, cut = self.whole
        return replace(self, start=self.chunk.start + start, end=self.chunk.start + end, kind="list", whole=None, cut=cut)


def candidates(chunk: Chunk, *, code: bool = False, numbered: bool = False, dated: bool = False) -> list[Quote]:
    """The stretches of a chunk that can be quoted: its sentences, entries and rows, and each short table as a whole. What
    announces something (a line that ends with a colon, a heading that its paragraph begins with) is joined with what follows
    it. What says nothing itself is left out: headings, but those with a number (`Invoice No. 7`) where such are asked for
    (`numbered`) or with a date (`dated`), questions, the header of a table, and code without what announces
    it, unless `code` asks for it."""
    text = chunk.text
    found: list[Quote] = []
    if program := program_of(chunk):
        at = chunk.start
        return [
            Quote(chunk, at + start, at + end, 0.0, place=place, program=program)
            for place, (start, end) in enumerate(stretches(text))
        ]
    headings = chunk.context.split("\n", 1)[0].split(" › ")
    heading, place, columns = headings[-1], 0, ""
    blocks = parts(text, headings)
    lists = _lists(text, blocks)
    for number, part in enumerate(blocks):
        start, end, kind = part.start, part.end, part.kind
        if kind == "heading":
            heading, place = _MARKUP.sub("", text[start:end]).strip("#*_ "), 0
            if (numbered and _NUMBERED.search(heading)) or (dated and _DATED.search(heading)):
                found.append(Quote(chunk, chunk.start + start, chunk.start + end, 0.0, heading, row=True, kind="entry"))
        columns = plain(text[start:end]) if kind == "header" else columns if text.startswith("|", start) else ""
        if kind in ("heading", "aside", "header") or (kind == "code" and not (code and end - start <= _CODE_CHARACTERS)):
            continue
        if kind == "line":
            columns = _label(text, start)
        whole = lists.get(number)
        if kind == "entry" and whole is not None and text[whole[0] : whole[1]].split("\n", 1)[0].endswith(":"):
            columns = text[whole[0] : whole[1]].split("\n", 1)[0]
        if kind == "text":
            end = _joined(text, blocks, number)
        if whole is not None and whole[0] == start and text[start : part.end].endswith(":"):
            found.append(Quote(chunk, chunk.start + start, chunk.start + end, 0.0, heading, place, "", whole=whole).listed())
            place += 1
            continue
        cut = end - start > _UNIT_CHARACTERS
        end = _clause_end(text, start) if cut else end
        if text[start:end].endswith(":"):
            continue
        row = kind in ("row", "line", "entry") or (kind == "text" and text.startswith("|", start))
        found.append(Quote(chunk, chunk.start + start, chunk.start + end, 0.0, heading, place, columns, row, cut, kind, whole))
        place += 1
    return found


def _joined(text: str, blocks: Sequence[Part], number: int) -> int:
    """Where a stretch ends that is joined with what it announces."""
    start, end = blocks[number].start, blocks[number].end
    following = number + 1
    while following < len(blocks) and _announces(text[start:end]) and blocks[following].kind in _ANNOUNCED:
        last = blocks[following].end
        if (last - start > _UNIT_CHARACTERS and not _RUN_IN.fullmatch(text, start, end)) or (
            blocks[following].kind == "code" and last - end > _CODE_CHARACTERS
        ):
            break
        end = last
        following += 1
        if blocks[following - 1].kind in ("code", "table"):
            break
        if not text[start:end].rstrip().endswith(":") and following - number > (8 if ":" in text[start:end] else 2):
            break
    return end


def _lists(text: str, blocks: Sequence[Part]) -> dict[int, tuple[int, int, bool]]:
    """For each part that is of a list, the span of the whole list, with the line that announces it: as many of its entries as
    can be quoted at once, and whether there are more."""
    found: dict[int, tuple[int, int, bool]] = {}
    first = 0
    while first < len(blocks):
        last = first
        while last < len(blocks) and (blocks[last].listed or (last > first and _continues(text, blocks, last))):
            last += 1
        begin = first
        if first and text[blocks[first - 1].start : blocks[first - 1].end].endswith(":") and blocks[first - 1].kind == "text":
            begin -= 1
        fits = [number for number in range(first, last) if blocks[number].end - blocks[begin].start <= _UNIT_CHARACTERS]
        if sum(blocks[number].listed for number in fits) > 1:
            found |= dict.fromkeys(range(begin, last), (blocks[begin].start, blocks[fits[-1]].end, fits[-1] < last - 1))
        first = max(last, first + 1)
    return found


def _continues(text: str, blocks: Sequence[Part], number: int) -> bool:
    """Whether a sentence goes on in the item of a list that the one before it is of."""
    return blocks[number].kind == "text" and "\n" not in text[blocks[number - 1].end : blocks[number].start]


def _label(text: str, start: int) -> str:
    """What the record that a line is of begins with: its name, mostly."""
    first = text.rfind("\n\n", 0, start)
    return text[first + 2 if first >= 0 else 0 :].split("\n", 1)[0][:_LABEL_CHARACTERS]


def _announces(text: str) -> bool:
    first = text.split("\n", 1)[0].rstrip("* ")
    return not first.startswith("|") and (first.endswith(":") or bool(_RUN_IN.fullmatch(text)))


def _clause_end(text: str, start: int) -> int:
    """Where to cut a sentence that is too long to quote: behind a clause, else behind a word."""
    part = text[start : start + _UNIT_CHARACTERS]
    ends = [match.end() for match in _CLAUSE_END.finditer(part) if match.end() > _UNIT_CHARACTERS // 3]
    return start + ends[-1] if ends else last_seam(text, start, start + len(part)) or start + len(part)


def plain(text: str) -> str:
    """A quote as a sentence to read: without Markdown's marks, a table's row as `Weight: 18.5 kg`, on one line."""
    lines = []
    rows = _MARKUP.sub("", text).splitlines()
    for number, line in enumerate(rows):
        cells = _cells(line) or [line]
        if len(cells) == 1 and " | " in line:
            line = line.removesuffix(" |").replace(" | ", ", ")
        header = len(cells) > 1 and number + 2 < len(rows) and RULED.match(rows[number + 1])
        if header or all(not cell.strip(" -:=") for cell in cells):
            continue
        lines.append(": ".join(cells[:2]) + "".join(f", {cell}" for cell in cells[2:]) if len(cells) > 1 else line)
    record = len(lines) > 1 and all(SAYS.match(line) for line in lines)
    return " ".join((", " if record else " ").join(lines).split())


def with_columns(quote: Quote) -> str | None:
    """Rows of a table of three columns or more with their names, `Line: X40, From: Halden`; None for what is none."""
    rows = [_cells(line) for line in quote.text.strip().splitlines()]
    if not rows or any(len(cells) < 3 for cells in rows):
        return None
    text = quote.chunk.text[: quote.end - quote.chunk.start]
    lines = [*quote.chunk.context.splitlines(), *text.splitlines()]
    header = next((line for line, below in reversed([*pairwise(lines)]) if RULED.match(below)), None)
    names = _cells(header or next((line for line in lines if line.startswith("|")), ""))
    told = [cells for cells in rows if cells != names and any(cell.strip(" -:=") for cell in cells)]
    if not told or not all(names[1:]) or any(len(cells) != len(names) for cells in told):
        return None
    said = ([f"{name}: {cell}" if name else cell for name, cell in zip(names, cells, strict=True) if cell] for cells in told)
    return plain("; ".join(", ".join(each) for each in said))


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")] if line.lstrip().startswith("|") else []


def enumerated(text: str) -> str:
    """A list as a sentence to read: its entries behind commas, where they have no ends of their own."""
    said = ""
    for line in text.splitlines():
        if entry := plain(line):
            apart = said and (ITEM.match(line) or not line[:1].isspace()) and not re.search(r"[.!?…:;,]$", said)
            said += f"{', ' if apart else ' ' if said else ''}{entry}"
    return said
