"""What is told behind the sentence that a question leads to: what is to be done about it ("what should I do if"), and what
comes of it otherwise ("why must", "what happens if … not")."""

import re
from dataclasses import replace

from chains.causes import ASKS, tells_cause
from chains.quotes import Quote, plain
from retrievers.sentences import units

ASKED = re.compile(
    r"\bwhat (?:should|must|can|do|shall) (?:i|we|you|one|they) do\b|\bwhat (?:is|has) to be done\b|\bwhat to do\b|"
    r"\bwas (?:soll|muss|kann|mache?|tue?) (?:ich|wir|man)\b",
    re.I,
)
_TELLS = re.compile(
    r"\b(?:must|should|shall|have to|has to|needs? to|please|do not|don't|never|call|contact|ask|tell|run|press|switch|turn|"
    r"check|remove|replace|restart|use|open|close|clean|wait|go|take|put|report|muss|müssen|soll\w*|bitte|rufen|wenden|melden)\b",
    re.I,
)
_SENTENCES, _CHARACTERS = 2, 300
_ASKS_WHY = re.compile(
    rf"{ASKS}|\bwhat (?:happens|would happen|will happen|goes wrong) (?:if|when)\b|\bwas (?:passiert|geschieht)\b", re.I
)
#: How a sentence begins that says what comes of it, if what the one before it says is not done, or is.
_OTHERWISE = re.compile(
    r"(?:otherwise|or else|if not\b|if (?:it|this|that|they) (?:is|are|does|do)(?: not|n['’]t)|"
    r"this (?:prevents?|avoids?|protects?|keeps?)|that (?:way|prevents?|avoids?|protects?|keeps?)|"
    r"sonst|andernfalls|ansonsten|das (?:verhindert|vermeidet|schützt)|dadurch|so )",
    re.I,
)


def completed(quote: Quote, question: str) -> Quote:
    """The quote with what a question like this one asks for besides."""
    if ASKED.search(question):
        return with_remedy(quote)
    return with_reason(quote) if _ASKS_WHY.search(question) else quote


def with_reason(quote: Quote) -> Quote:
    """The quote with the sentence behind it, where it tells no reason and that one does."""
    if quote.row or quote.kind != "text" or tells_cause(plain(quote.text)):
        return quote
    behind = _behind(quote)
    if not behind or not _OTHERWISE.match(quote.chunk.text[behind[0][0] : behind[0][1]]):
        return quote
    return replace(quote, end=quote.chunk.start + behind[0][1], kind="remedy")


def with_remedy(quote: Quote) -> Quote:
    """The quote with the sentences behind it in its paragraph, where it names no more than the trouble itself."""
    if quote.row or quote.kind != "text" or _TELLS.search(plain(quote.text)):
        return quote
    within = [last for _, last in _behind(quote)[:_SENTENCES] if quote.chunk.start + last - quote.end <= _CHARACTERS]
    return replace(quote, end=quote.chunk.start + within[-1], kind="remedy") if within else quote


def _behind(quote: Quote) -> list[tuple[int, int]]:
    """The sentences behind a quote in its paragraph, as places in its passage."""
    start, end = quote.start - quote.chunk.start, quote.end - quote.chunk.start
    spans = units(quote.chunk.text)
    own = next((unit.paragraph for unit in spans if unit.start <= start < unit.end), None)
    return [(unit.start, unit.end) for unit in spans if unit.paragraph == own and unit.start >= end]
