"""Results as JSON: what routes answer, and what an experiment is kept with once it has ended."""

from typing import Any

from evals.experiments.analysis import Compared, MetricResult, Results, finite
from evals.statistics.two_samples import Difference
from providers.experiment_definition import Definition


def told_results(definition: Definition, results: Results) -> dict[str, Any]:
    """Plain values; a bound that is not known is None."""
    names = [variant.name for variant in definition.variants]
    return {
        "variants": [
            {"name": variant.name, "version": variant.version, "units": units, "requests": requests}
            for variant, units, requests in zip(definition.variants, results.units, results.requests, strict=True)
        ],
        "sample_ratio": {
            "mismatch": results.ratio.mismatch,
            "p": results.ratio.p,
            "expected": [round(each, 1) for each in results.ratio.expected],
        },
        "metrics": [_metric(names, metric) for metric in results.metrics],
        "winner": None if results.winner is None else names[results.winner],
        "harmed": [names[place] for place in results.harmed],
    }


def _metric(names: list[str], result: MetricResult) -> dict[str, Any]:
    return {
        "metric": result.metric,
        "higher_is_better": result.higher_is_better,
        "means": dict(zip(names, result.means, strict=True)),
        "measured": dict(zip(names, result.measured, strict=True)),
        "noise_explained": result.reduction,
        "comparisons": [_compared(name, each) for name, each in zip(names[1:], result.compared, strict=True)],
    }


def _compared(name: str, each: Compared) -> dict[str, Any]:
    return {
        "variant": name,
        **_difference(each.at_any_time),
        "harmed": each.harmed,
        "fixed": {**_difference(each.fixed), "p_corrected": each.fixed_p},
    }


def _difference(each: Difference) -> dict[str, Any]:
    return {
        "verdict": each.verdict.value,
        "difference": each.difference,
        "low": finite(each.low),
        "high": finite(each.high),
        "p": each.p,
        "relative": each.relative,
        "needed": each.needed,
        "why": each.why,
    }
