"""The monitor of experiments: ends what its rules end, promotes what has won, and tells of shares that are wrong."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from sqlmodel import select

from core import alerts
from core.alerts.alerts import Alert
from core.database import Database, utc_now
from core.ledger.inserts import Inserts
from core.principals import SYSTEM
from core.tables import Experiment, Exposure, Feedback
from evals.experiments.book import ExperimentBook, NewExperiment
from jobs.base import JobContext
from jobs.experiment_monitor import ExperimentMonitor
from providers.experiment_definition import Definition
from tests.core.ledger.test_writer import entry
from tests.evals.experiments.versioned import Shelf


class Changes:
    """Stands for what processes hold in memory."""

    async def load(self, _database: Database) -> None:
        return


class Scene:
    """A running experiment of `default`, and units that were in it."""

    def __init__(self, database: Database) -> None:
        self.database, self.shelf = database, Shelf()
        library: Any = SimpleNamespace(resources=SimpleNamespace(models=SimpleNamespace(changes=Changes())))
        nothing: Any = None
        context = JobContext(database._settings, database, nothing, library)
        self.monitors = [ExperimentMonitor(context, self.shelf, every_s=0.0) for _ in range(2)]

    async def begin(self, **rules: Any) -> Experiment:
        variants = [{"name": "control"}, {"name": "new", "version": 2}]
        book = ExperimentBook(self.database, self.shelf)
        definition = Definition.model_validate({"variants": variants, "rules": rules})
        await book.create(SYSTEM, NewExperiment("one", "default", definition))
        return await book.start(SYSTEM, "one")

    async def filled(self, row: Experiment, judged: Callable[[int, int], float], *numbers: int) -> None:
        rows, said = [], []
        for variant, number in enumerate(numbers):
            for unit in range(number):
                request = f"req_{variant}_{unit}"
                exposure = f"{row.id}/{variant}/{variant}u{unit}"
                rows.append(entry(request, tenant="default", exposure=exposure, at=utc_now()).row())
                said.append(Feedback(request_id=request, principal="p", score=judged(variant, unit)))
        inserts = Inserts(self.database._settings)
        await asyncio.to_thread(inserts.add, rows)
        await asyncio.to_thread(inserts.close)
        async with self.database.transaction("default") as session:
            session.add_all(said)

    async def look(self) -> Experiment:
        await asyncio.gather(*(monitor.look() for monitor in self.monitors))
        async with self.database.session("default") as session:
            return (await session.exec(select(Experiment))).one()


@pytest.fixture
def scene(database: Database) -> Scene:
    return Scene(database)


async def test_a_clear_winner_ends_it_and_is_deployed(scene: Scene) -> None:
    row = await scene.begin(promote=True)
    await scene.filled(row, lambda variant, unit: float(unit % 10 < (8 if variant else 4)), 150, 150)
    ended = await scene.look()
    assert (ended.state, ended.end_reason, ended.promoted) == ("concluded", "verdict", 2)
    assert [version for _, version, _ in scene.shelf.told] == [2]
    assert (ended.verdict or {})["results"]["metrics"][0]["comparisons"][0]["verdict"] == "better"


async def test_it_goes_on_while_nothing_is_clear(scene: Scene) -> None:
    row = await scene.begin(promote=True)
    await scene.filled(row, lambda _, unit: float(unit % 2), 120, 120)
    assert (await scene.look()).state == "running"
    assert scene.shelf.told == []


async def test_wrong_shares_are_told_of_and_stop_it(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Alert] = []
    monkeypatch.setattr(alerts.alerts(), "routes", [told.append])
    row = await scene.begin()
    exposures = [(0, 1900), (1, 1300)]
    async with scene.database.transaction("default") as session:
        for variant, number in exposures:
            for unit in range(number):
                name = f"{variant}u{unit}"
                made = {"id": f"{row.id}/{variant}/{name}", "experiment_id": row.id, "variant": variant, "unit": name}
                session.add(Exposure(tenant="default", first_at=utc_now(), **made))
    ended = await scene.look()
    assert (ended.state, ended.end_reason) == ("stopped", "sample_ratio")
    (alert,) = told
    assert (alert.kind.value, alert.tenant, alert.facts["experiment"], alert.facts["units"]) == (
        "sample_ratio",
        "default",
        "one",
        "1900, 1300",
    )
