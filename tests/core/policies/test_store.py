import asyncio
from collections.abc import Callable

import structlog
from sqlmodel import select

from core.database import Database
from core.epoch import Watcher
from core.policies.policy import NOBODY, DataPolicy, Policy
from core.policies.store import Policies
from core.settings import Settings
from core.tables import AccessEpoch, Tenant


async def decide(database: Database, tenant: str, **sections: object) -> None:
    async with database.transaction(all_tenants=True) as session:
        row = await session.get(Tenant, tenant) or Tenant(id=tenant, name=tenant)
        row.policies = dict(sections)
        session.add(row)
        epoch = (await session.exec(select(AccessEpoch))).one()
        epoch.value += 1
        session.add(epoch)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - another task changes it
            await asyncio.sleep(0.01)


async def test_a_section_that_a_tenant_leaves_out_is_the_deployments(database: Database) -> None:
    defaults = Policy.model_validate({"pii": {"*": "redact"}, "data": {"providers": ["azure"]}})
    policies = Policies(defaults)
    await decide(database, "acme", data={"exclude": ["openai"]})
    assert policies.of("acme") == defaults
    await policies.load(database)
    assert policies.of("acme").data == DataPolicy(exclude=("openai",))
    assert policies.of("acme").pii == defaults.pii
    assert policies.of("nobody-yet") == defaults


async def test_a_policy_that_cannot_be_read_shuts_its_tenant_and_no_other(database: Database) -> None:
    policies = Policies()
    await decide(database, "acme", pii={"*": "of a later version"})
    await decide(database, "other", data={"providers": []}, of_a_later_version={"days": 3})
    with structlog.testing.capture_logs() as logs:
        await policies.load(database)
    assert policies.of("acme").data == NOBODY
    assert policies.of("other").data == DataPolicy(providers=())
    assert [(each["event"], each["tenant"]) for each in logs] == [("policies.unreadable", "acme")]


async def test_what_another_process_changes_is_seen(database: Database) -> None:
    policies = Policies()
    watching = asyncio.create_task(Watcher(policies.load).run(database))
    try:
        await decide(database, "acme", pii={"*": "block"})
        await until(lambda: policies.of("acme").handles_pii)
        await decide(database, "acme")
        await until(lambda: policies.of("acme").nothing)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def test_the_origins_of_the_deployment_hold_for_tenants_that_decided_nothing() -> None:
    origins = ["https://app.example.com"]
    policies = Policies(Settings.load(policies={"browsers": {"origins": origins}}).policies.policy())
    assert (policies.origins, policies.of("anybody").browsers.origins) == (set(origins), tuple(origins))
