"""Whether repaired code is still the program that was to be repaired, as far as its words tell."""

import re
from collections import Counter
from difflib import SequenceMatcher

from chains.code.static import python_faults

_DEFINED = re.compile(r"\b(?:def|function|func|fun|fn|class|struct|interface|enum|trait|module|sub)\s+(?:\([^)]*\)\s*)?(\w+)")
#: A function without a word for it: of C and its kin, and a value that is one.
_UNNAMED_KINDS = re.compile(
    r"^[ \t]*(?:[\w:<>,*&\[\]]+[ \t]+)+[*&]*(\w+)[ \t]*\([^()\n]*\)[^;\n]*\{"
    r"|\b(\w+)\s*[:=]\s*(?:async\s*)?(?:function\b|lambda\b|\([^()\n]*\)\s*(?::[^=\n]+)?=>|\w+\s*=>)",
    re.M,
)
_NO_NAMES = frozenset(("if", "for", "while", "switch", "catch", "return", "else", "match", "with", "using", "lock"))
#: What a caller says who wants other definitions.
_OTHER_NAMES = re.compile(
    r"\b(renam|remov|delet|drop|merg|split|inlin|replac|rewrit|refactor|extract|combin|join|simplif|convert|turn\b|nam(e|ed|es|ing)\b"
    r"|call(ed)? (it|them)|into (one|a)\b|umbenenn|entfern|lösch|zusammen|ersetz|umschreib|heißen)",
    re.I,
)
_LITERAL = re.compile(r"([\"'`])((?:(?!\1)[^\n\\]){1,80})\1")
_WORD = re.compile(r"\w+")
#: This share of a program's words must be in what it became. A word with a slip of the pen is the same word.
_KEPT = 0.7
_ALIKE = 0.7
#: More words are not compared: what is left of that many tells enough.
_MOST_WORDS = 300
_TOKEN = re.compile(r"\w+|[^\w\s]")
#: Where nothing but a fault is to be mended, this share of a program may go, and that share come new; a few marks always may.
_GONE, _NEW, _FEW = 0.25, 0.3, 6
#: More tokens are counted in place of being compared in their order.
_MOST_TOKENS = 600


def lost(source: str, code: str, *, told: str | None) -> str | None:
    """What of the source is gone from its repair, in a few words; None where it is still there. `told` is what the caller has
    said to change, so that other words may go as well, and definitions if that is what it speaks of."""
    held = set(_WORD.findall(code))
    if not told or not _OTHER_NAMES.search(told):
        defined = _defined(code)
        for name in _defined(source):
            if name not in held or (defined and name not in defined):
                return f"`{name}` is gone from it"
    said = {text for _, text in _LITERAL.findall(source)}
    if not told and 2 * len(said - {text for _, text in _LITERAL.findall(code)}) > len(said):
        return "what it says is gone from it"
    words = list(dict.fromkeys(_WORD.findall(source)))[:_MOST_WORDS]
    kept = sum(word in held or _written_wrongly(word, held) for word in words)
    share = _KEPT / 2 if told else _KEPT
    return None if kept >= share * len(words) else "a part of the program is gone from it"


def rewritten(source: str, code: str) -> str | None:
    """That another program stands in a repair's place, in a few words, where its words are largely others; None where a fault
    was mended and the rest stayed."""
    was, is_now = _TOKEN.findall(source), _TOKEN.findall(code)
    if max(len(was), len(is_now)) > _MOST_TOKENS:
        kept = (Counter(was) & Counter(is_now)).total()
    else:
        matched = SequenceMatcher(None, was, is_now, autojunk=False).get_matching_blocks()
        kept = sum(block.size for block in matched)
    gone, new = len(was) - kept, len(is_now) - kept
    if gone > max(_FEW, _GONE * len(was)) or new > max(_FEW, _NEW * len(was)):
        return "it is another program, not a repair of this one"
    return None


def made_up(source: str, code: str) -> str | None:
    """What repaired Python uses or defines wrongly that its source did not, in a few words; None where there is nothing.

    As `syntax.problems`, it is run by `chains.code.parsing`.
    """
    known = set(_WORD.findall(source))
    for line, severity, said in python_faults(code):
        name = re.search(r"'(\w+)'", said)
        if name is None or (severity != "error" and not said.startswith("Redefinition")):
            continue
        if name[1] not in known:
            return f"line {line}: {said[:1].lower()}{said[1:].rstrip('.')}"
    return None


def _defined(text: str) -> list[str]:
    found = [*_DEFINED.findall(text), *(one or other for one, other in _UNNAMED_KINDS.findall(text))]
    return [name for name in dict.fromkeys(found) if name not in _NO_NAMES]


def _written_wrongly(word: str, held: set[str]) -> bool:
    return len(word) > 2 and any(
        abs(len(word) - len(other)) <= 2 and SequenceMatcher(None, word, other).ratio() >= _ALIKE for other in held
    )
