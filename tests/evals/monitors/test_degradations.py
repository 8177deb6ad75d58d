"""Who is told to blame for a degradation."""

from collections.abc import Mapping

import pytest
from sqlmodel import col, delete

from core.database import Database
from core.tables import AlertRow, MonitorAnomaly
from evals.monitors.points import Named
from tests.evals.monitors.watched import FIRST, OTHER, SECOND, Course, Watched, slower_since, usual

BESIDE = Named("other", "openai", "small", "v1")
SLOW = slower_since(24)


@pytest.mark.parametrize(
    ("courses", "key", "blamed"),
    [
        pytest.param({FIRST: usual, SECOND: SLOW, OTHER: usual}, "latency_ms:default#v2", "version", id="version"),
        pytest.param({FIRST: SLOW, BESIDE: SLOW, OTHER: usual}, "latency_ms:openai", "provider", id="provider"),
        pytest.param({FIRST: SLOW, BESIDE: usual, OTHER: usual}, "latency_ms:openai/gpt", "deployment", id="deployment"),
        pytest.param({FIRST: SLOW, BESIDE: SLOW, OTHER: SLOW}, "latency_ms:everything", "everything", id="everything"),
        pytest.param({FIRST: SLOW}, "latency_ms:default#v1:openai/gpt", "unknown", id="nothing-to-compare-with"),
    ],
)
async def test_who_does_worse_alone_is_to_blame(
    database: Database, courses: Mapping[Named, Course], key: str, blamed: str
) -> None:
    watched = Watched(database)
    await watched.call(dict(courses))
    await watched.watch.catch_up(watched.now)
    (finding,) = await watched.monitor.look()
    assert (finding.key, finding.tenant, finding.facts["cause"]) == (key, None, blamed)
    assert finding.facts["now"] > 2 * finding.facts["before"]
    assert {"provider", "version", "model", "why"} <= set(finding.facts)
    firing = AlertRow(kind="degradation", key=key, severity="warning", first_seen=watched.now, last_seen=watched.now)
    assert not watched.monitor.is_over(firing)


async def test_a_change_that_does_not_matter_and_one_to_the_better_are_no_degradation(database: Database) -> None:
    watched = Watched(database)
    await watched.call({FIRST: slower_since(60, 0.4), SECOND: slower_since(60, 1.15)})
    await watched.watch.catch_up(watched.now)
    assert "v1" in {each.version for each in await watched.anomalies()}
    assert await watched.monitor.look() == []


async def test_a_deployment_that_nobody_calls_any_more_is_no_longer_told_of(database: Database) -> None:
    watched = Watched(database)
    quiet = Watched(database)
    quiet.now = watched.ago(24)
    await quiet.call({FIRST: slower_since(20)}, points=300)
    await watched.watch.catch_up(watched.now)
    assert [each.state for each in await watched.anomalies()] == ["open"]
    assert await watched.monitor.look() == []


async def causes(watched: Watched, tenant: str) -> list[str]:
    return [str(each.cause.get("blamed")) for each in await watched.anomalies(tenant) if each.state == "open" and each.worse]


async def test_a_tenant_is_told_the_cause_that_all_calls_show(database: Database) -> None:
    watched = Watched(database)
    await watched.call({FIRST: SLOW})
    await watched.call({BESIDE: usual, OTHER: usual}, tenant="globex")
    await watched.watch.catch_up(watched.now)
    assert await causes(watched, "acme") == ["None"]
    await watched.monitor.look()
    assert await causes(watched, "acme") == await causes(watched, "*") == ["deployment"]
    (told,) = [each.cause for each in await watched.anomalies("acme") if each.state == "open"]
    assert told["why"] == "other models of openai do as before: gpt it is"


async def test_what_a_tenant_s_calls_alone_show_is_compared_with_its_own_and_with_nobody_else_s(database: Database) -> None:
    watched = Watched(database)
    await watched.call({FIRST: SLOW, OTHER: SLOW})
    await watched.call({SECOND: usual}, tenant="globex")
    await watched.watch.catch_up(watched.now)
    async with database.transaction(all_tenants=True) as session:
        await session.exec(delete(MonitorAnomaly).where(col(MonitorAnomaly.tenant) == "*"))
    assert await watched.monitor.look() == []
    assert await causes(watched, "acme") == ["everything", "everything"]
    assert await causes(watched, "globex") == []
