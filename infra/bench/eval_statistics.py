"""How often comparisons, sequential tests and the alarm on assignments are wrong, and how often they find what is there.

Everything is simulated with answers known beforehand: the same distribution twice (A/A), and one that was moved by a stated
effect. What comes out is a share of simulations; the seeds are fixed, so that the same code gives the same figures.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evals.statistics.comparison import compare
from evals.statistics.moments import Moments
from evals.statistics.power import per_arm_looked_at
from evals.statistics.sample_ratio import sample_ratio, sample_ratio_at_any_time
from evals.statistics.sequential import SequentialTest
from evals.statistics.two_samples import compare_means
from evals.statistics.verdicts import Verdict

Figures = dict[str, float]
Draw = Callable[[np.random.Generator, tuple[int, ...]], NDArray[np.float64]]

#: Pairs of a comparison, and the effect that it is to find, in standard deviations of the differences.
PAIRS: Final = 200
EFFECT: Final = 0.25
LOOKS: Final = 20
#: The effect that a sequential test is to find, in standard deviations within an arm; its size follows from it.
SHIFT: Final = 0.2
ASSIGNMENTS: Final = 100_000
_MORE: Final = 20
_DIFFERENT: Final = (Verdict.BETTER, Verdict.WORSE)


def graded(rng: np.random.Generator, size: tuple[int, ...]) -> NDArray[np.float64]:
    """Scores from 0 to 1, as F1 and judges give them."""
    return rng.beta(2, 1, size)


def passed(rng: np.random.Generator, size: tuple[int, ...]) -> NDArray[np.float64]:
    """Scores that are 0 or 1, as exact match and tests give them."""
    return (rng.random(size) < 0.7).astype(np.float64)


def skewed(rng: np.random.Generator, size: tuple[int, ...]) -> NDArray[np.float64]:
    """Latencies and costs: few are far larger than the others."""
    return rng.lognormal(0, 1, size)


SCORES: Final[dict[str, Draw]] = {"graded": graded, "passed": passed, "skewed": skewed}


def gate(simulations: int) -> Figures:
    """The gate of evaluations: two runs of the same examples, whose scores lean on the example as much as on chance."""
    figures: Figures = {}
    for name, draw in SCORES.items():
        rng = np.random.default_rng(7)
        alarms = 0
        for simulation in range(simulations):
            a, b = _runs(rng, draw)
            alarms += compare(a.tolist(), b.tolist(), seed=simulation).verdict in _DIFFERENT
        figures[f"gate_false_{name}"] = alarms / simulations
    rng = np.random.default_rng(8)
    found = missed = equal = 0
    for simulation in range(simulations):
        a, b = rng.normal(0, 1, (2, PAIRS)) / np.sqrt(2)
        moved = compare(a.tolist(), (b + EFFECT).tolist(), seed=simulation, effect=EFFECT).verdict
        found += moved is Verdict.BETTER
        missed += moved is Verdict.NO_DIFFERENCE
        equal += compare(a.tolist(), b.tolist(), seed=simulation, effect=EFFECT).verdict is Verdict.NO_DIFFERENCE
    figures |= {
        "gate_power": found / simulations,
        "gate_missed": missed / simulations,
        "gate_no_difference": equal / simulations,
    }
    return figures


def _runs(rng: np.random.Generator, draw: Draw) -> NDArray[np.float64]:
    """Two runs: half of the examples get the same score in both, as a model that answers alike does."""
    a, b = draw(rng, (2, PAIRS))
    return np.array([a, np.where(rng.random(PAIRS) < 0.5, a, b)])


def looked_at(simulations: int) -> Figures:
    """Two arms of an experiment that are looked at 20 times while they grow."""
    arm = per_arm_looked_at(1.0, SHIFT)
    figures: Figures = {"sequential_per_arm": arm}
    for name, draw in SCORES.items():
        alarms, naive = _looked_at(simulations, arm, draw, 0.0, seed=9)
        figures |= {f"sequential_false_{name}": alarms, f"naive_false_{name}": naive}
    figures["sequential_power"] = _looked_at(simulations, arm, lambda rng, size: rng.normal(0, 1, size), SHIFT, seed=10)[0]
    return figures


def _looked_at(simulations: int, arm: int, draw: Draw, shift: float, *, seed: int) -> tuple[float, float]:
    """The share of simulations in which the sequential test tells a difference at any look, and the one in which a test does
    that is made for a single look."""
    rng = np.random.default_rng(seed)
    test = SequentialTest(planned=2 * arm)
    ends = np.linspace(arm / LOOKS, arm, LOOKS).astype(int)
    alarms = naive = 0
    for _ in range(simulations):
        a, b = draw(rng, (2, arm))
        looks = [
            (Moments.of_sums(*one), Moments.of_sums(*other))
            for one, other in zip(_sums(a, ends), _sums(b + shift, ends), strict=True)
        ]
        alarms += any(test.look(one, other).verdict in _DIFFERENT for one, other in looks)
        naive += any(compare_means(one, other).verdict in _DIFFERENT for one, other in looks)
    return alarms / simulations, naive / simulations


def _sums(values: NDArray[np.float64], ends: NDArray[np.int_]) -> list[tuple[int, float, float]]:
    totals, squares = np.cumsum(values), np.cumsum(values**2)
    return [(int(end), float(totals[end - 1]), float(squares[end - 1])) for end in ends]


def assignments(runs: int) -> Figures:
    """100,000 units given to two arms: half and half, and 51 to 49 by mistake. The test at the end is tried in many more runs
    than were asked for: it is quick, and a share of 0.001 wants them. The alarm for any time is asked 20 times on the way."""
    figures: Figures = {}
    for name, share in (("caught", 0.51), ("false", 0.5)):
        rng = np.random.default_rng(11)
        ends = rng.binomial(ASSIGNMENTS, share, runs * _MORE).tolist()
        alarms = sum(sample_ratio([first, ASSIGNMENTS - first], [1, 1]).mismatch for first in ends)
        steps = rng.binomial(ASSIGNMENTS // LOOKS, share, (runs, LOOKS))
        on_the_way = sum(_alarmed(row) for row in np.cumsum(steps, axis=1).tolist())
        figures |= {f"mismatch_{name}": alarms / (runs * _MORE), f"mismatch_at_any_time_{name}": on_the_way / runs}
    return figures


def _alarmed(firsts: list[int]) -> bool:
    """Whether the alarm for any time goes off at one of the looks."""
    totals = range(ASSIGNMENTS // LOOKS, ASSIGNMENTS + 1, ASSIGNMENTS // LOOKS)
    counts = ([first, total - first] for first, total in zip(firsts, totals, strict=True))
    return any(sample_ratio_at_any_time(each, [1, 1]).mismatch for each in counts)
