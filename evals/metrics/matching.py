"""Whether an output is what was expected: to the letter, by its words, or by a pattern."""

import re
import string
import unicodedata
from collections import Counter
from functools import cached_property
from typing import Any, ClassVar

from pydantic import Field

from evals.base import Outcome, Score
from evals.metrics.base import Options, Scoring, references

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


class MatchOptions(Options):
    """`normalise`: letters of any case, without punctuation and English articles, as SQuAD's evaluation compares answers."""

    normalise: bool = False


class PatternOptions(Options):
    """`pattern` in RE2's syntax, whose time is bounded; none: the example's `expected` is it. `whole`: it has to fit all of the
    output. `absent`: it must not be found."""

    pattern: str | None = Field(None, max_length=10_000)
    whole: bool = False
    ignore_case: bool = False
    absent: bool = False


class ExactMatch(Scoring):
    """1 where the output is one of the references, blanks around it aside; else 0."""

    name = "exact_match"
    options_type: ClassVar[type[Options]] = MatchOptions

    async def measure(self, outcome: Outcome) -> Score:
        right = references(outcome.example)
        if not right:
            return Score.unmeasured("no_reference")
        form = normalised if self.options.normalise else _bare
        return Score(float(form(outcome.output) in {form(one) for one in right}))


class TokenF1(Scoring):
    """How many words output and reference share (Rajpurkar et al., SQuAD, 2016), 0 to 1; of several references the best."""

    name = "f1"

    async def measure(self, outcome: Outcome) -> Score:
        right = references(outcome.example)
        if not right:
            return Score.unmeasured("no_reference")
        return Score(max(_f1(normalised(outcome.output).split(), normalised(one).split()) for one in right))


class Regex(Scoring):
    """1 where the pattern is found in the output, else 0."""

    name = "regex"
    options_type: ClassVar[type[Options]] = PatternOptions

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        if self.options.pattern is not None and self._compiled(self.options.pattern) is None:
            raise ValueError("pattern: RE2 cannot use it")

    async def measure(self, outcome: Outcome) -> Score:
        patterns = [self.options.pattern] if self.options.pattern is not None else references(outcome.example)
        if not patterns:
            return Score.unmeasured("no_reference")
        compiled = [self._compiled(pattern) for pattern in patterns]
        if not all(compiled):
            return Score.unmeasured("invalid_pattern")
        found = any(
            (one.fullmatch(outcome.output.strip()) if self.options.whole else one.search(outcome.output))
            for one in compiled
            if one
        )
        return Score(float(found is not self.options.absent))

    def _compiled(self, pattern: str) -> Any:
        import re2

        try:
            return re2.compile(pattern, self._flags)
        except re2.error:
            return None

    @cached_property
    def _flags(self) -> Any:
        import re2

        options = re2.Options()
        options.case_sensitive = not self.options.ignore_case
        options.log_errors = False
        return options


def normalised(text: str) -> str:
    """As SQuAD's evaluation script compares answers: lower case, no punctuation, no articles, single blanks."""
    plain = unicodedata.normalize("NFC", text).lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", plain).split())


def _bare(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip()


def _f1(said: list[str], right: list[str]) -> float:
    if not said or not right:
        return float(said == right)
    common = sum((Counter(said) & Counter(right)).values())
    if not common:
        return 0.0
    precision, recall = common / len(said), common / len(right)
    return 2 * precision * recall / (precision + recall)
