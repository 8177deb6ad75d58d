"""Where the words of a query stand in a passage, as the word index sees them: other forms of a word too, no stop words."""

import re
from collections.abc import Callable, Iterator, Sequence

from retrievers.word_analysis import UNSPACED

_ALONE = UNSPACED.pattern
_WORD = re.compile(rf"{_ALONE}|(?:(?!{_ALONE})[^\W_])+")
#: Different words of a query that are looked for.
_MOST_WORDS = 64

#: A text → its words as they are indexed.
Words = Callable[[str], Sequence[str]]
Stretch = tuple[int, int]


def highlights(query: str, texts: Sequence[str], words: Words) -> list[list[Stretch]]:
    """For each text the stretches `[start:end]` of it, in characters, that are words of the query, in order; those that touch
    are one."""
    wanted = frozenset(list(dict.fromkeys(words(query)))[:_MOST_WORDS])
    known: dict[str, bool] = {}

    def is_wanted(word: str) -> bool:
        if word not in known:
            known[word] = not wanted.isdisjoint(words(word))
        return known[word]

    return [list(_joined(text, is_wanted)) if wanted else [] for text in texts]


def _joined(text: str, is_wanted: Callable[[str], bool]) -> Iterator[Stretch]:
    held: Stretch | None = None
    for match in _WORD.finditer(text):
        if not is_wanted(match[0]):
            continue
        if held is not None and held[1] == match.start():
            held = (held[0], match.end())
            continue
        if held is not None:
            yield held
        held = match.span()
    if held is not None:
        yield held
