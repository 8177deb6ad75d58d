"""What a detector tells of, and what it leaves alone."""

import json
import math
import random
from collections.abc import Callable

import pytest

from evals.monitors.detectors import Change, ChangeKind, Detector, Tuning

DAY = 1440
#: 2026-01-05, a Monday.
START = 1_767_571_200.0


def run(values: list[float], *, restart: bool = False, tuning: Tuning | None = None) -> list[tuple[int, Change]]:
    detector, told = Detector(tuning or Tuning()), []
    for place, value in enumerate(values):
        if restart and place % 500 == 0:
            detector = Detector.of(json.loads(json.dumps(detector.state())), tuning or Tuning())
        told += [(place, change) for change in detector.update(START + 60 * place, value)]
    return told


def noise(days: float, seed: int = 3) -> list[float]:
    chance = random.Random(seed)
    return [5 + 0.2 * chance.gauss(0, 1) for _ in range(int(days * DAY))]


def planted(shape: Callable[[int], float], *, season: float = 0.0) -> list[float]:
    """Four working days; the shape, in standard deviations, begins with the last half of the fourth."""
    begin = int(3.5 * DAY)
    return [
        value + 0.2 * (season * math.sin(2 * math.pi * place / DAY) + (shape(place - begin) if place >= begin else 0.0))
        for place, value in enumerate(noise(4))
    ]


@pytest.mark.parametrize("season", [0.0, 2.0], ids=["flat", "season"])
@pytest.mark.parametrize("sign", [1, -1], ids=["up", "down"])
def test_a_step_of_one_standard_deviation_is_found(season: float, sign: int) -> None:
    place, change = run(planted(lambda _: sign, season=season))[0]
    assert change.kind in (ChangeKind.STEP, ChangeKind.RAMP), "what it is called is nine times in ten what it is"
    assert 3.5 * DAY <= place <= 3.5 * DAY + 150
    assert abs(change.since - START - 3.5 * DAY * 60) <= 60 * 60
    assert math.copysign(1, change.after - change.before) == sign


def test_a_ramp_is_told_as_one() -> None:
    told = run(planted(lambda after: min(4.0, after / 100), season=1.0))
    assert ChangeKind.RAMP in {change.kind for _, change in told}
    assert len({change.since for _, change in told}) == 1


def test_a_spike_is_told_once_and_changes_nothing() -> None:
    ((place, change),) = run(planted(lambda after: 25.0 if after < 3 else 0.0))
    assert (change.kind, place) == (ChangeKind.SPIKE, 3.5 * DAY)


def test_what_comes_back_is_back_and_what_stays_is_accepted() -> None:
    told = [change.kind for _, change in run(planted(lambda after: 2.0 if after < 200 else 0.0))]
    assert told == [ChangeKind.STEP, ChangeKind.BACK]
    told = [change.kind for _, change in run(planted(lambda _: 2.0) + [5.4 + each - 5 for each in noise(1, seed=5)[:1200]])]
    assert told == [ChangeKind.STEP, ChangeKind.ACCEPTED]


def test_a_season_from_the_first_day_on_is_no_change() -> None:
    assert run(planted(lambda _: 0.0, season=3.0)) == []


def test_a_restart_forgets_nothing_and_what_is_kept_is_bounded() -> None:
    values = planted(lambda _: 1.0, season=1.0)
    kinds = [(place, change.kind) for place, change in run(values)]
    assert [(place, change.kind) for place, change in run(values, restart=True)] == kinds
    detector = Detector()
    for place, value in enumerate(noise(12)):
        detector.update(START + 60 * place, value)
    assert len(json.dumps(detector.state())) < 25_000


def test_a_rate_that_is_mostly_nothing_is_measured_by_its_mean() -> None:
    chance = random.Random(1)
    rare = Tuning(least_scale=0.2, rare=True)
    errors = [2 * math.asin(math.sqrt(sum(chance.random() < 0.02 for _ in range(20)) / 20)) for _ in range(4 * DAY)]
    assert [change for _, change in run(errors, tuning=rare) if change.kind is not ChangeKind.SPIKE] == []
    worse = [2 * math.asin(math.sqrt(sum(chance.random() < 0.15 for _ in range(20)) / 20)) for _ in range(120)]
    assert ChangeKind.STEP in {change.kind for _, change in run(errors + worse, tuning=rare)}
