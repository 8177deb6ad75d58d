"""Scoring: a suite's metrics over outcomes, one by one and all together, and what of the thresholds holds."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import structlog

from core.contained import contained
from core.errors import InvalidRequest, PlatformError, PluginUnavailable
from evals.base import Metric, OfCorpus, OfScores, Outcome, Score
from evals.caps import Stopped
from evals.metrics import METRICS
from evals.metrics.granted import Ask, GrantedModels
from evals.suites import MetricUse, Suite, Threshold, check_metrics

if TYPE_CHECKING:
    from providers.models import Models

log = structlog.get_logger()

#: Why an example is unmeasured that a run has not come to.
NOT_REACHED = "not_reached"
#: Of an example whose answer, or score, was lost with the worker that had asked for it.
INTERRUPTED = "interrupted"
#: Why a comparison has come to nothing that a gate could go by.
CANNOT_TELL = frozenset({"too_few", "too_many_unmeasured", "other_signature"})

#: An example's outcome, and its scores by a metric's label.
Scored = tuple[Outcome, Mapping[str, Score]]


@dataclass(frozen=True, slots=True)
class Scorer:
    """The metrics of a run by their labels, those that ask models apart. `asks` are these models, each with the right that
    it needs: see `evals.metrics.granted.admit`."""

    plain: Mapping[str, Metric]
    asking: Mapping[str, Metric]
    asks: frozenset[Ask] = frozenset()

    @classmethod
    def build(cls, suite: Suite, models: "Models") -> "Scorer":
        """Blocking: it loads the metrics.

        Raises:
            InvalidRequest: as `load_metrics`, or `invalid_metric`: its options are not its.
        """
        kinds = load_metrics(suite)
        granted = GrantedModels(models)
        plain: dict[str, Metric] = {}
        asking: dict[str, Metric] = {}
        for number, use in enumerate(suite.metrics):
            made, asks = _made(kinds[use.name], use, number, cast("Models", granted))
            (asking if asks else plain)[use.called] = made
        return cls(plain, asking, frozenset(granted.named))

    @property
    def metrics(self) -> dict[str, Metric]:
        return {**self.plain, **self.asking}

    async def score(self, outcome: Outcome, *, asking: bool) -> dict[str, Score]:
        """By label. `asking`: of the metrics that ask models, or of the others. One that fails is unmeasured."""
        scores = {}
        for label, metric in (self.asking if asking else self.plain).items():
            if outcome.error is not None:
                scores[label] = Score.unmeasured(outcome.error)
                continue
            try:
                with contained():
                    scores[label] = _scored(await metric.score(outcome))
            except Stopped as stopped:
                scores[label] = Score.unmeasured(str(stopped))
            except PlatformError as error:
                scores[label] = Score.unmeasured(error.code)
            except Exception:  # the boundary of a plugin: the other metrics go on
                log.exception("evaluation.metric_failed", metric=label)
                scores[label] = Score.unmeasured("metric_failed")
        return scores

    def lost(self, why: str = INTERRUPTED) -> dict[str, Score]:
        """What is told of metrics whose models have no word on an example, such as when their worker was killed."""
        return {label: Score.unmeasured(why) for label in self.asking}

    @property
    def whole(self) -> bool:
        """Whether a metric says more of all examples together than a mean."""
        return any(isinstance(metric, OfCorpus | OfScores) for metric in self.metrics.values())

    def summary(self, scores: Sequence[Mapping[str, Mapping[str, Any]]], answered: Sequence[Scored]) -> dict[str, Any]:
        """By label: the figures over all examples. `scores` are those that were kept, `{}` of an example that has none;
        `answered` are the examples that were answered, with their scores, where a metric wants the `whole`."""
        outcomes = [outcome for outcome, _ in answered]
        told = {}
        for label, metric in self.metrics.items():
            values = [one.get(label, {}).get("value") for one in scores]
            measured = [value for value in values if value is not None]
            whys = Counter(
                str(one.get(label, {}).get("why") or NOT_REACHED)
                for one, value in zip(scores, values, strict=True)
                if value is None
            )
            figures: dict[str, Any] = {
                "mean": math.fsum(measured) / len(measured) if measured else None,
                "measured": len(measured),
                "unmeasured": dict(whys),
                "higher_is_better": metric.higher_is_better,
                "signature": metric.signature,
            }
            if isinstance(metric, OfCorpus) and outcomes:
                figures["corpus"] = _corpus(label, metric, outcomes)
            if isinstance(metric, OfScores):
                pairs = [(outcome, found[label]) for outcome, found in answered if label in found]
                figures["together"] = _together(label, metric, pairs)
            told[label] = figures
        return told


def _scored(given: object) -> Score:
    if not isinstance(given, Score):
        raise TypeError(f"a metric gives a Score, not {type(given).__name__}")
    return given


def _together(label: str, metric: OfScores, pairs: Sequence[tuple[Outcome, Score]]) -> dict[str, float | None]:
    try:
        with contained():
            told = metric.together(pairs)
            return {name: None if value is None or not math.isfinite(value) else value for name, value in told.items()}
    except Exception:  # the boundary of a plugin: the other figures stand
        log.exception("evaluation.metric_failed", metric=label)
        return {}


def _corpus(label: str, metric: OfCorpus, outcomes: Sequence[Outcome]) -> float | None:
    try:
        with contained():
            return _scored(metric.corpus(outcomes)).value
    except Exception:  # as above
        log.exception("evaluation.metric_failed", metric=label)
        return None


def kept(score: Score) -> dict[str, Any]:
    """What is kept of a score where it can be counted: no text."""
    return {"value": score.value, "why": score.why}


def held(
    threshold: Threshold, figures: Mapping[str, Any], *, total: int, against: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Whether a threshold holds, and why. `against`: the comparison with the baseline, None where there is none; one that could
    not be made (`CANNOT_TELL`) holds for none that was passed."""
    value = figures.get("corpus", figures["mean"])
    unmeasured = sum(figures["unmeasured"].values())
    share = unmeasured / total if total else 1.0
    told = against or {}
    verdict = told.get("verdict")
    reasons = []
    if share > threshold.max_unmeasured:
        reasons.append("unmeasured")
    if value is None:
        reasons.append("no_value")
    elif threshold.min is not None and value < threshold.min:
        reasons.append("below_min")
    elif threshold.max is not None and value > threshold.max:
        reasons.append("above_max")
    if threshold.not_worse_than_baseline:
        if verdict in (None, "worse"):
            reasons.append("no_baseline" if verdict is None else "worse_than_baseline")
        elif told.get("why") in CANNOT_TELL:
            reasons.append(f"baseline_{told['why']}")
    return {
        "metric": threshold.metric,
        "value": value,
        "min": threshold.min,
        "max": threshold.max,
        "verdict": verdict,
        "unmeasured": unmeasured,
        "why_unmeasured": dict(figures["unmeasured"]),
        "max_unmeasured": threshold.max_unmeasured,
        "total": total,
        "passed": not reasons,
        "reasons": reasons,
    }


def load_metrics(suite: Suite) -> dict[str, Any]:
    """What makes the suite's metrics, by name. Blocking.

    Raises:
        InvalidRequest: `unknown_metric`: there is none of that name; `metric_unavailable`: it cannot be loaded.
    """
    check_metrics(suite, METRICS)
    kinds = {}
    for number, use in enumerate(suite.metrics):
        try:
            kinds[use.name] = METRICS.load(use.name)
        except PluginUnavailable as error:
            raise _unavailable(f"metrics.{number}.name", error.message) from error
    return kinds


def _unavailable(field: str, what: str) -> PluginUnavailable:
    return PluginUnavailable(f"{field}: {what}", code="metric_unavailable", param=field)


def _made(kind: Any, use: MetricUse, number: int, models: "Models") -> tuple[Metric, bool]:
    asks = getattr(kind, "needs", None) == "models"
    try:
        with contained():
            made: Metric = kind(models=models, **use.options) if asks else kind(**use.options)
    except PlatformError:
        raise
    except (TypeError, ValueError) as error:
        raise InvalidRequest(
            f"metrics.{number}.options: {_said(error)}.", code="invalid_metric", param=f"metrics.{number}.options"
        ) from None
    except Exception as error:  # the boundary of a plugin: whatever it raises, there is no such metric
        log.exception("evaluation.metric_not_made", metric=use.name)
        what = f"The metric {use.name!r} cannot be made: {type(error).__name__}."
        raise _unavailable(f"metrics.{number}", what) from error
    return made, asks


def _said(error: Exception) -> str:
    return str(error).split("\n", 1)[0].removesuffix(".")[:300]
