"""Answers graded by a judge and a rubric: as often as wished, with the variance of that, and how far it agrees with people."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from evals.base import Outcome, Score
from evals.metrics.base import Options, Scoring, question, references
from evals.metrics.judging import Form, Judge, checked_alias
from evals.statistics.agreement import cohens_kappa

if TYPE_CHECKING:
    from providers.models import Models


class RubricOptions(Options):
    """`judge` is the alias of a chat model, `rubric` what it goes by, on whole numbers from `lowest` to `highest`. `repeats` at
    `temperature` (none: 0 for one, else 0.7) give the mean and its variance. `reference`: the judge sees the example's
    `expected`. `label` names the example's label with a person's grade; `weights` say how near misses count against kappa."""

    judge: str = Field(min_length=1, max_length=128)
    rubric: str = Field(min_length=1, max_length=20_000)
    lowest: int = Field(1, ge=0, le=100)
    highest: int = Field(5, ge=1, le=100)
    repeats: int = Field(1, ge=1, le=20)
    temperature: float | None = Field(None, ge=0, le=2)
    reference: bool = False
    label: str | None = Field(None, max_length=64)
    weights: Literal["none", "linear", "quadratic"] = "quadratic"

    @model_validator(mode="after")
    def _has_a_scale(self) -> "RubricOptions":
        if self.lowest >= self.highest:
            raise ValueError("lowest is below highest")
        return self


class Graded(Form):
    """A judge's word."""

    reason: str
    grade: int


class Rubric(Scoring):
    """The mean grade, on the rubric's scale. Grades off it and replies in another form are no grades; with fewer than
    half of the repeats left the outcome is unmeasured."""

    name = "rubric"
    needs: ClassVar[str] = "models"
    options_type: ClassVar[type[Options]] = RubricOptions
    prompt: ClassVar[str] = "rubric.txt"

    def __init__(self, *, models: "Models", **options: Any) -> None:
        super().__init__(**options)
        checked_alias(models, self.options.judge)
        self._judge = Judge(models, self.options.judge)

    def stands_on(self) -> list[str]:
        return self._judge.described(self.prompt)

    async def measure(self, outcome: Outcome) -> Score:
        options: RubricOptions = self.options
        parts = {"question": question(outcome.example), "answer": outcome.output}
        if options.reference:
            if not (right := references(outcome.example)):
                return Score.unmeasured("no_reference")
            parts["right answer"] = "\n\n".join(right)
        warm = options.temperature if options.temperature is not None else (0.7 if options.repeats > 1 else 0.0)
        grades: list[int] = []
        reasons: list[str] = []
        lost = []
        for _ in range(options.repeats):
            said = await self._judge.ask(
                self.prompt,
                Graded,
                parts,
                temperature=warm,
                rubric=options.rubric,
                lowest=options.lowest,
                highest=options.highest,
            )
            if isinstance(said, Score):
                lost.append(said.why or "")
            elif not options.lowest <= said.grade <= options.highest:
                lost.append("unreadable_verdict")
            else:
                grades.append(said.grade)
                reasons.append(said.reason)
        if 2 * len(grades) < options.repeats or not grades:
            return Score.unmeasured(lost[0], grades=grades)
        details: dict[str, Any] = {"grades": grades, "reasons": reasons, "unmeasured": len(lost)}
        if len(grades) > 1:
            details["variance"] = statistics.variance(grades)
        return Score(statistics.fmean(grades), details=details)

    def together(self, scored: Sequence[tuple[Outcome, Score]]) -> Mapping[str, float | None]:
        """As `OfScores` promises: the mean variance of the repeats, and Cohen's kappa with the grades of people."""
        variances = [score.details["variance"] for _, score in scored if "variance" in score.details]
        figures: dict[str, float | None] = {"variance": statistics.fmean(variances) if variances else None}
        if self.options.label is None:
            return figures
        people = [_grade(outcome.example.labels.get(self.options.label)) for outcome, _ in scored]
        judged = [None if score.value is None else float(round(score.value)) for _, score in scored]
        found = cohens_kappa(judged, people, weights=self.options.weights)
        return figures | {"kappa": found.kappa, "kappa_low": found.low, "kappa_high": found.high, "agreement_n": float(found.n)}


def _grade(label: Any) -> float | None:
    """A number, or the text of one: in a CSV each label is a text."""
    try:
        grade = None if label is None or isinstance(label, bool) else float(label)
    except (TypeError, ValueError):
        return None
    return grade if grade is not None and math.isfinite(grade) else None
