"""Which flavour of text a text is, by what is in it: a table, Markdown, JSON, a mail. What a name says only tips the scales."""

import csv
import json
import re
from collections import Counter

from retrievers.loaders.encoding import decode

_DELIMITERS = (",", ";", "\t", "|")
_LINES = 60
_JSON_BYTES = 4 * 2**20
#: A cell of a table is seldom longer; a part of a sentence between two commas often is.
_CELL = 60
_HEADING = re.compile(r"^#{1,6} +\S", re.MULTILINE)
_HEADER = re.compile(r"([A-Za-z][A-Za-z0-9-]{0,60}):[ \t]?")
_HEADERS_READ = 200
#: What a mail program writes, and nobody above a note of their own.
_POSTED = frozenset({"message-id", "mime-version", "received", "return-path", "delivered-to", "dkim-signature"})
_MARKS = (
    _HEADING,
    re.compile(r"^ {0,3}(?:[-*+]|\d{1,3}\.) +\S", re.MULTILINE),
    re.compile(r"\[[^\]\n]{1,200}\]\([^)\s]{1,500}\)"),
    re.compile(r"^ {0,3}(?:```|~~~)", re.MULTILINE),
    re.compile(r"^ {0,3}\|.{1,500}\|\s*$", re.MULTILINE),
    re.compile(r"(?:\*\*|__)[^*_\n]{1,200}(?:\*\*|__)"),
)


def is_table(text: str, *, named: bool) -> bool:
    """Whether lines divide into as many cells each. Where the name says that it is a table, a few may differ, and one column is
    enough; where it does not, three rows have to agree, of cells that are short."""
    lines = [line for line in text.splitlines()[:_LINES] if line.strip()]
    if named and not any(delimiter in text for delimiter in _DELIMITERS):
        return all(len(line) <= _CELL for line in lines)
    return any(_divides(lines, delimiter, named=named) for delimiter in _DELIMITERS)


def _divides(lines: list[str], delimiter: str, *, named: bool) -> bool:
    try:
        rows = [row for row in csv.reader([f"{line}\n" for line in lines], delimiter=delimiter) if row]
    except csv.Error:
        return False
    widths = Counter(map(len, rows))
    width, count = widths.most_common(1)[0] if widths else (0, 0)
    if width < 2:
        return False
    if named:
        return count >= 0.8 * len(rows)
    short = sum(len(cell) <= _CELL for row in rows for cell in row)
    cells = sum(map(len, rows))
    return len(rows) >= 3 and count == len(rows) and short >= 0.95 * cells and not _is_markdown_table(lines)


def _is_markdown_table(lines: list[str]) -> bool:
    return len(lines) > 1 and set(lines[1].strip()) <= set("|-: ") and "|" in lines[1]


def is_markdown(text: str) -> bool:
    """Whether there is a heading, and another mark of Markdown or another heading."""
    headings = len(_HEADING.findall(text))
    return headings > 1 or (headings == 1 and any(mark.search(text) for mark in _MARKS[1:]))


def is_mail(text: str, *, named: bool) -> bool:
    """Whether it begins with the headers of a mail: who sent it, and what only programs write. Where the name says that it is
    one, a header of mail is enough."""
    names: set[str] = set()
    for line in text.lstrip("\ufeff\r\n").splitlines()[:_HEADERS_READ]:
        if not line.strip():
            break
        if line[0] in " \t" and names:
            continue
        if (header := _HEADER.match(line)) is None:
            if not names and line.startswith("From "):  # as in a mailbox
                continue
            break
        names.add(header[1].lower())
    if named:
        return bool(names & {"from", "to", "subject", "date", *_POSTED})
    return "from" in names and bool(names & _POSTED) and len(names) > 2


def is_json(data: bytes, text: str) -> bool:
    """Whether all of it is a JSON object or list, or lines of them. `text` is its beginning."""
    if text.lstrip("\ufeff \t\r\n")[:1] not in ("{", "[") or len(data) > _JSON_BYTES:
        return False
    whole = decode(data)
    try:
        _parse(whole)
    except RecursionError:
        return False
    except ValueError:
        return _is_json_lines(whole)
    return True


def _is_json_lines(text: str) -> bool:
    lines = [line for line in text.splitlines() if line.strip()]
    try:
        return len(lines) > 1 and all(isinstance(_parse(line), dict | list) for line in lines)
    except (ValueError, RecursionError):
        return False


def _parse(text: str) -> object:
    return json.loads(text.lstrip("\ufeff"), parse_int=str, parse_float=str)
