"""Lets through the sentences that have what a question cannot do without: its names, numbers and words, one of the kind that
it asks for, and what it was carried on from."""

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

from chains import remedies
from chains.actions import Act
from chains.blocks import ITEM, RECORD_ROW
from chains.bystanders import is_bystander, kind_named
from chains.causes import tells_cause
from chains.collocations import Collocations
from chains.denials import asks_what_is_not, denies
from chains.events import asks_whether_done, says_it_was_done
from chains.follow_ups import points
from chains.kinds import Kind, kind_of
from chains.limits import Limited
from chains.quotes import Quote, plain
from chains.relevance import probability
from chains.specifics import MEANT, MEANT_IN_ROW, Embed, Ground, Specifics, Words, specifics
from chains.surroundings import defined, named_before, neighbours, paragraph

#: Below this probability it makes no difference what a quote lacks.
_WORTH_VETTING = 0.1
#: What an entry says by its form.
_FORMS = {
    re.compile(r"(?<![\d.,:/-])[+0-9][\d /()-]{5,}\d(?![\d.,:])"): "phone telephone telefon number nummer call",
    re.compile(r"\b(?:no|nr)\.? ?[\w/-]*\d|#\d", re.I): "number nummer",
    re.compile(r"\b(?:with|mit) (?:mrs?|ms|dr|prof|frau|herrn?|[A-Z][a-z]+)\b"): "leads lead led teaches teach",
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked, and what has to be right by the answer: of the words of `topic`, if there are any, one; of `own` all, in
    the sentence itself where `inside`. `about_it` are the documents that know the topic, `pairs` what the question names by two
    words."""

    question: str
    specifics: Specifics
    act: Act | None
    kind: Kind | None
    own: Specifics
    inside: bool
    topic: Sequence[str]
    about_it: Set[str]
    pairs: Collocations


class Vetted:
    """Lets through what has all that the question cannot do without, looking at each passage once."""

    def __init__(self, asked: Asked, *, embed: Embed, words: Words) -> None:
        self._question, self._denied = asked.question, asks_what_is_not(asked.question)
        self._asked, self._act, self._kind, self._embed, self._words = asked.specifics, asked.act, asked.kind, embed, words
        self._carried = asked
        act = asked.act
        told = asked.specifics if act is None else replace(asked.specifics, terms=(*asked.specifics.terms, act.verb))
        self._asks = _stems(told, words)
        self._done = asks_whether_done(asked.question)
        self._limited = Limited.of(asked.question)
        self._lacking: dict[tuple[str, Specifics], bool] = {}

    def of(self, scored: Sequence[tuple[Quote, float]]) -> list[tuple[Quote, float]]:
        """Those of the scored quotes that are let through, in order; what is too far from the question is not looked at."""
        kept = [pair for pair in scored if probability(pair[1]) >= _WORTH_VETTING and self._has(pair[0])]
        # a name that stands somewhere as the question writes it is not meant by the same word in small letters
        exact = [pair for pair in kept if not any(_in_small(name, pair[0]) for name in self._asked.names)]
        return exact or kept

    def _has(self, quote: Quote) -> bool:
        beside = f"{quote.heading}\n{quote.columns}\n{quote.text}" if quote.row else quote.chunk.text
        labels = f"{quote.chunk.document}\n{_context(quote)}\n{_shown(quote)}"
        ground = Ground(f"{labels}\n{beside}", self._words)
        asked = self._asked
        if self._limited is not None and self._limited.limited(quote.text):
            asked = self._limited.without(asked)
        if self._lacks(asked, ground, quote) or (self._carried.topic and not self._on_topic(quote)):
            return False
        if self._act is not None and not self._says_how(quote, self._act):
            return False
        sentence = Ground(f"{quote.heading}\n{quote.columns}\n{quote.text}", self._words)
        if asked.contradicted(sentence, ground) or self._carried.pairs.lacking(self._by(quote).text):
            return False
        if self._denied and not denies(quote):
            return False
        if not quote.row and self._of_another(quote):
            return False
        if self._done and not says_it_was_done(quote, self._asked, embed=self._embed, words=self._words):
            return False
        if self._carried.own.terms and not quote.row and self._lacks_own(quote):
            return False
        return self._kind is None or self._tells(quote, self._kind)

    def _lacks(self, asked: Specifics, ground: Ground, quote: Quote) -> bool:
        key = (ground.text, asked)
        if key not in self._lacking:
            meant = MEANT_IN_ROW if quote.row else MEANT
            self._lacking[key] = bool(asked.missing(ground, embed=self._embed, meant=meant))
        return self._lacking[key]

    def _lacks_own(self, quote: Quote) -> bool:
        """Whether what no question before had is not by a quote, or not in it where it has to be."""
        if not self._carried.inside:
            return bool(self._carried.own.missing(self._by(quote), embed=self._embed))
        before, after = neighbours(quote)
        labels = (quote.chunk.document, quote.title, quote.heading, quote.columns, named_before(quote))
        ground = Ground("\n".join((*labels, before, quote.text, after)), self._words)
        return bool(self._carried.own.missing(ground, embed=self._embed))

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

    def _on_topic(self, quote: Quote) -> bool:
        """Whether what stands by a quote knows what was spoken of. Where another passage of its document does, it need not, as
        long as its heading points at what that is about (`What does it run on?`), or asks what was asked and leaves that
        unsaid."""
        if any(map(self._by(quote).knows, self._carried.topic)):
            return True
        if quote.chunk.document_id not in self._carried.about_it or not quote.heading.endswith("?"):
            return False
        if points(quote.heading):
            return True
        return bool(self._asks) and _stems(specifics(quote.heading, words=self._words), self._words) == self._asks

    def _by(self, quote: Quote) -> Ground:
        """What stands right by a quote: its paragraph, and the headings that it is under."""
        beside = quote.text if quote.row else paragraph(quote)
        # the headings of a passage are those that its text begins under
        under = quote.chunk.context if quote.heading in quote.chunk.context else quote.title
        return Ground("\n".join((quote.chunk.document, under, quote.heading, quote.columns, beside)), self._words)

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
        near = Ground("\n".join((*labels, defined(quote), before, quote.text, after)), self._words)
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
