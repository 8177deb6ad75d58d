"""Kill switches: who may set which, how far each reaches, and what is left on record."""

from dataclasses import replace

import pytest
from sqlmodel import col, select

from core.database import Database
from core.errors import Forbidden, InvalidRequest, Killed, NotFound
from core.kill_switches.store import KillSwitchStore
from core.kill_switches.switches import KillSwitches
from core.principals import ROLE_SCOPES, SYSTEM, Role, held_in
from core.tables import AccessEpoch, AuditEvent, KillKind, Tenant

ACME = replace(SYSTEM, id="key_acme", tenant="acme", scopes=held_in("acme", ROLE_SCOPES[Role.ADMIN]))
MODEL, PROVIDER, TENANT = KillKind.MODEL, KillKind.PROVIDER, KillKind.TENANT


async def in_force(database: Database) -> KillSwitches:
    switches = KillSwitches()
    await switches.load(database)
    return switches


async def epoch(database: Database) -> int:
    async with database.session(all_tenants=True) as session:
        return (await session.exec(select(AccessEpoch.value))).one()


async def test_the_operators_hold_for_all_tenants_and_a_tenants_for_itself(database: Database) -> None:
    store, before = KillSwitchStore(database), await epoch(database)
    assert (await store.put(SYSTEM, MODEL, "default", reason="leaks")).everywhere
    assert not (await store.put(ACME, PROVIDER, "openai", reason="ours")).everywhere
    assert await epoch(database) == before + 2
    switches = await in_force(database)
    for tenant in ("default", "acme", "other"):
        with pytest.raises(Killed):
            switches.refuse(tenant, "default")
        assert switches.stops(tenant, "openai", ("gpt",)) is (tenant == "acme")
    assert [row.name for row in await store.all(ACME)] == ["openai", "default"]
    assert [row.name for row in await store.all(replace(ACME, tenant="other"))] == ["default"]


async def test_only_the_operator_switches_off_for_all(database: Database) -> None:
    store = KillSwitchStore(database)
    async with database.transaction(all_tenants=True) as session:
        session.add(Tenant(id="acme", name="Acme"))
    for kind, name, everywhere in ((MODEL, "default", True), (TENANT, "acme", None), (TENANT, "default", True)):
        with pytest.raises(Forbidden):
            await store.put(ACME, kind, name, reason="x", everywhere=everywhere)
    await store.put(SYSTEM, TENANT, "acme", reason="unpaid")
    with pytest.raises(Forbidden):
        await store.lift(ACME, TENANT, "acme")
    with pytest.raises(InvalidRequest):
        await store.put(SYSTEM, TENANT, "acme", reason="x", everywhere=False)
    with pytest.raises(NotFound):
        await store.put(SYSTEM, TENANT, "nobody", reason="x")
    with pytest.raises(Killed):
        (await in_force(database)).refuse("acme", "anything")
    (await in_force(database)).refuse("default", "anything")


async def test_it_is_lifted_by_who_has_set_it_and_set_twice_is_set_once(database: Database) -> None:
    store = KillSwitchStore(database)
    await store.put(SYSTEM, MODEL, "default", reason="leaks")
    await store.put(SYSTEM, MODEL, "default", reason="leaks more")
    await store.put(SYSTEM, MODEL, "default", reason="here alone", everywhere=False)
    assert {row.reason for row in await store.all(SYSTEM)} == {"leaks more", "here alone"}
    with pytest.raises(NotFound) as nothing:
        await store.lift(ACME, MODEL, "default")
    assert nothing.value.code == "kill_switch_not_found"
    await store.lift(SYSTEM, MODEL, "default")
    switches = await in_force(database)
    assert (switches.stops_alias("default", "default"), switches.stops_alias("acme", "default")) == (True, False)
    async with database.session(all_tenants=True) as session:
        told = (await session.exec(select(AuditEvent).order_by(col(AuditEvent.number)))).all()
    assert [(each.action, each.object_id) for each in told if each.object_type == "kill_switch"] == [
        ("kill_switch.set", "model/default")
    ] * 3 + [("kill_switch.lifted", "model/default")]


@pytest.mark.parametrize(
    ("kind", "name", "stopped"),
    [
        (PROVIDER, "azure", True),
        (PROVIDER, "azure:west", True),
        (PROVIDER, "azure:east", False),
        (PROVIDER, "azu", False),
        (MODEL, "gpt-4o", True),
        (MODEL, "azure:west/gpt-4o", True),
        (MODEL, "azure/gpt-4o", False),
        (MODEL, "prod", True),
        (MODEL, "gpt-4", False),
    ],
)
async def test_a_provider_is_named_with_its_kind_and_a_model_by_any_of_its_names(
    database: Database, kind: KillKind, name: str, stopped: bool
) -> None:
    await KillSwitchStore(database).put(SYSTEM, kind, name, reason="x")
    assert (await in_force(database)).stops("acme", "azure:west", ("prod", "gpt-4o")) is stopped
