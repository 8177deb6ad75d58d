"""A rollback ends the experiments that give what is taken back, whose ever they are, and no others."""

from sqlmodel import col, select

from core.database import Database
from core.principals import Principal
from core.settings import ModelAlias
from core.tables import AuditEvent, Experiment, Registered, Tenant
from providers.registry.plans import Plan
from providers.registry.store import Registry

MODEL = Registered.MODEL
OPERATOR = Principal("usr_operator", "default", "Ada", "admin", frozenset())


async def registry_with_three(database: Database) -> Registry:
    """Versions 1, 2 and 3 of `default`; each has been live, the last one is."""
    registry = Registry(database)
    for number in (1, 2, 3):
        deployments = [{"provider": "openai", "model": f"m{number}"}]
        made = ModelAlias.model_validate({"alias": "default", "deployments": deployments})
        await registry.add_model(OPERATOR, made, reason="")
        await registry.deploy(OPERATOR, MODEL, "default", number, reason="")
    return registry


async def begun(database: Database, tenant: str, name: str, *versions: int, alias: str = "default") -> str:
    variants = [{"name": f"v{place}", "version": version} for place, version in enumerate(versions)]
    row = Experiment(tenant=tenant, name=name, alias=alias, state="running", definition={"variants": variants})
    row.created_by = "usr_1"
    async with database.transaction(all_tenants=True) as session:
        if await session.get(Tenant, tenant) is None:
            session.add(Tenant(id=tenant, name=tenant))
        session.add(row)
    return row.id


async def state(database: Database, identity: str) -> tuple[str, str | None]:
    async with database.session(all_tenants=True) as session:
        row = await session.get_one(Experiment, identity)
    return row.state, row.end_reason


async def stopped(database: Database) -> list[tuple[str, str]]:
    """The audit log's tenants and actors of experiments that were ended."""
    query = select(AuditEvent).where(AuditEvent.action == "experiment.ended").order_by(col(AuditEvent.tenant))
    async with database.session(all_tenants=True) as session:
        return [(event.tenant, event.actor) for event in (await session.exec(query)).all()]


async def test_a_rollback_stops_the_experiments_of_all_tenants_that_give_what_was_live_since(database: Database) -> None:
    registry = await registry_with_three(database)
    theirs = await begun(database, "acme", "theirs", 1, 3)
    ours = await begun(database, "default", "ours", 2, 1)
    apart = [
        await begun(database, "acme", "apart", 1, 4),
        await begun(database, "acme", "another", 2, 3, alias="another"),
    ]
    await registry.roll_back(OPERATOR, MODEL, "default", reason="v3 is bad", to=1)
    assert [await state(database, each) for each in (theirs, ours)] == [("stopped", "rolled_back")] * 2
    assert [await state(database, each) for each in apart] == [("running", None)] * 2
    event = (await registry.events(MODEL, "default"))[0]
    assert (event.act, event.figures) == ("rolled_back", {"experiments_stopped": 2})
    assert await stopped(database) == [("acme", "system"), ("default", "usr_operator")]


async def test_one_that_gives_a_version_of_before_goes_on_after_a_rollback_by_one(database: Database) -> None:
    registry = await registry_with_three(database)
    identity = await begun(database, "acme", "theirs", 1, 2)
    await registry.roll_back(OPERATOR, MODEL, "default", reason="")
    assert await state(database, identity) == ("running", None)


async def test_a_canary_that_is_taken_back_is_given_by_no_experiment_either(database: Database) -> None:
    registry = await registry_with_three(database)
    plan = Plan.model_validate({"steps": [{"weight": 5}]})
    head = await registry.deploy(OPERATOR, MODEL, "default", 1, reason="", plan=plan)
    identity = await begun(database, "acme", "theirs", 3, 1)
    assert await registry.judged(OPERATOR, "default", head.revision, well=False, reason="", figures={"error_rate": 0.5})
    assert await state(database, identity) == ("stopped", "rolled_back")
    assert (await registry.events(MODEL, "default"))[0].figures == {"error_rate": 0.5, "experiments_stopped": 1}
