"""Signing in at an identity provider: a real one on loopback, and one that cheats."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc.jwk import ECKey, Key, OctKey, RSAKey
from sqlmodel import col, select, update

from core.database import Database, utc_now
from core.errors import Forbidden
from core.settings import Settings, SettingsError
from core.tables import AuditEvent, Tenant, User
from server.access.federation import admit_person
from server.auth import COOKIE
from server.routes.sign_in import FLOW_COOKIE
from tests.fakes.identity import CLIENT, SECRET, ScriptedProvider, identity_server
from tests.server.conftest import ON_SQLITE, Guarded
from tests.server.people import ADDRESS, person, person_with_password
from tests.server.serving import served

PEOPLE: dict[str, dict[str, object]] = {
    "ada": {"name": "Ada L.", "email": "Ada@Example.test", "email_verified": True, "groups": ["staff", "platform"]},
    "bob": {"name": "Bob", "email": "bob@example.test", "email_verified": True, "groups": ["staff"]},
    "eve": {"email": "eve@elsewhere.test", "email_verified": True, "groups": ["staff"]},
    "unverified": {"email": "mallory@example.test", "email_verified": False, "groups": ["staff"]},
    "nobody": {"email": "guest@example.test", "email_verified": True, "groups": ["guests"]},
}
ROLES = {"platform": "developer", "staff": "user"}


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with identity_server(PEOPLE) as address:
        yield address


@pytest.fixture(scope="module")
def scripted() -> Iterator[ScriptedProvider]:
    provider = ScriptedProvider()
    with served(provider.application()) as provider.issuer:
        yield provider


@pytest.fixture
def settings(settings: Settings, issuer: str, scripted: ScriptedProvider) -> Settings:
    client = {"client_id": CLIENT, "client_secret": SECRET}
    corporate = client | {"name": "corp", "label": "Example Corp", "issuer": issuer, "roles": ROLES}
    providers = [
        corporate | {"email_domains": ["example.test"]},
        corporate | {"name": "open", "roles": {}, "default_role": "user", "tenant": "acme"},
        corporate | {"name": "linking", "link_by_email": True},
        corporate | {"name": "mistaken", "roles": {"staff": "no-such-role"}},
        client | {"name": "scripted", "issuer": scripted.issuer, "default_role": "user"},
    ]
    return Settings.load(data_dir=settings.data_dir, sign_in={"oidc": providers})


async def _go_there(guarded: Guarded, provider: str = "corp", target: str = "/docs") -> str:
    begun = await guarded.client.get(f"/signin/oidc/{provider}", params={"next": target})
    assert begun.status_code == 303, begun.text
    return begun.headers["location"]


def _agree(address: str, subject: str) -> str:
    """What a person does at the provider; the path and query that they are sent back to."""
    sent_back = httpx.post(address, data={"sub": subject}, trust_env=False)
    assert sent_back.status_code == 302, sent_back.text
    parts = urlsplit(sent_back.headers["location"])
    return f"{parts.path}?{parts.query}"


async def _sign_in(guarded: Guarded, subject: str, provider: str = "corp") -> Any:
    return await guarded.client.get(_agree(await _go_there(guarded, provider), subject))


async def _users(database: Database) -> list[User]:
    async with database.session(all_tenants=True) as session:
        return list((await session.exec(select(User))).all())


async def test_a_person_signs_in_and_is_made_a_user_with_their_groups_role(guarded: Guarded, database: Database) -> None:
    page = (await guarded.client.get("/signin?next=/docs")).text
    assert 'href="/signin/oidc/corp?next=/docs"' in page
    assert "Continue with Example Corp" in page
    back = await _sign_in(guarded, "ada")
    assert (back.status_code, back.headers["location"]) == (303, "/docs")
    cookies = {value.split("=")[0]: value.lower() for value in back.headers.get_list("set-cookie")}
    assert "httponly" in cookies[COOKIE]
    assert "samesite=lax" in cookies[COOKIE]
    assert FLOW_COOKIE not in guarded.client.cookies
    me = (await guarded.client.get("/api/v1/auth/me")).json()
    [user] = await _users(database)
    assert (me["id"], me["name"], me["role"], me["key_id"]) == (user.id, "Ada L.", "developer", None)
    assert (user.email, user.subject, user.tenant) == (ADDRESS, "ada", "default")


async def test_the_same_person_is_the_same_user_and_signing_out_ends_it(guarded: Guarded, database: Database) -> None:
    for _ in range(2):
        await _sign_in(guarded, "bob")
    assert len(await _users(database)) == 1
    await guarded.client.post("/signout")
    assert (await guarded.client.get("/api/v1/auth/me")).status_code == 401


@pytest.mark.parametrize(
    ("provider", "subject", "reason"),
    [
        ("corp", "eve", "e-mail address"),
        ("corp", "unverified", "e-mail address"),
        ("corp", "nobody", "groups"),
        ("mistaken", "bob", "groups"),
        ("open", "bob", "organisation"),
    ],
)
async def test_who_may_not_come_in_is_told_and_not_made_a_user(
    guarded: Guarded, database: Database, provider: str, subject: str, reason: str
) -> None:
    refused = await _sign_in(guarded, subject, provider)
    assert (refused.status_code, COOKIE in guarded.client.cookies) == (403, False)
    assert reason in refused.text
    assert await _users(database) == []


async def test_without_roles_for_groups_the_role_that_was_set_here_stays(guarded: Guarded, database: Database) -> None:
    async with database.transaction(all_tenants=True) as session:
        session.add(Tenant(id="acme", name="Acme"))
    await _sign_in(guarded, "ada", "open")
    [user] = await _users(database)
    assert (user.tenant, user.role) == ("acme", "user")
    async with database.transaction(all_tenants=True) as session:
        await session.exec(update(User).values(role="analyst"))
    await _sign_in(guarded, "ada", "open")
    assert (await guarded.client.get("/api/v1/auth/me")).json()["role"] == "analyst"


async def test_a_role_goes_with_its_group_and_sign_ins_end_with_the_last_one(guarded: Guarded, database: Database) -> None:
    await _sign_in(guarded, "ada")
    older = guarded.client.cookies[COOKIE]
    provider = guarded.access.providers["corp"]
    provider.settings = provider.settings.model_copy(update={"roles": {"staff": "analyst"}})
    await _sign_in(guarded, "ada")
    assert (await guarded.client.get("/api/v1/auth/me")).json()["role"] == "analyst"
    guarded.client.cookies.clear()
    headers = {"cookie": f"{COOKIE}={older}"}
    assert (await guarded.client.get("/api/v1/auth/me", headers=headers)).json()["role"] == "analyst"
    provider.settings = provider.settings.model_copy(update={"roles": {"directors": "admin"}})
    assert (await _sign_in(guarded, "ada")).status_code == 403
    guarded.client.cookies.clear()
    assert (await guarded.client.get("/api/v1/auth/me", headers=headers)).status_code == 401


async def test_a_closed_account_stays_closed(guarded: Guarded, database: Database) -> None:
    await _sign_in(guarded, "bob")
    async with database.transaction(all_tenants=True) as session:
        await session.exec(update(User).values(disabled_at=utc_now()))
    guarded.client.cookies.clear()
    assert (await _sign_in(guarded, "bob")).status_code == 403


async def test_an_account_with_the_same_address_is_taken_over_only_where_that_is_wanted(
    guarded: Guarded, database: Database
) -> None:
    user = await person_with_password(guarded, database)
    refused = await _sign_in(guarded, "ada")
    assert (refused.status_code, "already" in refused.text) == (403, True)
    assert (await _sign_in(guarded, "ada", "linking")).status_code == 303
    assert (await guarded.client.get("/api/v1/auth/me")).json()["id"] == user.id


async def test_a_service_account_is_never_taken_over(guarded: Guarded, database: Database) -> None:
    await person(database, kind="service")
    assert (await _sign_in(guarded, "ada", "linking")).status_code == 403


@pytest.mark.parametrize("how", ["another state", "no state", "another browser", "another provider", "an old one"])
async def test_an_answer_that_this_browser_did_not_ask_for_is_refused(
    guarded: Guarded, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "an old one":
        monkeypatch.setattr("server.routes.sign_in._FLOW_S", -1)
    back = _agree(await _go_there(guarded), "bob")
    if how == "another state":
        back = back.replace("state=", "state=x")
    if how == "no state":
        back = back.split("state=")[0]
    if how == "another browser":
        guarded.client.cookies.clear()
    if how == "another provider":
        back = back.replace("/corp/", "/linking/")
    refused = await guarded.client.get(back)
    assert (refused.status_code, COOKIE in guarded.client.cookies) == (401, False)
    assert "Start again" in refused.text


async def test_a_code_is_good_once(guarded: Guarded) -> None:
    there = await _go_there(guarded)
    flow = guarded.client.cookies[FLOW_COOKIE]
    back = _agree(there, "bob")
    assert (await guarded.client.get(back)).status_code == 303
    guarded.client.cookies.clear()
    again = await guarded.client.get(back, headers={"cookie": f"{FLOW_COOKIE}={flow}"})
    assert (again.status_code, COOKIE in guarded.client.cookies) == (401, False)


async def test_who_says_no_at_the_provider_is_back_at_the_form(guarded: Guarded) -> None:
    state = parse_qs(urlsplit(await _go_there(guarded)).query)["state"][0]
    refused = await guarded.client.get("/signin/oidc/corp/callback", params={"error": "access_denied", "state": state})
    assert (refused.status_code, "did not let you in" in refused.text) == (401, True)


async def test_the_way_back_after_signing_in_never_leads_elsewhere(guarded: Guarded) -> None:
    back = await guarded.client.get(_agree(await _go_there(guarded, target="//evil.example"), "bob"))
    assert back.headers["location"] == "/"


@ON_SQLITE
async def test_an_unknown_provider_is_404(guarded: Guarded) -> None:
    assert (await guarded.client.get("/signin/oidc/none")).status_code == 404
    assert (await guarded.client.get("/signin/oidc/none/callback")).status_code == 404


async def _with_token(guarded: Guarded, scripted: ScriptedProvider, how: dict[str, Any], **query: str) -> Any:
    """The whole way, with an ID token that is changed by `how`."""
    asked = parse_qs(urlsplit(await _go_there(guarded, "scripted")).query)
    scripted.id_token = how.pop("token", None) or scripted.signed(**({"nonce": asked["nonce"][0]} | how))
    params = {"code": "c", "state": asked["state"][0]} | query
    return await guarded.client.get("/signin/oidc/scripted/callback", params=params)


@ON_SQLITE
async def test_the_exchange_proves_who_asked(guarded: Guarded, scripted: ScriptedProvider) -> None:
    assert (await _with_token(guarded, scripted, {})).status_code == 303
    form = scripted.token_calls[-1]
    assert (form["client_id"], form["client_secret"]) == (CLIENT, SECRET)
    assert form["redirect_uri"] == "http://127.0.0.1:8000/signin/oidc/scripted/callback"
    assert len(form["code_verifier"]) == 43


ANOTHER = RSAKey.generate_key(2048, {"kid": "first"})
SHARED = OctKey.import_key(SECRET)
CHEATS: dict[str, dict[str, Any]] = {
    "another's signature": {"key": ANOTHER},
    "the client's secret as a key": {"key": SHARED, "header": {"alg": "HS256"}},
    "an unknown key": {"key": ANOTHER, "header": {"kid": "second"}},
    "another issuer": {"iss": "https://evil.example"},
    "no issuer": {"iss": None},
    "another audience": {"aud": "another-client"},
    "another party": {"aud": [CLIENT, "another-client"], "azp": "another-client"},
    "many audiences and no party": {"aud": [CLIENT, "another-client"]},
    "another nonce": {"nonce": "another"},
    "no nonce": {"nonce": None},
    "expired": {"exp": 1},
    "no end": {"exp": None},
    "from the future": {"iat": 2**40},
    "no subject": {"sub": None},
    "a long subject": {"sub": "x" * 256},
    "a subject that is a list": {"sub": ["ada"]},
    "a subject that no database takes": {"sub": "a\x00"},
    "no token": {"token": "x"},
    "none": {"token": "eyJhbGciOiJub25lIn0.e30."},
}


@ON_SQLITE
@pytest.mark.parametrize("cheat", CHEATS)
async def test_an_id_token_that_is_not_right_signs_nobody_in(
    guarded: Guarded, scripted: ScriptedProvider, database: Database, cheat: str
) -> None:
    refused = await _with_token(guarded, scripted, dict(CHEATS[cheat]))
    assert (refused.status_code, COOKIE in guarded.client.cookies) == (401, False)
    assert await _users(database) == []


@ON_SQLITE
async def test_an_answer_that_names_another_issuer_is_refused(guarded: Guarded, scripted: ScriptedProvider) -> None:
    assert (await _with_token(guarded, scripted, {}, iss="https://evil.example")).status_code == 401
    assert (await _with_token(guarded, scripted, {}, iss=scripted.issuer)).status_code == 303


@ON_SQLITE
async def test_a_new_key_of_the_provider_is_found_and_keys_of_other_kinds_are_passed_over(
    guarded: Guarded, scripted: ScriptedProvider
) -> None:
    scripted.published = [{"kty": "oct", "k": "AAAA", "kid": "o"}, {"kty": "RSA", "n": "broken"}, "x"]
    assert (await _with_token(guarded, scripted, {})).status_code == 303
    known, scripted.published = guarded.access.providers["scripted"]._keys, []
    assert known is not None
    guarded.access.providers["scripted"]._keys = (known[0] - 60, known[1])
    old, scripted.key = scripted.key, RSAKey.generate_key(2048, {"kid": "next"})
    try:
        assert (await _with_token(guarded, scripted, {"header": {"kid": "next"}})).status_code == 303
    finally:
        scripted.key = old


@ON_SQLITE
async def test_another_key_under_the_same_identifier_is_asked_for_once_in_a_while(
    guarded: Guarded, scripted: ScriptedProvider
) -> None:
    assert (await _with_token(guarded, scripted, {})).status_code == 303
    provider, old = guarded.access.providers["scripted"], scripted.key
    scripted.key = RSAKey.generate_key(2048, {"kid": "first"})
    try:
        assert (await _with_token(guarded, scripted, {})).status_code == 401  # asked for just now
        assert provider._keys is not None
        provider._keys = (provider._keys[0] - 60, provider._keys[1])
        assert (await _with_token(guarded, scripted, {})).status_code == 303
        known = provider._keys
        assert (await _with_token(guarded, scripted, {"key": ANOTHER})).status_code == 401
        assert provider._keys is known
    finally:
        scripted.key = old


@ON_SQLITE
@pytest.mark.parametrize(
    "former",
    [
        ECKey.generate_key("P-256", {"kid": "first"}),
        RSAKey.generate_key(2048, {"kid": "first", "alg": "RS512"}),
        RSAKey.generate_key(2048, {"kid": "first", "use": "enc"}),
    ],
    ids=["kind", "algorithm", "use"],
)
async def test_a_key_of_another_kind_under_the_same_identifier_is_asked_for_as_well(
    guarded: Guarded, scripted: ScriptedProvider, former: Key
) -> None:
    guarded.access.providers["scripted"]._keys = (time.monotonic() - 60, [former])
    assert (await _with_token(guarded, scripted, {})).status_code == 303


@ON_SQLITE
async def test_what_the_token_does_not_say_is_asked_for_and_must_be_of_the_same_person(
    guarded: Guarded, scripted: ScriptedProvider, database: Database
) -> None:
    scripted.metadata = {"userinfo_endpoint": f"{scripted.issuer}/userinfo"}
    try:
        scripted.userinfo = {"sub": "another", "email": ADDRESS, "email_verified": True}
        assert (await _with_token(guarded, scripted, {"email": None})).status_code == 401
        scripted.userinfo = {"sub": "ada", "email": ADDRESS, "email_verified": True}
        assert (await _with_token(guarded, scripted, {"email": None})).status_code == 303
    finally:
        scripted.metadata, scripted.userinfo = {}, None
    assert [user.email for user in await _users(database)] == [ADDRESS]


@ON_SQLITE
@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.example"},
        {"authorization_endpoint": None},
        {"authorization_endpoint": "ftp://evil.example/"},
        {"authorization_endpoint": "http://elsewhere.example/authorize"},
        {"authorization_endpoint": "javascript:alert(1)"},
    ],
    ids=str,
)
async def test_a_provider_that_describes_itself_wrongly_is_not_used(
    guarded: Guarded, scripted: ScriptedProvider, metadata: dict[str, Any]
) -> None:
    scripted.metadata = metadata
    try:
        refused = await guarded.client.get("/signin/oidc/scripted")
    finally:
        scripted.metadata = {}
    assert (refused.status_code, FLOW_COOKIE in guarded.client.cookies) == (503, False)


@ON_SQLITE
async def test_a_provider_that_is_away_is_503_and_one_that_refuses_the_code_401(
    guarded: Guarded, scripted: ScriptedProvider
) -> None:
    for status, answer in ((500, 503), (400, 401)):
        scripted.token_status = status
        try:
            assert (await _with_token(guarded, scripted, {})).status_code == answer
        finally:
            scripted.token_status = 200


async def test_what_no_database_takes_is_left_out_of_a_name(
    guarded: Guarded, scripted: ScriptedProvider, database: Database
) -> None:
    assert (await _with_token(guarded, scripted, {"name": "A\x00da \x07", "email": "a\x00@example.test"})).status_code == 303
    assert [(user.name, user.email) for user in await _users(database)] == [("Ada", None)]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_a_password_that_is_given_during_a_takeover_ends_with_it(guarded: Guarded, database: Database) -> None:
    user = await person(database)
    claims = {"iss": "https://id.example", "sub": "ada", "email": ADDRESS, "email_verified": True, "groups": ["staff"]}
    async with database.transaction(all_tenants=True) as session:
        await session.exec(update(User).where(col(User.id) == user.id).values(password_digest="planted"))
        taking = asyncio.create_task(admit_person(database, guarded.access.providers["linking"].settings, claims))
        await _waits_for_a_lock(database)
    assert await taking == user.id
    assert [each.password_digest for each in await _users(database)] == [None]
    async with database.session(all_tenants=True) as session:
        chosen = select(AuditEvent.details).where(AuditEvent.action == "user.changed", AuditEvent.object_id == user.id)
        assert [told["password_ended"] for told in (await session.exec(chosen)).all()] == [True]


async def _waits_for_a_lock(database: Database) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(20), database.engine.connect() as connection:
        while not (await connection.exec_driver_sql(waiting)).scalar():
            await connection.rollback()  # what is looked at is of a transaction's first look
            await asyncio.sleep(0.01)


async def test_two_first_sign_ins_at_once_make_one_user(guarded: Guarded, database: Database) -> None:
    claims = {"iss": "https://id.example", "sub": "ada", "email": ADDRESS, "email_verified": True, "groups": ["staff"]}
    provider = guarded.access.providers["corp"].settings
    made = await asyncio.gather(*(admit_person(database, provider, claims) for _ in range(4)))
    assert len(set(made)) == 1


@pytest.mark.parametrize(
    ("provider", "complaint"),
    [
        ({"issuer": "http://id.example"}, "https://"),
        ({"roles": {}}, "default_role"),
        ({"scopes": ["email"]}, "openid"),
        ({"client_secret": "env:NO_SUCH_VARIABLE"}, "NO_SUCH_VARIABLE"),
        ({"name": "Not A Name"}, "name"),
    ],
    ids=str,
)
def test_a_provider_that_cannot_work_stops_the_start(settings: Settings, provider: dict[str, Any], complaint: str) -> None:
    good = {"name": "corp", "issuer": "https://id.example", "client_id": "c", "roles": ROLES}
    with pytest.raises(SettingsError, match=complaint):
        Settings.load(data_dir=settings.data_dir, sign_in={"oidc": [good | provider]})


def test_a_clients_secret_is_read_from_the_variable_it_names(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORP_SECRET", "the secret")
    provider = {
        "name": "corp",
        "issuer": "https://id.example",
        "client_id": "c",
        "roles": ROLES,
        "client_secret": "env:CORP_SECRET",
    }
    loaded = Settings.load(data_dir=settings.data_dir, sign_in={"oidc": [provider]})
    assert loaded.sign_in.oidc[0].client_secret is not None
    assert loaded.sign_in.oidc[0].client_secret.get_secret_value() == "the secret"
    assert "the secret" not in repr(loaded)


@ON_SQLITE
async def test_visitors_who_come_at_once_wait_for_one_discovery(guarded: Guarded, scripted: ScriptedProvider) -> None:
    before = scripted.discoveries
    begun = await asyncio.gather(*(guarded.client.get("/signin/oidc/scripted") for _ in range(5)))
    assert [each.status_code for each in begun] == [303] * 5
    assert scripted.discoveries == before + 1


async def test_users_made_and_roles_given_and_taken_by_a_provider_are_on_record(guarded: Guarded, database: Database) -> None:
    await _sign_in(guarded, "ada")
    await _sign_in(guarded, "ada")  # nothing changes, nothing is told
    provider = guarded.access.providers["corp"]
    provider.settings = provider.settings.model_copy(update={"roles": {"platform": "admin"}})
    await _sign_in(guarded, "ada")
    [user] = await _users(database)
    async with database.session(all_tenants=True) as session:
        query = select(AuditEvent).where(col(AuditEvent.action).startswith("user.")).order_by(col(AuditEvent.number))
        made, changed = (await session.exec(query)).all()
    assert [(event.action, event.actor, event.object_id) for event in (made, changed)] == [
        ("user.created", "oidc:corp", user.id),
        ("user.changed", "oidc:corp", user.id),
    ]
    assert made.details == {"kind": "person", "role": "developer", "provider": "corp"}
    assert changed.details == {
        "fields": ["role"],
        "role_before": "developer",
        "role": "admin",
        "disabled": False,
        "provider": "corp",
        "password_ended": False,
        "keys_ended": 0,
    }


async def test_an_account_that_is_taken_over_is_on_record(guarded: Guarded, database: Database) -> None:
    user = await person_with_password(guarded, database)
    await _sign_in(guarded, "ada", "linking")
    async with database.session(all_tenants=True) as session:
        query = select(AuditEvent).where(AuditEvent.action == "user.changed", AuditEvent.object_id == user.id)
        [event] = (await session.exec(query)).all()
    assert event.actor == "oidc:linking"
    assert {"issuer", "subject"} <= set(event.details["fields"])


async def test_a_refused_sign_in_names_the_user_whose_account_it_is(guarded: Guarded, database: Database) -> None:
    provider = guarded.access.providers["corp"].settings
    claims = {"iss": "https://id.example", "sub": "ada", "email": ADDRESS, "email_verified": True, "groups": ["staff"]}
    user_id = await admit_person(database, provider, claims)
    with pytest.raises(Forbidden) as refused:
        await admit_person(database, provider, claims | {"groups": []})
    assert refused.value.context == {"user": user_id, "tenant": "default"}
    with pytest.raises(Forbidden) as unknown:
        await admit_person(database, provider, claims | {"sub": "eve", "groups": []})
    assert unknown.value.context == {}
