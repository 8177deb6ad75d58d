"""Runs beside each other: a metric's verdict over the examples that they share, and what became of each of these."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from core.errors import InvalidRequest
from core.tables import EvalRun
from evals.statistics.comparison import Comparison, compare_all

#: What is kept of the scores of a run, by example and by a metric's label.
Scores = Mapping[str, Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Side:
    """A run, as it is compared."""

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

    Only metrics with the same signature on both sides are compared, others are told with `why`: `other_signature`. `labels`:
    of these alone. Blocking.

    Raises:
        InvalidRequest: `nothing_in_common`: two of the runs share no example.
    """
    pairs: dict[str, tuple[list[float | None], list[float | None]]] = {}
    silent: dict[str, dict[str, dict[str, Any]]] = {other.run.id: {} for other in others}
    lower: set[str] = set()
    sought: dict[str, float | None] = {}
    for other in others:
        shared = [example for example in base.scores if example in other.scores]
        if not shared:
            raise InvalidRequest("The runs have no example in common.", code="nothing_in_common")
        for label, figures in base.run.summary.get("metrics", {}).items():
            theirs = other.run.summary.get("metrics", {}).get(label)
            if theirs is None or (labels and label not in labels):
                continue
            if theirs["signature"] != figures["signature"]:
                silent[other.run.id][label] = {"verdict": "inconclusive", "why": "other_signature"}
                continue
            name = f"{other.run.id} {label}"
            pairs[name] = (
                [_value(base.scores[example], label) for example in shared],
                [_value(other.scores[example], label) for example in shared],
            )
            sought[name] = (effects or {}).get(label)
            if not figures["higher_is_better"]:
                lower.add(name)
    found = compare_all(pairs, alpha=alpha, effects=sought, lower_is_better=frozenset(lower))
    for name, comparison in found.items():
        run_id, _, label = name.partition(" ")
        silent[run_id][label] = told(comparison)
    return silent


def told(comparison: Comparison) -> dict[str, Any]:
    """A comparison in JSON's own values: a bound that is not known is null."""
    values = asdict(comparison)
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values.items()
    } | {"verdict": str(comparison.verdict)}


def differences(base: Side, others: Sequence[Side], label: str) -> list[dict[str, Any]]:
    """Of each example of the base what a metric says in every run that has it; the largest change comes first, unmeasured
    ones last, examples that changed alike in the base's order."""
    rows = []
    for example, scores in base.scores.items():
        first = _value(scores, label)
        values = {base.run.id: first}
        whys = {base.run.id: scores.get(label, {}).get("why")}
        for other in others:
            if example in other.scores:
                values[other.run.id] = _value(other.scores[example], label)
                whys[other.run.id] = other.scores[example].get(label, {}).get("why")
        changes = [abs(value - first) for value in values.values() if value is not None and first is not None]
        rows.append({"example": example, "values": values, "why": whys, "change": max(changes, default=None)})
    return sorted(rows, key=lambda row: math.inf if row["change"] is None else -row["change"])


def _value(scores: Mapping[str, Mapping[str, Any]], label: str) -> float | None:
    value = scores.get(label, {}).get("value")
    return None if value is None else float(value)
