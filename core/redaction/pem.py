"""Private keys as OpenSSL, OpenSSH and PGP write them (PEM), whole or in pieces: lines of base64 between `BEGIN` and `END`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

_BASE64 = "[A-Za-z0-9+/]"
_LABEL = r"(?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
#: The end of a line, as it is or escaped in a string of JSON or a program, with what may quote the lines.
_BREAK = r"(?:\\{1,4}[nr]|[\s>|\"'`,])++"
_HEADER = r"(?:Proc-Type|DEK-Info|Version|Comment|Hash|Charset|MessageID)\b[^\n\\]{0,120}"
_RUN = re.compile(
    rf"(?P<begin>-----BEGIN {_LABEL}(?:{_BREAK}{_HEADER}){{0,6}}{_BREAK})?(?:\\{{1,4}}[nr])?+"
    rf"(?P<lines>{_BASE64}{{20,}}+={{0,2}}(?:{_BREAK}{_BASE64}{{20,}}+={{0,2}})*+)"
    rf"(?P<rest>(?:{_BREAK}=?{_BASE64}{{1,19}}={{0,2}}(?=\s*\Z|[ \t\r]*\n|\\|\s*-----END |[\"'`])){{0,2}})"
    rf"(?P<end>(?:{_BREAK})?-----END {_LABEL})?"
)
#: The last, short line of a key, where no whole one stands before it in the text.
_LAST = re.compile(rf"(?<![\w+/=-])={{0,1}}{_BASE64}{{4,19}}={{0,2}}{_BREAK}-----END {_LABEL}")
_LINE = re.compile(rf"{_BREAK}|(?P<line>{_BASE64}+={{0,2}})")
#: What a line of a key has in length, and hardly another run of such characters twice.
_LENGTHS = frozenset({64, 70, 76})
#: Where something else than a private key begins or ends: a certificate, a public key, a message.
_OTHER = re.compile(rf"-----(?:BEGIN|END) (?!{_LABEL})[A-Z0-9 ]{{1,60}}-----")
#: How pictures and packed files begin in base64.
_FILES = ("iVBOR", "/9j/", "R0lGOD", "JVBERi", "UEsDB", "UklGR", "H4sI", "PD94", "PHN2Zy")


@dataclass(frozen=True)
class Block:
    """A private key at `[start, end)` of a text, and where it may be cut if it has to be: each piece is known for one then."""

    start: int
    end: int
    breaks: tuple[tuple[int, int], ...]


def find(text: str) -> Iterator[tuple[int, int]]:
    """The private keys and what is certainly a piece of one: what stands behind `BEGIN` or before `END`, and two or more lines
    as long as those of a key."""
    ends: set[int] = set()
    for run in _RUN.finditer(text):
        if run["begin"] or run["end"]:
            yield run.span()
            ends.add(run.end())
        elif not _is_other(text, run):
            yield from _pieces(text, run)
    for last in _LAST.finditer(text):
        opened = text.rfind("-----BEGIN ", 0, last.start()) > text.rfind("-----END ", 0, last.start())
        if last.end() not in ends and not opened:
            yield last.span()


def blocks(text: str, start: int, end: int) -> Iterator[Block]:
    """The private keys that begin within `text[start:end]`."""
    place = text.find("-----BEGIN ", start, end)
    while place >= 0:
        following = place + 1
        if (run := _RUN.match(text, place)) is not None and run["begin"]:
            lines = _lines(text, run)
            # every other line, so that no piece is a line alone; the last ones stay with END
            places = range(2, len(lines) - 1, 2)
            yield Block(place, run.end(), tuple((lines[i - 1][1], lines[i][0]) for i in places))
            following = run.end()
        place = text.find("-----BEGIN ", following, end)


def _is_other(text: str, run: re.Match[str]) -> bool:
    if run["lines"].startswith(_FILES):
        return True
    before = text[max(0, run.start() - 200) : run.start()].rstrip()
    behind = text[run.end() : run.end() + 100].lstrip(" \t\r\n\\nr\"'")
    opened = list(_OTHER.finditer(before))
    return bool((opened and opened[-1][0].startswith("-----BEGIN")) or _OTHER.match(behind) or "base64," in before[-60:])


def _lines(text: str, run: re.Match[str]) -> list[tuple[int, int]]:
    return [found.span() for found in _LINE.finditer(text, *run.span("lines")) if found["line"]]


def _pieces(text: str, run: re.Match[str]) -> Iterator[tuple[int, int]]:
    lines = _lines(text, run)
    first = 0
    for length, group in groupby(lines, key=lambda line: line[1] - line[0]):
        last = first + len(list(group)) - 1
        if length in _LENGTHS and last > first and all(_is_mixed(text[a:b]) for a, b in lines[first : last + 1]):
            # a shorter line at its beginning or end is the rest of a cut one, or the last of the key
            before = first == 1 and lines[0][1] - lines[0][0] < length
            behind = last == len(lines) - 2 and lines[-1][1] - lines[-1][0] < length
            yield lines[0 if before else first][0], lines[-1 if behind else last][1]
        first = last + 1


def _is_mixed(line: str) -> bool:
    return any(map(str.isdigit, line)) and any(map(str.isupper, line)) and any(map(str.islower, line)) and len(set(line)) >= 24
