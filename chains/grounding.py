"""What of the found passages answers a question: the sentences to quote, whether they do, and whether a reply keeps to them.

All of it is arithmetic over the embedding model and the collection's word statistics, so that it holds whatever the chat
model is: a small one answers what no passage says.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from chains.quotes import Quote, candidates, plain
from chains.specifics import MEANT, MEANT_IN_ROW, Embed, Ground, Specifics, Words, number_of, numbers, specifics
from chains.vocabulary import CLASSES, ENGLISH, GERMAN, LIGHT, MEASURES
from retrievers.base import Passage
from retrievers.sentences import units

#: A sentence's relevance is its cosine to the question plus this much times the share of the question's words in it or in the
#: heading right above it, each weighed by how much it tells. A heading that says what the question says vouches for what
#: stands under it, most for what stands first, because an answer need not repeat the question. How far its passage is behind
#: the best of the search takes away from it.
_COVERAGE_WEIGHT = 0.6
_HEADING_WEIGHT = 0.9
#: The cosine between question and heading from which on the heading vouches.
_HEADING_FROM = 0.35
_PASSAGE_WEIGHT = 0.6
#: The logistic curve over it makes a probability. It was set on 49 questions that two collections answer and 25 that they do
#: not, which lie above 0.24 for 46 of the first and below it for 23 of the others.
_STEEPNESS = 11.0
_MIDPOINT = 0.66
#: Words that the passage or the headings further up have beside the sentence count by half.
_NEARBY = 0.5
#: Words of the question that the whole passage does not have take from the confidence.
_MISSING_WEIGHT = 0.3
#: What a word weighs that all kinds of questions have, in parts of what it would by its rareness.
_LIGHT = 0.3
#: Below this probability it makes no difference what a quote lacks.
_WORTH_VETTING = 0.1
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
_MOST_UNITS = 48
_QUOTED_CHARACTERS = 700
_MOST_QUOTES = 4
#: A further quote must be this relevant in relation to the best: in the best one's section, and elsewhere.
_SHARE_OF_BEST = 0.75
_SHARE_ELSEWHERE = 0.92
#: Code answers only who asks for it, and only a short block of it does.
_ASKS_FOR_CODE = re.compile(r"\b(commands?|code|examples?|snippets?|scripts?|curl|syntax|type in|call)\b", re.I)
#: This share of the words that follow each other in a model's wording must be this near to each other in a quote, or it has
#: made other statements of the same words.
_JOINED = 0.85
_NEAR = 3
#: A word, an identifier, a path or a number, without the stop that ends its sentence.
_TOKEN = re.compile(r"\w+(?:[-_./@]+\w+)*")
_NEGATION = re.compile(r"\b(not|no|never|none|neither|nor|without|cannot|\w+n['’]t)\b", re.I)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The quotes, best first, and the probability that they answer the question (0 to 1). `likelihood` is that probability
    before anything was refused for what it lacks: for a model that can tell by itself whether sources answer."""

    quotes: tuple[Quote, ...]
    confidence: float
    likelihood: float


def gather(
    question: str,
    passages: Sequence[Passage],
    *,
    embed: Embed,
    weights: Mapping[str, float],
    words: Words,
    about: str | None = None,
) -> Evidence:
    """Pick what to quote from the passages. Blocks for as long as `embed` takes for some fifty sentences, and for the words of
    a few passages.

    `weights` has the question's words, as `words` gives them, with how much each tells. `about` is the part of the question
    that must be answered, where the rest is what was asked before; None for all of it.
    """
    weights = _telling(weights, words)
    code = bool(_ASKS_FOR_CODE.search(question))
    passages = _continued(passages)
    found = [(quote, passage) for passage in passages for quote in candidates(passage.chunk, code=code)]
    if not found:
        return Evidence((), 0.0, 0.0)
    own = {_key(quote): set(words(f"{quote.heading}\n{quote.columns}\n{quote.text}")) for quote, _ in found}
    if len(found) > _MOST_UNITS:
        # those with the question's words first, then in the order of the passages
        found.sort(key=lambda pair: -_coverage(weights, dict.fromkeys(own[_key(pair[0])], 1.0)))
        found = found[:_MOST_UNITS]
    headings = list(dict.fromkeys(quote.heading for quote, _ in found if quote.heading))
    terms = {stem: word for word in re.findall(r"\w+", question) for stem in words(word) if stem in weights}
    texts = [question, *(f"{quote.heading}: {plain(quote.text)}" if quote.heading else plain(quote.text) for quote, _ in found)]
    vectors = embed([*texts, *headings, *terms.values()])
    sentences, of_headings, of_terms = np.split(vectors[1:], [len(found), len(found) + len(headings)])
    cosines = sentences @ vectors[0]
    fits = dict(zip(headings, of_headings @ vectors[0], strict=True))
    meant = np.clip((of_terms @ sentences.T - _MEANT_FROM) / _MEANT_SPAN, 0, 1)
    nearby = {passage.chunk.id: set(words(f"{passage.chunk.context}\n{passage.chunk.text}")) for passage in passages}
    top = max(passage.score for passage in passages)
    bonus = _Bonus(question)
    measures = {term: _NEARBY for term, word in terms.items() if word.lower() in MEASURES}
    scored = []
    for number, (quote, passage) in enumerate(found):
        held = {term: _NEARBY * float(meant[place, number]) for place, term in enumerate(terms)}
        held |= measures if _holds_number(quote.text) else {}
        held |= dict.fromkeys(nearby[quote.chunk.id], _NEARBY) | dict.fromkeys(own[_key(quote)], 1.0)
        # the title of a whole document vouches for nothing in particular
        vouches = quote.heading and quote.heading != quote.chunk.context.split("\n", 1)[0].split(" › ", 1)[0]
        fit = max(0.0, (float(fits[quote.heading]) - _HEADING_FROM) / (1 - _HEADING_FROM)) if vouches else 0.0
        relevance = (
            float(cosines[number])
            + _COVERAGE_WEIGHT * _coverage(weights, held)
            + _HEADING_WEIGHT * fit**2 / (1 + 0.5 * quote.place)
            - _PASSAGE_WEIGHT * (top - passage.score)
            + bonus.of(quote.text)
        )
        missing = 1 - _coverage(weights, {term: share > 0 for term, share in held.items()})
        sure = relevance - _MISSING_WEIGHT * missing - bonus.lacks(quote.text)
        scored.append((replace(quote, relevance=relevance), sure))
    scored.sort(key=lambda pair: -pair[0].relevance)
    asked = specifics(question, words=words)
    if about is not None:
        asked = replace(asked, terms=specifics(about, words=words).terms)
    kept = _Vetted(asked, embed=embed, words=words).of(scored)
    likelihood = _probability(scored[0][1])
    return Evidence(_chosen([quote for quote, _ in kept]), _probability(kept[0][1]) if kept else 0.0, likelihood)


def _probability(relevance: float) -> float:
    return 1 / (1 + math.exp(-_STEEPNESS * (relevance - _MIDPOINT)))


def _telling(weights: Mapping[str, float], words: Words) -> Mapping[str, float]:
    """The weights without words of asking, and with less for those that an answer need not repeat, where others are left."""
    empty, light = set(words(" ".join(ENGLISH | GERMAN))), set(words(" ".join(LIGHT | MEASURES | CLASSES.keys())))
    told = {word: weight * (_LIGHT if word in light else 1) for word, weight in weights.items() if word not in empty}
    return told or weights


class _Vetted:
    """Lets through what has all that the question cannot do without, looking at each passage once."""

    def __init__(self, asked: Specifics, *, embed: Embed, words: Words) -> None:
        self._asked, self._embed, self._words = asked, embed, words
        self._lacking: dict[str, bool] = {}

    def of(self, scored: Sequence[tuple[Quote, float]]) -> list[tuple[Quote, float]]:
        """Those of the scored quotes that are let through, in order; what is too far from the question is not looked at."""
        return [pair for pair in scored if _probability(pair[1]) >= _WORTH_VETTING and self._has(pair[0])]

    def _has(self, quote: Quote) -> bool:
        beside = f"{quote.heading}\n{quote.columns}\n{quote.text}" if quote.row else quote.chunk.text
        ground = Ground(f"{quote.chunk.document}\n{quote.chunk.context}\n{beside}", self._words)
        if ground.text not in self._lacking:
            meant = MEANT_IN_ROW if quote.row else MEANT
            self._lacking[ground.text] = bool(self._asked.missing(ground, embed=self._embed, meant=meant))
        if self._lacking[ground.text]:
            return False
        sentence = Ground(f"{quote.heading}\n{quote.columns}\n{quote.text}", self._words)
        return not self._asked.contradicted(sentence, ground)


class _Bonus:
    """What the kind of a question asks for: a number or a time, or what something is."""

    def __init__(self, question: str) -> None:
        asked = _ASKS_FOR_DEFINITION.match(question)
        self._named = {token.lower() for token in _TOKEN.findall(question) if re.search(r"\d|\w[_./]\w", token)}
        self._number = bool(_ASKS_FOR_NUMBER.search(question))
        self._age = bool(_ASKS_FOR_AGE.search(question))
        self._definition = (
            re.compile(rf"(?:^|\W){re.escape(asked[1])}\W{{0,3}}(?:is\b|are\b|was\b|means|stands|:|\()", re.I)
            if asked
            else None
        )

    def of(self, text: str) -> float:
        bonus = _NUMBER_BONUS if self._number and _holds_number(text) else 0.0
        if self._named:
            bonus += _NAMED_BONUS * len(self._named & _tokens(text)) / len(self._named)
        return bonus + (_DEFINITION_BONUS if self._definition and self._definition.search(plain(text)[:200]) else 0.0)

    def lacks(self, text: str) -> float:
        holds = _AGE.search(text) if self._age else _holds_number(text)
        return _NO_NUMBER if self._number and not holds else 0.0


def _holds_number(text: str) -> bool:
    return bool(_NUMBER.search(text) or numbers(text))


def _continued(passages: Sequence[Passage]) -> list[Passage]:
    """The passages, where one ends with a colon together with the one that was cut off behind it."""
    following = {(passage.chunk.document_id, passage.chunk.start): passage for passage in passages}
    found = []
    for passage in passages:
        chunk = passage.chunk
        for blanks in (1, 2, 3):
            rest = following.get((chunk.document_id, chunk.end + blanks))
            if rest is not None and chunk.text.endswith(":"):
                text = f"{chunk.text}{chr(10) * blanks}{rest.chunk.text}"
                passage = replace(passage, chunk=replace(chunk, text=text, end=rest.chunk.end))
        found.append(passage)
    return found


def _key(quote: Quote) -> tuple[str, int, int]:
    return quote.chunk.id, quote.start, quote.end


def _coverage(weights: Mapping[str, float], held: Mapping[str, float]) -> float:
    """The share of the question's words, by weight, that a sentence holds, each as far as it does (0 to 1)."""
    total = sum(weights.values())
    return sum(weight * held.get(word, 0.0) for word, weight in weights.items()) / total if total > 0 else 0.0


def _chosen(scored: Sequence[Quote]) -> tuple[Quote, ...]:
    """The best, and others that are about as good, without overlap: in its section, or so good that they stand alone."""
    chosen: list[Quote] = []
    characters = 0
    for quote in scored:
        if len(chosen) == _MOST_QUOTES or quote.relevance < _SHARE_OF_BEST * scored[0].relevance:
            break
        beside = quote.chunk.document_id == scored[0].chunk.document_id and quote.heading == scored[0].heading
        if not beside and quote.relevance < _SHARE_ELSEWHERE * scored[0].relevance:
            continue
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


def keeps_to(sentence: str, quotes: Sequence[str], question: str, *, words: Words, around: Sequence[str] = ()) -> bool:
    """Whether a reply's sentence says what the quotes say, as far as words tell: all of its telling words, numbers and names
    are theirs or stand `around` them (each one's headings, columns, title), it denies where they deny, and it adds something
    to the question's own words. That the question says a word is no reason to say it: it may be what is wrong with it."""
    sources = "\n".join((*quotes, *around))
    light = set(words(" ".join(ENGLISH | GERMAN | LIGHT)))
    own = [word for word in words(sentence) if not word.isdigit()]
    if not set(own) - light or not set(words(sentence)) & set(words("\n".join(quotes))) - set(words(question)):
        return False
    theirs = set(words(sources))
    if set(own) - theirs - light or len(own) > 2 * len(set(own)):
        return False
    # what it takes from one sentence it must not say of what another is about
    headed = set(words("\n".join(around)))
    single = [set(words(quote[unit.start : unit.end])) for quote in quotes for unit in units(quote)]
    if (set(own) - max(single, key=lambda held: len(held & set(own))) - headed) & theirs - light:
        return False
    placed = [f"{heading}\n{quote}" for quote, heading in zip(quotes, around or [""] * len(quotes), strict=True)]
    near = {pair for text in placed for pair in _pairs([word for word in words(text) if word not in light], _NEAR)}
    joined = _pairs([word for word in own if word not in light], 1)
    if sum(pair in near for pair in joined) < _JOINED * len(joined):
        return False
    if sentence.count("`") % 2 or not _names(sentence) <= _tokens(sources) or not numbers(sentence) <= numbers(sources):
        return False
    # the quote that it is closest to must deny as it does
    closest = max(quotes, key=lambda quote: len(set(words(quote)) & set(own)), default="")
    return bool(_NEGATION.search(sentence)) == bool(_NEGATION.search(closest))


def _pairs(words: Sequence[str], within: int) -> set[frozenset[str]]:
    """The pairs of words that stand at most so many words apart."""
    return {frozenset((one, other)) for place, one in enumerate(words) for other in words[place + 1 : place + 1 + within]}


def _names(text: str) -> set[str]:
    """What of a text names something and cannot be put in other words, in small letters: what stands in backticks, has a digit
    or a sign inside as an identifier has, or a capital that does not begin the text."""
    named = {token for span in re.findall(r"`([^`]*)`", text) for token in _TOKEN.findall(span)}
    for number, token in enumerate(_TOKEN.findall(text)):
        if re.search(r"\d|\w[-_./@]+\w|\w[A-Z]", token) or (number and token[:1].isupper()):
            named.add(token)
    return {token.lower() for token in named if number_of(token) is None}


def _tokens(text: str) -> set[str]:
    whole = {token.lower() for token in _TOKEN.findall(text)}
    return whole | {part for token in whole for part in re.split(r"[-/]", token)}
