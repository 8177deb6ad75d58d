"""Whose batches, and the files that they wrote, somebody sees: their own, and with a limited key no passages beyond it."""

from dataclasses import replace

import pytest

from core.batches import Batches
from core.database import Database
from core.errors import NotFound
from core.files import Files
from core.principals import ROLE_SCOPES, SEARCHING, Principal, Role, Scope
from core.settings import Settings
from core.stored_files import ASKS_COLLECTIONS, BATCH, BATCH_OUTPUT, StoredFiles
from core.tables import Batch

ADA = Principal("usr_ada", "default", "Ada", "developer", ROLE_SCOPES[Role.DEVELOPER], key_id="key_1")
FOR_PLANS = replace(ADA, key_id="key_2", collections=frozenset({"plans"}))
FOR_BOTH = replace(ADA, key_id="key_3", collections=frozenset({"plans", "notes"}))
WITHOUT_RAG = replace(ADA, key_id="key_4", scopes=ADA.scopes - SEARCHING)
MANAGER = replace(FOR_PLANS, id="usr_boss", scopes=ADA.scopes | {Scope.BATCHES_MANAGE})


@pytest.fixture
def files(database: Database, settings: Settings) -> StoredFiles:
    return StoredFiles(database, Files(settings, database.keyring))


async def written(database: Database, files: StoredFiles, maker: Principal, endpoint: str = ASKS_COLLECTIONS) -> Batch:
    """A batch of the maker's that has written its output."""
    given = await files.add(maker, b"?", name="in", purpose=BATCH, size=1)
    batch = await Batches(database).create(maker, endpoint=endpoint, input_file=given)
    output = await files.add(maker, b"!", name="out", purpose=BATCH_OUTPUT, size=1)
    async with database.transaction(maker.tenant) as session:
        batch.output_file_id = output.id
        session.add(batch)
    return batch


async def sees(database: Database, files: StoredFiles, reader: Principal, batch: Batch) -> bool:
    """Whether they see it; it and its output are then there in every way, or in none."""
    listed = batch.id in [row.id for row in (await Batches(database).page(reader, limit=10))[0]]
    among = batch.output_file_id in [row.id for row in (await files.page(reader, limit=10))[0]]
    assert listed == among
    if listed:
        await Batches(database).get(reader, batch.id)
        (await files.open(reader, batch.output_file_id or "")).close()
        return True
    with pytest.raises(NotFound):
        await Batches(database).get(reader, batch.id)
    with pytest.raises(NotFound):
        await Batches(database).cancel(reader, batch.id)
    with pytest.raises(NotFound):
        await Batches(database).of_job(reader, batch.job_id)
    with pytest.raises(NotFound):
        await files.open(reader, batch.output_file_id or "")
    return False


@pytest.mark.parametrize(
    ("maker", "reader", "seen"),
    [
        pytest.param(ADA, ADA, True, id="no limit"),
        pytest.param(ADA, FOR_PLANS, False, id="asked without a limit"),
        pytest.param(ADA, WITHOUT_RAG, False, id="may not ask"),
        pytest.param(FOR_PLANS, FOR_PLANS, True, id="its own"),
        pytest.param(FOR_PLANS, replace(FOR_PLANS, key_id="key_9"), True, id="of the key that it was rotated from"),
        pytest.param(FOR_PLANS, FOR_BOTH, True, id="of a narrower key"),
        pytest.param(FOR_BOTH, FOR_BOTH, True, id="of two"),
        pytest.param(FOR_BOTH, FOR_PLANS, False, id="of a wider key"),
        pytest.param(FOR_PLANS, ADA, True, id="of a limited key"),
        pytest.param(FOR_PLANS, MANAGER, True, id="somebody else's, of whom it manages"),
        pytest.param(ADA, MANAGER, False, id="somebody else's, beyond it"),
    ],
)
async def test_a_limited_key_sees_no_passages_that_it_could_not_ask_for(
    database: Database, files: StoredFiles, maker: Principal, reader: Principal, seen: bool
) -> None:
    assert await sees(database, files, reader, await written(database, files, maker)) == seen


async def test_what_asks_no_collection_is_its_owners_with_any_key(database: Database, files: StoredFiles) -> None:
    batch = await written(database, files, ADA, "/api/v1/chat")
    for reader in (FOR_PLANS, WITHOUT_RAG):
        assert await sees(database, files, reader, batch)
    assert not await sees(database, files, replace(ADA, id="usr_ben"), batch)
