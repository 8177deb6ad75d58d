"""ROUGE-1, -2, -L and -Lsum as Google's rouge-score computes them, which agrees with ROUGE-1.5.5."""

from functools import cached_property
from importlib.metadata import version
from typing import Any, ClassVar, Literal

from evals.base import Outcome, Score
from evals.metrics.base import Options, Scoring, references


class RougeOptions(Options):
    """`stemmer` cuts the endings of English words. `part` is what the score is: the F-measure, precision or recall."""

    stemmer: bool = False
    part: Literal["fmeasure", "precision", "recall"] = "fmeasure"


class _Rouge(Scoring):
    """0 to 1; of several references the one that gives most. Words are of Latin letters without accents and of digits: a
    reference that has none is unmeasured."""

    kind: ClassVar[str]
    options_type: ClassVar[type[Options]] = RougeOptions

    @cached_property
    def _scorer(self) -> Any:
        from rouge_score.rouge_scorer import RougeScorer

        return RougeScorer([self.kind], use_stemmer=self.options.stemmer)

    def stands_on(self) -> list[str]:
        return [f"rouge-score-{version('rouge-score')}"]

    async def measure(self, outcome: Outcome) -> Score:
        right = references(outcome.example)
        if not right:
            return Score.unmeasured("no_reference")
        if not any(character.isascii() and character.isalnum() for one in right for character in one):
            return Score.unmeasured("no_words")
        found = [self._scorer.score(one, outcome.output)[self.kind] for one in right]
        best = max(found, key=lambda one: getattr(one, self.options.part))
        parts = {part: float(getattr(best, part)) for part in ("precision", "recall", "fmeasure")}
        return Score(parts[self.options.part], details=parts)


class Rouge1(_Rouge):
    """Words in common."""

    name = kind = "rouge1"


class Rouge2(_Rouge):
    """Pairs of words in common."""

    name = kind = "rouge2"


class RougeL(_Rouge):
    """The longest common subsequence of words."""

    name = kind = "rougeL"


class RougeLsum(_Rouge):
    """The same sentence by sentence, where each line is a sentence."""

    name = kind = "rougeLsum"
