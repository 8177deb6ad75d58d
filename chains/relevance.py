"""How well a found sentence fits a question: by meaning, by words, by what stands round it, by the kind of the question."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from chains.quotes import Quote, plain
from chains.specifics import Embed, Words, numbers
from chains.vocabulary import MEASURES, SAME
from retrievers.base import Passage

#: The logistic curve over a quote's relevance makes a probability. It was set on 49 questions that two collections answer and
#: 25 that they do not, which lie above 0.24 for 46 of the first and below it for 23 of the others.
_STEEPNESS = 11.0
_MIDPOINT = 0.66
#: A sentence's relevance is its cosine to the question plus this much times the share of the question's words in it or in the
#: heading right above it, each weighed by how much it tells. A heading that says what the question says vouches for what
#: stands under it, most for what stands first, because an answer need not repeat the question. How far its passage is behind
#: the best of the search takes away from it.
_COVERAGE_WEIGHT = 0.6
_HEADING_WEIGHT = 0.9
#: The cosine between question and heading from which on the heading vouches.
_HEADING_FROM = 0.35
_PASSAGE_WEIGHT = 0.6
#: Words that the passage or the headings further up have beside the sentence count by half.
_NEARBY = 0.5
#: Words of the question that the whole passage does not have take from the confidence.
_MISSING_WEIGHT = 0.3
#: A word of the question that is nowhere near a sentence may be there by meaning: from this cosine on, fully this far above.
_MEANT_FROM, _MEANT_SPAN = 0.35, 0.4
#: A question for a number or a time is better answered by a sentence that holds one.
_NUMBER_BONUS = 0.06
_ASKS_FOR_NUMBER = re.compile(
    r"\bhow (many|much|long|often|far|old|fast|high|heavy|big|tall|large|loud|wide|deep|hot)\b|\bwhen\b|"
    r"\bwhat (year|date|time|size|number|percentage)\b|\bwhat (do|does|did)\b.* cost\b|\b(price|fee) (of|for)\b|"
    r"\b(wann|wie (viel|viele|oft|lange|alt|hoch|weit|breit|tief|schnell|schwer|groß|teuer|warm)|kostet|kosten)\b",
    re.I,
)
_NUMBER = re.compile(
    r"\d|\b(hundred|thousand|million|half|once|twice|double|several|many|few|none|no|free|nothing|every|any|all|always|never|"
    r"until|after|before|when|while|as soon|as long|daily|weekly|monthly|yearly|noon|midnight|today|"
    r"halb|einmal|zweimal|hundert|tausend|bis|nach|vor|sobald|solange|täglich|kostenlos|kein|keine|jede[nrs]?|alle)\b",
    re.I,
)
#: One that holds none takes so much from the confidence.
_NO_NUMBER = 0.3
#: An age is told by years, or by a day of birth.
_ASKS_FOR_AGE = re.compile(r"\bhow old\b|\bwie alt\b", re.I)
_AGE = re.compile(
    r"\b(aged?|born|old|years?|months?|weeks?|birthday|jahre?n?|monate?n?|alt|geboren)\b|\b(1[5-9]|20)\d\d\b", re.I
)
#: A number or identifier in the question is what it is about.
_NAMED_BONUS = 0.3
#: "What is X?" is answered by a sentence that says "X is …", or by a row or line that begins "X:".
_DEFINITION_BONUS = 0.12
_ASKS_FOR_DEFINITION = re.compile(
    r"^\W*(?:what|who)(?:['’]s| is| are| was| were)\s+(?:an?\s+|the\s+)?(.{2,60}?)\s*\?*\s*$", re.I
)
#: A word, an identifier, a path or a number, without the stop that ends its sentence.
TOKEN = re.compile(r"\w+(?:[-_./@]+\w+)*")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence that may be quoted, the passage that it stands in, and its words with those of its headings and columns."""

    quote: Quote
    passage: Passage
    words: frozenset[str]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the embedding model says. `cosines` are of the question to each candidate, `fits` of it to each heading; `terms` are
    the question's words by what stands for them, and `meant` how far each of these is meant by each candidate (0 to 1)."""

    cosines: NDArray[np.float32]
    fits: Mapping[str, float]
    terms: Mapping[str, str]
    meant: NDArray[np.float32]


def compare(
    question: str, found: Sequence[Candidate], *, embed: Embed, weights: Mapping[str, float], words: Words
) -> Comparison:
    """Compare the question, and each of its words, with the candidates. One call of `embed`."""
    quotes = [one.quote for one in found]
    headings = list(dict.fromkeys(quote.topic for quote in quotes if quote.topic))
    terms = {stem: word for word in re.findall(r"\w+", question) for stem in words(word) if stem in weights}
    texts = [question, *(f"{quote.topic}: {plain(quote.text)}" if quote.topic else plain(quote.text) for quote in quotes)]
    vectors = embed([*texts, *headings, *terms.values()])
    sentences, of_headings, of_terms = np.split(vectors[1:], [len(found), len(found) + len(headings)])
    fits = dict(zip(headings, of_headings @ vectors[0], strict=True))
    meant = np.clip((of_terms @ sentences.T - _MEANT_FROM) / _MEANT_SPAN, 0, 1)
    return Comparison(sentences @ vectors[0], fits, terms, meant)


def score(
    question: str,
    found: Sequence[Candidate],
    passages: Sequence[Passage],
    *,
    compared: Comparison,
    weights: Mapping[str, float],
    words: Words,
) -> list[tuple[Quote, float]]:
    """The quotes with their relevance, best first, and how sure each is to answer."""
    nearby = {passage.chunk.id: set(words(f"{passage.chunk.context}\n{passage.chunk.text}")) for passage in passages}
    top = max(passage.score for passage in passages)
    bonus = _Bonus(question)
    measures = {term: _NEARBY for term, word in compared.terms.items() if word.lower() in MEASURES}
    same = {term: others for term, word in compared.terms.items() if (others := SAME.get(word.lower()))}
    scored = []
    for number, one in enumerate(found):
        quote = one.quote
        held = {term: _NEARBY * float(compared.meant[place, number]) for place, term in enumerate(compared.terms)}
        held |= measures if _holds_number(quote.text) else {}
        held |= dict.fromkeys(nearby[quote.chunk.id], _NEARBY) | dict.fromkeys(one.words, 1.0)
        held |= {term: 1.0 for term, others in same.items() if others & tokens(f"{quote.columns}\n{quote.text}")}
        relevance = (
            float(compared.cosines[number])
            + _COVERAGE_WEIGHT * coverage(weights, held)
            + _HEADING_WEIGHT * _vouched(quote, compared.fits) ** 2 / (1 + 0.5 * quote.place)
            - _PASSAGE_WEIGHT * (top - one.passage.score)
            + bonus.of(quote.text, f"{quote.title}\n{quote.heading}\n{quote.columns}")
        )
        missing = 1 - coverage(weights, {term: share > 0 for term, share in held.items()})
        scored.append((replace(quote, relevance=relevance), relevance - _MISSING_WEIGHT * missing - bonus.lacks(quote.text)))
    scored.sort(key=lambda pair: -pair[0].relevance)
    return scored


def probability(relevance: float) -> float:
    """That a sentence of this relevance answers (0 to 1)."""
    return 1 / (1 + math.exp(-_STEEPNESS * (relevance - _MIDPOINT)))


def _vouched(quote: Quote, fits: Mapping[str, float]) -> float:
    """How far its heading vouches for a sentence (0 to 1). The title of a whole document does for nothing in particular."""
    return max(0.0, (float(fits[quote.topic]) - _HEADING_FROM) / (1 - _HEADING_FROM)) if quote.topic else 0.0


def coverage(weights: Mapping[str, float], held: Mapping[str, float]) -> float:
    """The share of the question's words, by weight, that a sentence holds, each as far as it does (0 to 1)."""
    total = sum(weights.values())
    return sum(weight * held.get(word, 0.0) for word, weight in weights.items()) / total if total > 0 else 0.0


class _Bonus:
    """What the kind of a question asks for: a number or a time, or what something is."""

    def __init__(self, question: str) -> None:
        asked = _ASKS_FOR_DEFINITION.match(question)
        self._named = {token.lower() for token in TOKEN.findall(question) if re.search(r"\d|\w[_./]\w", token)}
        self._number = bool(_ASKS_FOR_NUMBER.search(question))
        self._age = bool(_ASKS_FOR_AGE.search(question))
        self._definition = (
            re.compile(rf"(?:^|\W){re.escape(asked[1])}\W{{0,3}}(?:is\b|are\b|was\b|means|stands|:|\()", re.I)
            if asked
            else None
        )

    def of(self, text: str, labels: str) -> float:
        """`labels`: the headings and columns that the text stands under."""
        bonus = _NUMBER_BONUS if self._number and _holds_number(text) else 0.0
        if self._named:  # what its heading names a sentence need not name again
            bonus += _NAMED_BONUS * len(self._named & tokens(f"{labels}\n{text}")) / len(self._named)
        return bonus + (_DEFINITION_BONUS if self._definition and self._definition.search(plain(text)[:200]) else 0.0)

    def lacks(self, text: str) -> float:
        holds = _AGE.search(text) if self._age else _holds_number(text)
        return _NO_NUMBER if self._number and not holds else 0.0


def _holds_number(text: str) -> bool:
    return bool(_NUMBER.search(text) or numbers(text))


def tokens(text: str) -> set[str]:
    """The words, identifiers, paths and numbers of a text in small letters, and their parts."""
    whole = {token.lower() for token in TOKEN.findall(text)}
    return whole | {part for token in whole for part in re.split(r"[-/]", token)}
