"""Questions whether so many are allowed: a text that says how many may be at most, or at least, answers them with a number of
its own."""

import re
from dataclasses import dataclass, replace
from itertools import pairwise

from chains.specifics import Specifics, number_of, tokens
from chains.vocabulary import ENGLISH, GERMAN, NUMBERS

_MAY = re.compile(r"^\W*(?:may|can|could|must|am|are|is|do|does|darf|dürfen|kann|können|muss|müssen|ist|sind)\b", re.I)
_NUMBER = rf"(?:\d[\d.,]*|{'|'.join(NUMBERS)})"
_LIMIT = (
    r"(?:up to|at (?:the )?(?:most|least)|(?:no|not) (?:more|less|fewer) than|maximum(?: of)?|minimum(?: of)?|max\.?|min\.?|"
    r"only|limited to|bis zu|höchstens|maximal|mindestens|nicht mehr als|nicht weniger als|nur)"
)


@dataclass(frozen=True, slots=True)
class Limited:
    """What a question counts (`three guests`): the number, and the word behind it."""

    value: str
    counted: str

    @classmethod
    def of(cls, question: str) -> "Limited | None":
        """None where a question does not ask whether so many may be."""
        if not _MAY.search(question):
            return None
        said = tokens(question)
        for number, counted in pairwise(said):
            value = number_of(number)
            if value is not None and counted.isalpha() and counted.lower() not in ENGLISH | GERMAN:
                return cls(value, counted.lower())
        return None

    def limited(self, text: str) -> bool:
        """Whether a text says how many of those there may or must be."""
        stem = re.escape(self.counted[:-1] if self.counted.endswith("s") else self.counted)
        return bool(re.search(rf"\b{_LIMIT}\s+{_NUMBER}\s+(?:\w+\s+)?{stem}\w{{0,2}}\b", text, re.I))

    def without(self, asked: Specifics) -> Specifics:
        """What is asked for, but for the number."""
        return replace(
            asked,
            numbers=tuple(value for value in asked.numbers if value != self.value),
            numbered=tuple(pair for pair in asked.numbered if pair[1] != self.value),
        )
