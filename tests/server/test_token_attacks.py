"""Forged and twisted access tokens: each is refused with 401 in the platform's error shape."""

import pytest

from core.database import Database
from core.principals import SYSTEM
from core.tables import Tenant
from server.access.keys import ADMINISTRATOR_ID, KeyRights
from tests.server.conftest import ON_SQLITE, Guarded
from tests.server.forgery import ATTACKER, ATTACKS, Forge, decoded


@pytest.fixture
async def forge(guarded: Guarded, database: Database) -> Forge:
    form = {"grant_type": "client_credentials", "client_id": ADMINISTRATOR_ID, "client_secret": guarded.key}
    good = (await guarded.client.post("/api/v1/auth/token", data=form)).json()["access_token"]
    pair = (await guarded.client.post("/api/v1/auth/tokens", headers=guarded.headers)).json()
    async with database.transaction(all_tenants=True) as session:
        session.add(Tenant(id="acme", name="Acme"))
    row, key = await guarded.access.keys.create(SYSTEM, "other", KeyRights())
    other = {"grant_type": "client_credentials", "client_id": row.id, "client_secret": key}
    others = (await guarded.client.post("/api/v1/auth/token", data=other)).json()["access_token"]
    header, claims = (decoded(part) for part in good.split(".")[:2])
    _, own = await guarded.access.tokens.keys.current()
    forge = Forge(good, header, claims, own, pair["refresh_token"], decoded(others.split(".")[1]))
    assert await _status(guarded, good) == 200
    assert await _status(guarded, forge.sign()) == 200, "what is forged is refused for what was changed alone"
    return forge


async def _status(guarded: Guarded, token: str) -> int:
    answer = await guarded.client.get("/api/v1/auth/me", headers={"authorization": f"Bearer {token}"})
    if answer.status_code != 200:
        assert answer.json()["error"].keys() == {"code", "message", "request_id"}
        assert answer.json()["error"]["code"] in {"invalid_token", "invalid_key"}
        assert answer.headers["www-authenticate"].startswith("Bearer")
    return answer.status_code


@ON_SQLITE
@pytest.mark.parametrize("attack", ATTACKS)
async def test_a_forged_token_is_refused(guarded: Guarded, forge: Forge, attack: str) -> None:
    assert await _status(guarded, ATTACKS[attack](forge)) == 401


@ON_SQLITE
async def test_a_header_that_is_not_ascii_is_refused(guarded: Guarded, forge: Forge) -> None:
    header = b"Bearer ey\xc3\xa9.\xff.x"
    assert (await guarded.client.get("/api/v1/auth/me", headers={"authorization": header})).status_code == 401


async def test_another_tenants_token_opens_nothing_by_a_swapped_claim(guarded: Guarded, forge: Forge) -> None:
    """Well signed, as by somebody who could have claims of their own choice signed: the database says whose a family is."""
    for swapped in ({"tenant": "acme"}, {"tenant": "acme", "sub": "usr_x"}, {"sub": "system"}):
        assert await _status(guarded, forge.sign(claims=swapped)) == 401


async def test_another_installations_token_is_refused(guarded: Guarded, forge: Forge) -> None:
    assert await _status(guarded, forge.sign({"kid": "sig_elsewhere"}, key=ATTACKER)) == 401


async def test_a_token_shown_as_an_api_key_is_no_key(guarded: Guarded, forge: Forge) -> None:
    body = {"key": forge.good, "next": "/"}
    assert (await guarded.client.post("/signin", data=body)).status_code == 401
    form = {"grant_type": "client_credentials", "client_id": ADMINISTRATOR_ID, "client_secret": forge.good}
    assert (await guarded.client.post("/api/v1/auth/token", data=form)).status_code == 401
    refresh = {"grant_type": "refresh_token", "refresh_token": forge.good}
    assert (await guarded.client.post("/api/v1/auth/token", data=refresh)).status_code == 400


async def test_a_token_beyond_its_scope_claims_nothing_more(guarded: Guarded, forge: Forge) -> None:
    """Scopes that are not the subject's, or that nobody knows, give nothing."""
    other = forge.sign(claims=forge.others_claims | {"scope": "keys:manage chat:invoke chat:everything"})
    me = await guarded.client.get("/api/v1/auth/me", headers={"authorization": f"Bearer {other}"})
    assert me.json()["scopes"] == ["chat:invoke"]
