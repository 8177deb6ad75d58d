"""The chain under every kind of tampering, and under many writers, on SQLite and PostgreSQL."""

import asyncio
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel import func, select
from structlog.testing import capture_logs

from core import audit
from core.audit.search import Filter, page
from core.audit.verification import Anchor
from core.context import RequestContext, serving
from core.database import Database, utc_now
from core.keys import new_key
from core.principals import ANONYMOUS, SYSTEM
from core.settings import Settings
from core.tables import AuditEvent, AuditHead
from tests.core.audit.conftest import Tamper, Verify, write

ROWS = "tenant = 'acme' AND number"


async def _rows(database: Database, tenant: str = "acme") -> list[AuditEvent]:
    async with database.session(all_tenants=True) as session:
        query = select(AuditEvent).where(AuditEvent.tenant == tenant).order_by(AuditEvent.number)  # type: ignore[arg-type]
        return list((await session.exec(query)).all())


async def test_a_chain_that_nobody_touched_is_whole(database: Database, verified: Verify) -> None:
    await write(database, 3, details={"number": 1, "names": ["é", "\N{GRINNING FACE}"], "none": None, "yes": True})
    found = await verified()
    assert {tenant: (each.events, each.broken) for tenant, each in found.items()} == {"acme": (3, None), "default": (1, None)}


async def test_an_event_says_who_did_what_on_which_object_and_from_where(database: Database) -> None:
    who = replace(SYSTEM, id="usr_1", tenant="acme", key_id="key_7")
    with serving(RequestContext("req_1", who, address="10.1.2.3")):
        async with database.transaction(all_tenants=True) as session:
            await audit.record(session, audit.Action.POLICY_CHANGED, on=("policy", "pii"), details={"mode": "block"})
    (row,) = await _rows(database)
    assert (row.actor, row.key_id, row.action, row.outcome) == ("usr_1", "key_7", "policy.changed", "success")
    assert (row.object_type, row.object_id, row.address, row.request_id) == ("policy", "pii", "10.1.2.3", "req_1")
    assert row.details == {"mode": "block"}
    assert row.at.tzinfo is not None


@pytest.mark.parametrize(
    "change",
    [
        "actor = 'usr_9'",
        "action = 'key.revoked'",
        "outcome = 'denied'",
        "object_id = 'key_9'",
        "at = '2020-01-01 00:00:00.000000'",
        "details = '{\"a\": 1}'",
        "request_id = 'req_9'",
        "address = '10.9.9.9'",
        "address = NULL",
        "address_digest = NULL",
        "key_id = 'key_9'",
    ],
)
async def test_an_edited_event_is_found(database: Database, verified: Verify, tamper: Tamper, change: str) -> None:
    with serving(RequestContext("req_1", SYSTEM, address="10.1.2.3")):
        await write(database, 4)
    await tamper(f"UPDATE audit_events SET {change} WHERE {ROWS} = 2")
    broken = (await verified())["acme"].broken
    assert broken is not None
    assert (broken.number, "changed" in broken.reason or "erased" in broken.reason) == (2, True)


@pytest.mark.parametrize(("removed", "first"), [("= 1", 1), ("= 2", 2), ("= 4", 4), (">= 3", 3)])
async def test_a_removed_event_is_found(database: Database, verified: Verify, tamper: Tamper, removed: str, first: int) -> None:
    await write(database, 4)
    await tamper(f"DELETE FROM audit_events WHERE {ROWS} {removed}")
    broken = (await verified())["acme"].broken
    assert broken is not None
    assert broken.number == first


async def test_events_in_another_order_are_found(database: Database, verified: Verify, tamper: Tamper) -> None:
    await write(database, 4)
    moves = [f"UPDATE audit_events SET number = {new} WHERE {ROWS} = {old}" for old, new in ((2, 99), (3, 2), (99, 3))]
    await tamper(*moves)
    broken = (await verified())["acme"].broken
    assert broken is not None
    assert broken.number == 2


async def test_an_earlier_end_cannot_be_given_to_a_chain_that_was_cut(
    database: Database, verified: Verify, tamper: Tamper
) -> None:
    await write(database, 4)
    last = (await _rows(database))[1].hash
    await tamper(
        f"DELETE FROM audit_events WHERE {ROWS} > 2",
        f"UPDATE audit_heads SET number = 2, hash = '{last}' WHERE tenant = 'acme'",
    )
    assert (await verified())["acme"].broken is not None
    await write(database, 2)  # going on does not heal it
    broken = (await verified())["acme"].broken
    assert broken is not None
    assert broken.number == 3


async def test_a_chain_goes_on_after_its_end_was_removed_and_stays_broken(
    database: Database, verified: Verify, tamper: Tamper
) -> None:
    await write(database, 3)
    await tamper("DELETE FROM audit_heads WHERE tenant = 'acme'")
    await write(database, 1)
    broken = (await verified())["acme"].broken
    assert broken is not None


async def test_a_whole_chain_that_vanished_is_missed(database: Database, verified: Verify, tamper: Tamper) -> None:
    await write(database, 2)
    await tamper("DELETE FROM audit_events WHERE tenant = 'acme'", "DELETE FROM audit_heads WHERE tenant = 'acme'")
    found = await verified()
    assert found["acme"].broken is not None
    assert found["default"].broken is None


async def test_where_other_chains_are_the_operators_cannot_vanish_or_begin_anew(
    database: Database, verified: Verify, tamper: Tamper
) -> None:
    await write(database, 2)
    gone = [f"DELETE FROM {table} WHERE tenant = 'default'" for table in ("audit_events", "audit_heads")]
    await tamper(*gone)
    assert (await verified())["default"].broken is not None
    await write(database, 1, tenant="beta")
    found = await verified()
    assert found["default"].broken is not None
    assert {found[tenant].broken for tenant in ("acme", "beta")} == {None}


@pytest.mark.parametrize(("number", "first", "shown"), [(3, 3, [3, 2, 1]), (0, 1, [2, 1]), (-3, 1, [2, 1])])
async def test_an_event_that_was_put_in_is_found_and_before_the_first_not_shown(
    database: Database, verified: Verify, tamper: Tamper, number: int, first: int, shown: list[int]
) -> None:
    await write(database, 2)
    columns = "tenant, at, action, outcome, actor, key_id, object_type, object_id, address, address_digest, request_id, details"
    await tamper(
        f"INSERT INTO audit_events (number, {columns}, previous_hash, hash) "
        f"SELECT {number}, {columns}, hash, '{'a' * 64}' FROM audit_events WHERE {ROWS} = 2"
    )
    broken = (await verified())["acme"].broken
    assert broken is not None
    assert broken.number == first
    found, _ = await page(database, "acme", Filter(), limit=10, before=None)
    assert [event.number for event in found] == shown


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("change", ["at = 'garbage'", "details = '{not json'"])
async def test_an_event_that_can_no_longer_be_read_is_named(
    database: Database, verified: Verify, tamper: Tamper, change: str
) -> None:
    await write(database, 4)
    await tamper(f"UPDATE audit_events SET {change} WHERE {ROWS} = 3")
    found = (await verified())["acme"]
    assert found.broken is not None
    assert (found.events, found.broken.number, found.broken.reason) == (2, 3, "it cannot be read: it was changed")


async def test_an_anchor_kept_elsewhere_shows_a_chain_that_was_written_anew(database: Database, verified: Verify) -> None:
    await write(database, 3)
    whole = (await verified())["acme"]
    assert (await verified(Anchor("acme", 3, whole.hash)))["acme"].broken is None
    other, beyond = Anchor("acme", 2, "0" * 64), Anchor("acme", 9, whole.hash)
    for anchor, number in ((other, 2), (beyond, 4)):
        broken = (await verified(anchor))["acme"].broken
        assert broken is not None
        assert broken.number == number


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET actor = 'usr_9'",
        "UPDATE audit_events SET address = '10.9.9.9'",
        "UPDATE audit_events SET hash = 'x'",
        "DELETE FROM audit_events",
        "DELETE FROM audit_heads",
        "UPDATE audit_heads SET number = 0",
    ],
)
async def test_the_database_refuses_to_change_what_is_on_record(database: Database, statement: str) -> None:
    await write(database, 1)
    with pytest.raises(DBAPIError, match="never changed"):
        async with database.transaction(all_tenants=True) as session:
            await (await session.connection()).execute(text(statement))
    assert len(await _rows(database)) == 1


async def test_an_address_is_erased_and_the_chain_stays_valid(database: Database, verified: Verify) -> None:
    with serving(RequestContext("req_1", SYSTEM, address="10.1.2.3")):
        await write(database, 2)
    async with database.transaction(all_tenants=True) as session:
        assert await audit.erase_addresses(session, "acme", "usr_0") == 1
    assert [row.address for row in await _rows(database)][:2] == [None, "10.1.2.3"]
    told = (await _rows(database))[-1]
    assert (told.action, told.object_type, told.object_id) == ("audit.addresses_erased", "user", "usr_0")
    assert told.details == {"addresses": 1}
    assert (await verified())["acme"].broken is None


async def test_what_was_tried_on_somebodys_account_is_erased_with_their_addresses(database: Database, verified: Verify) -> None:
    with serving(RequestContext("req_1", ANONYMOUS, address="10.1.2.3")):
        async with database.transaction(all_tenants=True) as session:
            await audit.record(session, audit.Action.SIGNIN_FAILED, on=("user", "usr_0"), tenant="acme")
            await audit.record(session, audit.Action.SIGNIN_FAILED, on=("user", "usr_1"), tenant="acme")
    async with database.transaction(all_tenants=True) as session:
        assert await audit.erase_addresses(session, "acme", "usr_0") == 1
    assert [row.address for row in await _rows(database)][:2] == [None, "10.1.2.3"]
    assert (await verified())["acme"].broken is None


@pytest.mark.parametrize(
    ("erasure", "number", "is_whole"),
    [
        ({"actor": "usr_0"}, 2, False),
        ({"actor": "usr_1"}, 2, True),
        ({}, 2, True),
        ({"before": timedelta(hours=-1)}, 2, False),
        ({"before": timedelta(hours=1)}, 2, True),
        ({}, 5, False),
    ],
    ids=["somebody else's", "theirs", "everybody's", "of earlier ones", "of that time", "before it happened"],
)
async def test_an_address_may_be_gone_only_by_an_erasure_on_record(
    database: Database, verified: Verify, tamper: Tamper, erasure: dict[str, Any], number: int, is_whole: bool
) -> None:
    if "before" in erasure:
        erasure = {"before": utc_now() + erasure["before"]}
    on = ("user", erasure["actor"]) if "actor" in erasure else ("tenant", "acme")
    details = {"addresses": 1, "before": erasure["before"].isoformat()} if "before" in erasure else {"addresses": 1}
    with serving(RequestContext("req_1", SYSTEM, address="10.1.2.3")):
        await write(database, 3)
        async with database.transaction(all_tenants=True) as session:
            await audit.record(session, audit.Action.AUDIT_ADDRESSES_ERASED, on=on, details=details, tenant="acme")
        await write(database, 1)
    assert (await verified())["acme"].broken is None
    await tamper(f"UPDATE audit_events SET address = NULL WHERE {ROWS} = {number}")
    broken = (await verified())["acme"].broken
    assert (broken is None, broken and broken.number) == (is_whole, None if is_whole else number)


@pytest.mark.parametrize(
    ("action", "on", "details", "tenant"),
    [
        (audit.Action.USER_DELETED, ("user", "usr_1"), {}, "acme"),
        (audit.Action.ERASURE_FINISHED, ("user", "usr_1"), {}, "acme"),
        (audit.Action.TENANT_DELETED, ("tenant", "acme"), {}, "default"),
        (audit.Action.RETENTION_APPLIED, None, {"audit_addresses": 3}, "acme"),
    ],
    ids=["user", "erasure", "tenant", "retention"],
)
async def test_what_earlier_versions_erased_is_no_break(
    database: Database,
    verified: Verify,
    tamper: Tamper,
    action: audit.Action,
    on: tuple[str, str] | None,
    details: dict[str, audit.Detail],
    tenant: str,
) -> None:
    with serving(RequestContext("req_1", SYSTEM, address="10.1.2.3")):
        await write(database, 2)
    async with database.transaction(all_tenants=True) as session:
        await audit.record(session, action, on=on, details=details, tenant=tenant, principal=SYSTEM)
    await tamper(f"UPDATE audit_events SET address = NULL WHERE {ROWS} = 2")
    assert {each.broken for each in (await verified()).values()} == {None}


async def test_what_is_rolled_back_is_neither_on_record_nor_told(database: Database) -> None:
    async def fail() -> None:
        async with database.transaction(all_tenants=True) as session:
            await audit.record(session, audit.Action.KEY_CREATED, principal=SYSTEM)
            raise RuntimeError

    with capture_logs() as logged, pytest.raises(RuntimeError):
        await fail()
    async with database.session(all_tenants=True) as session:
        assert (await session.exec(select(func.count()).select_from(AuditEvent))).one() == 0
        assert (await session.exec(select(func.count()).select_from(AuditHead))).one() == 0
    assert logged == []


async def test_a_committed_event_is_a_line_of_the_log(database: Database) -> None:
    with capture_logs() as logged:
        await write(database, 1)
    (line,) = [entry["audit"] for entry in logged if entry["audit"]["organization.id"] == "acme"]
    (row,) = await _rows(database)
    assert (line["log.logger"], line["event.action"], line["organization.id"]) == ("audit", "key.created", "acme")
    assert (line["event.sequence"], line["genai.hash"], line["event.category"]) == (1, row.hash, ["iam"])


async def test_credentials_in_any_text_are_left_out(database: Database) -> None:
    canary = new_key()
    who = replace(SYSTEM, id=canary, tenant="acme", key_id=canary)
    with serving(RequestContext(canary, who, address=canary)):
        async with database.transaction(all_tenants=True) as session:
            details: dict[str, audit.Detail] = {"text": f"with {canary} in it", canary: 1, "list": [canary, "\ud800\0x"]}
            await audit.record(session, audit.Action.KEY_CREATED, on=("key", canary), details=details)
    (row,) = await _rows(database)
    stored = repr(row.model_dump())
    assert canary not in stored
    assert row.details["text"] == "with … in it"
    assert row.details["list"] == ["…", "x"]


async def test_writers_in_several_processes_and_tasks_make_one_chain(
    database: Database, settings: Settings, verified: Verify
) -> None:
    url = database.engine.url.render_as_string(hide_password=False)
    arguments = [str(settings.data_dir), "" if database.is_sqlite else url, "acme", "15"]
    writer = str(Path(__file__).with_name("writer_process.py"))
    root = Path(__file__).parents[3]
    writers = [await asyncio.create_subprocess_exec(sys.executable, writer, *arguments, cwd=root) for _ in range(2)]
    await asyncio.gather(*(write(database, 10) for _ in range(3)))
    assert [await process.wait() for process in writers] == [0, 0]
    found = await verified()
    assert (found["acme"].events, found["acme"].broken) == (60, None)
    assert (found["default"].events, found["default"].broken) == (1, None)
