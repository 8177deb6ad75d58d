"""Which language an instruction in plain words asks for: `a Rust function`, `hello world in C`, `a SQL query that …`."""

import re
from enum import Enum

from chains.code.spellings import canonical

_WORD = re.compile(r"[\w+#]+(?:[.-][\w+#]+)*|[^\w\s]")
_VERSION = re.compile(r"(?<=[^\W\d]{3}|.\+\+)[\d.]+$")
#: A version as a word of its own: `a PostgreSQL 15 query`.
_FIGURE = re.compile(r"v?\d[\d.]*")


class _Sense(Enum):
    """Where a language's name means the language."""

    ALWAYS = 1  # it hardly means anything else
    CAPITAL = 2  # a word, too: where it is asked for, and with a capital letter within a sentence
    ASKED = 3  # a name or a short word, too: where it is asked for
    LETTER = 4  # a letter or a verb, too: where it is asked for, and ends what is said of it
    EMBEDDED = 5  # code in other languages holds it: `in SQL`, and where it is the thing to write
    DOCUMENT = 6  # code in other languages reads and writes it: where it is the thing to write


#: What people write in an instruction for a language, and where it means that.
_SENSES = {
    said: sense
    for sense, names in {
        _Sense.ALWAYS: "python java javascript js node.js nodejs ecmascript es6 typescript c++ cpp c# csharp f# kotlin golang "
        "php haskell ocaml fortran cobol matlab objective-c erlang clojure powershell bash perl lua solidity vhdl verilog "
        "elisp lisp",
        _Sense.CAPITAL: "rust ruby swift dart scala elixir groovy",
        _Sense.ASKED: "julia ada elm scheme pascal racket zig nim ts terraform c89 c99 c11 c17 c23",
        _Sense.LETTER: "c d r go",
        _Sense.EMBEDDED: "sql postgresql mysql sqlite shell graphql",
        _Sense.DOCUMENT: "html css scss xml json yaml toml latex markdown dockerfile makefile",
    }.items()
    for said in names.split()
}
_TO_WRITE = frozenset(
    [
        "function",
        "method",
        "program",
        "script",
        "code",
        "class",
        "struct",
        "enum",
        "trait",
        "interface",
        "module",
        "package",
        "macro",
        "snippet",
        "command",
        "query",
        "statement",
        "procedure",
        "view",
        "trigger",
        "table",
        "schema",
        "test",
        "example",
        "app",
        "application",
        "component",
        "server",
        "client",
        "library",
        "loop",
        "page",
        "form",
        "file",
        "document",
        "template",
        "list",
        "rule",
        "style",
        "stylesheet",
        "config",
        "configuration",
        "manifest",
        "for",
        "that",
        "which",
        "with",
        "to",
    ]
)
#: What may stand before the thing to write.
_HEAD = frozenset(
    [
        "please",
        "can",
        "could",
        "you",
        "i",
        "need",
        "want",
        "write",
        "create",
        "make",
        "generate",
        "give",
        "show",
        "build",
        "implement",
        "draft",
        "me",
        "us",
        "a",
        "an",
        "the",
        "some",
        "one",
        "my",
        "simple",
        "small",
        "short",
        "basic",
        "minimal",
        "valid",
        "complete",
        "new",
        "single",
    ]
)
_TURNS = frozenset(["translate", "convert", "port", "rewrite", "migrate", "turn"])
_GOES_ON = frozenset(["that", "which", "to", "for", "using", "with", "and", "please"])


def named(instruction: str) -> str | None:
    """The language that an instruction asks for; None where it names none. `in X` says more than an X elsewhere."""
    written_in, first = _found(instruction)
    return written_in or first


def named_to_write_in(instruction: str) -> str | None:
    """The X of an instruction's `in X`, or of `translate it to X`, which leaves no doubt; None without one."""
    return _found(instruction)[0]


def _found(instruction: str) -> tuple[str | None, str | None]:
    """The language that it is to be written in, and the first that is named at all."""
    said = _WORD.findall(instruction[:2_000])
    low = [word.lower() for word in said]
    turns = any(word in _TURNS for word in low)
    first = None
    written_in = None
    for place, word in enumerate(low):
        name = word if word in _SENSES else _VERSION.sub("", word)
        if (sense := _SENSES.get(name)) is None:
            continue
        before = low[place - 1] if place else ""
        after = next((word for word in low[place + 1 :] if not _FIGURE.fullmatch(word)), "")
        inside = before in ("in", "into") or (turns and before == "to")
        if not _meant(sense, said[place], inside=inside, before=low[:place], after=after):
            continue
        if inside and sense is not _Sense.DOCUMENT and (written_in is None or turns):
            written_in = canonical(name)  # of two where code is translated, the last is what it is translated to
        first = first or canonical(name)
    return written_in, first


def _meant(sense: _Sense, word: str, *, inside: bool, before: list[str], after: str) -> bool:
    to_write = after.removesuffix("s") in _TO_WRITE or after in _TO_WRITE
    head = all(other in _HEAD for other in before)
    capital = word[0].isupper()
    match sense:
        case _Sense.ALWAYS:
            return True
        case _Sense.CAPITAL:
            return inside or to_write or (capital and bool(before) and before[-1] not in ".!?:" and after not in "'’")
        case _Sense.ASKED:
            return inside or (to_write and after not in _GOES_ON)
        case _Sense.LETTER:
            ends = not re.match(r"\w", after) or after in _GOES_ON
            a_thing = to_write and after not in _GOES_ON and (capital or before[-1:] in (["a"], ["an"]))
            return a_thing or (inside and ends and (capital or not after))
        case _Sense.EMBEDDED:
            return inside or (head and (to_write or not after))
        case _Sense.DOCUMENT:
            return head and (to_write or not after)
