"""Whether repaired code is still the program that was to be repaired, as far as its words tell."""

import re
from difflib import SequenceMatcher

_DEFINED = re.compile(r"\b(?:def|function|func|fun|fn|class|struct|interface|enum|trait|module|sub)\s+(?:\([^)]*\)\s*)?(\w+)")
_LITERAL = re.compile(r"([\"'`])((?:(?!\1)[^\n\\]){1,80})\1")
_WORD = re.compile(r"\w+")
#: This share of a program's words must be in what it became. A word with a slip of the pen is the same word.
_KEPT = 0.7
_ALIKE = 0.7
#: More words are not compared: what is left of that many tells enough.
_MOST_WORDS = 300


def lost(source: str, code: str, *, told: bool) -> str | None:
    """What of the source is gone from its repair, in a few words; None where it is still there. `told`: the caller has said
    what to change, so that other words may go as well."""
    held = set(_WORD.findall(code))
    for name in _DEFINED.findall(source):
        if name not in held and not told:
            return f"`{name}` is gone from it"
    said = {text for _, text in _LITERAL.findall(source)}
    if not told and 2 * len(said - {text for _, text in _LITERAL.findall(code)}) > len(said):
        return "what it says is gone from it"
    words = list(dict.fromkeys(_WORD.findall(source)))[:_MOST_WORDS]
    kept = sum(word in held or _written_wrongly(word, held) for word in words)
    share = _KEPT / 2 if told else _KEPT
    return None if kept >= share * len(words) else "a part of the program is gone from it"


def _written_wrongly(word: str, held: set[str]) -> bool:
    return len(word) > 2 and any(
        abs(len(word) - len(other)) <= 2 and SequenceMatcher(None, word, other).ratio() >= _ALIKE for other in held
    )
