"""What units came to, read from the ledger and from feedback."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from core.database import Database
from core.ledger.entries import Entry, TokenClasses
from core.ledger.inserts import Inserts
from core.ledger.outcomes import Outcome
from core.tables import Experiment, Feedback
from evals.experiments.outcomes import BEFORE, Outcomes
from providers.experiments import Experiments
from tests.providers.test_experiments import by, experiment

START = datetime(2026, 3, 1, tzinfo=UTC)


class Scene:
    """An experiment, and the calls that were made for it."""

    def __init__(self, database: Database) -> None:
        self.database, self._rows, self._experiments = database, list[dict[str, Any]](), Experiments()

    async def begin(self, **more: Any) -> Experiment:
        row = experiment(**more)
        row.started_at = START
        async with self.database.transaction(all_tenants=True) as session:
            session.add(row)
        await self._experiments.load(self.database)
        return row

    def called(self, request: str, user: str = "usr_1", *, minute: float = 1, inside: bool = True, **more: Any) -> str | None:
        """A call of a request that `user` makes; the exposure that it is marked with."""
        context = by(user, session_id=more.get("session_id"), tags=more.get("tags", {}))
        if inside:
            self._experiments.version_of("default", context)
        told: dict[str, Any] = {
            "request_id": request,
            "tenant": "acme",
            "principal": user,
            "alias": "default",
            "provider": "openai",
            "model": "m",
            "status": "ok",
            "latency_ms": 100.0,
            "cost_usd": Decimal("0.5"),
            "tokens": TokenClasses(input=10, cached=5, output=20, reasoning=7),
            "at": START + timedelta(minutes=minute),
            "exposure": context.exposures.get("default"),
        }
        self._rows.append(Entry(**(told | more)).row())
        return context.exposures.get("default")

    def ended(self, request: str, user: str, status: str) -> None:
        """How a request of `user` ended, whatever calls were made for it."""
        context = by(user)
        self._experiments.version_of("default", context)
        of_request = {"request_id": request, "tenant": "acme", "alias": "default", "version": "1-a", "unit": "u"}
        told = {"status": status, "http_status": 200, "exposure": context.exposures["default"], "at": START}
        self._rows.append(Outcome(**of_request, **told).row())

    async def said(self, request: str, *scores: float | None, **named: float) -> None:
        async with self.database.transaction("acme") as session:
            for number, score in enumerate(scores):
                session.add(Feedback(tenant="acme", request_id=request, principal=f"p{number}", score=score, scores=named))

    async def outcomes(self) -> Outcomes:
        inserts = Inserts(self.database._settings)
        await asyncio.to_thread(inserts.add, self._rows)
        await asyncio.to_thread(inserts.close)
        return Outcomes(self.database)


@pytest.fixture
def scene(database: Database) -> Scene:
    return Scene(database)


async def test_a_unit_has_the_mean_of_its_requests_and_a_request_the_sum_of_its_calls(scene: Scene) -> None:
    row = await scene.begin()
    scene.called("a", status="server_error", latency_ms=40.0, cost_usd=Decimal("0.25"), tokens=TokenClasses())
    scene.called("a", first_token_ms=12.0)
    scene.called("b", status="server_error", cost_usd=Decimal("0.25"), tokens=TokenClasses())
    scene.called("c", status="cancelled", cost_usd=Decimal("0.5"))
    scene.called("d", inside=False)
    (unit,) = (await (await scene.outcomes()).units(row)).values()
    assert unit.requests == 3
    assert unit.values["cost_usd"] == pytest.approx((0.75 + 0.25 + 0.5) / 3)
    assert (unit.values["latency_ms"], unit.values["tokens"]) == (140, 35)  # what was not answered says nothing of them
    assert (unit.values["error"], unit.values["first_token_ms"]) == (0.5, 12.0)
    assert unit.first_at == START + timedelta(minutes=1)


async def test_a_request_that_is_refused_has_an_error_with_calls_or_without(scene: Scene) -> None:
    row = await scene.begin()
    scene.called("withheld")
    scene.ended("withheld", "usr_1", "guard_refused")
    scene.called("well")
    scene.ended("well", "usr_1", "ok")
    scene.called("left", status="cancelled")
    scene.ended("left", "usr_1", "cancelled")
    scene.ended("refused", "usr_2", "invalid_request")  # its unit has nothing else
    answered, refused = sorted((await (await scene.outcomes()).units(row)).values(), key=lambda unit: -unit.requests)
    assert (answered.requests, answered.values["error"], answered.values["cost_usd"]) == (3, 0.5, 0.5)
    assert (refused.requests, refused.values, refused.first_at) == (1, {"error": 1.0}, START)


async def test_what_is_not_known_is_missing_and_no_zero(scene: Scene) -> None:
    row = await scene.begin()
    scene.called("a", cost_usd=None)
    scene.called("a")
    (unit,) = (await (await scene.outcomes()).units(row)).values()
    assert set(unit.values) == {"latency_ms", "error", "tokens"}


async def test_what_fails_is_neither_cheap_nor_fast(scene: Scene) -> None:
    row = await scene.begin()
    nothing: dict[str, Any] = {"cost_usd": Decimal(0), "latency_ms": 3.0, "tokens": TokenClasses()}
    scene.called("failed", status="server_error", **nothing)
    scene.called("unpriced", cost_usd=None)
    scene.called("priced", "usr_2")
    scene.called("failed too", "usr_2", status="server_error", **nothing)
    scene.called("paid", "usr_2", status="server_error", cost_usd=Decimal("0.1"), tokens=TokenClasses())
    scene.called("only failed", "usr_3", status="server_error", **nothing)
    found = [unit.values for unit in (await (await scene.outcomes()).units(row)).values()]
    assert sorted(found, key=lambda values: values["error"]) == [
        {"error": 0.5, "latency_ms": 100, "tokens": 35},
        {"error": pytest.approx(2 / 3), "cost_usd": pytest.approx(0.3), "latency_ms": 100, "tokens": 35},
        {"error": 1},
    ]


async def test_feedback_is_of_the_requests_it_was_given_for(scene: Scene) -> None:
    row = await scene.begin()
    for request in ("a", "b", "c"):
        scene.called(request)
    scene.called("z", inside=False)
    await scene.said("a", 1.0, 0.0, faithful=0.25)
    await scene.said("b", 1.0)
    await scene.said("c", None, faithful=0.75)
    await scene.said("z", 0.0)
    (unit,) = (await (await scene.outcomes()).units(row)).values()
    assert unit.values["feedback"] == pytest.approx(0.75)
    assert unit.values["score:faithful"] == pytest.approx(0.5)


async def test_each_unit_is_in_the_variant_that_it_was_given(scene: Scene) -> None:
    row = await scene.begin()
    given = {scene.called(f"r{number}", f"usr_{number}") for number in range(40)}
    outcomes = await scene.outcomes()
    units = await outcomes.units(row)
    assert {f"{row.id}/{unit.variant}/{name}" for name, unit in units.items()} == given
    counts = await outcomes.counts(row)
    assert sum(counts) == 40
    assert min(counts) > 5


@pytest.mark.parametrize("unit", ["user", "session", "tenant", "tag:customer"])
async def test_what_a_unit_did_before_the_start_is_known_of_it(scene: Scene, unit: str) -> None:
    row = await scene.begin(unit=unit)
    who: dict[str, Any] = {"session_id": "s1", "tags": {"customer": "c1"}}
    scene.called("before", minute=-5, inside=False, latency_ms=70.0, **who)
    scene.called("long ago", minute=-1 - BEFORE / timedelta(minutes=1), inside=False, latency_ms=9000.0, **who)
    scene.called("other alias", minute=-5, inside=False, alias="other", latency_ms=9000.0, **who)
    if unit != "tenant":
        other = who | {"session_id": "s2", "tags": {"customer": "c2"}}
        scene.called("somebody else", "usr_2", minute=-5, inside=False, latency_ms=9000.0, **other)
    scene.called("during", latency_ms=80.0, **who)
    await scene.said("before", 1.0)
    (found,) = (await (await scene.outcomes()).units(row)).values()
    assert (found.before["latency_ms"], found.before["feedback"], found.values["latency_ms"]) == (70.0, 1.0, 80.0)
