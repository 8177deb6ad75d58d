"""Credentials of providers: kept sealed, read by their tenant alone, replaced without a trace of the former one."""

from dataclasses import replace

import pytest
from sqlalchemy import text

from core.database import Database
from core.errors import DecryptionFailed, InvalidRequest, NotFound
from core.principals import SYSTEM
from core.provider_credentials import ProviderCredentials
from core.settings import ProviderSettings

SECRETS = {"api_key": "sk-canary-" + "x" * 40}


async def test_a_credential_is_read_back_and_does_not_lie_in_the_database(database: Database) -> None:
    credentials = ProviderCredentials(database)
    row = await credentials.add(SYSTEM, provider="openai", name="ours", secrets=SECRETS)
    assert await credentials.secrets_of(await credentials.get(SYSTEM, row.id)) == SECRETS
    async with database.session(all_tenants=True) as session:
        dump = str((await (await session.connection()).execute(text("SELECT * FROM provider_credentials"))).all())
    assert SECRETS["api_key"] not in dump
    assert "canary-xx" not in dump


async def test_it_takes_the_place_of_what_is_configured(database: Database) -> None:
    credentials = ProviderCredentials(database)
    row = await credentials.add(SYSTEM, provider="openai", name="ours", secrets=SECRETS)
    configured = ProviderSettings.model_validate({"base_url": "http://127.0.0.1:1", "api_key": "old", "region": "r"})
    used = await credentials.settings_of(row, configured)
    assert used.api_key is not None
    assert (used.api_key.get_secret_value(), used.base_url, used.region) == (SECRETS["api_key"], "http://127.0.0.1:1", "r")


async def test_another_replaces_it_and_is_untested(database: Database) -> None:
    credentials = ProviderCredentials(database)
    row = await credentials.add(SYSTEM, provider="openai", name="ours", secrets=SECRETS)
    assert (await credentials.tested(SYSTEM, row.id, "provider_failed")).test_code == "provider_failed"
    changed = await credentials.replace(SYSTEM, row.id, {"api_key": "sk-new"})
    assert await credentials.secrets_of(await credentials.get(SYSTEM, row.id)) == {"api_key": "sk-new"}
    assert (changed.rotated_at is not None, changed.tested_at, changed.test_code) == (True, None, None)


async def test_they_are_listed_by_provider_and_gone_once_removed(database: Database) -> None:
    credentials = ProviderCredentials(database)
    rows = [await credentials.add(SYSTEM, provider=name, name=name, secrets=SECRETS) for name in ("openai", "azure")]
    assert [row.name for row in await credentials.all(SYSTEM)] == ["azure", "openai"]
    assert [row.name for row in await credentials.all(SYSTEM, provider="openai")] == ["openai"]
    await credentials.remove(SYSTEM, rows[0].id)
    with pytest.raises(NotFound):
        await credentials.get(SYSTEM, rows[0].id)


async def test_another_tenant_finds_none_and_cannot_take_one_over(database: Database) -> None:
    credentials, other = ProviderCredentials(database), replace(SYSTEM, tenant="evil")
    row = await credentials.add(SYSTEM, provider="openai", name="ours", secrets=SECRETS)
    assert await credentials.all(other) == []
    with pytest.raises(NotFound):
        await credentials.get(other, row.id)
    async with database.transaction(all_tenants=True) as session:
        await (await session.connection()).execute(text("UPDATE provider_credentials SET tenant = 'evil'"))
    with pytest.raises(DecryptionFailed):
        await credentials.secrets_of(await credentials.get(other, row.id))


@pytest.mark.parametrize("secrets", [{}, {"api_key": ""}, {"password": "x"}, {"api_key": "x" * 20_000}])
async def test_what_is_no_credential_is_refused_without_showing_it(database: Database, secrets: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await ProviderCredentials(database).add(SYSTEM, provider="openai", name="ours", secrets=secrets)
    assert caught.value.code == "invalid_credential"
    assert "xxx" not in caught.value.message
