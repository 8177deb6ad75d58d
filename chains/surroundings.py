"""What stands round a quote in its passage and belongs to it: sentences, its paragraph, what that begins by naming."""

import re

from chains.quotes import REFERS, Quote, plain
from retrievers.sentences import units

#: How a sentence begins that goes on from the one before it.
POINTS = re.compile(
    rf"{REFERS.pattern}|(?:\w+ )?(?:that|those|them|it|this)\b|"
    r"(?:then|otherwise|there(?! (?:is|are|was|were))|dort|davon|dafür|please|ask|call|see|contact|bring|send|take|use|turn)\b",
    re.I,
)
#: What is called otherwise from there on, as contracts do: `Holm Services Ltd (the "Contractor")`.
_DEFINED = re.compile(
    r"([^\n(]{3,160}?)\s*"
    r"\((?:(?:hereinafter|hereafter|the|nachfolgend|nachstehend|im Folgenden)\s+){0,2}[\"“„«]([^\"“”»]{2,40})[\"“”»]\)",
    re.I,
)
_NAMED = re.compile(r"\W*([^\n:.!?]{2,40}):\s")


def neighbours(quote: Quote) -> tuple[str, str]:
    """The sentence before a quote, where the quote speaks of it, and the one behind it that speaks of the quote; else empty."""
    text, start, end = quote.chunk.text, quote.start - quote.chunk.start, quote.end - quote.chunk.start
    spans = [(unit.start, unit.end) for unit in units(text)]
    before = next((text[a:b] for a, b in reversed(spans) if b <= start), "") if POINTS.match(plain(quote.text)) else ""
    after = next((text[a:b] for a, b in spans if a >= end), "")
    return before, after if REFERS.match(after) else ""


def paragraph(quote: Quote) -> str:
    """The paragraph of its passage that a quote begins in, with the whole quote."""
    text, start, end = quote.chunk.text, quote.start - quote.chunk.start, quote.end - quote.chunk.start
    before, after = text.rfind("\n\n", 0, start), text.find("\n\n", end)
    return text[before + 1 : len(text) if after < 0 else after]


def named_before(quote: Quote) -> str:
    """What its paragraph begins by naming, as a heading would: `Laundry: The machines …`."""
    return named[1] if (named := _NAMED.match(paragraph(quote))) else ""


def defined(quote: Quote) -> str:
    """What its passage says that a word of the quote stands for (`the Contractor`), else empty."""
    told = _DEFINED.findall(quote.chunk.text)
    return "\n".join(whole for whole, word in told if re.search(rf"\b{re.escape(word)}\b", quote.text, re.I))
