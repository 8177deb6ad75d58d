"""What an experiment says: each variant against the control, metric by metric, at any time and at the size that was planned."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from evals.experiments.outcomes import Unit
from evals.statistics.corrections import holm
from evals.statistics.cuped import Adjusted, adjust
from evals.statistics.moments import Moments
from evals.statistics.sample_ratio import SampleRatio, sample_ratio, sample_ratio_at_any_time
from evals.statistics.sequential import PLANNED, SequentialTest
from evals.statistics.two_samples import Difference, compare_means, too_few
from evals.statistics.verdicts import Verdict
from providers.experiment_definition import Definition, higher_is_better

#: What a comparison cannot be believed for.
UNTRUE_SHARES: Final = "sample_ratio"


@dataclass(frozen=True, slots=True)
class Compared:
    """A variant against the control. `at_any_time` may be looked at as often as one likes and decides; `fixed` holds at the
    planned size alone, and `fixed_p` is its p among all metrics and variants (Holm). `harmed`: it is a guardrail's, and worse
    by more than its margin beyond doubt."""

    at_any_time: Difference
    fixed: Difference
    fixed_p: float | None
    harmed: bool = False


@dataclass(frozen=True, slots=True)
class MetricResult:
    """`means` are of each variant's units as they were measured; `reduction` is the share of the noise that what was known
    before has explained. `compared` has one for each variant but the control, in order."""

    metric: str
    higher_is_better: bool
    means: Sequence[float | None]
    measured: Sequence[int]
    reduction: float
    compared: Sequence[Compared]


@dataclass(frozen=True, slots=True)
class Results:
    """`units` and `requests` of each variant. `winner` is the place of the variant whose primary metric is better beyond doubt,
    the largest difference of several, and harms nothing; None where there is none. Nothing is told where the shares of the
    variants are no chance (`ratio`, which holds at every look). `last_ratio` finds it with fewer units, and holds where it is
    asked once: at the end."""

    units: Sequence[int]
    requests: Sequence[int]
    ratio: SampleRatio
    last_ratio: SampleRatio
    metrics: Sequence[MetricResult]
    winner: int | None
    harmed: Sequence[int]
    lost: Sequence[int]


def analyse(definition: Definition, units: Mapping[str, Unit]) -> Results:
    """Blocking: some 0.1 s for 10,000 units."""
    arms = [[unit for unit in units.values() if unit.variant == place] for place in range(len(definition.variants))]
    counts = [len(arm) for arm in arms]
    ratio = sample_ratio_at_any_time(counts, definition.weights)
    metrics = _corrected([_of_metric(definition, metric, arms, ratio) for metric in definition.measured])
    primary = metrics[0].compared
    harmed = [place for place in range(1, len(arms)) if any(each.compared[place - 1].harmed for each in metrics)]
    won = [
        place
        for place, each in enumerate(primary, 1)
        if each.at_any_time.verdict is Verdict.BETTER and place not in harmed and not ratio.mismatch
    ]
    return Results(
        units=counts,
        requests=[sum(unit.requests for unit in arm) for arm in arms],
        ratio=ratio,
        last_ratio=sample_ratio(counts, definition.weights),
        metrics=metrics,
        winner=max(won, key=lambda place: abs(primary[place - 1].at_any_time.difference or 0.0)) if won else None,
        harmed=harmed,
        lost=[place for place, each in enumerate(primary, 1) if each.at_any_time.verdict is Verdict.WORSE],
    )


def _of_metric(definition: Definition, metric: str, arms: Sequence[Sequence[Unit]], ratio: SampleRatio) -> MetricResult:
    outcomes = [[unit.values.get(metric) for unit in arm] for arm in arms]
    plain = [Moments.of(arm) for arm in outcomes]
    adjusted = adjust(outcomes, [[unit.before.get(metric) for unit in arm] for arm in arms])
    better = higher_is_better(metric)
    margins = [one.margin for one in definition.guardrails if one.metric == metric]
    margin = min(margins) * abs(plain[0].mean) if margins else None
    return MetricResult(
        metric=metric,
        higher_is_better=better,
        means=[arm.mean if arm.n else None for arm in plain],
        measured=[arm.n for arm in plain],
        reduction=adjusted.reduction,
        compared=[_compared(definition, adjusted, place, better, margin, ratio) for place in range(1, len(arms))],
    )


def _compared(
    definition: Definition, adjusted: Adjusted, place: int, better: bool, margin: float | None, ratio: SampleRatio
) -> Compared:
    control, arm = adjusted.arms[0], adjusted.arms[place]
    if ratio.mismatch:
        nothing = too_few(control, arm, UNTRUE_SHARES)
        return Compared(nothing, nothing, None)
    others = len(definition.variants) - 1
    enough = definition.rules.enough_units
    planned = PLANNED if enough is None else 2 * enough
    test = SequentialTest(alpha=definition.alpha / others, planned=planned, higher_is_better=better)
    seen = test.look(control, arm)
    harmed = False
    if margin is not None:
        # guardrails ask for themselves: their false alarms are shared among them
        asked = max(1, len(definition.guardrails))
        guard = SequentialTest(alpha=definition.alpha / others / asked, planned=planned, higher_is_better=better)
        found = guard.look(control, arm)
        harmed = found.why is None and (found.high < -margin if better else found.low > margin)
    fixed = compare_means(control, arm, alpha=definition.alpha, higher_is_better=better)
    return Compared(seen, fixed, fixed.p if fixed.why is None else None, harmed)


def _corrected(metrics: Sequence[MetricResult]) -> list[MetricResult]:
    """With the fixed p values corrected over all of them together."""
    corrected = iter(holm([each.fixed_p for metric in metrics for each in metric.compared]))
    return [
        replace(metric, compared=[replace(each, fixed_p=next(corrected)) for each in metric.compared]) for metric in metrics
    ]


def finite(number: float | None) -> float | None:
    """As JSON can tell it."""
    return number if number is not None and math.isfinite(number) else None
