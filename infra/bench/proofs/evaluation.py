"""What evaluations and experiments say of a difference."""

from pathlib import Path

from infra.bench import eval_runs, eval_statistics
from infra.bench.counts import Counts, Figures
from infra.bench.monitors import monitors

__all__ = ["eval_run", "monitors", "statistics"]

#: At small counts a share is known to within some hundredths: nothing is held to what is promised.
_FEW = 100


def statistics(_: Path, counts: Counts) -> Figures:
    """2,000 A/A simulations: gate and sequential test raise at most 5 % false alarms, and 51/49 splits are caught."""
    simulations, runs = (_FEW, _FEW) if counts.is_small else (counts.calls, counts.cases)
    figures = eval_statistics.gate(simulations) | eval_statistics.looked_at(simulations) | eval_statistics.assignments(runs)
    if not counts.is_small:
        alarms = {name: share for name, share in figures.items() if name.startswith(("gate_false", "sequential_false"))}
        assert max(alarms.values()) <= 0.05, figures
        assert min(figures["gate_power"], figures["sequential_power"]) >= 0.8, figures
        assert figures["mismatch_caught"] >= 0.99, figures
        assert max(figures["mismatch_false"], figures["mismatch_at_any_time_false"]) <= 0.002, figures
    return figures


def eval_run(place: Path, counts: Counts) -> Figures:
    """Kill -9 three times during an eval run of 1,000 examples: the provider is asked for no example twice, the ledger has none
    twice, each is paid for once, and what was in flight at a kill is told as interrupted."""
    return eval_runs.killed(place, examples=counts.cases, kills=counts.kills)
