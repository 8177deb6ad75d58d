"""Answers held against other ones by a judge: asked in both orders, because many judges prefer what comes first."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from evals.base import Outcome, Score
from evals.metrics.base import Options, Scoring, question, references
from evals.metrics.judging import Form, Judge, checked_alias

if TYPE_CHECKING:
    from providers.models import Models

FLIPPED = "flipped"


class PreferenceOptions(Options):
    """`judge` is the alias of a chat model, `rubric` what it goes by. The other answer is the example's label that `against`
    names; none: its `expected`."""

    judge: str = Field(min_length=1, max_length=128)
    rubric: str = Field("The better answer is right, complete and to the point.", min_length=1, max_length=20_000)
    against: str | None = Field(None, max_length=64)


class Preferred(Form):
    """A judge's word."""

    reason: str
    better: Literal["first", "second", "tie"]


class Preference(Scoring):
    """1 where the output is preferred in both orders, 0 where the other is, 0.5 for ties and for a judge that changes its mind
    with the order (`why` is then `flipped`); 0.75 and 0.25 where one order is a tie. The mean is the share of wins, ties
    counted half. Both orders have to be readable."""

    name = "preference"
    needs: ClassVar[str] = "models"
    options_type: ClassVar[type[Options]] = PreferenceOptions
    prompt: ClassVar[str] = "preference.txt"

    def __init__(self, *, models: "Models", **options: Any) -> None:
        super().__init__(**options)
        checked_alias(models, self.options.judge)
        self._judge = Judge(models, self.options.judge)

    def stands_on(self) -> list[str]:
        return self._judge.described(self.prompt)

    async def measure(self, outcome: Outcome) -> Score:
        name = self.options.against
        others = [outcome.example.labels.get(name)] if name else references(outcome.example)
        if not others or not isinstance(others[0], str):
            return Score.unmeasured("no_reference")
        asked = question(outcome.example)
        values, reasons = [], []
        for own_first in (True, False):
            first, second = (outcome.output, others[0]) if own_first else (others[0], outcome.output)
            parts = {"question": asked, "first answer": first, "second answer": second}
            said = await self._judge.ask(self.prompt, Preferred, parts, rubric=self.options.rubric)
            if isinstance(said, Score):
                return said
            values.append(0.5 if said.better == "tie" else float((said.better == "first") is own_first))
            reasons.append(said.reason)
        flipped = set(values) == {0.0, 1.0}
        details = {"own_first": values[0], "own_second": values[1], "reasons": reasons}
        return Score(sum(values) / 2, FLIPPED if flipped else None, details)

    def together(self, scored: Sequence[tuple[Outcome, Score]]) -> Mapping[str, float | None]:
        """As `OfScores` promises: how often the judge changed its mind with the order."""
        told = [score for _, score in scored if score.value is not None]
        return {"flipped": sum(score.why == FLIPPED for score in told) / len(told) if told else None}
