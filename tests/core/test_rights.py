"""What somebody may still do: what a key, a user and a tenant are now decides, not what they were when the work began."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from core.database import Database
from core.principals import ROLE_SCOPES, SYSTEM, Principal, Role, Scope
from core.rights import principal_now
from core.tables import APIKey, CustomRole, Team, TeamMember, Tenant, User

KEPT = Principal("usr_1", "acme", "Ada", "user", ROLE_SCOPES[Role.USER], key_id="key_1")
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


async def now(database: Database, kept: Principal = KEPT, **changes: dict[str, Any]) -> Principal | None:
    """Whom `kept` is, where tenant, user and key differ by `changes` from good ones."""
    async with database.transaction(all_tenants=True) as session:
        session.add(Tenant(**{"id": "acme", "name": "Acme"} | changes.get("tenant", {})))
        await session.flush()
        session.add(User(**{"id": "usr_1", "tenant": "acme", "name": "Ada"} | changes.get("user", {})))
        session.add(CustomRole(tenant="acme", name="asker", scopes=["chat:invoke"]))
        await session.flush()
        key = {"id": "key_1", "tenant": "acme", "name": "k", "digest": "1", "user_id": "usr_1"}
        session.add(APIKey(**key | changes.get("key", {})))
        session.add(APIKey(**key | {"id": "key_2", "digest": "2"} | changes.get("other", {})))
    async with database.session(all_tenants=True) as session:
        return await principal_now(session, kept)


async def test_nothing_is_lost_where_nothing_has_changed(database: Database) -> None:
    assert await now(database) == KEPT


ENDED: list[dict[str, Any]] = [
    {"key": {"revoked_at": LONG_AGO}},
    {"key": {"expires_at": LONG_AGO}},
    {"key": {"expires_at": LONG_AGO, "replaced_by": "key_2"}, "other": {"revoked_at": LONG_AGO}},
    {"user": {"disabled_at": LONG_AGO}},
    {"tenant": {"disabled_at": LONG_AGO}},
]


@ON_SQLITE
@pytest.mark.parametrize("changes", ENDED, ids=str)
async def test_nobody_is_left_once_it_was_taken_away(database: Database, changes: dict[str, Any]) -> None:
    assert await now(database, **changes) is None


async def test_a_rotated_key_goes_on_as_the_one_in_its_place(database: Database) -> None:
    found = await now(database, key={"expires_at": LONG_AGO, "replaced_by": "key_2"}, other={"stands_for": "key_1"})
    assert found == replace(KEPT, stands_for="key_1")


@pytest.mark.parametrize(
    "changes", [{"key": {"role": "asker"}}, {"user": {"role": "asker"}}, {"key": {"scopes": ["chat:invoke"]}}]
)
async def test_of_the_kept_rights_those_are_left_that_are_held_now(database: Database, changes: dict[str, Any]) -> None:
    found = await now(database, **changes)
    assert found is not None
    assert found.scopes == {Scope.CHAT_INVOKE}


async def test_no_right_is_won_meanwhile(database: Database) -> None:
    found = await now(database, key={"role": "admin"}, user={"role": "admin"})
    assert found is not None
    assert found.scopes == KEPT.scopes


async def test_teams_are_those_of_now(database: Database) -> None:
    async with database.transaction(all_tenants=True) as session:
        session.add(Tenant(id="other", name="x"))
        await session.flush()
        session.add(User(id="usr_2", tenant="other", name="x"))
        session.add(Team(id="team_1", tenant="other", name="x"))
        await session.flush()
        session.add(TeamMember(team_id="team_1", user_id="usr_2"))
    member = Principal("usr_2", "other", "x", "user", KEPT.scopes)
    async with database.session(all_tenants=True) as session:
        assert await principal_now(session, member) == replace(member, teams=frozenset({"team_1"}))


async def test_who_signed_in_without_a_key_and_a_key_that_was_kept_by_its_id_alone_are_found(database: Database) -> None:
    assert await now(database, replace(KEPT, key_id=None)) == replace(KEPT, key_id=None)
    alone = replace(KEPT, id="key_2", key_id=None)
    async with database.session(all_tenants=True) as session:
        assert await principal_now(session, alone) == alone
        assert await principal_now(session, replace(KEPT, id="usr_gone", key_id=None)) is None
        assert await principal_now(session, SYSTEM) is SYSTEM


@pytest.mark.parametrize(
    ("role", "held"),
    [("asker", True), ("user", False), ("admin", True)],
    ids=["theirs", "taken away", "may give it to anybody"],
)
async def test_a_role_s_name_counts_while_the_user_has_the_role(database: Database, role: str, held: bool) -> None:
    kept = replace(KEPT, role="asker", scopes=frozenset({Scope.CHAT_INVOKE}))
    found = await now(database, kept, user={"role": role}, key={"role": "asker"})
    assert found == replace(kept, role_held=held)


ACTED_FOR = replace(KEPT, id="usr_2", name="Bob")


async def acting(database: Database, key: dict[str, Any], **bob: Any) -> Principal | None:
    """Whom a job works for that a browser token for Bob began, made with `key`, once Bob is as `bob` says."""
    async with database.transaction(all_tenants=True) as session:
        session.add(Tenant(id="acme", name="Acme"))
        session.add(Tenant(id="other", name="Other"))
        await session.flush()
        session.add_all(
            [User(id="usr_1", tenant="acme", name="Ada"), User(**{"tenant": "acme", "name": "Bob"} | {"id": "usr_2"} | bob)]
        )
        session.add(Team(id="team_1", tenant="acme", name="x"))
        await session.flush()
        session.add(TeamMember(team_id="team_1", user_id=bob.get("id", "usr_2")))
        session.add(APIKey(**{"id": "key_1", "tenant": "acme", "name": "k", "digest": "1", "role": "user"} | key))
    async with database.session(all_tenants=True) as session:
        return await principal_now(session, ACTED_FOR)


MAKERS: list[dict[str, Any]] = [{"user_id": None}, {"user_id": "usr_1"}]


@ON_SQLITE
@pytest.mark.parametrize("key", MAKERS, ids=str)
@pytest.mark.parametrize("ended", [{"disabled_at": LONG_AGO}, {"tenant": "other"}, {"id": "usr_3"}], ids=str)
async def test_what_was_begun_for_a_user_ends_with_them_whosever_key_it_was(
    database: Database, key: dict[str, Any], ended: dict[str, Any]
) -> None:
    assert await acting(database, key, **ended) is None


@ON_SQLITE
@pytest.mark.parametrize("key", MAKERS, ids=str)
async def test_what_was_begun_for_a_user_goes_by_their_role_and_teams_of_now(database: Database, key: dict[str, Any]) -> None:
    found = await acting(database, key, role="analyst")
    assert found is not None
    assert found.scopes == ROLE_SCOPES[Role.USER] & ROLE_SCOPES[Role.ANALYST]
    assert (found.teams, found.role_held) == (frozenset({"team_1"}), False)


@ON_SQLITE
async def test_the_role_of_a_key_that_stands_for_itself_counts_while_it_is_the_keys(database: Database) -> None:
    alone = replace(KEPT, id="key_1")
    assert await now(database, alone, key={"user_id": None}) == alone
    async with database.transaction(all_tenants=True) as session:
        (await session.get_one(APIKey, "key_1")).role = "-"
    async with database.session(all_tenants=True) as session:
        found = await principal_now(session, alone)
    assert found is not None
    assert (found.scopes, found.role_held) == (frozenset(), False)
