"""How well what was found answers: the documents of an answer's `results`, or of its `citations`, held against the example's
`context`, which names the right ones."""

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from evals.base import Outcome, Score
from evals.metrics.base import Options, Scoring


class RankingOptions(Options):
    """The first `k` count. `by` says what the context holds: names or ids of documents, or texts of passages, one of which is
    found where a result has it whole."""

    k: int = Field(10, ge=1, le=1000)
    by: Literal["document", "text"] = "document"


class _Ranking(Scoring):
    """0 to 1. Without a context nothing is right, so that nothing is measured."""

    options_type: ClassVar[type[Options]] = RankingOptions

    @abstractmethod
    def value(self, gains: Sequence[float], ideal: Sequence[float]) -> float:
        """The score. `gains` of the first k results by rank, none twice; `ideal` those of all that is right, largest first."""

    async def measure(self, outcome: Outcome) -> Score:
        grades = _grades(outcome)
        if not grades:
            return Score.unmeasured("no_context")
        found = _found(outcome.answer)
        if found is None:
            return Score.unmeasured("no_results")
        name = _by_text if self.options.by == "text" else _by_document
        gains: list[float] = []
        seen: set[str] = set()
        for result in found:
            right = name(result, grades)
            if right not in seen:  # several passages of one document are one hit
                gains.append(grades.get(right, 0.0))
                seen.add(right)
        ideal = sorted((grade for grade in grades.values() if grade > 0), reverse=True)
        if not ideal:
            return Score.unmeasured("no_context")
        return Score(self.value(gains[: self.options.k], ideal), details={"found": len(gains), "right": len(ideal)})


class Ndcg(_Ranking):
    """Normalised discounted cumulative gain (Järvelin and Kekäläinen 2002). The example's label `grades` may say how right
    each of the context is (a number by name); else all are 1."""

    name = "ndcg"

    def value(self, gains: Sequence[float], ideal: Sequence[float]) -> float:
        return _discounted(gains) / _discounted(ideal[: self.options.k])


class ReciprocalRank(_Ranking):
    """One by the rank of the first right one; the mean over examples is MRR."""

    name = "mrr"

    def value(self, gains: Sequence[float], ideal: Sequence[float]) -> float:
        return next((1 / rank for rank, gain in enumerate(gains, 1) if gain > 0), 0.0)


class Recall(_Ranking):
    """The share of what is right that was found among the first k."""

    name = "recall"

    def value(self, gains: Sequence[float], ideal: Sequence[float]) -> float:
        return sum(gain > 0 for gain in gains) / len(ideal)


class Precision(_Ranking):
    """The share of the first k that is right. Where fewer were found, of those; where nothing was, 0."""

    name = "precision"

    def value(self, gains: Sequence[float], ideal: Sequence[float]) -> float:
        return sum(gain > 0 for gain in gains) / len(gains) if gains else 0.0


def _discounted(gains: Sequence[float]) -> float:
    return math.fsum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))


def _grades(outcome: Outcome) -> dict[str, float]:
    given = outcome.example.labels.get("grades")
    graded = given if isinstance(given, Mapping) else {}
    found = {}
    for name in outcome.example.context:
        grade = graded.get(name, 1.0)
        found[name] = float(grade) if isinstance(grade, int | float) and math.isfinite(grade) else 1.0
    return found


def _found(answer: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    for name in ("results", "citations"):
        if isinstance(given := answer.get(name), list | tuple):
            return [one for one in given if isinstance(one, Mapping)]
    return None


def _by_document(result: Mapping[str, Any], grades: Mapping[str, float]) -> str:
    names = [str(result[key]) for key in ("document", "document_id", "chunk_id") if result.get(key) is not None]
    return next((name for name in names if name in grades), names[0] if names else "")


def _by_text(result: Mapping[str, Any], grades: Mapping[str, float]) -> str:
    text = " ".join(str(result.get("text") or result.get("quote") or "").split())
    return next((passage for passage in grades if " ".join(passage.split()) in text), text)
