"""What the contract of stores does not say of pgvector."""

import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg.sql import SQL, Identifier

import infra.postgresql
from core.errors import Unavailable
from core.settings import Settings, SettingsError
from retrievers.base import Chunk, Shelf
from retrievers.filters import Compare, Operator, parse
from retrievers.stores import pgvector
from retrievers.stores.pgvector import PgvectorStore

SHELF = Shelf("acme", "col_a")


@pytest.fixture(scope="module")
def url(postgresql: Any) -> str:
    return infra.postgresql.database_of_platform(postgresql, f"vectors_{uuid.uuid4().hex}")


@pytest.fixture
def settings(url: str, tmp_path: Path) -> Settings:
    return Settings.load(data_dir=tmp_path, retrieval={"store": "pgvector", "pgvector_url": url}, database={"wait_s": 0.5})


@pytest.fixture
def store(settings: Settings) -> Iterator[PgvectorStore]:
    opened = PgvectorStore(settings)
    opened.delete_collection(SHELF)
    yield opened
    opened.close()


def chunk(number: int, **attributes: Any) -> Chunk:
    return Chunk(f"chk_{number:04}", "doc_a", "a.md", 1, "text", 0, 4, attributes=attributes)


@pytest.fixture
def filled(store: PgvectorStore) -> PgvectorStore:
    """Nine hundred near ones, of which some are odd, and a hundred far ones."""
    vectors = np.random.default_rng(2).normal(size=(1000, 8)).astype(np.float32)
    vectors[:, 0] = np.where(np.arange(1000) < 900, 3, -9)
    store.upsert(SHELF, [chunk(number, odd=number % 2 == 1, far=number >= 900) for number in range(1000)], vectors)
    return store


def test_many_that_pass_are_found_by_the_index_and_few_one_by_one(filled: PgvectorStore, monkeypatch: pytest.MonkeyPatch):
    asked = np.eye(8, dtype=np.float32)[0]
    wanted = filled.search(SHELF, asked, 20, parse({"odd": True}))
    assert all(chunk.attributes["odd"] for chunk, _ in wanted)
    monkeypatch.setattr(pgvector, "_COMPARED", 50)
    by_index = filled.search(SHELF, asked, 20, parse({"odd": True}))
    assert len({chunk.id for chunk, _ in by_index} & {chunk.id for chunk, _ in wanted}) >= 18
    assert [similarity for _, similarity in by_index] == sorted((s for _, s in by_index), reverse=True)


def test_what_the_index_gives_up_looking_for_is_found_all_the_same(
    filled: PgvectorStore, settings: Settings, postgresql: Any, url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pgvector, "_COMPARED", 50)
    database = url.partition("?")[0].rpartition("/")[2]
    postgresql.psql(f"ALTER DATABASE {database} SET hnsw.max_scan_tuples = 1;")
    filled.close()
    again = PgvectorStore(settings)
    found = again.search(SHELF, np.eye(8, dtype=np.float32)[0], 100, parse({"far": True}))
    assert {chunk.id for chunk, _ in found} == {f"chk_{number:04}" for number in range(900, 1000)}
    assert len(again.search(SHELF, np.eye(8, dtype=np.float32)[0], 950)) == 950
    again.close()
    postgresql.psql(f"ALTER DATABASE {database} RESET hnsw.max_scan_tuples;")


@pytest.mark.parametrize("dimension", [2000, 2001, 4001])
def test_a_model_of_any_dimension_has_its_table(store: PgvectorStore, url: str, dimension: int):
    """Indexed as it is, indexed in half precision, compared one by one."""
    vectors = np.random.default_rng(3).normal(size=(3, dimension)).astype(np.float32)
    store.upsert(SHELF, [chunk(number) for number in range(3)], vectors)
    found = store.search(SHELF, vectors[1], 3)
    assert found[0][0].id == "chk_0001"
    assert found[0][1] == pytest.approx(1.0, abs=1e-3)
    assert len(found) == 3
    assert store.scan(SHELF, "", 3)[1] == pytest.approx(vectors)
    with psycopg.connect(url) as connection:
        indexes = [row[0] for row in connection.execute("SELECT indexdef FROM pg_indexes WHERE indexdef LIKE '%hnsw%'")]
    assert [("halfvec" in definition) for definition in indexes] == {2000: [False], 2001: [True], 4001: []}[dimension]


def test_numbers_and_texts_come_back_as_they_were_given(store: PgvectorStore):
    held = {"a": 1e300, "b": 2**63 - 1, "c": 0.1, "d": -1e22, "e": 5e-324, "f": True, "g": "100% ü 😀", "h": 2.0, "i": -(2**62)}
    store.upsert(SHELF, [chunk(1, **held)], np.eye(8, dtype=np.float32)[:1])
    (found,) = store.get(SHELF, ["chk_0001"])
    assert found.attributes == held


def test_what_postgresql_cannot_keep_is_left_out_and_the_rest_kept(store: PgvectorStore):
    strange = Chunk("chk_1", "doc_a", "a.md", 1, "te\0xt", 0, 4, context="\ud800", attributes={"a\0": "b\0", "c": ["d"]})
    store.upsert(SHELF, [strange], np.eye(8, dtype=np.float32)[:1])
    (found,) = store.get(SHELF, ["chk_1"])
    assert (found.text, found.context, found.attributes) == ("text", "?", {"a": "b", "c": ["d"]})


def test_a_database_without_the_extension_is_told_what_is_missing(postgresql: Any, tmp_path: Path):
    url = infra.postgresql.database_of_platform(postgresql, "without_vector", template="template0")
    with pytest.raises(SettingsError, match="CREATE EXTENSION vector"):
        PgvectorStore(Settings.load(data_dir=tmp_path, database_url=url, retrieval={"store": "pgvector"}))


def test_it_needs_postgresql(tmp_path: Path):
    with pytest.raises(SettingsError, match="GENAI_DATABASE_URL"):
        PgvectorStore(Settings.load(data_dir=tmp_path, retrieval={"store": "pgvector"}))
    with pytest.raises(SettingsError, match="postgresql://"):
        Settings.load(data_dir=tmp_path, retrieval={"store": "pgvector", "pgvector_url": "sqlite:///x"})


def test_a_server_that_does_not_answer_is_unavailable(store: PgvectorStore, tmp_path: Path):
    store.close()
    with pytest.raises(Unavailable) as closed:
        store.ping()
    assert closed.value.code == "store_unavailable"
    nowhere = {"store": "pgvector", "pgvector_url": "postgresql://nobody@127.0.0.1:1/none"}
    with pytest.raises(Unavailable) as away:
        PgvectorStore(Settings.load(data_dir=tmp_path, retrieval=nowhere))
    assert away.value.code == "store_unavailable"


def test_a_table_takes_no_rows_of_another_tenant_whoever_writes_them(filled: PgvectorStore, url: str):
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT number FROM vector_shelves WHERE collection_id = %s", [SHELF.collection_id]).fetchone()
        assert row is not None
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(SQL("UPDATE {} SET tenant = 'globex'").format(Identifier(f"vectors_{row[0]}")))


def test_searches_and_writes_go_on_while_tables_are_written_anew(filled: PgvectorStore, settings: Settings):
    other = PgvectorStore(settings)
    asked, failures = np.eye(8, dtype=np.float32)[0], []
    assert other.count(SHELF) == 1000
    done = threading.Event()

    def use(number: int) -> None:
        while not done.is_set():
            try:
                assert len(other.search(SHELF, asked, 5, parse({"far": False}))) == 5
                other.upsert(SHELF, [chunk(5000 + number)], np.eye(8, dtype=np.float32)[:1])
                other.delete_where(SHELF, Compare("document_id", Operator.EQ, "doc_none"))
            except BaseException as error:  # noqa: BLE001 - told to the test's own thread
                failures.append(error)
                return

    users = [threading.Thread(target=use, args=(number,)) for number in range(3)]
    for user in users:
        user.start()
    for number in range(3):
        assert filled.delete_where(SHELF, Compare("odd", Operator.EQ, False) if number else parse({"far": True})) > 0  # type: ignore[arg-type]
        filled.upsert(SHELF, [chunk(4000, odd=False)], np.eye(8, dtype=np.float32)[:1])
        filled.scrub()
    done.set()
    for user in users:
        user.join()
    assert failures == []
    assert other.count(SHELF) == filled.count(SHELF) > 450
    filled.delete_collection(SHELF)
    assert other.count(SHELF) == 0
    other.close()
