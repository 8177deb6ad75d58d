"""Whether a text holds a number, a time or that something is free, in the words of the languages that have files here. Those of
all of them count: short texts are alike in some."""

import re
from collections.abc import Callable
from collections.abc import Set as AbstractSet

from chains.languages import Language, languages, words_of


def holds_count(text: str) -> bool:
    """Whether it counts or measures something, in digits or words."""
    return _says_one(text, lambda each: each.numbers.keys() | each.fractions | each.spans)


def holds_time(text: str) -> bool:
    """Whether it may tell a time: a number, a day, a month, a part of the day."""
    return _says_one(text, lambda each: each.numbers.keys() | each.fractions | each.moments)


def is_free(text: str) -> bool:
    """Whether it says that something costs nothing."""
    return any(not each.free.isdisjoint(words_of(text)) for each in languages())


def _says_one(text: str, words: Callable[[Language], AbstractSet[str]]) -> bool:
    said = [part for word in words_of(text) for part in word.split("-")]
    return bool(re.search(r"\d", text)) or any(not words(each).isdisjoint(said) for each in languages())
