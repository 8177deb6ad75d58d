"""Drift of questions, and of what they find."""

from datetime import timedelta

import numpy as np
import pytest

from core.alerts import AlertKind
from core.database import Database, utc_now
from core.monitor_settings import MonitorSettings
from core.tables import AlertRow, MonitorSketch
from evals.monitors.drifts import DriftMonitor, drifts, stability_index
from evals.monitors.patterns import patterns
from retrievers.sketches import CLASSES, DIRECTIONS

USUAL = np.linspace(1, 3, DIRECTIONS) / np.linspace(1, 3, DIRECTIONS).sum()


async def asked(database: Database, *, moved: bool, hours: int = 120, each: int = 30) -> None:
    """Some days of questions; with `moved`, those of the last day are of other topics."""
    random, now = np.random.default_rng(1), utc_now().replace(minute=0, second=0, microsecond=0)
    async with database.transaction(all_tenants=True) as session:
        for ago in range(hours):
            share = USUAL[::-1] if moved and ago < 24 else USUAL
            session.add(
                MonitorSketch(
                    tenant="acme",
                    collection_id="col_1",
                    model="minilm",
                    at=now - timedelta(hours=ago),
                    questions=each,
                    topics=random.multinomial(each, share).tolist(),
                    nearness=random.multinomial(each, np.full(CLASSES, 1 / CLASSES)).tolist(),
                )
            )


@pytest.mark.parametrize("moved", [False, True], ids=["as-before", "other-questions"])
async def test_other_questions_are_told_to_whose_collection_it_is(database: Database, moved: bool) -> None:
    await asked(database, moved=moved)
    monitor = DriftMonitor(database, MonitorSettings())
    found = await monitor.look()
    assert [(each.kind, each.key, each.tenant) for each in found] == (
        [(AlertKind.DRIFT, "questions:col_1", "acme")] if moved else []
    )
    row = AlertRow(kind="drift", key="questions:col_1", severity="warning", first_seen=utc_now(), last_seen=utc_now())
    assert monitor.is_over(row) is not moved
    by_what = {each.what: each for each in await drifts(database, MonitorSettings(), "acme")}
    assert by_what["nearness"].drifted is False
    assert await drifts(database, MonitorSettings(), "globex") == []


async def test_of_few_questions_nothing_is_said(database: Database) -> None:
    await asked(database, moved=True, hours=30, each=1)
    assert {(each.index, each.drifted) for each in await drifts(database, MonitorSettings(), None)} == {(None, False)}


def test_the_index_is_that_of_its_definition() -> None:
    now, before = np.array([30.0, 70.0]), np.array([50.0, 50.0])
    assert stability_index(now, before) == pytest.approx(0.2 * np.log(0.7 / 0.5) - 0.2 * np.log(0.3 / 0.5))
    assert stability_index(before, 3 * before) == 0


async def test_patterns_tell_groups_of_questions(database: Database) -> None:
    await asked(database, moved=False, hours=3)
    found = await patterns(database, "acme", utc_now() - timedelta(days=1), utc_now())
    assert {name: sum(each) for name, each in found.topics.items()} == {"col_1": 90}
