"""Two runs of the same examples: whether the second is better, and by how much."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from evals.statistics.corrections import CORRECTIONS
from evals.statistics.power import pairs_for_equivalence, pairs_needed
from evals.statistics.resampling import RESAMPLES, Floats, bootstrap_interval, never_seen, randomisation_p
from evals.statistics.verdicts import Verdict, check, decide

#: The share of pairs that may go unmeasured: what failed is seldom what would have been average.
MOST_UNMEASURED: Final = 0.1
#: Fewer pairs tell nothing: swapped in every way, five cannot be rarer than one in sixteen.
FEWEST: Final = 6
#: A p value that is corrected for many questions has to be known more exactly: so many times more draws at most.
_MOST_TIMES: Final = 10

Scores = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The second run against the first, over `n` pairs of which both were measured.

    `difference` is the mean of the second less the first, within `low` and `high` (paired bootstrap); `p` by approximate
    randomisation, corrected where several were asked at once. `effect_size` is Cohen's d of the differences, `rank_biserial`
    how many more and larger ones go up than down, -1 to 1; None: they do not vary, or there are none. `unmeasured` pairs were
    left out. `needed` pairs would settle it; None: it is settled, or nothing tells how many would. `why` says for what reason
    nothing can be told: `too_few`, `too_many_unmeasured`. A bound that is not known is infinite.
    """

    verdict: Verdict
    difference: float
    low: float
    high: float
    p: float
    effect_size: float | None
    rank_biserial: float | None
    n: int
    unmeasured: int
    needed: int | None
    mean_a: float | None = None
    mean_b: float | None = None
    why: str | None = None


def compare(
    a: Scores,
    b: Scores,
    *,
    alpha: float = 0.05,
    effect: float | None = None,
    seed: int = 0,
    higher_is_better: bool = True,
    most_unmeasured: float = MOST_UNMEASURED,
) -> Comparison:
    """Compare the scores that a metric gave the same examples, in the same order, in two runs; the second with the first.

    None and NaN are unmeasured: the pair is left out and counted, and with more than `most_unmeasured` of them nothing is told.
    `better` and `worse` take both an interval without zero and a p of at most `alpha`, its own chance included; `no difference`
    an interval within `effect` on both sides, the smallest difference that matters. The same seed gives the same answer.
    Blocking: some 0.1 s for 1,000 pairs.

    Raises:
        ValueError: the runs have not as many scores, or as `verdicts.check` says.
    """
    return compare_all(
        {"": (a, b)},
        alpha=alpha,
        effects={"": effect},
        seed=seed,
        lower_is_better=frozenset() if higher_is_better else frozenset({""}),
        most_unmeasured=most_unmeasured,
    )[""]


def compare_all(
    pairs: Mapping[str, tuple[Scores, Scores]],
    *,
    alpha: float = 0.05,
    effects: Mapping[str, float | None] | None = None,
    seed: int = 0,
    lower_is_better: frozenset[str] = frozenset(),
    correction: str = "holm",
    most_unmeasured: float = MOST_UNMEASURED,
) -> dict[str, Comparison]:
    """`compare` for several metrics, runs or slices at once, by name: their p values are corrected for each other, the
    intervals are each one's own. `effects` has the smallest difference that matters by name.

    Raises:
        ValueError: as `compare`.
        KeyError: there is no such correction (see `corrections.CORRECTIONS`).
    """
    sought = effects or {}
    for name, (a, b) in pairs.items():
        check(alpha, sought.get(name))
        if len(a) != len(b):
            raise ValueError(f"both runs have a score for each example, measured or not: {len(a)} and {len(b)} are given")
    resamples = RESAMPLES * min(len(pairs), _MOST_TIMES)
    found = {name: _Pairs(a, b, alpha, seed, resamples) for name, (a, b) in pairs.items()}
    told = {name: each for name, each in found.items() if each.silent(most_unmeasured) is None}
    shown = dict(zip(told, CORRECTIONS[correction]([each.p for each in told.values()]), strict=True))
    sure = dict(zip(told, CORRECTIONS[correction]([each.sure_p for each in told.values()]), strict=True))
    return {
        name: each.judged(
            p=shown.get(name),
            differs=(at_most := sure.get(name)) is not None and at_most <= alpha,
            effect=sought.get(name),
            higher_is_better=name not in lower_is_better,
            why=each.silent(most_unmeasured),
        )
        for name, each in found.items()
    }


class _Pairs:
    """The pairs of which both were measured, and what resampling says of them."""

    def __init__(self, a: Scores, b: Scores, alpha: float, seed: int, resamples: int) -> None:
        first, second = _numbers(a), _numbers(b)
        both = ~(np.isnan(first) | np.isnan(second))
        self.a, self.b = first[both], second[both]
        self.alpha = alpha
        self.differences = self.b - self.a
        self.n = int(both.sum())
        self.unmeasured = int(both.size - self.n)
        self.low, self.high, self.p, self.sure_p = -math.inf, math.inf, 1.0, 1.0
        if self.n >= FEWEST:
            self.low, self.high = bootstrap_interval(self.differences, alpha=alpha, seed=seed)
            self.p, self.sure_p = randomisation_p(self.differences, seed=seed + 1, resamples=resamples)
            if self.low == self.high:
                reach = never_seen(self.n, alpha=alpha) * self._span()
                self.low, self.high = self.low - reach, self.high + reach

    def _span(self) -> float:
        """How far two scores may be apart, by those that were seen: on a scale from zero as a rule."""
        scores = np.concatenate([self.a, self.b])
        return float(max(np.ptp(scores), np.abs(scores).max())) or 1.0

    def silent(self, most_unmeasured: float) -> str | None:
        if self.n < FEWEST:
            return "too_few" if self.unmeasured <= most_unmeasured * (self.n + self.unmeasured) else "too_many_unmeasured"
        return "too_many_unmeasured" if self.unmeasured > most_unmeasured * (self.n + self.unmeasured) else None

    def judged(
        self, *, p: float | None, differs: bool, effect: float | None, higher_is_better: bool, why: str | None
    ) -> Comparison:
        difference = float(self.differences.mean()) if self.n else 0.0
        sd = float(self.differences.std(ddof=1)) if self.n > 1 else 0.0
        verdict = Verdict.INCONCLUSIVE
        if why is None:
            verdict = decide(self.low, self.high, differs=differs, effect=effect, higher_is_better=higher_is_better)
        return Comparison(
            verdict=verdict,
            difference=difference,
            low=self.low,
            high=self.high,
            p=self.p if p is None else p,
            effect_size=difference / sd if sd > 0 else None,
            rank_biserial=rank_biserial(self.differences),
            n=self.n,
            unmeasured=self.unmeasured,
            needed=self._needed(sd, effect or abs(difference), effect) if verdict is Verdict.INCONCLUSIVE else None,
            mean_a=float(self.a.mean()) if self.n else None,
            mean_b=float(self.b.mean()) if self.n else None,
            why=why,
        )

    def _needed(self, sd: float, sought: float, effect: float | None) -> int | None:
        if not sought or self.n < FEWEST:
            return None
        if sd > 0:
            count = pairs_needed if effect is None else pairs_for_equivalence
            return max(count(sd, sought, alpha=self.alpha), self.n + 1)
        share = min(sought / self._span(), 0.999)
        return max(math.ceil(math.log(self.alpha) / math.log1p(-share)), self.n + 1)


def rank_biserial(differences: Floats) -> float | None:
    """The matched-pairs rank-biserial correlation (Kerby 2014): the ranks of what goes up less those of what goes down, by all
    of them. None where nothing differs."""
    told = differences[differences != 0]
    if not told.size:
        return None
    _, places, counts = np.unique(np.abs(told), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return float((np.sign(told) * ranks).sum() / ranks.sum())


def _numbers(values: Scores) -> Floats:
    return np.array(
        [math.nan if value is None or not math.isfinite(value) else float(value) for value in values], dtype=np.float64
    )
