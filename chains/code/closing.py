"""Closing what nothing closes where the indentation says that it ends: brackets at a line's end, and blocks between words."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from chains.code.bare import bare

_CLOSES = {"(": ")", "[": "]", "{": "}"}
#: What opens a block in a language without braces, and what closes it.
_WORDS: dict[str, tuple[re.Pattern[str], dict[str, str]]] = {
    "ruby": (
        re.compile(
            r"(?:^|[=;]\s*)(?P<opens>def|class|module|if|unless|case|begin|while|until|for)\b(?!.*\bend\b)"
            r"|\b(?P<does>do)\b(?=\s*(?:\|[^|]*\|)?\s*$)|(?<![.:@$\w])(?P<closes>end)\b(?![?!:])"
        ),
        dict.fromkeys(["def", "class", "module", "if", "unless", "case", "begin", "while", "until", "for", "do"], "end"),
    ),
    "bash": (
        re.compile(
            r"(?:^|[;&|]|\b(?:then|else|do)\b)\s*(?P<opens>if|case|for|while|until|select)\b|(?:^|[;&]\s*)(?P<closes>fi|done|esac)\b"
        ),
        {"if": "fi", "case": "esac", **dict.fromkeys(("for", "while", "until", "select"), "done")},
    ),
    "lua": (
        re.compile(r"\b(?P<opens>function|if|for|while)\b|(?:^|;)\s*(?P<does>do)\b|\b(?P<closes>end)\b"),
        dict.fromkeys(["function", "if", "for", "while", "do"], "end"),
    ),
}
#: A Ruby method of one line has no end: `def twice(x) = 2 * x`.
_ENDLESS = re.compile(r"^def\s+[\w.?!]+\s*(?:\([^)]*\))?\s*=(?![=~])")
#: What goes on with a block that is open, at its own indentation.
_GOES_ON = re.compile(
    r"(?:else|elif|elsif|elseif|when|in|rescue|ensure|catch|finally|then|do|and|or)\b|;;|[.|&?]|#\s*\w+"
    r"|(?:case\b.*|default\s*|public|private|protected|\w+)\s*:(?!:|=)"
)
#: What may stand behind a bracket at a line's end.
_ENDS_OPEN = re.compile(r"[\s(\[{]*(?:\|[^|\n]*\|)?\s*$")


@dataclass(frozen=True, slots=True)
class _Open:
    indent: int
    closer: str
    row: int
    #: Code follows on its line, so that the lines below tell nothing about its end.
    inline: bool


class _SilentError(Exception):
    """The indentation does not say where something ends."""


def closed(code: str, language: str) -> str | None:
    """The code with what closes its blocks put in where the indentation goes back; None where nothing lacks, and where the
    indentation tells nothing."""
    try:
        return _Closing(code, language).closed()
    except _SilentError:
        return None


class _Closing:
    def __init__(self, code: str, language: str) -> None:
        self.lines = code.rstrip().splitlines()
        self.end = "\n" if code.endswith("\n") else ""
        self.bare = bare("\n".join(self.lines), language).splitlines()
        self.language = language
        self.open: list[_Open] = []
        self.written: list[str] = []
        self.put_in = 0
        #: Where the last line with code is in `written`, and which row of the code it is.
        self.last, self.last_row = 0, -1

    def closed(self) -> str | None:
        for row, line in enumerate(self.lines):
            said = self.bare[row].strip() if row < len(self.bare) else ""
            if said:
                line = self._before(said, _width(line), line)
            self.written.append(line)
            if said:
                self.last, self.last_row = len(self.written), row
                self._scan(row, said, _width(line))
        while self.open:
            self._close(self.open.pop())
        return "\n".join(self.written) + self.end if self.put_in else None

    def _before(self, said: str, indent: int, line: str) -> str:
        """Close what ends before this line; the line, with a closer in front of its own bracket where that belongs there."""
        closer = _closer(said, self.language)
        while self.open and self.open[-1].indent >= indent:
            top = self.open[-1]
            if closer == top.closer and (top.indent == indent or not self._awaited(closer, indent)):
                break
            if closer is None and top.indent == indent and _GOES_ON.match(said):
                break
            if closer is None and top.indent == indent and said.startswith(tuple(_CLOSES)) and not top.inline:
                break
            self.open.pop()
            if closer in (")", "]") and top.indent == indent and not top.inline:
                self.put_in += 1
                margin = len(line) - len(line.lstrip())
                line = line[:margin] + top.closer + line[margin:]
                self._held(top)
            else:
                self._close(top)
        return line

    def _awaited(self, closer: str, indent: int) -> bool:
        return any(one.closer == closer and one.indent <= indent for one in self.open[:-1])

    def _close(self, top: _Open) -> None:
        self._held(top)
        margin = re.match(r"\s*", self.lines[top.row])
        self.written.insert(self.last, (margin[0] if margin else "") + top.closer)
        self.last += 1
        self.put_in += 1

    def _held(self, top: _Open) -> None:
        if top.inline or top.row == self.last_row:
            raise _SilentError

    def _scan(self, row: int, said: str, indent: int) -> None:
        """What the line opens and closes."""
        marks = [] if self.language == "bash" else [(at, mark) for at, mark in enumerate(said) if mark in "()[]{}"]
        if self.language == "bash" and re.search(r"\{\s*$", said):
            marks = [(len(said) - 1, "{")]
        elif said == "}":
            marks = [(0, "}")]
        for at, mark in sorted([*marks, *self._words(said)]):
            if mark in _CLOSES or mark.startswith(">"):
                word = mark.startswith(">")
                inline = not word and not _ENDS_OPEN.fullmatch(said, at + 1)
                self.open.append(_Open(indent, mark[1:] if word else _CLOSES[mark], row, inline))
            elif self.open and self.open[-1].closer == mark:
                self.open.pop()
            else:
                raise _SilentError

    def _words(self, said: str) -> Sequence[tuple[int, str]]:
        if self.language not in _WORDS or (self.language == "ruby" and _ENDLESS.match(said)):
            return []
        pattern, ends = _WORDS[self.language]
        found: list[tuple[int, str]] = []
        for match in pattern.finditer(said):
            opens = match["opens"] or (match.groupdict().get("does"))
            if opens == "do" and found and found[-1][1] == ">end" and re.match(r"(?:while|until|for)\b", said):
                continue
            found.append((match.start(), f">{ends[opens]}" if opens else match["closes"]))
        return found


def _closer(said: str, language: str) -> str | None:
    if said[0] in _CLOSES.values():
        return said[0]
    word = re.match(r"\w+", said)
    return word[0] if word and language in _WORDS and word[0] in _WORDS[language][1].values() else None


def _width(line: str) -> int:
    margin = line.expandtabs(8)
    return len(margin) - len(margin.lstrip())
