"""What of the found passages answers a question: the sentences to quote, and whether they do.

All of it is arithmetic over the embedding model and the collection's word statistics, so that it holds whatever the chat
model is: a small one answers what no passage says.
"""

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace

from chains import remedies
from chains.actions import Act, act_of
from chains.collocations import Collocations
from chains.kinds import Kind, kind_of
from chains.languages import language_of, words_of
from chains.quotes import Quote, candidates, plain
from chains.relevance import Candidate, compare, coverage, probability, score
from chains.specifics import Embed, Ground, Specifics, Words, specifics
from chains.surroundings import POINTS
from chains.vetting import Asked, Vetted
from chains.vocabulary import CLASSES, ENGLISH, GERMAN, LIGHT, MEASURES
from retrievers.base import Passage

#: What a word weighs that all kinds of questions have, in parts of what it would by its rareness.
_LIGHT = 0.3
#: How many sentences are shown of a question that none was found to answer, and from which probability on.
_MOST_NEAREST = 3
_WORTH_A_LOOK = 0.02
_MOST_UNITS = 48
_QUOTED_CHARACTERS = 700
_MOST_QUOTES = 4
_MOST_ROWS = 10
#: A further quote must be this relevant in relation to the best: in the best one's section, and elsewhere.
_SHARE_OF_BEST = 0.75
_SHARE_ELSEWHERE = 0.92
#: What a sentence that names what was spoken of, and has what is asked for of it, gains.
_NAMED = 0.1
#: Code answers only who asks for it, or how something is done, and only a short block of it does.
_ASKS_FOR_CODE = re.compile(r"\b(commands?|code|examples?|snippets?|scripts?|curl|syntax|type in|call)\b", re.I)
#: A heading may be all that says the number of what it heads.
_ASKS_FOR_NAMED = re.compile(r"\b(?:number|nummer|no\.|nr\.)|\w(?:nummer)\b", re.I)
_FIELD = re.compile(r"(?:^| \| )[\w.\[\] -]+: ", re.M)
_ASKS_FOR_DATE = re.compile(r"^\W*(?:when|wann)\b|\b(?:date|dated|datum|what year|welchem jahr)\b", re.I)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The quotes, best first, and the probability that they answer the question (0 to 1). `likelihood` is that probability
    before anything was refused for what it lacks: for a model that can tell by itself whether sources answer. `nearest` are the
    closest sentences, whether they answer or not: for a reader who can tell."""

    quotes: tuple[Quote, ...]
    confidence: float
    likelihood: float
    nearest: tuple[Quote, ...] = ()


def gather(
    question: str,
    passages: Sequence[Passage],
    *,
    embed: Embed,
    weights: Mapping[str, float],
    words: Words,
    about: str | None = None,
    topic: Sequence[str] = (),
    new: str = "",
    inside: bool = False,
    named: Sequence[str] = (),
) -> Evidence:
    """Pick what to quote from the passages. Blocks for as long as `embed` takes for some fifty sentences, and for the words of
    a few passages.

    `weights` has the question's words, as `words` gives them, with how much each tells. `about` is the part of the question
    that must be answered, where the rest is what was asked before; None for all of it. Of the words of `topic`, if there are
    any, one has to stand by a quote, in its paragraph or headings; what is best there is told by `about`. What the words of
    `new` ask for has to be there as well, and where `inside` in the quote or its headings: all over a passage the words of
    `about` may be because of what was asked before. `named` are names that answers gave to the topic: a sentence need not have
    them, but one that has, and what is asked for, needs no more.
    """
    language = language_of(question if about is None else about)
    weights = _telling(question, weights, words)
    whole = question
    if topic and about is not None:
        question, asking = about, set(words(about))
        beside = _LIGHT if language is None or not language.judged_apart else 0.0
        weights = {word: weight * (1 if word in asking else beside) for word, weight in weights.items()}
    passages = _continued(passages)
    found = _candidates(question, passages, weights=weights, words=words)
    if not found:
        return Evidence((), 0.0, 0.0)
    compared = compare(question, found, embed=embed, weights=weights, words=words)
    scored = score(question, found, passages, compared=compared, weights=weights, words=words)
    terms = frozenset(specifics(new, words=words).terms)
    asks = _asks(whole, about, passages, terms=terms, topic=topic, inside=inside, named=named, embed=embed, words=words)
    if named and asks.kind is not None and not terms:
        scored = [(quote, certainty + _NAMED * _names_one(quote, named, asks.kind, words)) for quote, certainty in scored]
    vetted = Vetted(asks, embed=embed, words=words)
    kept = vetted.of(scored)
    if asks.kind is None and language is not None and language.judged_apart:
        kept = _naming(kept, asks.specifics, words)
    likelihood = probability(scored[0][1])
    quotes = [_one_or_all(quote, weights, words) for quote, _ in kept]
    chosen = _chosen(quotes, weights.keys(), words)
    if chosen:
        best = remedies.completed(chosen[0], whole)
        chosen = (best, *(quote for quote in chosen[1:] if not _overlap(best, quote)))
    return Evidence(chosen, probability(kept[0][1]) if kept else 0.0, likelihood, _nearest(scored))


def _asks(
    whole: str,
    about: str | None,
    passages: Sequence[Passage],
    *,
    terms: Set[str],
    topic: Sequence[str],
    inside: bool,
    named: Sequence[str],
    embed: Embed,
    words: Words,
) -> Asked:
    """What has to be right by an answer to the question, as `gather` is asked it. `terms` are what is new in it."""
    asking = whole if about is None else about
    asked = _specifics(whole, about, words)
    asked = replace(asked, names=tuple(name for name in asked.names if name not in named))
    verb = act_of(asking)
    if verb is not None:  # looked for in the sentence itself, and not all over its passage
        asked = replace(asked, terms=tuple(term for term in asked.terms if term.lower() != verb))
    near = [Ground(f"{one.chunk.context}\n{one.chunk.text}", words) for one in passages] if topic else []
    about_it = {one.chunk.document_id for one, ground in zip(passages, near, strict=False) if any(map(ground.knows, topic))}
    return Asked(
        question=whole,
        specifics=asked,
        act=None if verb is None else Act(verb, words, embed),
        kind=kind_of(asking, whole),
        own=replace(asked, names=(), numbers=(), numbered=(), terms=tuple(term for term in asked.terms if term in terms)),
        inside=inside,
        topic=topic,
        about_it=about_it,
        pairs=Collocations(whole, [one.chunk.text for one in passages]),
    )


def _names_one(quote: Quote, named: Sequence[str], kind: Kind, words: Words) -> bool:
    """Whether a quote has one of the names, and one of the kind."""
    return any(map(Ground(quote.text, words).knows, named)) and kind.held(quote.text, row=quote.row)


def _naming(kept: Sequence[tuple[Quote, float]], asked: Specifics, words: Words) -> list[tuple[Quote, float]]:
    """Those that have themselves what is asked for, where some do: of these languages little is known of what a question wants,
    and the embedding model knows less."""
    grounds = [Ground(f"{quote.heading}\n{quote.columns}\n{quote.text}", words) for quote, _ in kept]
    named = [pair for pair, ground in zip(kept, grounds, strict=True) if any(map(ground.knows, asked.terms))]
    return named or list(kept)


def _one_or_all(quote: Quote, weights: Mapping[str, float], words: Words) -> Quote:
    """An entry of a list that has none of the question's words but those that the whole list has, as in its heading, answers no
    more than the entries beside it: the list, then."""
    if quote.whole is None:
        return quote
    shared = set(words(f"{quote.chunk.context}\n{quote.heading}\n{quote.columns}"))
    return quote if (weights.keys() - shared) & set(words(quote.text)) else quote.listed()


def _candidates(question: str, passages: Sequence[Passage], *, weights: Mapping[str, float], words: Words) -> list[Candidate]:
    """What of the passages can be quoted, at most `_MOST_UNITS`: those with the question's words first, then in the order of
    the passages."""
    code = bool(_ASKS_FOR_CODE.search(question)) or act_of(question) is not None
    asks = {"numbered": bool(_ASKS_FOR_NAMED.search(question)), "dated": bool(_ASKS_FOR_DATE.search(question))}
    found = [
        Candidate(quote, passage, frozenset(words(f"{_labels(quote)}\n{quote.text}")))
        for passage in passages
        for quote in candidates(passage.chunk, code=code, **asks)
    ]
    if len(found) > _MOST_UNITS:
        found.sort(key=lambda one: -coverage(weights, dict.fromkeys(one.words, 1.0)))
    return found[:_MOST_UNITS]


def _labels(quote: Quote) -> str:
    return f"{quote.title}\n{quote.heading}\n{quote.columns}"


def _specifics(question: str, about: str | None, words: Words) -> Specifics:
    """What an answer cannot do without: of the part that must be answered, where that is told."""
    asked = specifics(question, words=words)
    return asked if about is None else replace(asked, terms=specifics(about, words=words).terms)


def _telling(question: str, weights: Mapping[str, float], words: Words) -> Mapping[str, float]:
    """The weights without words of asking, and with less for those that an answer need not repeat, where others are left."""
    empty, light = set(words(" ".join(ENGLISH | GERMAN))), set(words(" ".join(LIGHT | MEASURES | CLASSES.keys())))
    language = language_of(question)
    if language is not None and language.judged_apart:
        asked = words_of(question)
        empty = set(words(" ".join(word for word in asked if language.says_nothing(word))))
        light = set(words(" ".join(language.light.intersection(asked))))
    told = {word: weight * (_LIGHT if word in light else 1) for word, weight in weights.items() if word not in empty}
    return told or weights


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
                parts = (*(chunk.parts or (chunk,)), *(rest.chunk.parts or (rest.chunk,)))
                passage = replace(passage, chunk=replace(chunk, text=text, end=rest.chunk.end, parts=parts))
        found.append(passage)
    return found


def _chosen(scored: Sequence[Quote], terms: Set[str], words: Words) -> tuple[Quote, ...]:
    """The best, and others that are about as good, without overlap: in its section, or so good that they stand alone. `terms`
    are the question's words. What the best says of them beyond its headings a further one says by half at least, or it goes on
    from it: there stands more about the same thing beside it, which nobody has asked for. Rows that say all of them that the
    best row says are as good as that one: who asks for what has something in common is told all of it."""
    chosen: list[Quote] = []
    characters = 0
    asked = set(terms).difference(words(_labels(scored[0]))) if scored else set()
    most = len(asked.intersection(words(scored[0].text))) if scored else 0
    told = asked.intersection(words(_values(scored[0]))) if scored else set()
    for quote in scored:
        beside = quote.chunk.document_id == scored[0].chunk.document_id and quote.heading == scored[0].heading
        if beside and told and quote.row and scored[0].row and told.issubset(words(_values(quote))):
            if len(chosen) < _MOST_ROWS and not any(_same_words(quote, other) for other in chosen):
                chosen.append(replace(quote, relevance=scored[0].relevance))
            continue
        if len(chosen) >= _MOST_QUOTES or quote.relevance < _SHARE_OF_BEST * scored[0].relevance:
            continue
        if not beside and quote.relevance < _SHARE_ELSEWHERE * scored[0].relevance:
            continue
        if 2 * len(asked.intersection(words(quote.text))) < most and not any(_goes_on(other, quote) for other in chosen):
            continue
        if any(_same_words(quote, other) or _overlap(quote, other) for other in chosen):
            continue
        if chosen and characters + len(quote.text) > _QUOTED_CHARACTERS:
            continue
        chosen.append(quote)
        characters += len(quote.text)
    return tuple(chosen)


def _values(quote: Quote) -> str:
    """What a row says, without the names of its columns, which all rows have."""
    return _FIELD.sub(" | ", quote.text)


def _nearest(scored: Sequence[tuple[Quote, float]]) -> tuple[Quote, ...]:
    """The first few that are near enough for a look, without overlap."""
    found: list[Quote] = []
    for quote, certainty in scored:
        if len(found) == _MOST_NEAREST or probability(certainty) < _WORTH_A_LOOK:
            break
        if not any(_same_words(quote, other) or _overlap(quote, other) for other in found):
            found.append(quote)
    return tuple(found)


def _goes_on(one: Quote, other: Quote) -> bool:
    """Whether the other is the next sentence of the same paragraph, and points to the one."""
    chunk = one.chunk
    between = chunk.text[one.end - chunk.start : other.start - chunk.start]
    beside = chunk.document_id == other.chunk.document_id and one.end <= other.start < chunk.start + len(chunk.text)
    return beside and not between.strip() and "\n\n" not in between and bool(POINTS.match(plain(other.text)))


def _overlap(one: Quote, other: Quote) -> bool:
    return one.chunk.document_id == other.chunk.document_id and one.start < other.end and other.start < one.end


def _same_words(one: Quote, other: Quote) -> bool:
    return one.text.split() == other.text.split()
