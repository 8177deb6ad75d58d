"""Rotation while others read and write: everything is sealed anew, nothing fails, and what was cut short goes on."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import select
from structlog.testing import capture_logs

from chains.conversations import Conversations
from chains.messages import User
from core.database import Database, utc_now
from core.encryption import rotation
from core.encryption.envelope import Place, key_id_of, sealed_in_json
from core.encryption.rotation import Rotation
from core.encryption.sealed_columns import SEALED_COLUMNS
from core.errors import DecryptionFailed
from core.files import Files
from core.principals import SYSTEM
from core.provider_credentials import ProviderCredentials
from core.settings import Settings
from core.stored_files import BATCH, StoredFiles
from core.tables import (
    Batch,
    BatchRow,
    Collection,
    ConversationMessage,
    DataRequest,
    Document,
    IdempotencyRecord,
    Job,
    KeyRotation,
    StoredFile,
)

TENANT = SYSTEM.tenant


@pytest.fixture
async def again(database: Database, settings: Settings) -> AsyncIterator[Database]:
    """The same database as another process has it."""
    opened = Database(database._settings)
    yield opened
    await opened.close()


async def store_something_everywhere(database: Database, files: Files) -> None:
    keyring = database.keyring
    await Conversations(database).append(SYSTEM, "s", [User(content=f"message {number}") for number in range(5)])
    await ProviderCredentials(database).add(SYSTEM, provider="openai", name="ours", secrets={"api_key": "sk-1"})
    await StoredFiles(database, files).add(SYSTEM, b"requests", name="in.jsonl", purpose=BATCH, size=8)
    document = Document(
        collection_id="col_1", name="d", content_hash="", file_key="col_1/d/original", text_key="col_1/d/1/text"
    )
    await files.put(document.file_key, b"the original", tenant=TENANT)
    await files.put(document.text_key, b"the text", tenant=TENANT)
    export = DataRequest(
        id="data_1", job_id="job_1", kind="export", subject="u", subject_tenant=TENANT, file_key="exports/data_1"
    )
    await files.put(export.file_key, b"the export", tenant=TENANT)
    place = Place(TENANT, "idempotency_records", "body", "idem")
    record = IdempotencyRecord(
        id="idem", tenant=place.tenant, fingerprint="", expires_at=utc_now(), body=await keyring.seal(place, b"answer")
    )
    result = await keyring.seal(Place(TENANT, "batch_rows", "result", "batch_1/1"), b"line")
    async with database.transaction(all_tenants=True) as session:
        session.add(Collection(id="col_1", name="c"))
        session.add(Job(id="job_1", owner="o", kind="batch"))
        await session.flush()
        session.add_all([document, record, export])
        session.add(Batch(id="batch_1", owner="o", endpoint="/", job_id="job_1", input_file_id="f", expires_at=utc_now()))
        await session.flush()
        session.add(BatchRow(batch_id="batch_1", number=1, custom_id="a", position=0, length=1, result=result))
        session.add(BatchRow(batch_id="batch_1", number=2, custom_id="b", position=0, length=1))


async def key_ids(database: Database) -> set[bytes | None]:
    """What each stored value was sealed with."""
    found: set[bytes | None] = set()
    async with database.session(all_tenants=True) as session:
        for column in SEALED_COLUMNS:
            for row in (await (await session.connection()).execute(column.page(None, 1000))).all():
                value = row[-1]
                if value is not None:
                    data = sealed_in_json(value) if column.json else bytes(value)
                    if value != {}:  # no pseudonyms yet
                        found.add(None if data is None else key_id_of(data))
    return found


def file_key_ids(database: Database) -> list[bytes | None]:
    """What each file was sealed with."""
    stored = (path for path in database._settings.path("files").rglob("*") if path.is_file())
    return [key_id_of(path.read_bytes()) for path in stored]


async def read_everything(database: Database, files: Files) -> list[Any]:
    credentials = ProviderCredentials(database)
    async with database.session(all_tenants=True) as session:
        upload = (await session.exec(select(StoredFile))).one()
        record = (await session.exec(select(IdempotencyRecord))).one()
        row = (await session.exec(select(BatchRow).where(BatchRow.number == 1))).one()
    keyring = database.keyring
    return [
        [message.text() for message in await Conversations(database).history(SYSTEM, "s")],
        await credentials.secrets_of((await credentials.all(SYSTEM))[0]),
        await files.get(upload.key, tenant=TENANT),
        await files.get("col_1/d/original", tenant=TENANT),
        await files.get("col_1/d/1/text", tenant=TENANT),
        await files.get("exports/data_1", tenant=TENANT),
        await keyring.open(Place(TENANT, "idempotency_records", "body", "idem"), record.body or b""),
        await keyring.open(Place(TENANT, "batch_rows", "result", "batch_1/1"), row.result or b""),
    ]


EVERYTHING = [
    [f"message {number}" for number in range(5)],
    {"api_key": "sk-1"},
    b"requests",
    b"the original",
    b"the text",
    b"the export",
    b"answer",
    b"line",
]


async def test_everything_that_is_stored_is_sealed_anew_and_reads_as_before(
    database: Database, again: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "_ROWS_AT_ONCE", 2)
    files = Files(database._settings, database.keyring)
    await store_something_everywhere(database, files)
    before = await key_ids(database)
    done = await Rotation(database, files, settle_s=0).run()
    assert done.resealed == 5 + 1 + 1 + 1 + 1 + 4
    assert len(before) == len(await key_ids(database)) == 1
    assert not before & await key_ids(database)
    assert file_key_ids(database) == [*await key_ids(database)] * 4
    assert await read_everything(database, files) == EVERYTHING
    assert await read_everything(again, Files(again._settings, again.keyring)) == EVERYTHING


async def test_what_was_stored_before_encryption_was_on_is_read_and_then_sealed(database: Database, settings: Settings) -> None:
    plain = Settings.load(**database._settings.model_dump(include={"data_dir", "database_url"}), encryption={"source": "off"})
    off = Database(plain)
    await store_something_everywhere(off, Files(plain, off.keyring))
    assert await key_ids(off) == {None}
    files = Files(database._settings, database.keyring)
    assert await read_everything(database, files) == EVERYTHING
    await Rotation(database, files, settle_s=0).run()
    sealed = await key_ids(database) - {None}  # an answer that is kept for a day stays as it is for that day
    assert len(sealed) == 1
    assert await read_everything(database, files) == EVERYTHING
    off = Database(plain)
    await Rotation(off, Files(plain, off.keyring), settle_s=0).run()
    assert await key_ids(off) == {None}
    assert file_key_ids(off) == [None] * 4
    assert await read_everything(off, Files(plain, off.keyring)) == EVERYTHING
    await off.close()


async def test_a_rotation_that_was_cut_short_goes_on_with_the_same_keys(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = Files(database._settings, database.keyring)
    await store_something_everywhere(database, files)
    path = database._settings.path("files", "col_1", "d", "original")
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DecryptionFailed):
        await Rotation(database, files, settle_s=0).run()
    halfway = await key_ids(database)
    path.write_bytes(content)
    await Rotation(database, files, settle_s=0).run()
    assert await key_ids(database) == halfway
    assert await read_everything(database, files) == EVERYTHING
    async with database.session(all_tenants=True) as session:
        state = (await session.exec(select(KeyRotation))).one()
    assert state.finished_at is not None


async def test_no_read_and_no_write_fails_while_keys_are_rotated_by_another_process(
    database: Database, again: Database
) -> None:
    files = Files(database._settings, database.keyring)
    conversations, done = Conversations(database), asyncio.Event()
    await files.put("col_1/d/original", b"x" * 100_000, tenant=TENANT)

    async def use(number: int) -> int:
        said = 0
        while not done.is_set() or said < 2:
            await conversations.append(SYSTEM, f"s{number}", [User(content=f"{said}")])
            said += 1
            history = await conversations.history(SYSTEM, f"s{number}", newest=1000)
            assert [message.text() for message in history] == [str(place) for place in range(said)]
            await files.put(f"col_1/d/{number}", str(said).encode(), tenant=TENANT)
            assert await files.get(f"col_1/d/{number}", tenant=TENANT) == str(said).encode()
            assert await files.get("col_1/d/original", tenant=TENANT) == b"x" * 100_000
        return said

    async def rotate() -> None:
        try:
            for _ in range(2):
                await Rotation(again, Files(again._settings, again.keyring), settle_s=0).run()
        finally:
            done.set()

    said, _ = await asyncio.gather(asyncio.gather(*(use(number) for number in range(3))), rotate())
    assert all(said)


async def test_messages_that_were_swapped_in_the_database_are_refused(database: Database) -> None:
    conversations = Conversations(database)
    await conversations.append(SYSTEM, "one", [User(content="mine")])
    await conversations.append(SYSTEM, "two", [User(content="yours")])
    async with database.transaction(all_tenants=True) as session:
        first, second = (await session.exec(select(ConversationMessage))).all()
        first.payload, second.payload = second.payload, first.payload
    for name in ("one", "two"):
        with pytest.raises(DecryptionFailed):
            await conversations.history(SYSTEM, name)
        with pytest.raises(DecryptionFailed):
            await conversations.read(SYSTEM, name)


@pytest.mark.parametrize("put", ['"hello"', "[1]", "7", '{"role": 7}', "{}"])
async def test_what_is_no_message_and_was_never_sealed_is_refused_and_not_sealed(database: Database, put: str) -> None:
    conversations = Conversations(database)
    await conversations.append(SYSTEM, "one", [User(content="mine")])
    await overwrite(database, "conversation_messages", "payload", put)
    await refused_by_all(database, "conversation_messages.payload", conversations.history(SYSTEM, "one"))


@pytest.mark.parametrize(
    "put", ['{"values": 7}', '{"values": {"Ann": "Bea"}}', '{"said": "x"}', '{"given": [1]}', "[]", '{"a": {}}']
)
async def test_what_are_no_pseudonyms_and_was_never_sealed_is_refused_and_not_sealed(database: Database, put: str) -> None:
    conversations = Conversations(database)
    await conversations.append(SYSTEM, "one", [User(content="mine")])
    await overwrite(database, "conversations", "privacy", put)
    await refused_by_all(database, "conversations.privacy", conversations.privacy(SYSTEM, "one"))


@pytest.mark.parametrize("put", ['{"api_key": 7}', '"sk-1"', "[]"])
async def test_what_are_no_secrets_and_was_never_sealed_is_refused_and_not_sealed(database: Database, put: str) -> None:
    credentials = ProviderCredentials(database)
    await credentials.add(SYSTEM, provider="openai", name="ours", secrets={"api_key": "sk-1"})
    await overwrite(database, "provider_credentials", "secrets", put)
    [row] = await credentials.all(SYSTEM)
    await refused_by_all(database, "provider_credentials.secrets", credentials.secrets_of(row))


async def test_a_message_that_is_none_but_was_sealed_is_refused_too(database: Database) -> None:
    conversations = Conversations(database)
    await conversations.append(SYSTEM, "one", [User(content="mine")])
    await overwrite(database, "conversation_messages", "payload", '{"role": "user", "content": {"secret": 1}}')
    for _ in range(2):
        with pytest.raises(DecryptionFailed):
            await conversations.history(SYSTEM, "one")
        with capture_logs() as told:
            await Rotation(database, Files(database._settings, database.keyring), settle_s=0).run()
    assert "secret" not in str(told)


async def test_a_rotation_tells_how_much_was_in_the_clear(database: Database) -> None:
    conversations, files = Conversations(database), Files(database._settings, database.keyring)
    await conversations.append(SYSTEM, "one", [User(content="mine"), User(content="yours")])
    await overwrite(database, "conversation_messages", "payload", '{"role": "user", "content": "theirs"}')
    found = []
    for _ in range(2):
        with capture_logs() as told:
            await Rotation(database, files, settle_s=0).run()
        found.append([(line["column"], line["values"]) for line in told if line["event"] == "encryption.was_in_the_clear"])
    assert found == [[("conversation_messages.payload", 2)], []]
    assert [message.text() for message in await conversations.history(SYSTEM, "one")] == ["theirs"] * 2


async def overwrite(database: Database, table: str, column: str, value: str) -> None:
    """As somebody does who can write to the database."""
    async with database.transaction(all_tenants=True) as session:
        connection = await session.connection()
        await connection.exec_driver_sql(f"UPDATE {table} SET {column} = '{value}'")


async def refused_by_all(database: Database, column: str, reading: Coroutine[Any, Any, Any]) -> None:
    with pytest.raises(DecryptionFailed):
        await reading
    with capture_logs() as told, pytest.raises(DecryptionFailed):
        await Rotation(database, Files(database._settings, database.keyring), settle_s=0).run()
    assert [line["column"] for line in told if line["event"] == "encryption.not_opened"] == [column]


async def test_a_conversation_that_was_given_to_another_tenant_is_refused(database: Database) -> None:
    from dataclasses import replace

    conversations, other = Conversations(database), replace(SYSTEM, tenant="evil")
    await conversations.append(SYSTEM, "one", [User(content="mine")])
    async with database.transaction(all_tenants=True) as session:
        await (await session.connection()).execute(text("UPDATE conversations SET tenant = 'evil'"))
    with pytest.raises(DecryptionFailed):
        await conversations.history(other, "one")
