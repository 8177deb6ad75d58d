"""Local users: signing in with a password, and what somebody who guesses gets."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, select, update
from structlog.testing import capture_logs

from core.database import Database, utc_now
from core.errors import Conflict, InvalidRequest, NotFound, RateLimited, Unauthenticated
from core.keys import Hasher
from core.principals import SYSTEM
from core.settings import Settings, SignInSettings
from core.tables import BrowserSession, IdempotencyRecord, SignInAttempts, Tenant, User
from server.access.access import Access
from server.access.keys import KeyRights
from server.access.passwords import Passwords
from server.auth import COOKIE
from server.routes import users
from tests.server.conftest import ON_SQLITE, Guarded
from tests.server.people import ADDRESS, PASSWORD, person, person_with_password


async def _sign_in(guarded: Guarded, email: str = ADDRESS, password: str = PASSWORD, **more: str) -> Any:
    return await guarded.client.post("/signin", data={"email": email, "password": password, **more})


async def test_a_person_signs_in_with_their_password(guarded: Guarded, database: Database) -> None:
    user = await person_with_password(guarded, database, role="developer")
    signed_in = await _sign_in(guarded, email=" ADA@Example.test ", next="/docs")
    assert (signed_in.status_code, signed_in.headers["location"]) == (303, "/docs")
    cookie = signed_in.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    me = (await guarded.client.get("/api/v1/auth/me")).json()
    assert (me["id"], me["role"], me["key_id"]) == (user.id, "developer", None)


@ON_SQLITE
@pytest.mark.parametrize("kept", ["straße@example.test", "strasse@example.test"], ids=["as now", "folded once"])
async def test_an_address_that_unicode_folds_further_signs_in_as_it_was_given(
    guarded: Guarded, database: Database, kept: str
) -> None:
    user = await person_with_password(guarded, database, email=kept)
    assert (await _sign_in(guarded, email="Straße@Example.test")).status_code == 303
    assert (await guarded.client.get("/api/v1/auth/me")).json()["id"] == user.id


@ON_SQLITE
async def test_addresses_that_unicode_folds_together_are_two_accounts_and_one_when_guessed(
    guarded: Guarded, database: Database
) -> None:
    one, other = [await person_with_password(guarded, database, email=f"{name}@example.test") for name in ("straße", "strasse")]
    for email, user in (("STRASSE@example.test", other), ("Straße@example.test", one)):
        assert (await _sign_in(guarded, email=email)).status_code == 303
        assert (await guarded.client.get("/api/v1/auth/me")).json()["id"] == user.id
        guarded.client.cookies.clear()
    for _ in range(SignInSettings().attempts):
        assert (await _sign_in(guarded, email="straße@example.test", password="wrong")).status_code == 401
    assert (await _sign_in(guarded, email="strasse@example.test")).status_code == 429


async def test_a_password_is_stored_as_its_argon2id_digest_alone(guarded: Guarded, database: Database) -> None:
    user = await person_with_password(guarded, database)
    async with database.session(all_tenants=True) as session:
        row = await session.get(User, user.id)
    assert row is not None
    assert (row.password_digest or "").startswith("$argon2id$")
    assert PASSWORD not in repr(row.model_dump())


async def test_every_refusal_reads_the_same_whatever_its_reason(guarded: Guarded, database: Database) -> None:
    await person_with_password(guarded, database)
    await person(database, email="none@example.test")
    await person_with_password(guarded, database, email="closed@example.test")
    await person_with_password(guarded, database, email="elsewhere@example.test", tenant="closed")
    await person_with_password(guarded, database, email="robot@example.test")
    now = utc_now()
    async with database.transaction(all_tenants=True) as session:
        await session.exec(update(User).where(col(User.email) == "closed@example.test").values(disabled_at=now))
        await session.exec(update(User).where(col(User.email) == "robot@example.test").values(kind="service"))
        await session.exec(update(Tenant).where(col(Tenant.id) == "closed").values(disabled_at=now))
    answers = [await _sign_in(guarded, password="not the password"), await _sign_in(guarded, "nobody@example.test")]
    answers += [await _sign_in(guarded, f"{name}@example.test") for name in ("none", "closed", "elsewhere", "robot")]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    assert not any("set-cookie" in answer.headers for answer in answers)


@ON_SQLITE
async def test_an_account_that_is_not_there_costs_a_verification_too(guarded: Guarded, database: Database) -> None:
    await person_with_password(guarded, database)
    passwords = guarded.access.passwords
    verified: list[str] = []
    real = passwords._argon2.verify

    def verify(password: str | bytes, digest: str | bytes) -> bool:
        verified.append(str(digest))
        return real(password, digest)

    passwords._argon2.verify = verify  # type: ignore[method-assign]
    await _sign_in(guarded, "nobody@example.test")
    await _sign_in(guarded, password="wrong password")
    parameters = {digest.rsplit("$", 2)[0] for digest in verified}
    assert (len(verified), len(parameters)) == (2, 1)


@pytest.mark.parametrize("email", [ADDRESS, "nobody@example.test"])
async def test_who_guesses_has_to_wait_in_every_process_whether_the_account_exists(
    guarded: Guarded, database: Database, settings: Settings, email: str
) -> None:
    await person_with_password(guarded, database)
    for _ in range(5):
        assert (await _sign_in(guarded, email, "a wrong password")).status_code == 401
    refused = await _sign_in(guarded, email, PASSWORD)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "30")
    elsewhere = await Access.open(settings, database)
    with pytest.raises(RateLimited) as waiting:
        await elsewhere.passwords.sign_in(email, PASSWORD, "192.0.2.7")
    assert waiting.value.code == "too_many_attempts"


async def test_the_wait_ends_and_grows_with_each_further_failure(guarded: Guarded, database: Database) -> None:
    await person_with_password(guarded, database)
    waits = []
    for _ in range(5):
        await _sign_in(guarded, password="a wrong password")
    for _ in range(3):
        waits.append((await _sign_in(guarded)).headers["retry-after"])
        await _wait_is_over(database)
        await _sign_in(guarded, password="a wrong password")
    assert waits == ["30", "60", "120"]
    await _wait_is_over(database)
    assert (await _sign_in(guarded)).status_code == 303
    assert (await _sign_in(guarded, password="a wrong password")).status_code == 401  # and the count begins anew


async def _wait_is_over(database: Database) -> None:
    async with database.transaction(all_tenants=True) as session:
        await session.exec(update(SignInAttempts).values(blocked_until=utc_now() - timedelta(seconds=1)))


async def test_many_guesses_at_once_are_no_more_than_one_after_the_other(
    guarded: Guarded, database: Database, settings: Settings
) -> None:
    await person_with_password(guarded, database)
    elsewhere = await Access.open(settings, database)
    tried = await asyncio.gather(
        *(access.passwords.sign_in(ADDRESS, "guess", None) for access in (guarded.access, elsewhere) for _ in range(8)),
        return_exceptions=True,
    )
    codes = [getattr(each, "code", "in") for each in tried]
    assert (codes.count("sign_in_failed"), codes.count("too_many_attempts")) == (5, 11)


async def test_an_address_that_tries_many_accounts_has_to_wait_and_others_do_not(guarded: Guarded, database: Database) -> None:
    await person_with_password(guarded, database)
    passwords = _with(guarded, database, address_attempts=3)
    for name in "abc":
        with pytest.raises(Unauthenticated):
            await passwords.sign_in(f"{name}@example.test", "guess", "192.0.2.7")
    with pytest.raises(RateLimited):
        await passwords.sign_in(ADDRESS, PASSWORD, "192.0.2.7")
    assert await passwords.sign_in(ADDRESS, PASSWORD, "192.0.2.8")


@ON_SQLITE
async def test_who_has_a_network_of_ipv6_addresses_counts_as_one(guarded: Guarded, database: Database) -> None:
    passwords = _with(guarded, database, address_attempts=2)
    for number in (1, 2):
        with pytest.raises(Unauthenticated):
            await passwords.sign_in(f"{number}@example.test", "guess", f"2001:db8::{number}")
    with pytest.raises(RateLimited):
        await passwords.sign_in("3@example.test", "guess", "2001:db8::3")


@ON_SQLITE
async def test_signing_in_rightly_is_no_attempt_that_counts(guarded: Guarded, database: Database) -> None:
    await person_with_password(guarded, database)
    passwords = _with(guarded, database, attempts=2, address_attempts=2)
    for _ in range(4):
        assert await passwords.sign_in(ADDRESS, PASSWORD, "192.0.2.7")


def _with(guarded: Guarded, database: Database, **limits: int) -> Passwords:
    return Passwords(database, Hasher(guarded.key.encode()), SignInSettings.model_validate(limits))


async def test_neither_addresses_nor_accounts_are_stored_with_the_attempts(guarded: Guarded, database: Database) -> None:
    await _sign_in(guarded, password="a wrong password")
    async with database.session(all_tenants=True) as session:
        rows = (await session.exec(select(SignInAttempts))).all()
    assert len(rows) == 2
    assert not any(known in repr(rows) for known in (ADDRESS, "127.0.0.1"))


async def test_an_address_with_accounts_in_two_tenants_needs_the_tenant(guarded: Guarded, database: Database) -> None:
    await person_with_password(guarded, database)
    other = await person_with_password(guarded, database, tenant="acme")
    assert (await _sign_in(guarded)).status_code == 401
    assert 'name="tenant" value="acme"' in (await guarded.client.get("/signin?tenant=acme")).text
    assert (await _sign_in(guarded, tenant="acme")).status_code == 303
    assert (await guarded.client.get("/api/v1/auth/me")).json()["id"] == other.id


async def test_another_sites_page_cannot_sign_anybody_in(guarded: Guarded, database: Database) -> None:
    await person_with_password(guarded, database)
    form = {"email": ADDRESS, "password": PASSWORD}
    foreign = await guarded.client.post("/signin", data=form, headers={"sec-fetch-site": "cross-site"})
    assert (foreign.status_code, "set-cookie" in foreign.headers) == (403, False)


async def test_a_change_asks_for_the_old_password_and_ends_everything_else(guarded: Guarded, database: Database) -> None:
    user = await person_with_password(guarded, database)
    await _sign_in(guarded)
    other_browser = guarded.client.cookies[COOKIE]
    token = (await guarded.client.post("/api/v1/auth/tokens")).json()["access_token"]
    await _sign_in(guarded)
    change = {"old_password": "not the old one", "new_password": "quite another passphrase"}
    with capture_logs() as logged:
        wrong = await guarded.client.post("/api/v1/auth/password", json=change)
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (403, "wrong_password")
    [refused] = [event for event in logged if event["event"] == "user.password_changed"]
    assert (refused["outcome"], refused["object_id"]) == ("denied", user.id)
    change["old_password"] = PASSWORD
    assert (await guarded.client.post("/api/v1/auth/password", json=change)).status_code == 204
    assert (await guarded.client.get("/api/v1/auth/me")).status_code == 200
    guarded.client.cookies.clear()
    for ended in ({"cookie": f"{COOKIE}={other_browser}"}, {"authorization": f"Bearer {token}"}):
        assert (await guarded.client.get("/api/v1/auth/me", headers=ended)).status_code == 401
    assert (await _sign_in(guarded)).status_code == 401
    assert (await _sign_in(guarded, password="quite another passphrase")).status_code == 303


async def test_the_old_password_cannot_be_guessed_over_a_stolen_session(guarded: Guarded, database: Database) -> None:
    await person_with_password(guarded, database)
    await _sign_in(guarded)
    change = {"old_password": "a guess", "new_password": "quite another passphrase"}
    answers = [(await guarded.client.post("/api/v1/auth/password", json=change)).status_code for _ in range(6)]
    assert answers == [403] * 5 + [429]


async def test_a_change_leaves_no_fingerprint_of_the_password(guarded: Guarded, database: Database) -> None:
    await person_with_password(guarded, database)
    await _sign_in(guarded)
    change = {"old_password": PASSWORD, "new_password": "quite another passphrase"}
    changed = await guarded.client.post("/api/v1/auth/password", json=change, headers={"idempotency-key": "once"})
    async with database.session(all_tenants=True) as session:
        assert (changed.status_code, (await session.exec(select(IdempotencyRecord))).all()) == (204, [])


@ON_SQLITE
async def test_a_token_changes_no_password_not_even_with_the_old_one(guarded: Guarded, database: Database) -> None:
    await person_with_password(guarded, database)
    await _sign_in(guarded)
    token = (await guarded.client.post("/api/v1/auth/tokens", json={"scopes": ["models:read"]})).json()["access_token"]
    guarded.client.cookies.clear()
    change = {"old_password": PASSWORD, "new_password": "quite another passphrase"}
    headers = {"authorization": f"Bearer {token}"}
    refused = await guarded.client.post("/api/v1/auth/password", json=change, headers=headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "sign_in_needed")


@ON_SQLITE
async def test_a_key_has_no_password_to_change(guarded: Guarded) -> None:
    change = {"old_password": "x", "new_password": PASSWORD}
    refused = await guarded.client.post("/api/v1/auth/password", json=change, headers=guarded.headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "no_password")


@ON_SQLITE
@pytest.mark.parametrize("password", ["short", "x" * 1025, "abababababababab", "ada@example.test"])
async def test_a_password_that_is_easily_guessed_is_refused(guarded: Guarded, password: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await guarded.access.passwords.digest(password, email="Ada@Example.test")
    assert refused.value.code == "weak_password"


async def test_a_password_is_set_for_the_tenants_own_people_alone(guarded: Guarded, database: Database) -> None:
    foreign, service = await person(database, tenant="acme"), await person(database, kind="service", email=None)
    with pytest.raises(NotFound):
        await guarded.access.passwords.set("default", foreign.id, PASSWORD)
    with pytest.raises(Conflict):
        await guarded.access.passwords.set("default", service.id, PASSWORD)


async def test_who_may_give_a_password_is_asked_again_where_it_is_written(guarded: Guarded, database: Database) -> None:
    guarded.app.include_router(users.router)
    desk = {"scopes": ["users:manage", "chat:invoke"]}
    assert (await guarded.client.put("/api/v1/roles/desk", json=desk, headers=guarded.headers)).is_success
    user, (_, key) = await person(database, role="desk"), await guarded.access.keys.create(SYSTEM, "desk", KeyRights("desk"))
    while_hashing(guarded, lambda: changed(database, user, role="admin"))
    where, new = f"/api/v1/users/{user.id}/password", {"password": PASSWORD}
    refused = await guarded.client.put(where, json=new, headers={"x-api-key": key})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "more_than_own")
    assert await digest_of(database, user) is None


async def test_a_password_that_ended_meanwhile_is_changed_into_no_other(guarded: Guarded, database: Database) -> None:
    user = await person_with_password(guarded, database)
    principal = replace(SYSTEM, id=user.id)
    while_hashing(guarded, lambda: changed(database, user, password_digest=None))
    with pytest.raises(Conflict) as refused:
        await guarded.access.passwords.change(principal, PASSWORD, "quite another passphrase", None)
    assert (refused.value.code, await digest_of(database, user)) == ("password_changed", None)


@pytest.mark.parametrize(
    "ended",
    [{"password_digest": None}, {"password_digest": "$another"}, {"disabled_at": utc_now()}],
    ids=["taken", "changed", "disabled"],
)
async def test_a_password_that_ended_meanwhile_opens_no_session(
    guarded: Guarded, database: Database, ended: dict[str, Any]
) -> None:
    user = await person_with_password(guarded, database)
    verified = await guarded.access.passwords.sign_in(ADDRESS, PASSWORD, None)
    await changed(database, user, **ended)
    with pytest.raises(Unauthenticated):
        await guarded.access.sessions.open(user_id=user.id, method="password", digest=verified.digest)
    async with database.session(all_tenants=True) as session:
        assert (await session.exec(select(BrowserSession))).all() == []


def while_hashing(guarded: Guarded, act: Callable[[], Awaitable[None]]) -> None:
    """Have something done between the checks of a new password and its being written."""
    passwords, hashed = guarded.access.passwords, guarded.access.passwords._hash

    async def slowly(password: str) -> str:
        await act()
        return await hashed(password)

    passwords._hash = slowly  # type: ignore[method-assign]


async def changed(database: Database, user: User, **values: Any) -> None:
    async with database.transaction(all_tenants=True) as session:
        await session.exec(update(User).where(col(User.id) == user.id).values(**values))


async def digest_of(database: Database, user: User) -> str | None:
    async with database.session(all_tenants=True) as session:
        return (await session.get_one(User, user.id)).password_digest


@ON_SQLITE
async def test_without_passwords_the_page_has_no_form_for_them(guarded: Guarded, database: Database) -> None:
    await person_with_password(guarded, database)
    state = guarded.app.state.platform
    state.settings = state.settings.model_copy(update={"sign_in": SignInSettings(passwords=False)})
    assert 'name="email"' not in (await guarded.client.get("/signin")).text
    assert (await _sign_in(guarded)).status_code == 401


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"email": ADDRESS},
        {"email": "\x00", "password": "\ud800"},
        {"email": ADDRESS, "password": "x", "tenant": "\x00"},
        {"key": "", "email": " "},
        {"key": "\x00"},
    ],
    ids=str,
)
async def test_a_form_that_is_not_filled_in_signs_nobody_in(guarded: Guarded, form: dict[str, str]) -> None:
    content = "&".join(f"{name}={value}" for name, value in form.items()).encode("utf-8", "surrogatepass")
    headers = {"content-type": "application/x-www-form-urlencoded"}
    refused = await guarded.client.post("/signin", content=content, headers=headers)
    assert refused.status_code == (422 if b"\0" in content else 401)  # which no database takes
