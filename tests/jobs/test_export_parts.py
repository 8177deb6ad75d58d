"""What an export holds of whom: of a key that stands for itself also what came after a rotation; nobody else's address."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from core import audit
from core.context import RequestContext, serving
from core.database import Database, utc_now
from core.keys import Hasher
from core.principals import SYSTEM
from core.tables import BrowserSession, TokenFamily
from jobs.export_parts import Parts
from server.access.keys import KeyRights, Keys


async def part(database: Database, subject: str, name: str) -> list[dict[str, Any]]:
    return [line async for page in Parts(database, "default", subject).all[name]() for line in page]


async def test_a_key_that_was_rotated_is_the_same_program(database: Database) -> None:
    keys = Keys(database, Hasher(b"secret"))
    ids = [(await keys.create(SYSTEM, "program", KeyRights()))[0].id]
    for _ in range(2):
        ids.append((await keys.rotate(SYSTEM, ids[-1], overlap=timedelta()))[0].id)
    other = (await keys.create(SYSTEM, "other", KeyRights()))[0].id
    ends = utc_now() + timedelta(days=1)
    async with database.transaction(all_tenants=True) as session:
        for number, key_id in enumerate([*ids, other]):
            session.add(BrowserSession(digest=f"{number:064}", key_id=key_id, expires_at=ends))
            session.add(TokenFamily(id=f"fam_{number}", tenant="default", key_id=key_id, scopes=[], expires_at=ends))
    assert {line["id"] for line in await part(database, ids[0], "keys")} == set(ids)
    for name in ("browser_sessions", "token_families"):
        assert {line["key_id"] for line in await part(database, ids[0], name)} == set(ids), name


async def test_where_a_colleague_was_is_the_colleagues(database: Database) -> None:
    for actor, address in (("usr_ada", "192.0.2.1"), ("usr_boss", "192.0.2.2")):
        who = replace(SYSTEM, id=actor)
        with serving(RequestContext(request_id="r", principal=who, address=address)):
            async with database.transaction("default") as session:
                await audit.record(session, audit.Action.USER_CHANGED, on=("user", "usr_ada"), principal=who)
    told = {line["user.id"]: line.get("source.ip") for line in await part(database, "usr_ada", "audit")}
    assert told == {"usr_ada": "192.0.2.1", "usr_boss": None}


async def test_what_was_done_for_them_on_other_things_is_theirs(database: Database) -> None:
    for holder in ("usr_ada", "usr_bob"):
        async with database.transaction("default") as session:
            details: dict[str, audit.Detail] = {"on_behalf_of": holder}
            on = ("key", f"key_{holder}")
            await audit.record(session, audit.Action.KEY_CREATED, on=on, details=details, principal=SYSTEM)
    assert [line["genai.object.id"] for line in await part(database, "usr_ada", "audit")] == ["key_usr_ada"]
