"""The forged tokens of `tests/server/forgery.py` at a real server, over the wire."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from core.database import Database
from core.settings import Settings
from infra.running import Running, running
from server.access.access import Access
from server.access.keys import ADMINISTRATOR_ID
from tests.server.forgery import ATTACKS, Forge, decoded


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("attacked"), GENAI_HANDBOOK="false", GENAI_LOCAL__WARM="false") as started:
        yield started


@pytest.fixture(scope="module")
def forge(platform: Running) -> Forge:
    with platform.client() as client:
        made = client.post("/api/v1/keys", json={"name": "other", "role": "user"}).raise_for_status().json()
        pair = client.post("/api/v1/auth/tokens", json={}).raise_for_status().json()
    good = _token(platform, ADMINISTRATOR_ID, platform.key)
    other = _token(platform, made["id"], made["key"])
    header, claims = (decoded(part) for part in good.split(".")[:2])

    async def signing_key() -> object:
        settings = Settings.load(data_dir=platform.directory / "data")
        database = Database(settings)
        try:
            return (await (await Access.open(settings, database)).tokens.keys.current())[1]
        finally:
            await database.close()

    own = asyncio.run(signing_key())
    return Forge(good, header, claims, own, pair["refresh_token"], decoded(other.split(".")[1]))  # type: ignore[arg-type]


def _token(platform: Running, client_id: str, secret: str) -> str:
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
    with platform.client(key="") as client:
        return str(client.post("/api/v1/auth/token", data=form).raise_for_status().json()["access_token"])


def statuses(platform: Running, token: str) -> list[int]:
    headers = {"authorization": f"Bearer {token}".encode()}
    with httpx.Client(base_url=platform.url, headers=headers, trust_env=False) as client:
        body = {"messages": [{"role": "user", "content": "Hello"}], "model": "nobody"}
        answers = [client.get("/api/v1/auth/me"), client.get("/api/v1/keys"), client.post("/api/v1/chat/invoke", json=body)]
    return [answer.status_code for answer in answers]


def test_what_is_forged_is_refused_for_what_was_changed_alone(platform: Running, forge: Forge) -> None:
    for token in (forge.good, forge.sign()):
        assert statuses(platform, token)[:2] == [200, 200]


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_forged_token_opens_nothing(platform: Running, forge: Forge, attack: str) -> None:
    assert statuses(platform, ATTACKS[attack](forge)) == [401, 401, 401]
