"""By how much something has changed."""

from datetime import UTC, datetime
from typing import Any

import pytest

from core.database import Database
from core.tables import AnomalyState
from tests.evals.monitors.watched import FIRST, POINT, SECOND, Watched, slower_since, usual


@pytest.fixture
def watched(database: Database) -> Watched:
    """On a Thursday: the days before are working days as well, and have a profile."""
    made = Watched(database)
    made.now = datetime(2026, 3, 5, 8, tzinfo=UTC)
    return made


def failing(begin: int, until: int = 0) -> Any:
    return lambda ago: {"status": "server_error"} if until < ago <= begin else {}


def busy(ago: int) -> dict[str, Any]:
    """Calls of every second point alone."""
    return {} if ago % 2 else {"capability": "evaluation"}


async def test_a_share_is_of_the_calls_and_not_of_the_points(watched: Watched) -> None:
    await watched.call({FIRST: failing(40)}, points=700, calls=1)
    await watched.call({FIRST: busy}, points=700, calls=9)
    await watched.watch.catch_up(watched.now)
    for tenant in ("*", "acme"):
        (found,) = [each for each in await watched.anomalies(tenant) if each.kind == "step"]
        points = round((found.seen_at - found.since) / POINT) + 1
        calls = [10 if ago % 2 else 1 for ago in range(round((watched.now - found.since) / POINT), 0, -1)][:points]
        assert found.metric == "error_rate"
        assert found.after == pytest.approx(len(calls) / sum(calls))
        assert found.after < 0.25
        assert found.before == pytest.approx(0, abs=1e-9)
        assert found.worse


async def test_a_mean_is_of_the_calls_before_and_since(watched: Watched) -> None:
    await watched.call({FIRST: lambda ago: {"slower": 1.3 * (2.5 if ago <= 60 else 1)}}, points=700, calls=1)
    await watched.call({FIRST: lambda ago: slower_since(60)(ago) | busy(ago)}, points=700, calls=9)
    await watched.watch.catch_up(watched.now)
    (found,) = [each for each in await watched.anomalies() if each.kind == "step"]
    assert found.before == pytest.approx(400 * 1.3 ** (2 / 11), rel=0.03)  # of 11 calls in two points two are slow
    assert found.after == pytest.approx(2.5 * 400 * 1.3 ** (2 / 11), rel=0.08)


async def test_what_was_out_of_order_the_day_before_is_no_part_of_what_is_usual(watched: Watched) -> None:
    await watched.call({FIRST: lambda ago: failing(200, 140)(ago) | failing(24)(ago), SECOND: usual}, points=700)
    await watched.watch.catch_up(watched.now)
    first, second = [each for each in await watched.anomalies() if each.kind != "spike"]
    assert (first.state, second.state) == (AnomalyState.BACK, AnomalyState.OPEN)
    assert second.before < 0.1  # of the 288 points of the day 60 have failed


async def test_a_level_is_held_against_what_is_usual_at_its_time_of_day(watched: Watched) -> None:
    def course(ago: int) -> dict[str, Any]:
        hour = (watched.now - ago * POINT).hour
        return {"slower": (1.3 if 5 <= hour < 12 else 1.0) * (2.5 if ago <= 12 else 1.0)}

    await watched.call({FIRST: course}, points=700)
    await watched.watch.catch_up(watched.now)
    found = (await watched.anomalies())[-1]
    assert found.state == AnomalyState.OPEN
    assert found.before == pytest.approx(520, rel=0.08)  # the mean of the day is 430
    assert found.after == pytest.approx(1300, rel=0.08)
