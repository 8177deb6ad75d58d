"""What is watched of a series: how each metric follows from the sums of a point, how a detector is given it, and from when on a
change of it matters."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import asin, exp, log, pi, sin, sqrt
from types import MappingProxyType
from typing import Final, Literal

from core.monitor_settings import MonitorSettings
from evals.monitors.detectors import Tuning
from evals.monitors.points import Sums

Direction = Literal["up", "down", "either"]
#: Milliseconds that something has to be slower at least, and a token: what is fast may well be a quarter slower.
_LEAST_MS, _LEAST_OF_TOKEN_MS = 50.0, 2.0
#: The logarithm of a mean that moves by two parts in a hundred is as good as still.
_OF_LOGARITHMS: Final = Tuning(least_scale=0.02)
#: An angle's standard deviation is 1/sqrt(calls): 0.2 of the 25 calls that count for certain (`detectors.detector.SURE`).
_OF_RATES: Final = Tuning(least_scale=0.2, rare=True)


@dataclass(frozen=True, slots=True)
class WatchedMetric:
    """`measured` gives a point's value in the metric's own unit and the calls that it is the mean of, None where there are
    none. `seen` turns it into what a detector is given, whose noise is the same at any level, and `shown` back. `worse` is the
    direction of what gets worse; of `either` nobody can tell."""

    name: str
    unit: str
    measured: Callable[[Sums], tuple[float, int] | None]
    seen: Callable[[float], float]
    shown: Callable[[float], float]
    tuning: Tuning
    worse: Direction
    #: Of milliseconds: what a change has to come to at least.
    least_ms: float = _LEAST_MS

    def worsened(self, before: float, after: float) -> bool:
        """Whether a change, in the metric's own unit or as detectors see it, is one to the worse."""
        return self.worse == ("up" if after > before else "down") and after != before

    def matters(self, before: float, after: float, settings: MonitorSettings) -> bool:
        """Whether a change, in the metric's own unit, is one to the worse that is worth telling somebody."""
        if not self.worsened(before, after):
            return False
        if self.unit == "ms":
            return after >= before * settings.least_slower and after - before >= self.least_ms
        if self.unit == "usd":
            return after >= before * settings.least_dearer
        return abs(after - before) >= settings.least_rate


def _mean(total: float, number: int) -> tuple[float, int] | None:
    return (exp(total / number), number) if number else None


def _latency(sums: Sums) -> tuple[float, int] | None:
    return _mean(sums.latency_log, sums.answers)


def _first_token(sums: Sums) -> tuple[float, int] | None:
    return _mean(sums.first_token_log, sums.streams)


def _pace(sums: Sums) -> tuple[float, int] | None:
    return _mean(sums.pace_log, sums.paced)


def _errors(sums: Sums) -> tuple[float, int] | None:
    return (sums.failed / sums.calls, sums.calls) if sums.calls else None


def _refusals(sums: Sums) -> tuple[float, int] | None:
    asked = sums.good + sums.refused
    return (sums.refused / asked, asked) if asked else None


def _cost(sums: Sums) -> tuple[float, int] | None:
    return (float(sums.cost_usd) / sums.priced, sums.priced) if sums.priced and sums.cost_usd > 0 else None


def _tokens(sums: Sums) -> tuple[float, int] | None:
    return (sums.tokens / sums.good, sums.good) if sums.good and sums.tokens > 0 else None


def _feedback(sums: Sums) -> tuple[float, int] | None:
    return (sums.liking / sums.judged, sums.judged) if sums.judged else None


def _eval_score(sums: Sums) -> tuple[float, int] | None:
    return (sums.score / sums.graded, sums.graded) if sums.graded else None


def _angle(rate: float) -> float:
    """Which varies as much at any rate: the arcsine of its root (Bartlett, 1947), doubled."""
    return 2 * asin(sqrt(min(1.0, max(0.0, rate))))


def _rate(angle: float) -> float:
    return sin(min(pi, max(0.0, angle)) / 2) ** 2


def _of_logarithms(
    name: str, unit: str, measured: Callable[[Sums], tuple[float, int] | None], worse: Direction, least_ms: float = _LEAST_MS
) -> WatchedMetric:
    return WatchedMetric(name, unit, measured, log, exp, _OF_LOGARITHMS, worse, least_ms)


METRICS: Mapping[str, WatchedMetric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            _of_logarithms("latency_ms", "ms", _latency, "up"),
            _of_logarithms("first_token_ms", "ms", _first_token, "up"),
            _of_logarithms("token_ms", "ms", _pace, "up", _LEAST_OF_TOKEN_MS),
            WatchedMetric("error_rate", "share", _errors, _angle, _rate, _OF_RATES, "up"),
            WatchedMetric("refusal_rate", "share", _refusals, _angle, _rate, _OF_RATES, "up"),
            WatchedMetric("feedback", "share", _feedback, _angle, _rate, _OF_RATES, "down"),
            WatchedMetric("eval_score", "share", _eval_score, _angle, _rate, _OF_RATES, "down"),
            _of_logarithms("cost_usd", "usd", _cost, "up"),
            _of_logarithms("tokens", "tokens", _tokens, "either"),
        )
    }
)
