"""What the watch makes of the ledger."""

from datetime import timedelta

import pytest
from sqlmodel import func, select

from core.database import Database
from core.tables import AnomalyState, MonitorPoint, MonitorSeries
from evals.monitors.points import points_of_ledger
from evals.monitors.watching import Watch
from tests.evals.monitors.watched import FIRST, OTHER, POINT, POINT_S, SECOND, Watched, slower_since, usual


async def test_a_version_that_gets_slower_is_found_in_its_own_series_alone(database: Database) -> None:
    watched = Watched(database, at_eight=True)
    await watched.call({FIRST: usual, SECOND: slower_since(24), OTHER: usual})
    await watched.watch.catch_up(watched.now)
    (found,) = [each for each in await watched.anomalies() if each.state == AnomalyState.OPEN]
    assert (found.alias, found.provider, found.version, found.metric) == ("default", "openai", "v2", "latency_ms")
    assert abs(found.since - watched.ago(24)) <= 2 * POINT
    assert found.worse
    assert found.before < 450 < 800 < found.after
    assert [(each.version, each.metric) for each in await watched.anomalies("acme")] == [("v2", "latency_ms")]


async def test_a_break_that_begins_as_a_spike_is_open_while_it_lasts(database: Database) -> None:
    watched = Watched(database, at_eight=True)
    await watched.call({FIRST: slower_since(24, times=3)}, points=1000)
    await watched.watch.catch_up(watched.now)
    found = await watched.anomalies()
    assert {each.kind for each in found} == {"spike", "step"}
    (step,) = [each for each in found if each.kind == "step"]
    assert (step.state, step.ended_at) == (AnomalyState.OPEN, None)
    assert min(each.since for each in found if each.kind == "spike") == step.since == watched.ago(24)


async def test_what_is_as_it_was_again_is_back(database: Database) -> None:
    watched = Watched(database, at_eight=True)
    await watched.call({FIRST: slower_since(60, until=20)})
    await watched.watch.catch_up(watched.ago(21))
    assert [each.state for each in await watched.anomalies()] == ["open"]
    await watched.watch.catch_up(watched.now)
    (found,) = await watched.anomalies()
    assert found.state == AnomalyState.BACK
    assert found.ended_at is not None
    assert found.ended_at >= watched.ago(20)


async def test_two_processes_see_each_point_once_and_the_second_goes_on_where_the_first_has_ended(database: Database) -> None:
    watched = Watched(database, at_eight=True)
    await watched.call({FIRST: slower_since(20)}, points=300)
    other = Watch(database, watched.settings.monitors)
    for ago in range(240, 0, -12):  # in turn, each after the other has moved on
        await (watched.watch if ago % 24 else other).catch_up(watched.ago(ago - 1))
    await other.catch_up(watched.now)
    async with database.session(all_tenants=True) as session:
        assert (await session.exec(select(func.sum(MonitorPoint.calls)))).one() == 600
    (found,) = await watched.anomalies()
    assert abs(found.since - watched.ago(20)) <= 2 * POINT


async def test_errors_refusals_and_cost_have_series_of_their_own(database: Database) -> None:
    watched = Watched(database, at_eight=True)

    def failing(ago: int) -> dict[str, object]:
        return {"status": "server_error"} if ago <= 20 else {}

    def refusing(ago: int) -> dict[str, object]:
        return {"status": "content_refused"} if ago <= 20 else {}

    await watched.call({FIRST: failing, SECOND: refusing}, points=300)
    await watched.watch.catch_up(watched.now)
    found = {(each.version, each.metric) for each in await watched.anomalies() if each.kind != "spike"}
    assert found == {("v1", "error_rate"), ("v2", "refusal_rate")}


async def test_a_stream_that_goes_on_slowly_is_found_though_it_begins_as_ever(database: Database) -> None:
    watched = Watched(database)
    began = {"first_token_ms": 40.0, "latency_ms": 40 + 49 * 8.0}
    slower = {"first_token_ms": 40.0, "latency_ms": 40 + 49 * 20.0}
    await watched.call({FIRST: lambda ago: slower if ago <= 12 else began})
    await watched.watch.catch_up(watched.now)
    (found,) = await watched.anomalies()
    assert (found.metric, found.since, found.worse) == ("token_ms", watched.ago(12), True)


async def test_what_is_old_is_forgotten(database: Database) -> None:
    watched = Watched(database, at_eight=True)
    await watched.call({FIRST: slower_since(60, until=20)}, points=300)
    await watched.watch.catch_up(watched.now)
    await watched.watch.forget(watched.now)
    assert await watched.anomalies()
    await watched.watch.forget(watched.now + timedelta(days=400))
    assert not await watched.anomalies()
    async with database.session(all_tenants=True) as session:
        assert not (await session.exec(select(MonitorPoint))).all()
        assert not (await session.exec(select(MonitorSeries))).all()


async def test_where_there_are_too_many_series_the_installation_s_own_are_watched_first(database: Database) -> None:
    watched = Watched(database, most_series=2)
    await watched.call({FIRST: slower_since(20), SECOND: slower_since(20)}, points=300)
    await watched.watch.catch_up(watched.now)
    assert {each.version for each in await watched.anomalies()} == {"v1", "v2"}
    assert await watched.anomalies("acme") == []


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_the_calls_of_an_evaluation_are_no_points(database: Database) -> None:
    here = Watched(database, at_eight=True)
    await here.call({FIRST: usual}, points=4)
    before = await points_of_ledger(database, here.ago(4), here.now, POINT_S)
    await here.call({FIRST: lambda _: {"slower": 9, "capability": "evaluation"}}, points=4, calls=9)
    assert before == await points_of_ledger(database, here.ago(4), here.now, POINT_S) != []
