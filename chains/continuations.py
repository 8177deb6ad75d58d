"""Questions that only go on from the answer before (`And after that?`, `Why?`): what stands right behind it answers them, or it
does itself. They have no word that anything else could be found by."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from chains.quotes import REFERS, Quote, candidates, plain
from retrievers.base import Passage
from retrievers.sentences import units

Onward = Literal["then", "why"]

_OPENED = r"^\W*(?:(?:and|but|so|und|aber)\s+)?"
_ASKED: dict[Onward, re.Pattern[str]] = {
    "then": re.compile(
        rf"{_OPENED}(?:(?:what|was)\s+)?(?:(?:happens?|comes?|is|passiert|kommt|ist)\s+)?"
        r"(?:then|after(?:wards?)?(?:\s+(?:that|this))?|next|thereafter|danach|dann|anschließend|hinterher)\W*$",
        re.I,
    ),
    "why": re.compile(
        rf"{_OPENED}(?:why|how come|warum|weshalb|wieso)"
        r"(?:\s+(?:is|was|ist|war)\s+(?:that|this|it|das)(?:\s+so)?|\s+not|\s+nicht|\s+so|\s+das)?\W*$",
        re.I,
    ),
}
_TELLS: dict[Onward, re.Pattern[str]] = {
    "then": re.compile(
        r"\b(?:then|afterwards?|thereafter|after (?:that|this)|subsequently|next|later|dann|danach|anschließend|später)\b",
        re.I,
    ),
    "why": re.compile(
        r"\b(?:because|since(?! \d)|due to|owing to|thanks to|reasons?|so that|in order to|therefore|otherwise|weil|denn|wegen|"
        r"aufgrund|damit|sonst|andernfalls|gr[uü]nde?n?)\b",
        re.I,
    ),
}
#: Of two texts that say the same, so many of the words are the other's.
_SAME = 0.85


def onward(question: str) -> Onward | None:
    """What a question asks of the answer before it; None where it asks by words of its own."""
    return next((which for which, form in _ASKED.items() if form.search(question)), None)


def going_on(which: Onward, answer: str, passages: Sequence[Passage]) -> Quote | None:
    """The quote that answers such a question after an answer; None where none does."""
    said = units(answer)
    if not said:
        return None
    last = _spelt(answer[said[-1].start : said[-1].end])
    for passage in passages:
        found = candidates(passage.chunk)
        for quote, following in pairwise([*found, None]):
            if quote is None or not _same(last, _spelt(plain(quote.text))):
                continue
            # an answer of several sentences may tell already what follows
            if (which == "why" or len(said) > 1) and _TELLS[which].search(quote.text):
                return quote
            if following is not None and _goes_on(which, quote, following):
                return following
    return None


def _goes_on(which: Onward, quote: Quote, following: Quote) -> bool:
    text = plain(following.text)
    beside = quote.chunk.text[quote.end - quote.chunk.start : following.start - quote.chunk.start]
    if quote.row or following.row or beside.strip() or "\n\n" in beside or not _TELLS[which].search(text):
        return False
    return (
        which == "then" or bool(REFERS.match(text) or re.match(r"\W*(?:the|that|der|das)\b", text, re.I)) or text[:1].islower()
    )


def _spelt(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[^\W_]+", text.lower()))


def _same(one: frozenset[str], other: frozenset[str]) -> bool:
    shared = len(one & other)
    return bool(shared) and shared >= _SAME * len(one) and shared >= _SAME * len(other)
