"""Whether an answer rests on its sources, cites what bears it out, and answers its question: by a judge, or without one by the
words that statement and source share (`chains.support`), which takes a paraphrase for unsupported."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pydantic import Field

from chains.citations import without_marks
from chains.excerpts import words
from chains.support import supporting
from evals.base import Outcome, Score
from evals.metrics.base import Options, Scoring, question
from evals.metrics.judging import Form, Judge, checked_alias, numbered
from evals.metrics.similarity import checked_embeddings, nearest
from retrievers.sentences import units

if TYPE_CHECKING:
    from providers.models import Models

#: Statements and sources that a judge can tell apart.
_MOST: Final = 60


class GroundingOptions(Options):
    """`judge`: the alias of a chat model; none: by the words alone."""

    judge: str | None = Field(None, min_length=1, max_length=128)


class FaithfulnessOptions(GroundingOptions):
    """`context`: the example's passages are sources, too."""

    context: bool = False


class RelevanceOptions(GroundingOptions):
    """`embeddings`: the alias that compares question and answer where there is no judge."""

    embeddings: str = Field("embeddings", min_length=1, max_length=128)


class Follows(Form):
    """Of each statement, whether it follows from the sources."""

    follows: list[bool]


class Supports(Form):
    """Of each passage, whether it supports the answer."""

    supports: list[bool]


class Relevant(Form):
    """How well the answer answers, 0 to 10."""

    reason: str
    grade: int = Field(ge=0, le=10)


class _Grounding(Scoring):
    needs: ClassVar[str] = "models"
    options_type: ClassVar[type[Options]] = GroundingOptions
    #: What its judge is asked by.
    prompt: ClassVar[str]

    def __init__(self, *, models: "Models", **options: Any) -> None:
        super().__init__(**options)
        checked_alias(models, self.options.judge)
        self._models = models
        self._judge = Judge(models, self.options.judge) if self.options.judge else None

    def stands_on(self) -> list[str]:
        return self._judge.described(self.prompt) if self._judge else ["by_words"]

    async def measure(self, outcome: Outcome) -> Score:
        if outcome.answer.get("answered") is False:
            return Score.unmeasured("not_answered")
        if not outcome.output.strip():
            return Score.unmeasured("no_text")
        return await self.grounded(outcome)

    @abstractmethod
    async def grounded(self, outcome: Outcome) -> Score:
        """The score of an outcome that answers something."""


class _Supported(_Grounding):
    """The share of an answer's statements that sources say."""

    prompt = "faithfulness.txt"

    async def supported(self, outcome: Outcome, sources: Sequence[str]) -> Score:
        told = statements(outcome.output)
        if not told:
            return Score.unmeasured("no_statements")
        if self._judge is None:
            asked = question(outcome.example)
            follows = [supporting(one, sources, asked, words=words) is not None for one in told]
        else:
            if len(told) > _MOST or len(sources) > _MOST:
                return Score.unmeasured("too_long")
            parts = {"sources": numbered(sources), "statements": numbered(told)}
            said = await self._judge.ask(self.prompt, Follows, parts, count=len(told))
            if isinstance(said, Score):
                return said
            follows = said.follows
        return _share(follows, told)


class Faithfulness(_Supported):
    """The share of the statements that follow from the passages which the answer was given, 0 to 1."""

    name = "faithfulness"
    options_type: ClassVar[type[Options]] = FaithfulnessOptions

    async def grounded(self, outcome: Outcome) -> Score:
        sources = [*_texts(outcome.answer, "results", "text"), *_texts(outcome.answer, "citations", "quote")]
        if self.options.context:
            sources += outcome.example.context
        if not sources:
            return Score.unmeasured("no_sources")
        return await self.supported(outcome, sources)


class CitationRecall(_Supported):
    """The share of the statements that the quotes of the citations say, 0 to 1. An answer that cites nothing has 0."""

    name = "citation_recall"

    async def grounded(self, outcome: Outcome) -> Score:
        if not isinstance(outcome.answer.get("citations"), list | tuple):
            return Score.unmeasured("no_citations")
        quotes = _texts(outcome.answer, "citations", "quote")
        if not quotes:
            return Score(0.0) if statements(outcome.output) else Score.unmeasured("no_statements")
        return await self.supported(outcome, quotes)


class CitationPrecision(_Grounding):
    """The share of the citations whose quote says a statement of the answer, 0 to 1."""

    name = "citation_precision"
    prompt = "citations.txt"

    async def grounded(self, outcome: Outcome) -> Score:
        quotes = _texts(outcome.answer, "citations", "quote")
        if not quotes:
            return Score.unmeasured("no_citations")
        told = statements(outcome.output)
        if self._judge is None:
            asked = question(outcome.example)
            return _share(
                [any(supporting(one, [quote], asked, words=words) is not None for one in told) for quote in quotes], quotes
            )
        if len(quotes) > _MOST:
            return Score.unmeasured("too_long")
        parts = {"answer": without_marks(outcome.output), "passages": numbered(quotes)}
        said = await self._judge.ask(self.prompt, Supports, parts, count=len(quotes))
        return said if isinstance(said, Score) else _share(said.supports, quotes)


class Relevance(_Grounding):
    """How well the answer answers the question, 0 to 1; without a judge the likeness of their meanings."""

    name = "relevance"
    prompt = "relevance.txt"
    options_type: ClassVar[type[Options]] = RelevanceOptions

    def __init__(self, *, models: "Models", **options: Any) -> None:
        super().__init__(models=models, **options)
        self._named = "" if self._judge else checked_embeddings(models, self.options.embeddings)

    def stands_on(self) -> list[str]:
        return super().stands_on() if self._judge else [self._named]

    async def grounded(self, outcome: Outcome) -> Score:
        asked, answer = question(outcome.example), without_marks(outcome.output)
        if self._judge is None:
            return await nearest(self._models, self.options.embeddings, answer, [asked])
        said = await self._judge.ask(self.prompt, Relevant, {"question": asked, "answer": answer})
        return said if isinstance(said, Score) else Score(said.grade / 10, details={"reason": said.reason})


def statements(output: str) -> list[str]:
    """The sentences and standing lines of an answer, without marks of sources and what says nothing."""
    text = without_marks(output)
    told = [text[unit.start : unit.end].strip() for unit in units(text)]
    return [one for one in told if any(map(str.isalnum, one)) and not one.endswith(":")]


def _texts(answer: Mapping[str, Any], name: str, field: str) -> list[str]:
    given = answer.get(name)
    found = [one.get(field) for one in given if isinstance(one, Mapping)] if isinstance(given, list | tuple) else []
    return [text for text in found if isinstance(text, str) and text.strip()]


def _share(said: Sequence[bool], of: Sequence[str]) -> Score:
    """A judge that says more or fewer than it was asked has not understood."""
    if len(said) != len(of):
        return Score.unmeasured("unreadable_verdict")
    return Score(sum(said) / len(of), details={"said": list(said), "of": list(of)})
