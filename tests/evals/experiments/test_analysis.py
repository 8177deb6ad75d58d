"""What units say: better where it is, nothing where there is nothing, and nothing at all where the shares are wrong."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.tables import ExperimentState
from evals.experiments.analysis import Results, analyse
from evals.experiments.ending import Ending, ending_of
from evals.experiments.outcomes import Unit
from evals.experiments.shown import told_results
from evals.statistics.verdicts import Verdict
from providers.experiment_definition import Definition

START = datetime(2026, 3, 1, tzinfo=UTC)


def definition(variants: int = 2, **more: Any) -> Definition:
    names = [{"name": f"v{place}", "version": place + 1} for place in range(variants)]
    return Definition.model_validate({"variants": names, "metrics": ["cost_usd"], "guardrails": [], **more})


def units(*arms: int, lift: float = 0.0, known: bool = False, seed: int = 1, **more: float) -> dict[str, Unit]:
    """So many units in each arm; the last arm's feedback is larger by `lift`, and by the lifts of other metrics in `more`."""
    drawn, made = random.Random(seed), {}
    for place, number in enumerate(arms):
        last = place == len(arms) - 1
        for one in range(number):
            habit = drawn.gauss(0, 1)
            noise = 0.7 * habit + 0.7 * drawn.gauss(0, 1)
            unit = Unit(place, START, requests=3)
            unit.values = {"feedback": noise + lift * last, "cost_usd": 2 + drawn.gauss(0, 0.5)}
            unit.values |= {name: 1 + drawn.gauss(0, 0.3) + more[name] * last for name in more}
            unit.before = {"feedback": habit} if known else {}
            made[f"{place}/{one}"] = unit
    return made


def end(results: Results, made: Definition, days: float = 1.0) -> Ending | None:
    return ending_of(made, results, START, START + timedelta(days=days))


def test_what_is_better_is_found_and_told_with_an_interval() -> None:
    found = analyse(definition(), units(600, 600, lift=0.5))
    primary = found.metrics[0].compared[0]
    assert (found.winner, primary.at_any_time.verdict) == (1, Verdict.BETTER)
    assert primary.at_any_time.low < 0.5 < primary.at_any_time.high
    assert found.requests == [1800, 1800]
    assert found.metrics[1].compared[0].at_any_time.verdict is Verdict.INCONCLUSIVE
    assert primary.fixed_p is not None
    assert primary.fixed.p <= primary.fixed_p < 0.001
    assert end(found, definition()) == Ending(ExperimentState.CONCLUDED, "verdict", 1)


def test_a_verdict_ends_nothing_that_too_few_units_were_measured_for() -> None:
    made, drawn = definition(primary="cost_usd", metrics=[]), units(600, 600, cost_usd=-1.0)
    for number in range(60, 600):
        del drawn[f"1/{number}"].values["cost_usd"]
    found = analyse(made, drawn)
    assert (found.winner, found.metrics[0].measured) == (1, [600, 60])
    assert end(found, made) is None


def test_lower_is_better_of_costs() -> None:
    made = definition(primary="cost_usd", metrics=[])
    assert analyse(made, units(500, 500, cost_usd=0.3)).winner is None
    worse = analyse(made, units(500, 500, cost_usd=0.3))
    assert worse.lost == [1]
    assert end(worse, made) == Ending(ExperimentState.CONCLUDED, "verdict", None)


def test_nothing_is_found_where_there_is_nothing() -> None:
    found = analyse(definition(), units(600, 600))
    assert (found.winner, found.lost, end(found, definition())) == (None, [], None)
    assert end(found, definition(), days=28) == Ending(ExperimentState.CONCLUDED, "max_days", None)


def test_what_was_known_before_explains_noise() -> None:
    unknown, known = (analyse(definition(), units(400, 400, lift=0.3, known=known)) for known in (False, True))
    assert unknown.metrics[0].reduction == 0.0
    assert 0.35 < known.metrics[0].reduction < 0.65
    widths = [each.metrics[0].compared[0].at_any_time for each in (unknown, known)]
    assert widths[1].high - widths[1].low < 0.85 * (widths[0].high - widths[0].low)


def test_of_three_the_best_wins_and_each_is_held_against_the_control() -> None:
    found = analyse(definition(3), units(500, 500, 500, lift=0.6))
    assert (found.winner, len(found.metrics[0].compared)) == (2, 2)


def test_harm_stops_it_whatever_else_is_better() -> None:
    made = definition(guardrails=[{"metric": "error", "margin": 0.1}])
    found = analyse(made, units(500, 500, lift=0.6, error=0.4))
    assert (found.harmed, found.winner) == ([1], None)
    assert end(found, made) == Ending(ExperimentState.STOPPED, "harm")
    spared = definition(guardrails=[{"metric": "error", "margin": 1.0}])
    assert analyse(spared, units(500, 500, lift=0.6, error=0.4)).winner == 1


def test_shares_that_are_no_chance_take_every_verdict_away() -> None:
    found = analyse(definition(), units(1800, 1200, lift=0.6))
    assert (found.ratio.mismatch, found.winner) == (True, None)
    assert {each.compared[0].at_any_time.why for each in found.metrics} == {"sample_ratio"}
    assert end(found, definition()) == Ending(ExperimentState.STOPPED, "sample_ratio")
    shares = [{"name": "a", "version": 1, "weight": 3}, {"name": "b", "version": 2, "weight": 2}]
    uneven = Definition.model_validate({"variants": shares})
    assert not analyse(uneven, units(1800, 1200, lift=0.6)).ratio.mismatch


def test_what_is_found_out_at_the_end_alone_takes_the_winner_away() -> None:
    found = analyse(definition(), units(300, 222, lift=1.0))
    assert (found.ratio.mismatch, found.winner) == (False, 1)
    assert end(found, definition()) == Ending(ExperimentState.STOPPED, "sample_ratio")
    assert end(analyse(definition(), units(300, 222)), definition()) is None, "it goes on: there may be more"
    trusting = definition(rules={"on_sample_ratio": False})
    assert end(found, trusting) == Ending(ExperimentState.CONCLUDED, "verdict", 1)


def test_it_does_not_end_before_there_are_units_enough_and_ends_when_there_are() -> None:
    found = analyse(definition(), units(90, 90, lift=2.0))
    assert found.winner == 1
    assert end(found, definition()) is None
    assert end(found, definition(rules={"enough_units": 90})) == Ending(ExperimentState.CONCLUDED, "enough_units", 1)


@pytest.mark.parametrize("numbers", [(0, 0), (1, 0), (5, 5)], ids=str)
def test_with_hardly_anybody_in_it_it_says_so(numbers: tuple[int, int]) -> None:
    made = definition()
    told = told_results(made, analyse(made, units(*numbers, lift=1.0)))
    first = told["metrics"][0]["comparisons"][0]
    assert (first["verdict"], first["why"]) == ("inconclusive", "too_few")
    assert (first["low"], first["high"], first["fixed"]["p_corrected"]) == (None, None, None)


def test_what_was_not_measured_is_no_zero() -> None:
    made, some = definition(), units(100, 100, lift=0.0)
    for number, unit in enumerate(some.values()):
        if number % 2:
            del unit.values["feedback"]
    told = told_results(made, analyse(made, some))
    assert told["metrics"][0]["measured"] == {"v0": 50, "v1": 50}
    assert [each["units"] for each in told["variants"]] == [100, 100]
