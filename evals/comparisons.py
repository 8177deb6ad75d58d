"""Runs beside each other: a metric's verdict over the examples that they share, and what became of each of these."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from core.errors import InvalidRequest
from core.tables import EvalRun
from evals.scoring import NOT_REACHED
from evals.statistics.comparison import Comparison, compare_all

#: What is kept of the scores of a run, by example and by a metric's label.
Scores = Mapping[str, Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Side:
    """A run, as it is compared. `scores` are those of the examples that it has come to."""

    run: EvalRun
    scores: Scores


def compared(
    base: Side,
    others: Sequence[Side],
    *,
    alpha: float = 0.05,
    effects: Mapping[str, float] | None = None,
    labels: Sequence[str] = (),
) -> dict[str, dict[str, dict[str, Any]]]:
    """Each of the others against the base, by run and by a metric's label; all p values are corrected together (Holm).

    Examples that a run has not come to are unmeasured. Only metrics with the same signature on both sides are compared,
    others are told with `why`: `other_signature`. `labels`: of these alone. Blocking.

    Raises:
        InvalidRequest: `other_dataset`: two of the runs are not of the same examples; `nothing_in_common`: they share none
            that both have come to.
    """
    pairs: dict[str, tuple[list[float | None], list[float | None]]] = {}
    silent: dict[str, dict[str, dict[str, Any]]] = {other.run.id: {} for other in others}
    lower: set[str] = set()
    sought: dict[str, float | None] = {}
    for other in others:
        check_dataset(base.run, other.run)
        if base.scores.keys().isdisjoint(other.scores):
            raise InvalidRequest("The runs have no example in common.", code="nothing_in_common")
        every = list(dict.fromkeys((*base.scores, *other.scores)))
        neither: list[float | None] = [None] * (max(base.run.total or 0, other.run.total or 0) - len(every))
        for label, figures in base.run.summary.get("metrics", {}).items():
            theirs = other.run.summary.get("metrics", {}).get(label)
            if theirs is None or (labels and label not in labels):
                continue
            if theirs["signature"] != figures["signature"]:
                silent[other.run.id][label] = {"verdict": "inconclusive", "why": "other_signature"}
                continue
            name = f"{other.run.id} {label}"
            pairs[name] = (
                [_value(base.scores.get(example, {}), label) for example in every] + neither,
                [_value(other.scores.get(example, {}), label) for example in every] + neither,
            )
            sought[name] = (effects or {}).get(label)
            if not figures["higher_is_better"]:
                lower.add(name)
    found = compare_all(pairs, alpha=alpha, effects=sought, lower_is_better=frozenset(lower))
    for name, comparison in found.items():
        run_id, _, label = name.partition(" ")
        silent[run_id][label] = told(comparison)
    return silent


def check_dataset(base: EvalRun, other: EvalRun) -> None:
    """Raises InvalidRequest (`other_dataset`): two examples of one identifier need not ask the same thing."""
    if base.dataset_digest and other.dataset_digest and base.dataset_digest != other.dataset_digest:
        text = (
            "The runs are not of the same examples: run one of them again over the version of the dataset that the other has."
        )
        raise InvalidRequest(text, code="other_dataset")


def told(comparison: Comparison) -> dict[str, Any]:
    """A comparison in JSON's own values: a bound that is not known is null."""
    values = asdict(comparison)
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values.items()
    } | {"verdict": str(comparison.verdict)}


def differences(base: Side, others: Sequence[Side], label: str) -> list[dict[str, Any]]:
    """Of each example that one of the runs has come to what a metric says in all of them; the largest change comes first,
    unmeasured ones last, examples that changed alike in the base's order."""
    rows = []
    sides = (base, *others)
    for example in dict.fromkeys(example for side in sides for example in side.scores):
        here = {side.run.id: side.scores.get(example, {label: {"why": NOT_REACHED}}) for side in sides}
        values = {run_id: _value(scores, label) for run_id, scores in here.items()}
        whys = {run_id: scores.get(label, {}).get("why") for run_id, scores in here.items()}
        first = values[base.run.id]
        changes = [abs(value - first) for value in values.values() if value is not None and first is not None]
        rows.append({"example": example, "values": values, "why": whys, "change": max(changes, default=None)})
    return sorted(rows, key=lambda row: math.inf if row["change"] is None else -row["change"])


def _value(scores: Mapping[str, Mapping[str, Any]], label: str) -> float | None:
    value = scores.get(label, {}).get("value")
    return None if value is None else float(value)
