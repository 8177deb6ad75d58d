"""When an experiment ends by itself, and what it has come to then."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from core.tables import ExperimentState
from evals.experiments.analysis import Results
from providers.experiment_definition import Definition, EndReason


@dataclass(frozen=True, slots=True)
class Ending:
    """`winner` is the place of the variant that has won; None: the control stays."""

    state: ExperimentState
    reason: EndReason
    winner: int | None = None


_WORTHLESS: Final = Ending(ExperimentState.STOPPED, "sample_ratio")


def ending_of(definition: Definition, results: Results, started_at: datetime, now: datetime) -> Ending | None:
    """How it ends now; None while it goes on. What makes its figures worthless or does harm comes first."""
    ending, looks = _by_rules(definition, results, started_at, now), definition.rules.on_sample_ratio
    if looks and (results.ratio.mismatch or (ending is not None and results.last_ratio.mismatch)):
        return _WORTHLESS
    return ending


def _by_rules(definition: Definition, results: Results, started_at: datetime, now: datetime) -> Ending | None:
    rules = definition.rules
    least = min(results.units)
    if rules.on_harm and results.harmed and least >= rules.min_units:
        return Ending(ExperimentState.STOPPED, "harm")
    # all others have to be worse before the control has won
    decided = results.winner is not None or len(results.lost) == len(results.units) - 1
    if rules.on_verdict and decided and min(results.metrics[0].measured) >= rules.min_units:
        return Ending(ExperimentState.CONCLUDED, "verdict", results.winner)
    if rules.enough_units is not None and least >= rules.enough_units:
        return Ending(ExperimentState.CONCLUDED, "enough_units", results.winner)
    if now - started_at >= timedelta(days=rules.max_days):
        return Ending(ExperimentState.CONCLUDED, "max_days", results.winner)
    return None
