"""Data keys: made once, wrapped by whatever holds the key-encryption key, found by every process, never silently missing."""

import asyncio
import base64
import json
import secrets
import stat
import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event, text

from core.alerts import Alert, AlertKind
from core.database import Database, keyring_of, sync_url
from core.encryption.data_keys import StoredKey
from core.encryption.envelope import Place, key_id_of
from core.encryption.keyring import Keyring
from core.encryption.local_keys import KEY_FILE, key_file
from core.encryption.sources import keys_unavailable
from core.errors import DecryptionFailed, Unavailable
from core.settings import Settings, SettingsError
from tests.core.encryption.test_key_services import SERVICES, Service
from tests.core.key_services import services
from tests.fakes.key_services import KeyServices
from tests.telling import told

__all__ = ["services", "told"]

PLACE = Place("acme", "messages", "payload", "msg_1")
KEYS = ["a" * 40, "b" * 40]


def of_all_tenants(settings: Settings) -> Engine:
    """An engine whose connections see every tenant's rows, as row-level security asks to be told."""
    engine = create_engine(sync_url(settings))
    if engine.dialect.name == "postgresql":
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("SET LOCAL genai.tenant = '*'"))
    return engine


@pytest.fixture
def configured(database: Database, settings: Settings) -> Callable[..., Settings]:
    """Settings of the migrated database, with other settings of encryption."""
    url = database.engine.url.render_as_string(hide_password=False).replace("sqlite+aiosqlite", "sqlite")

    def load(**encryption: Any) -> Settings:
        return Settings.load(data_dir=settings.data_dir, database_url=url, encryption=encryption)

    return load


def rows(settings: Settings) -> list[Any]:
    engine = of_all_tenants(settings)
    with engine.connect() as connection:
        found = list(connection.execute(text("SELECT * FROM data_keys ORDER BY created_at")).mappings())
    engine.dispose()
    return found


def started(settings: Settings) -> Keyring:
    """A keyring as a process that starts with these settings has it."""
    keyring = keyring_of(settings)
    keyring.check()
    return keyring


async def test_the_first_start_makes_a_key_file_for_its_owner_alone(configured: Callable[..., Settings]) -> None:
    settings = configured()
    await started(settings).seal(PLACE, b"secret")
    assert stat.S_IMODE(settings.path(KEY_FILE).stat().st_mode) == 0o600


async def test_another_process_opens_what_was_sealed_and_another_place_does_not(configured: Callable[..., Settings]) -> None:
    settings = configured()
    sealed = await started(settings).seal(PLACE, b"secret")
    other = started(settings)
    assert await other.open(PLACE, sealed) == b"secret"
    for place in (Place("acme", "messages", "payload", "msg_2"), Place("evil", "messages", "payload", "msg_1")):
        with pytest.raises(DecryptionFailed) as caught:
            await other.open(place, sealed)
        assert (caught.value.code, caught.value.status) == ("decryption_failed", 500)


async def test_a_tenant_has_one_key_however_many_ask_at_once(configured: Callable[..., Settings]) -> None:
    settings = configured()
    keyring = started(settings)
    await asyncio.gather(*(keyring.seal(PLACE, b"x") for _ in range(8)), keyring.seal(Place("b", "t", "c", "r"), b"x"))
    assert sorted(row["tenant"] for row in rows(settings)) == ["acme", "b"]


async def test_the_database_holds_no_key_in_the_clear(configured: Callable[..., Settings]) -> None:
    settings = configured()
    keyring = started(settings)
    key = await asyncio.to_thread(keyring.current, "acme")
    assert key is not None
    assert all(key.secret not in bytes(row["wrapped"]) for row in rows(settings))


async def test_a_start_without_the_key_file_is_refused_and_makes_no_new_one(configured: Callable[..., Settings]) -> None:
    settings = configured()
    await started(settings).seal(PLACE, b"secret")
    settings.path(KEY_FILE).unlink()
    with pytest.raises(SettingsError, match="GENAI_ENCRYPTION__KEY_FILE"):
        started(settings)
    assert not settings.path(KEY_FILE).exists()


def test_a_key_file_that_is_named_and_missing_is_not_made_beside_the_one_that_is_there(
    configured: Callable[..., Settings],
) -> None:
    usual, other = configured().path(KEY_FILE), configured().data_dir / "keys"
    started(configured())  # nothing is sealed yet
    other.mkdir()
    with pytest.raises(SettingsError, match="GENAI_ENCRYPTION__KEY_FILE"):
        started(configured(key_file=other / "own.key"))
    assert list(other.iterdir()) == []
    usual.rename(other / "own.key")
    started(configured(key_file=other / "own.key"))
    assert not usual.exists()


def test_a_key_file_in_a_directory_that_is_not_there_is_not_made(configured: Callable[..., Settings]) -> None:
    nowhere = configured().data_dir / "mounted" / "own.key"
    with pytest.raises(SettingsError, match="no directory"):
        started(configured(key_file=nowhere))
    assert not nowhere.parent.exists()


async def test_a_key_file_that_goes_while_it_is_used_is_not_made_anew(configured: Callable[..., Settings]) -> None:
    settings = configured()
    keyring = started(settings)
    sealed = await keyring.seal(PLACE, b"secret")
    settings.path(KEY_FILE).unlink()
    assert not keyring._wrapping._local.has("local:0123456789abcdef")
    assert not settings.path(KEY_FILE).exists()
    await asyncio.to_thread(keyring.rotate)  # writes what is in hand
    assert len(settings.path(KEY_FILE).read_text().split()) == 2
    assert await started(settings).open(PLACE, sealed) == b"secret"


async def test_a_start_with_another_key_is_refused_until_the_former_one_is_named(configured: Callable[..., Settings]) -> None:
    sealed = await started(configured(key=KEYS[0])).seal(PLACE, b"secret")
    with pytest.raises(SettingsError, match="GENAI_ENCRYPTION__PREVIOUS_KEYS") as caught:
        started(configured(key=KEYS[1]))
    assert KEYS[0] not in str(caught.value)
    both = started(configured(key=KEYS[1], previous_keys=[f"setting:{KEYS[0]}"]))
    assert await both.open(PLACE, sealed) == b"secret"
    both.rewrap()
    assert await started(configured(key=KEYS[1])).open(PLACE, sealed) == b"secret"


async def test_the_key_moves_from_the_file_to_a_setting(configured: Callable[..., Settings]) -> None:
    sealed = await started(configured()).seal(PLACE, b"secret")
    settings = configured(key=KEYS[0])
    started(settings).rewrap()
    settings.path(KEY_FILE).unlink()
    assert await started(settings).open(PLACE, sealed) == b"secret"


async def test_after_a_rotation_new_keys_seal_and_old_values_are_opened_also_by_a_process_that_knew_neither(
    configured: Callable[..., Settings],
) -> None:
    settings = configured()
    serving, rotating = started(settings), started(settings)
    before = await serving.seal(PLACE, b"before")
    rotating.rotate()
    after = await rotating.seal(PLACE, b"after")
    assert key_id_of(before) != key_id_of(after)
    assert len(settings.path(KEY_FILE).read_text().split()) == 2
    for keyring in (serving, rotating, started(settings)):
        assert [await keyring.open(PLACE, value) for value in (before, after)] == [b"before", b"after"]
    assert len({row["wrapped_by"] for row in rows(settings)}) == 1


async def test_a_process_that_runs_wraps_with_the_key_that_another_has_rotated_to(configured: Callable[..., Settings]) -> None:
    settings = configured()
    serving = started(settings)
    await serving.seal(PLACE, b"secret")
    started(settings).rotate()
    await serving.seal(Place("beta", "messages", "payload", "msg_1"), b"secret")
    newest = {row["wrapped_by"] for row in rows(settings) if row["retired_at"] is None}
    assert {row["wrapped_by"] for row in rows(settings)} == newest
    assert len(newest) == 1
    key_file(settings).write_text("no key\n")
    assert await serving.seal(Place("gamma", "messages", "payload", "msg_1"), b"secret"), "what is in hand wraps"


async def test_a_key_file_that_cannot_be_written_rotates_to_its_first_line(configured: Callable[..., Settings]) -> None:
    settings = configured()
    sealed = await started(settings).seal(PLACE, b"secret")
    file = settings.path(KEY_FILE)
    file.write_text(f"{base64.b64encode(bytes(32)).decode()}\n{file.read_text()}")
    settings.path("encryption.new").mkdir()  # where a file to take its place would be written
    keyring = started(settings)
    before = file.read_text()
    keyring.rotate()
    assert file.read_text() == before
    file.write_text(before.split()[0])
    assert await started(settings).open(PLACE, sealed) == b"secret"


async def test_a_wrapped_key_that_was_given_to_another_tenant_is_refused(configured: Callable[..., Settings]) -> None:
    settings = configured()
    sealed = await started(settings).seal(PLACE, b"secret")
    engine = of_all_tenants(settings)
    with engine.begin() as connection:
        connection.execute(text("UPDATE data_keys SET tenant = 'evil'"))
    engine.dispose()
    with pytest.raises(DecryptionFailed):
        await keyring_of(settings).open(Place("evil", "messages", "payload", "msg_1"), sealed)


async def test_a_value_whose_data_key_is_gone_is_refused(configured: Callable[..., Settings]) -> None:
    settings = configured()
    sealed = await started(settings).seal(PLACE, b"secret")
    engine = of_all_tenants(settings)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM data_keys"))
    engine.dispose()
    with pytest.raises(DecryptionFailed):
        await keyring_of(settings).open(PLACE, sealed)


@pytest.mark.parametrize("value", [{"text": "half \ud800"}, {"n": 2**70}, {"text": "x" * 300_000}, [], "", {"sealed": "no"}])
async def test_any_json_value_comes_back(value: Any, configured: Callable[..., Settings]) -> None:
    keyring = started(configured())
    stored = await keyring.seal_json(PLACE, value)
    assert await keyring.open_json(PLACE, json.loads(json.dumps(stored))) == value


async def test_switched_off_nothing_is_sealed_and_what_was_is_opened(configured: Callable[..., Settings]) -> None:
    sealed = await started(configured()).seal(PLACE, b"secret")
    off = started(configured(source="off"))
    assert await off.seal(PLACE, b"plain") == b"plain"
    assert await off.open(PLACE, sealed) == b"secret"
    assert await off.open(PLACE, b"plain") == b"plain"


async def test_a_database_that_is_away_is_told_as_that(configured: Callable[..., Settings], settings: Settings) -> None:
    sealed = await started(configured()).seal(PLACE, b"secret")
    away = Settings.load(data_dir=settings.data_dir, database_url="postgresql://u:p@127.0.0.1:1/none")
    with pytest.raises(Unavailable) as caught:
        await keyring_of(away).open(PLACE, sealed)
    assert caught.value.code == "keys_unavailable"


@pytest.mark.parametrize("content", ["", "not base64!", "c2hvcnQ=\n"])
def test_a_key_file_that_holds_no_key_is_refused_without_showing_it(content: str, configured: Callable[..., Settings]) -> None:
    settings = configured()
    settings.path(KEY_FILE).write_text(content)
    with pytest.raises(SettingsError, match=r"encryption\.key") as caught:
        started(settings)
    assert not content.strip() or content.strip() not in str(caught.value)


def test_an_unknown_source_is_named_with_the_known_ones(configured: Callable[..., Settings]) -> None:
    with pytest.raises(SettingsError, match=r"GENAI_ENCRYPTION__SOURCE.*vault_transit"):
        started(configured(source="keychain"))


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.source)
async def test_the_key_moves_into_a_key_service_and_out_of_it(
    service: Service, services: KeyServices, configured: Callable[..., Settings]
) -> None:
    key_id = service.key_id.replace("URL", services.url)
    sealed = await started(configured()).seal(PLACE, b"secret")
    inside = configured(source=service.source, key_id=key_id)
    moved = started(inside)
    moved.rewrap()
    inside.path(KEY_FILE).unlink()
    assert await started(inside).open(PLACE, sealed) == b"secret"
    asked = len(services.asked)
    assert [await moved.open(PLACE, sealed) for _ in range(20)] == [b"secret"] * 20
    assert len(services.asked) == asked, "a key is unwrapped once a process"
    with pytest.raises(SettingsError, match=r"PREVIOUS_KEYS"):
        started(configured(key=KEYS[0]))
    outside = configured(key=KEYS[0], previous_keys=[f"{service.source}:{key_id}"])
    started(outside).rewrap()
    assert await started(configured(key=KEYS[0])).open(PLACE, sealed) == b"secret"


async def test_who_makes_a_key_does_not_wait_for_an_event_loop_that_lets_go_of_others(
    database: Database, configured: Callable[..., Settings]
) -> None:
    keyring = keyring_of(configured(key=KEYS[0]))
    async with database.transaction(all_tenants=True):  # on SQLite, whoever makes a key waits for its end
        making = asyncio.create_task(asyncio.to_thread(keyring.current, "acme"))
        while not (keyring._turns.is_taken("acme") or making.done()):  # noqa: ASYNC110 - a thread's doing
            await asyncio.sleep(0)
        await asyncio.to_thread(keyring.keep_of, ["acme"])
    assert await making is not None


async def test_a_key_service_that_hangs_holds_up_whom_it_keeps_from_their_keys_alone_and_is_asked_once_for_all_of_them(
    configured: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {tenant: Place(tenant, "messages", "payload", "msg_1") for tenant in ("acme", "beta", "gamma")}
    writing, keyring = started(configured(key=KEYS[0])), started(configured(key=KEYS[0]))
    sealed = {tenant: await writing.seal(place, b"secret") for tenant, place in places.items()}
    unwrap, asked, ends = keyring._wrapping.unwrap, [], threading.Event()

    def hanging(stored: StoredKey) -> bytes:
        asked.append(stored.tenant)
        if stored.tenant == "acme":
            ends.wait(60)
            raise keys_unavailable("elsewhere", "no answer")
        return unwrap(stored)

    monkeypatch.setattr(keyring._wrapping, "unwrap", hanging)
    waiting = [asyncio.create_task(keyring.open(places["acme"], sealed["acme"])) for _ in range(50)]
    sealing = asyncio.create_task(keyring.sealer("acme"))
    while "acme" not in asked:  # noqa: ASYNC110 - a thread's doing
        await asyncio.sleep(0)
    try:
        for tenant in ("beta", "gamma"):
            assert await asyncio.wait_for(keyring.open(places[tenant], sealed[tenant]), 30) == b"secret"
            assert await asyncio.wait_for(keyring.seal(places[tenant], b"more"), 30)
    finally:
        ends.set()
    answered = await asyncio.gather(*waiting, sealing, return_exceptions=True)
    assert {getattr(each, "code", None) for each in answered} == {"keys_unavailable"}
    assert asked.count("acme") == 1
    monkeypatch.setattr(keyring._wrapping, "unwrap", unwrap)
    assert await keyring.open(places["acme"], sealed["acme"]) == b"secret", "the service is back"


async def test_a_key_service_that_refuses_is_told_to_the_operator_and_once_it_answers_again(
    services: KeyServices, configured: Callable[..., Settings], told: list[Alert]
) -> None:
    key_id = f"genai-{secrets.token_hex(4)}"  # another test may have told of the same
    keyring = started(configured(source="vault_transit", key_id=key_id))
    services.status = 503
    for _ in range(2):
        with pytest.raises(Unavailable):
            await keyring.seal(PLACE, b"secret")
    services.status = None
    await keyring.seal(PLACE, b"secret")
    assert [(alert.kind, alert.key, alert.recovered) for alert in told] == [
        (AlertKind.KEYS_UNAVAILABLE, f"vault_transit:{key_id}", False),
        (AlertKind.KEYS_UNAVAILABLE, f"vault_transit:{key_id}", True),
    ]
