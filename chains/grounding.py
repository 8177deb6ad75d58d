"""What of the found passages answers a question: the sentences to quote, and whether they do.

All of it is arithmetic over the embedding model and the collection's word statistics, so that it holds whatever the chat
model is: a small one answers what no passage says.
"""

import math
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace

from chains import remedies
from chains.actions import Act, act_of
from chains.blocks import ITEM, RECORD_ROW
from chains.bystanders import is_bystander, kind_named
from chains.causes import tells_cause
from chains.denials import asks_what_is_not, denies
from chains.follow_ups import points
from chains.kinds import Kind, kind_of
from chains.languages import language_of, words_of
from chains.quotes import Quote, candidates, plain
from chains.relevance import Candidate, compare, coverage, score
from chains.specifics import MEANT, MEANT_IN_ROW, Embed, Ground, Specifics, Words, specifics
from chains.surroundings import POINTS, named_before, neighbours, paragraph
from chains.vocabulary import CLASSES, ENGLISH, GERMAN, LIGHT, MEASURES
from retrievers.base import Passage

#: The logistic curve over a quote's relevance makes a probability. It was set on 49 questions that two collections answer and
#: 25 that they do not, which lie above 0.24 for 46 of the first and below it for 23 of the others.
_STEEPNESS = 11.0
_MIDPOINT = 0.66
#: What a word weighs that all kinds of questions have, in parts of what it would by its rareness.
_LIGHT = 0.3
#: Below this probability it makes no difference what a quote lacks.
_WORTH_VETTING = 0.1
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
#: What an entry says by its form.
_FORMS = {
    re.compile(r"(?<![\d.,:/-])[+0-9][\d /()-]{5,}\d(?![\d.,:])"): "phone telephone telefon number nummer call",
    re.compile(r"\b(?:no|nr)\.? ?[\w/-]*\d|#\d", re.I): "number nummer",
    re.compile(r"\b(?:with|mit) (?:mrs?|ms|dr|prof|frau|herrn?|[A-Z][a-z]+)\b"): "leads lead led teaches teach",
}
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
) -> Evidence:
    """Pick what to quote from the passages. Blocks for as long as `embed` takes for some fifty sentences, and for the words of
    a few passages.

    `weights` has the question's words, as `words` gives them, with how much each tells. `about` is the part of the question
    that must be answered, where the rest is what was asked before; None for all of it. Of the words of `topic`, if there are
    any, one has to stand in a quote's passage; what is best there is told by `about`. What the words of `new` ask for has to be
    in a quote, its headings or its paragraph: all over a passage the words of `about` may be because of what was asked before.
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
    asked = _specifics(whole, about, words)
    verb = act_of(question if about is None else about)
    act = None if verb is None else Act(verb, words, embed)
    if act is not None:  # looked for in the sentence itself, and not all over its passage
        asked = replace(asked, terms=tuple(term for term in asked.terms if term.lower() != verb))
    kind = kind_of(question if about is None else about, whole)
    terms = set(specifics(new, words=words).terms)
    near = [Ground(f"{one.chunk.context}\n{one.chunk.text}", words) for one in passages] if topic else []
    about_it = {one.chunk.document_id for one, ground in zip(passages, near, strict=False) if any(map(ground.knows, topic))}
    own = replace(asked, names=(), numbers=(), numbered=(), terms=tuple(term for term in asked.terms if term in terms))
    vetted = _Vetted(asked, act, kind, own=own, topic=topic, about_it=about_it, embed=embed, words=words, question=whole)
    kept = vetted.of(scored)
    if kind is None and language is not None and language.judged_apart:
        kept = _naming(kept, asked, words)
    likelihood = _probability(scored[0][1])
    quotes = [_one_or_all(quote, weights, words) for quote, _ in kept]
    chosen = _chosen(quotes, weights.keys(), words)
    if chosen:
        best = remedies.completed(chosen[0], whole)
        chosen = (best, *(quote for quote in chosen[1:] if not _overlap(best, quote)))
    return Evidence(chosen, _probability(kept[0][1]) if kept else 0.0, likelihood, _nearest(scored))


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


def _probability(relevance: float) -> float:
    return 1 / (1 + math.exp(-_STEEPNESS * (relevance - _MIDPOINT)))


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


class _Vetted:
    """Lets through what has all that the question cannot do without, looking at each passage once."""

    def __init__(
        self,
        asked: Specifics,
        act: Act | None,
        kind: Kind | None,
        *,
        own: Specifics,
        topic: Sequence[str],
        about_it: Set[str],
        embed: Embed,
        words: Words,
        question: str,
    ) -> None:
        self._question, self._denied = question, asks_what_is_not(question)
        self._asked, self._act, self._kind, self._embed, self._words = asked, act, kind, embed, words
        self._own, self._topic, self._about_it = own, topic, about_it
        self._asks = _stems(asked if act is None else replace(asked, terms=(*asked.terms, act.verb)), words)
        self._lacking: dict[str, bool] = {}

    def of(self, scored: Sequence[tuple[Quote, float]]) -> list[tuple[Quote, float]]:
        """Those of the scored quotes that are let through, in order; what is too far from the question is not looked at."""
        kept = [pair for pair in scored if _probability(pair[1]) >= _WORTH_VETTING and self._has(pair[0])]
        # a name that stands somewhere as the question writes it is not meant by the same word in small letters
        exact = [pair for pair in kept if not any(_in_small(name, pair[0]) for name in self._asked.names)]
        return exact or kept

    def _has(self, quote: Quote) -> bool:
        beside = f"{quote.heading}\n{quote.columns}\n{quote.text}" if quote.row else quote.chunk.text
        labels = f"{quote.chunk.document}\n{_context(quote)}\n{_shown(quote)}"
        ground = Ground(f"{labels}\n{beside}", self._words)
        if ground.text not in self._lacking:
            meant = MEANT_IN_ROW if quote.row else MEANT
            self._lacking[ground.text] = bool(self._asked.missing(ground, embed=self._embed, meant=meant))
        if self._lacking[ground.text] or (self._topic and not self._on_topic(quote, ground)):
            return False
        if self._act is not None and not self._says_how(quote, self._act):
            return False
        sentence = Ground(f"{quote.heading}\n{quote.columns}\n{quote.text}", self._words)
        if self._asked.contradicted(sentence, ground):
            return False
        if self._denied and not denies(quote):
            return False
        if not quote.row and self._of_another(quote):
            return False
        if self._own.terms and not quote.row and self._own.missing(self._by(quote), embed=self._embed):
            return False
        return self._kind is None or self._tells(quote, self._kind)

    def _of_another(self, quote: Quote) -> bool:
        """Whether a quote speaks of another thing than one that the question names, and its passage mentions by the way."""
        before = quote.chunk.text[: quote.start - quote.chunk.start]
        headings = f"{quote.chunk.document}\n{quote.chunk.context}\n{quote.heading}"
        passage, ground = f"{headings}\n{quote.chunk.text}", Ground(quote.text, self._words)
        for name in self._asked.names:
            terms = set(self._asked.terms) - {kind_named(name, self._question)}
            if is_bystander(name, self._question, passage, before, quote.text, terms=any(map(ground.knows, terms))):
                return True
        return False

    def _on_topic(self, quote: Quote, ground: Ground) -> bool:
        """Whether a quote's passage knows what was spoken of. Where another passage of its document does, it need not, as long
        as its heading points at what that is about (`What does it run on?`), or asks what was asked and leaves that unsaid."""
        if any(map(ground.knows, self._topic)):
            return True
        if quote.chunk.document_id not in self._about_it or not quote.heading.endswith("?"):
            return False
        if points(quote.heading):
            return True
        return bool(self._asks) and _stems(specifics(quote.heading, words=self._words), self._words) == self._asks

    def _by(self, quote: Quote) -> Ground:
        """What stands right by a quote: its paragraph, and the headings that it is under."""
        # the headings of a passage are those that its text begins under
        under = quote.chunk.context if quote.heading in quote.chunk.context else quote.title
        return Ground("\n".join((quote.chunk.document, under, quote.heading, quote.columns, paragraph(quote))), self._words)

    def _tells(self, quote: Quote, kind: Kind) -> bool:
        """Whether a quote, with a sentence beside it that belongs to it, holds one of the kind asked for, and what the passage
        knows of the question's words: the price of another thing stands nearby as often."""
        before, after = neighbours(quote)
        if kind.holds is tells_cause:  # it is told beside what it is of, without naming that again
            before = paragraph(quote)
        there = kind_of(quote.heading) if quote.heading.endswith("?") else None
        if there is not None and there.holds is kind.holds:  # the question is asked there, and answered here
            return True
        # what the sentence behind it tells, that one answers
        columns = "" if kind.in_rows and quote.text.startswith("|") else f"{quote.columns}\n"
        row = quote.row and quote.kind != "entry"
        if row and kind.in_row is not None and not kind.in_row(f"{quote.columns}\n{quote.text}"):
            return False
        said = remedies.with_reason(quote) if kind.holds is tells_cause else quote
        if not kind.held(f"{columns}{plain(said.text)}", row=row):
            return False
        if kind.counted and self._asked.opposed(Ground(quote.text, self._words)):
            return False
        labels = (quote.chunk.document, _context(quote), quote.heading, quote.columns, named_before(quote))
        near = Ground("\n".join((*labels, before, quote.text, after)), self._words)
        passage = Ground(quote.chunk.text, self._words)
        elsewhere = [term for term in self._asked.missing(near, embed=self._embed) if passage.knows(term)]
        return 2 * len(elsewhere) < max(1, len(self._asked.names) + len(self._asked.terms))

    def _says_how(self, quote: Quote, act: Act) -> bool:
        """Whether a quote speaks of the act, and what stands right by it of all that the act is done to."""
        heading = act.vouched(quote.heading)
        if not act.told(heading, f"{quote.columns}\n{quote.text}"):
            return False
        labels = [part for part in re.split(r"\n| › ", _context(quote)) if part != quote.heading]
        beside = quote.text if quote.row or ITEM.match(quote.text) else paragraph(quote)
        ground = Ground("\n".join((quote.chunk.document, *labels, heading, quote.columns, beside)), self._words)
        return not self._asked.missing(ground, embed=self._embed)


def _context(quote: Quote) -> str:
    """What its passage is under, without the table's first row, which stands there for its columns and is of something else."""
    return "\n".join(line for line in quote.chunk.context.splitlines() if not RECORD_ROW.fullmatch(line))


def _stems(asked: Specifics, words: Words) -> frozenset[str]:
    """The words of what a question names, numbers and is about."""
    return frozenset(stem for said in (*asked.names, *asked.terms, *asked.numbers) for stem in words(said))


def _shown(quote: Quote) -> str:
    """Words for what a quote is by its form, and does not say: a command, a number by which somebody is called, who leads."""
    if quote.kind == "code":
        return "command code example snippet script syntax"
    forms = _FORMS.items() if quote.kind == "entry" else ()
    return " ".join(words for form, words in forms if form.search(quote.text))


def _in_small(name: str, quote: Quote) -> bool:
    said = f"{quote.heading}\n{quote.columns}\n{quote.text}"
    return name[:1].isupper() and name not in said and bool(re.search(rf"\b{re.escape(name.lower())}\b", said))


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
        if len(found) == _MOST_NEAREST or _probability(certainty) < _WORTH_A_LOOK:
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
