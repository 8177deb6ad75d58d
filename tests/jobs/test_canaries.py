"""Canaries by how requests ended: each step is taken once, the last makes them live, and what goes wrong is taken back."""

from typing import Any

from core.database import Database
from core.ledger.outcomes import Outcome
from core.principals import SYSTEM
from core.settings import ModelAlias
from core.tables import Registered, RegistryHead, RequestOutcome
from jobs.canaries import Canaries
from providers.registry.plans import Plan
from providers.registry.seeding import seed
from providers.registry.store import Registry

MODEL = Registered.MODEL
RULES = {"min_calls": 2, "max_error_rate": 0.5, "max_latency_ratio": 2.0}


def alias(model: str) -> ModelAlias:
    return ModelAlias.model_validate({"alias": "default", "deployments": [{"provider": "openai", "model": model}]})


async def begun(database: Database) -> Registry:
    registry = Registry(database)
    await seed(database, [alias("one")])
    await registry.add_model(SYSTEM, alias("two"), reason="")
    plan = Plan.model_validate({"steps": [{"weight": 5, "minutes": 0}, {"weight": 50, "minutes": 0}], "rules": RULES})
    await registry.deploy(SYSTEM, MODEL, "default", 2, reason="", plan=plan)
    return registry


async def ended(database: Database, version: str, number: int = 1, **more: Any) -> None:
    """Requests of others each, unless `unit` says that they are one's."""
    told = {"status": "ok", "http_status": 200, "latency_ms": 100.0, "tenant": "acme", "request_id": "req"} | more
    rows = [Outcome(**{"unit": f"{version}{place}", **told}, alias="default", version=version) for place in range(number)]
    async with database.transaction(all_tenants=True) as session:
        session.add_all([RequestOutcome(**row.row()) for row in rows])


async def head(registry: Registry) -> RegistryHead:
    return await registry.head(MODEL, "default")


async def test_a_canary_that_does_well_goes_step_by_step_and_is_live(database: Database) -> None:
    registry = await begun(database)
    await Canaries(database).look()
    assert (await head(registry)).step == 0  # nothing was measured yet
    for version in ("1-aaaaaaaa", "2-bbbbbbbb"):
        await ended(database, version, 2)
    await ended(database, "21-cccccccc", 50, status="server_error")  # another version's
    await ended(database, "2-bbbbbbbb", 50, status="cancelled")  # who has left has not seen how it ended
    await ended(database, "2-bbbbbbbb", 50, status="server_error", exposure="exp_1/1/ab")  # given by an experiment
    await Canaries(database).look()
    assert ((await head(registry)).step, (await head(registry)).share) == (1, 0.5)
    await Canaries(database).look()
    assert (await head(registry)).step == 1  # the step has to be measured for itself
    for version in ("1-aaaaaaaa", "2-bbbbbbbb"):
        await ended(database, version, 2)
    await Canaries(database).look()
    standing = await head(registry)
    assert (standing.live, standing.candidate, standing.past) == (2, None, [1])
    acts = [event.act for event in await registry.events(MODEL, "default")][:3]
    assert acts == ["promoted", "canary_advanced", "canary_started"]


async def test_a_canary_that_fails_is_taken_back_with_its_figures_on_record(database: Database) -> None:
    registry = await begun(database)
    await ended(database, "1-aaaaaaaa", 100)
    await ended(database, "2-bbbbbbbb", 40, unit="one", status="guard_refused", latency_ms=None)
    await Canaries(database).look()
    assert (await head(registry)).candidate == 2  # one session, however often it asks
    await ended(database, "2-bbbbbbbb", 20, status="guard_refused", latency_ms=None)
    await Canaries(database).look()
    standing = await head(registry)
    assert (standing.live, standing.candidate, standing.share) == (1, None, 0.0)
    event = (await registry.events(MODEL, "default"))[0]
    assert (event.act, event.figures["candidate"]["errors"]) == ("canary_rolled_back", {"guard_refused": 60})
    assert "max_error_rate" in event.reason


async def test_a_step_that_another_has_taken_is_not_taken_again(database: Database) -> None:
    registry = await begun(database)
    seen = (await head(registry)).revision
    first, second = [await registry.judged(SYSTEM, "default", seen, well=True, reason="", figures={}) for _ in range(2)]
    assert (first, second, (await head(registry)).step) == (True, False, 1)
