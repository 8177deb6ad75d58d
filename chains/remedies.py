"""What is to be done about something: asked for by "what should I do if", and told behind what it is to be done about."""

import re
from dataclasses import replace

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


def with_remedy(quote: Quote) -> Quote:
    """The quote with the sentences behind it in its paragraph, where it names no more than the trouble itself."""
    if quote.row or quote.kind != "text" or _TELLS.search(plain(quote.text)):
        return quote
    start, end = quote.start - quote.chunk.start, quote.end - quote.chunk.start
    spans = units(quote.chunk.text)
    own = next((unit.paragraph for unit in spans if unit.start <= start < unit.end), None)
    behind = [unit.end for unit in spans if unit.paragraph == own and unit.start >= end]
    within = [last for last in behind[:_SENTENCES] if last - end <= _CHARACTERS]
    return replace(quote, end=quote.chunk.start + within[-1], kind="remedy") if within else quote
