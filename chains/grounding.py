"""What of the found passages answers a question: the sentences to quote, whether they do, and whether a reply keeps to them.

All of it is arithmetic over the embedding model and the collection's word statistics, so that it holds whatever the chat
model is: a small one answers what no passage says.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from retrievers.base import Chunk, Passage
from retrievers.sentences import units

#: A sentence's relevance is its cosine to the question plus this much times the share of the question's words in it, each
#: weighed by how much it tells. The logistic curve over it was fitted to 60 questions that a collection answers and 230 that
#: it does not, over four collections (0.64 and more for 97 of 100 of the first, 0.62 and less for 99 of the others).
_COVERAGE_WEIGHT = 0.6
_STEEPNESS = 11.0
_MIDPOINT = 0.62
#: Words that the passage or its headings have beside the sentence count by half.
_NEARBY = 0.5
#: A question for a number or a time is better answered by a sentence that holds one.
_NUMBER_BONUS = 0.06
_ASKS_FOR_NUMBER = re.compile(
    r"\bhow (many|much|long|often|far|old|fast|high|heavy|big|tall|large|loud)\b|\bwhen\b|"
    r"\bwhat (year|date|time|size|number|percentage)\b",
    re.I,
)
_NUMBER = re.compile(
    r"\d|\b(one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|hundred|thousand|million|"
    r"half|once|twice|first|second|third|fourth|fifth)\b",
    re.I,
)
#: "What is X?" is answered by a sentence that says "X is …", or by a row or line that begins "X:".
_DEFINITION_BONUS = 0.12
_ASKS_FOR_DEFINITION = re.compile(
    r"^\W*(?:what|who)(?:['’]s| is| are| was| were)\s+(?:an?\s+|the\s+)?(.{2,60}?)\s*\?*\s*$", re.I
)
_MOST_UNITS = 48
_UNIT_CHARACTERS = 600
_QUOTED_CHARACTERS = 700
_MOST_QUOTES = 4
#: A further quote must be this relevant in relation to the best.
_SHARE_OF_BEST = 0.72
_NEGATION = re.compile(r"\b(not|no|never|none|neither|nor|without|cannot|\w+n['’]t)\b", re.I)
_MARKUP = re.compile(
    r"\*\*|(?<![\w*])\*(?=\w)|(?<=\w)\*(?![\w*])|`{3,}\w*|^#{1,6}\s+|^>\s?|^[-*+•]\s+|^\d{1,2}[.)]\s+",
    re.M,
)

Embed = Callable[[Sequence[str]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Quote:
    """A stretch of a chunk: `text` equals the document's `[start:end]`. `relevance` grows with how well it answers."""

    chunk: Chunk
    start: int
    end: int
    relevance: float

    @property
    def text(self) -> str:
        return self.chunk.text[self.start - self.chunk.start : self.end - self.chunk.start]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The quotes, best first, and the probability that they answer the question (0 to 1)."""

    quotes: tuple[Quote, ...]
    confidence: float


def gather(
    question: str,
    passages: Sequence[Passage],
    *,
    embed: Embed,
    weights: Mapping[str, float],
    words: Callable[[str], Sequence[str]],
) -> Evidence:
    """Pick what to quote from the passages. Blocks for as long as `embed` takes for some fifty sentences.

    `weights` has the question's words, as `words` gives them, with how much each tells.
    """
    found = [quote for passage in passages for quote in candidates(passage.chunk)]
    if not found:
        return Evidence((), 0.0)
    own = {(quote.chunk.id, quote.start): set(words(quote.text)) for quote in found}
    if len(found) > _MOST_UNITS:
        # those with the question's words first, then in the order of the passages
        found.sort(key=lambda quote: -_coverage(weights, own[quote.chunk.id, quote.start], set()))
        found = found[:_MOST_UNITS]
    vectors = embed([question, *(f"{_heading(quote.chunk)}{plain(quote.text)}" for quote in found)])
    cosines = vectors[1:] @ vectors[0]
    nearby = {passage.chunk.id: set(words(f"{passage.chunk.context}\n{passage.chunk.text}")) for passage in passages}
    wants_number = bool(_ASKS_FOR_NUMBER.search(question))
    asked = _ASKS_FOR_DEFINITION.match(question)
    definition = (
        re.compile(rf"(?:^|\W){re.escape(asked[1])}\W{{0,3}}(?:is\b|are\b|was\b|means|stands|:|\()", re.I) if asked else None
    )
    scored = []
    for quote, cosine in zip(found, cosines, strict=True):
        coverage = _coverage(weights, own[quote.chunk.id, quote.start], nearby[quote.chunk.id])
        relevance = float(cosine) + _COVERAGE_WEIGHT * coverage
        if wants_number and _NUMBER.search(quote.text):
            relevance += _NUMBER_BONUS
        if definition and definition.search(plain(quote.text)[:200]):
            relevance += _DEFINITION_BONUS
        scored.append(replace(quote, relevance=relevance))
    scored.sort(key=lambda quote: -quote.relevance)
    best = scored[0].relevance
    return Evidence(_chosen(scored), 1 / (1 + math.exp(-_STEEPNESS * (best - _MIDPOINT))))


def candidates(chunk: Chunk) -> list[Quote]:
    """The stretches of a chunk that can be quoted: its sentences and lines. What announces something (a line that ends with a
    colon, an item's key word) is joined with what follows it; a heading or title says nothing itself and is left out."""
    text = chunk.text
    lines = text.count("\n") > 3 and len(text) / text.count("\n") < 40
    spans = [(unit.start, unit.end) for unit in units(text, lines=lines)]
    found = []
    for number, (start, end) in enumerate(spans):
        following = number + 1
        if not re.search(r"\w", text[start:end]) or (len(spans) > 1 and _is_title(text[start:end])):
            continue
        while following < len(spans) and _announces(text[start:end]) and spans[following][1] - start <= _UNIT_CHARACTERS:
            end = spans[following][1]
            following += 1
            if not text[start:end].rstrip().endswith(":") and following - number > (8 if ":" in text[start:end] else 2):
                break
        end = min(end, start + _UNIT_CHARACTERS)
        found.append(Quote(chunk, chunk.start + start, chunk.start + end, 0.0))
    return found


def _announces(text: str) -> bool:
    first = text.split("\n", 1)[0].rstrip("* ")
    return first.endswith(":") or bool(re.fullmatch(r"\W*\d*\W*(\w+\W*){1,2}", first))


def _is_title(text: str) -> bool:
    """A heading, or a short line of words without an end of its own."""
    line = text.rstrip("* ")
    if line.startswith("#"):
        return "\n" not in line
    return len(line) < 70 and line[:1].isalnum() and line.count(" ") > 1 and not re.search(r"[^\w\s’'-]$|[:=(|`]|\n", line)


def _heading(chunk: Chunk) -> str:
    last = chunk.context.split("\n", 1)[0].rsplit(" › ", 1)[-1]
    return f"{last}: " if last else ""


def _coverage(weights: Mapping[str, float], own: set[str], nearby: set[str]) -> float:
    """The share of the question's words, by weight, that a sentence holds; those only near it count by half."""
    total = sum(weights.values())
    if total <= 0:
        return 0.0
    return sum(weight * (1 if word in own else _NEARBY if word in nearby else 0) for word, weight in weights.items()) / total


def _chosen(scored: Sequence[Quote]) -> tuple[Quote, ...]:
    """The best, and the next that are nearly as good, without overlap; those that touch are joined."""
    chosen: list[Quote] = []
    characters = 0
    for quote in scored:
        if chosen and (quote.relevance < _SHARE_OF_BEST * scored[0].relevance or len(chosen) == _MOST_QUOTES):
            break
        if any(_same_words(quote, other) or _overlap(quote, other) for other in chosen):
            continue
        if chosen and characters + len(quote.text) > _QUOTED_CHARACTERS:
            continue
        chosen.append(quote)
        characters += len(quote.text)
    return tuple(chosen)


def _overlap(one: Quote, other: Quote) -> bool:
    return one.chunk.document_id == other.chunk.document_id and one.start < other.end and other.start < one.end


def _same_words(one: Quote, other: Quote) -> bool:
    return one.text.split() == other.text.split()


def plain(text: str) -> str:
    """A quote as a sentence to read: without Markdown's marks, a table's row as `Weight: 18.5 kg`, on one line."""
    lines = []
    for line in _MARKUP.sub("", text).splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.lstrip().startswith("|") else [line]
        if all(not cell.strip(" -:=") for cell in cells):
            continue
        lines.append(": ".join(cells[:2]) + "".join(f", {cell}" for cell in cells[2:]) if len(cells) > 1 else line)
    return " ".join(" ".join(lines).split())


def keeps_to(sentence: str, quotes: Sequence[str], question: str, *, words: Callable[[str], Sequence[str]]) -> bool:
    """Whether a reply's sentence says what the quotes say, as far as words tell: nearly all of its words are theirs, all of
    its numbers and names too, it denies where they deny, and it adds something to the question's own words."""
    sources = " ".join(quotes)
    theirs, asked = set(words(sources)), set(words(question))
    own = [word for word in words(sentence) if not word.isdigit()]
    if not own or not set(words(sentence)) & theirs - asked:
        return False
    known = theirs | asked
    if sum(word in known for word in own) < 0.85 * len(own):
        return False
    numbers = set(re.findall(r"\d[\d.,:/-]*\d|\d", sentence))
    if not all(number in sources or number in question for number in numbers):
        return False
    names = re.findall(r"(?<=[a-z,;] )[A-Z][\w-]+", sentence)
    if not all(name.lower() in f"{sources} {question}".lower() for name in names):
        return False
    # the quote that it is closest to must deny as it does
    closest = max(quotes, key=lambda quote: len(set(words(quote)) & set(own)), default="")
    return bool(_NEGATION.search(sentence)) == bool(_NEGATION.search(closest))
