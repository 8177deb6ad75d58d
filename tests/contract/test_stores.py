"""What every vector store promises, held for each one in the table: each sentence of `retrievers.base.VectorStore`."""

import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings

import infra.postgresql
from core.errors import Conflict, Unavailable
from core.settings import Settings
from retrievers import STORES
from retrievers.base import Chunk, FindsIds, KeepsStretches, KeepsVectors, Shelf, VectorStore
from retrievers.filters import Compare, Operator, matches, parse
from tests.fakes import pinecone, weaviate
from tests.retrievers.filtering import FILTERS, chunks

COLLECTION = Shelf("acme", "col_contract")
OTHER = Shelf("acme", "col_other")
FULL = Shelf("acme", "col_full")
AXES = np.eye(8, dtype=np.float32)
#: The setting, and the fixture, that says where a store's server is.
_SERVERS = {"chroma_server": "chroma_url", "qdrant_server": "qdrant_url"}


def chunk(number: int, document: str = "doc_a", revision: int = 1, **attributes: Any) -> Chunk:
    return Chunk(
        id=f"chk_{document}_{revision}_{number}",
        document_id=document,
        document=f"{document}.md",
        revision=revision,
        text=f"Text {number} ✓ with “quotes”\nand lines",
        start=number * 10,
        end=number * 10 + 5,
        page=number or None,
        context="Guide › Part",
        attributes=attributes,
    )


@pytest.fixture(scope="module")
def vectors_url(postgresql: Any) -> str:
    return infra.postgresql.database_of_platform(postgresql, f"vectors_{uuid.uuid4().hex}")


@pytest.fixture(scope="module")
def weaviate_server() -> Iterator[dict[str, Any]]:
    with weaviate.serving(weaviate.WeaviateFake(key="wvkey")) as named:
        yield {**named, "weaviate_api_key": "wvkey"}


@pytest.fixture(scope="module")
def pinecone_server() -> Iterator[dict[str, Any]]:
    with pinecone.serving(pinecone.PineconeFake()) as named:
        yield named


def prepared(kind: str, place: Path, request: pytest.FixtureRequest) -> Settings:
    """Settings with which the store can be opened."""
    more = {} if kind != "pgvector" else {"database_url": request.getfixturevalue("vectors_url")}
    where = {} if kind not in _SERVERS else {_SERVERS[kind]: request.getfixturevalue(_SERVERS[kind])}
    hosted = request.getfixturevalue(f"{kind}_server") if kind in ("weaviate", "pinecone") else {}
    return Settings.load(data_dir=place, retrieval={"store": kind, **where, **hosted}, **more)


def opened(settings: Settings) -> VectorStore:
    made: VectorStore = STORES.load(settings.retrieval.store)(settings)
    return made


@pytest.fixture(scope="module")
def qdrant_place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("qdrant")


@pytest.fixture(params=list(STORES))
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    # one place for all tests, as with the servers: making it takes Qdrant most of a second
    place = request.getfixturevalue("qdrant_place") if request.param == "qdrant" else tmp_path / "data"
    return prepared(request.param, place, request)


@pytest.fixture
def store(settings: Settings) -> Iterator[VectorStore]:
    made = opened(settings)
    yield made
    try:
        made.ping()
    except Unavailable:  # the test has closed its own, and the database is the next one's
        made = opened(settings)
    made.delete_collection(COLLECTION)
    made.delete_collection(OTHER)
    made.close()


@pytest.fixture(scope="module", params=list(STORES))
def full(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VectorStore]:
    """With chunks of every kind, and others on the next shelf."""
    made = opened(prepared(request.param, tmp_path_factory.mktemp("full"), request))
    made.upsert(FULL, chunks(), np.random.default_rng(5).normal(size=(60, 8)).astype(np.float32))
    made.upsert(Shelf("acme", "col_full_too"), [chunk(1, kind="a")], AXES[:1])
    yield made
    made.close()


def test_what_goes_in_comes_out_nearest_first(store: VectorStore):
    chunks = [chunk(0, tags="x", year=2024), chunk(1), chunk(2)]
    store.upsert(COLLECTION, chunks, np.stack([AXES[0], (AXES[0] + AXES[1]) / np.sqrt(2), AXES[2]]).astype(np.float32))
    found = store.search(COLLECTION, AXES[0], 2)
    assert [one for one, _ in found] == chunks[:2]
    assert [round(similarity, 3) for _, similarity in found] == [1.0, 0.707]


def test_an_upsert_replaces_by_id_and_may_be_repeated(store: VectorStore):
    for vector in (AXES[0], AXES[1], AXES[1]):
        store.upsert(COLLECTION, [chunk(0)], vector[None])
    assert store.count(COLLECTION) == 1
    assert store.search(COLLECTION, AXES[1], 1)[0][1] == pytest.approx(1.0, abs=1e-3)


def test_vectors_and_stretches_come_back(store: VectorStore):
    assert isinstance(store, KeepsVectors)
    assert isinstance(store, KeepsStretches)
    chunks = [chunk(number) for number in range(4)]
    others = [chunk(1, revision=2), chunk(1, "doc_b")]
    store.upsert(COLLECTION, [*chunks, *others], AXES[:6])
    vectors = store.vectors(COLLECTION, [chunks[2].id, "chk_unknown", chunks[0].id])
    assert {one: vector.argmax() for one, vector in vectors.items()} == {chunks[2].id: 2, chunks[0].id: 0}
    found = store.stretch(COLLECTION, "doc_a", 1, 10, 30)
    assert sorted(found, key=lambda one: one.start) == chunks[1:3]
    for shelf in (OTHER, Shelf("other-tenant", COLLECTION.collection_id)):
        assert store.vectors(shelf, [chunks[0].id]) == {}
        assert store.stretch(shelf, "doc_a", 1, 0, 100) == []


def test_a_filter_holds_for_every_result(store: VectorStore):
    chunks = [
        chunk(1, "doc_a", lang="en", year=2024, draft=True),
        chunk(2, "doc_b", lang="de", year=2024, draft=False),
        chunk(3, "doc_c"),
    ]
    store.upsert(COLLECTION, chunks, AXES[:3])

    def ids(**filter: Any) -> set[str]:
        return {one.document_id for one, _ in store.search(COLLECTION, AXES[0], 10, parse(filter))}

    assert ids(lang="en") == {"doc_a"}
    assert ids(year=2024) == {"doc_a", "doc_b"}
    assert ids(year=2024, draft=False) == {"doc_b"}
    assert ids(document="doc_c.md") == {"doc_c"}
    assert ids(document_id="doc_a", page=1) == {"doc_a"}
    assert ids(lang="fr") == ids(unknown=1) == ids(year="2024") == set()


def test_an_attribute_cannot_pass_for_a_field_of_ours(store: VectorStore):
    store.upsert(COLLECTION, [chunk(1, "doc_a", document_id="doc_b", context="mine")], AXES[:1])
    (found,) = store.get(COLLECTION, ["chk_doc_a_1_1"])
    assert (found.document_id, found.context) == ("doc_a", "Guide › Part")
    assert store.count(COLLECTION, "doc_b") == 0


def test_deleting_a_document_leaves_others_and_the_kept_revision(store: VectorStore):
    chunks = [chunk(1), chunk(2), chunk(1, revision=2), chunk(1, "doc_b")]
    store.upsert(COLLECTION, chunks, AXES[:4])
    store.delete_document(COLLECTION, "doc_a", keep_revision=2)
    assert (store.count(COLLECTION, "doc_a"), store.count(COLLECTION)) == (1, 2)
    store.delete_document(COLLECTION, "doc_a")
    store.delete_document(COLLECTION, "doc_a")
    assert [one.document_id for one, _ in store.search(COLLECTION, AXES[0], 9)] == ["doc_b"]


def test_collections_do_not_see_each_other(store: VectorStore):
    store.upsert(COLLECTION, [chunk(1)], AXES[:1])
    store.upsert(OTHER, [chunk(2)], AXES[:1])
    assert [one.id for one, _ in store.search(OTHER, AXES[0], 9)] == ["chk_doc_a_1_2"]
    assert store.get(OTHER, ["chk_doc_a_1_1"]) == []
    store.delete_collection(OTHER)
    store.delete_collection(OTHER)
    assert (store.count(OTHER), store.count(COLLECTION)) == (0, 1)
    store.upsert(OTHER, [chunk(3)], AXES[:1])
    assert store.count(OTHER) == 1


def test_an_unknown_collection_is_empty(store: VectorStore):
    assert store.search(COLLECTION, AXES[0], 5) == []
    assert store.get(COLLECTION, ["chk_x"]) == []
    assert store.similarities(COLLECTION, AXES[0], ["chk_x"]) == {}
    assert store.count(COLLECTION) == 0
    store.delete_document(COLLECTION, "doc_a")


def test_chunks_are_given_in_the_order_asked_for_with_their_similarities(store: VectorStore):
    store.upsert(COLLECTION, [chunk(n) for n in range(4)], AXES[:4])
    ids = ["chk_doc_a_1_3", "chk_gone", "chk_doc_a_1_0"]
    assert [one.id for one in store.get(COLLECTION, ids)] == [ids[0], ids[2]]
    similarities = store.similarities(COLLECTION, AXES[3], ids)
    assert similarities == pytest.approx({ids[0]: 1.0, ids[2]: 0.0}, abs=1e-3)


def test_it_is_still_there_after_closing(store: VectorStore, settings: Settings):
    store.upsert(COLLECTION, [chunk(1)], AXES[:1])
    store.close()
    again = type(store)(settings)
    try:
        assert again.search(COLLECTION, AXES[0], 1)[0][0] == chunk(1)
    finally:
        again.close()


def test_a_store_that_is_not_shareable_refuses_a_second_opener(store: VectorStore, settings: Settings):
    if store.shareable:
        type(store)(settings).close()
        return
    with pytest.raises(Conflict) as refused:
        type(store)(settings)
    assert refused.value.code == "store_not_shareable"


def test_searches_while_writing_are_never_wrong(store: VectorStore):
    store.upsert(COLLECTION, [chunk(0, "doc_fixed")], AXES[:1])
    failures: list[object] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                found = store.search(COLLECTION, AXES[0], 3)
                if not found or found[0][0].document_id != "doc_fixed":
                    failures.append(found)
            except Exception as error:  # noqa: BLE001 - told to the test's own thread
                failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    generator = np.random.default_rng(3)
    for number in range(8):
        vectors = generator.normal(size=(40, 8)).astype(np.float32)
        vectors[:, 0] = -1
        store.upsert(COLLECTION, [chunk(n, f"doc_{number}") for n in range(40)], vectors)
        if number % 3 == 2:
            store.delete_document(COLLECTION, f"doc_{number - 1}")
    done.set()
    for reader in readers:
        reader.join()
    assert failures == []
    assert store.count(COLLECTION) == 1 + 6 * 40


def test_ids_are_found_as_their_chunks_are(store: VectorStore):
    vectors = np.random.default_rng(3).normal(size=(60, 8)).astype(np.float32)
    store.upsert(COLLECTION, chunks(), vectors)
    if isinstance(store, FindsIds):
        for limit in (0, 1, 10, 100):
            wanted = [(one.id, pytest.approx(near)) for one, near in store.search(COLLECTION, vectors[7], limit)]
            assert store.nearest(COLLECTION, vectors[7], limit) == wanted
        assert store.nearest(Shelf("acme", "col_unknown"), vectors[7], 5) == []


def test_it_answers_a_ping(store: VectorStore):
    store.ping()


def test_a_shelf_of_another_tenant_is_not_read_filled_or_cleared(store: VectorStore):
    """Even where somebody else's collection has the same identifier, and whatever the filter says."""
    foreign = Shelf("globex", COLLECTION.collection_id)
    store.upsert(COLLECTION, [chunk(1, tenant="globex")], AXES[:1])
    with pytest.raises(ValueError, match="another tenant"):
        store.upsert(foreign, [chunk(1)], AXES[:1])
    for filter in (None, {"tenant": "acme"}, {"tenant": "globex"}, {"document_id": "doc_a"}):
        assert store.search(foreign, AXES[0], 9, parse(filter)) == []
        assert not isinstance(store, FindsIds) or store.nearest(foreign, AXES[0], 9, parse(filter)) == []
    assert store.get(foreign, ["chk_doc_a_1_1"]) == []
    assert store.similarities(foreign, AXES[0], ["chk_doc_a_1_1"]) == {}
    assert store.count(foreign) == store.count(foreign, "doc_a") == 0
    assert store.scan(foreign, "", 9)[0] == []
    assert store.delete_where(foreign, Compare("document_id", Operator.EQ, "doc_a")) == 0
    store.delete_document(foreign, "doc_a")
    store.delete_collection(foreign)
    assert [found for found, _ in store.search(COLLECTION, AXES[0], 9, parse({"tenant": "globex"}))] == [
        chunk(1, tenant="globex")
    ]
    assert store.search(COLLECTION, AXES[0], 9, parse({"tenant": "acme"})) == []


def test_whose_a_shelf_is_survives_a_restart(store: VectorStore, settings: Settings):
    store.upsert(COLLECTION, [chunk(1)], AXES[:1])
    store.close()
    second = opened(settings)
    assert second.count(Shelf("globex", COLLECTION.collection_id)) == 0
    assert second.count(COLLECTION) == 1
    second.close()


@pytest.mark.parametrize("settings", ["chroma"], indirect=True)
def test_a_collection_of_before_chunks_said_whose_they_are_goes_on_as_its_tenants(settings: Settings):
    import chromadb
    from chromadb.config import Settings as ChromaSettings

    place = settings.path("chroma")
    old: Any = chromadb.PersistentClient(path=place, settings=ChromaSettings(anonymized_telemetry=False))
    metadata = {
        "document_id": "doc_a",
        "document": "a.md",
        "revision": 1,
        "start": 0,
        "end": 4,
        "context": "",
        "attributes": "{}",
    }
    made = old.create_collection(COLLECTION.collection_id, embedding_function=None, configuration={"hnsw": {"space": "cosine"}})
    made.upsert(ids=["chk_1"], embeddings=AXES[:1], documents=["text"], metadatas=[metadata])
    old.close()
    store = opened(settings)
    assert [found.id for found, _ in store.search(COLLECTION, AXES[0], 3)] == ["chk_1"]
    store.upsert(COLLECTION, [chunk(2)], AXES[1:2])
    assert store.count(COLLECTION) == 2
    assert store.search(Shelf("globex", COLLECTION.collection_id), AXES[0], 3) == []
    store.close()


def test_after_scrubbing_nothing_of_what_was_deleted_is_in_the_files(
    store: VectorStore, settings: Settings, request: pytest.FixtureRequest
):
    directory = settings.data_dir
    if settings.retrieval.store in {*_SERVERS, "weaviate", "pinecone"}:
        pytest.skip("the files are those of who runs the server")
    if settings.retrieval.store == "pgvector":
        with psycopg.connect(request.getfixturevalue("vectors_url")) as connection:
            number = connection.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone()
        directory = request.getfixturevalue("postgresql").pgdata / "base" / str(number and number[0])

    def holding(word: bytes) -> list[str]:
        if settings.retrieval.store == "pgvector":
            request.getfixturevalue("postgresql").psql("CHECKPOINT;")
        return [str(file) for file in directory.rglob("*") if file.is_file() and word in file.read_bytes()]

    store.upsert(COLLECTION, [chunk(number, "doc_secret", of="zqdeleted") for number in range(20)], np.resize(AXES, (20, 8)))
    store.upsert(OTHER, [chunk(1, "doc_kept", of="zqstays"), chunk(2, "doc_gone", of="zqgone")], AXES[:2])
    store.upsert(OTHER, [chunk(number, "doc_kept", of="zqstays") for number in range(3, 60)], np.resize(AXES[1:], (57, 8)))
    assert holding(b"zqdeleted")
    assert holding(b"zqgone")
    store.delete_collection(COLLECTION)
    store.delete_document(OTHER, "doc_gone")
    store.scrub()
    assert holding(b"zqdeleted") == holding(b"doc_secret") == holding(b"zqgone") == []
    assert store.count(OTHER) == 58
    assert store.search(OTHER, AXES[0], 1)[0][0].attributes == {"of": "zqstays"}
    store.upsert(COLLECTION, [chunk(0)], AXES[:1])
    store.delete_document(OTHER, "doc_kept")
    store.upsert(OTHER, [chunk(1)], AXES[:1])
    store.scrub()
    assert (store.count(COLLECTION), store.count(OTHER)) == (1, 1)


@hypothesis_settings(max_examples=150, deadline=None)
@given(written=FILTERS)
def test_every_filter_finds_what_its_meaning_says(full: VectorStore, written: dict[str, Any]):
    filter = parse(written)
    passing = {one.id for one in chunks() if matches(filter, one)}
    found = full.search(FULL, AXES[0], 100, filter)
    assert {one.id for one, _ in found} == passing
    assert len(found) == len(passing)
    assert [similarity for _, similarity in found] == sorted((similarity for _, similarity in found), reverse=True)
    if isinstance(full, FindsIds):
        assert dict(full.nearest(FULL, AXES[0], 100, filter)) == pytest.approx({one.id: near for one, near in found})


def test_a_filter_that_lets_little_pass_loses_nothing_of_it(store: VectorStore):
    """What passes is the farthest of many; whether the store can say the filter itself or not."""
    generator = np.random.default_rng(11)
    vectors = generator.normal(size=(1500, 8)).astype(np.float32)
    vectors[:, 0] = np.abs(vectors[:, 0])
    vectors[1490:, 0] = -5
    of = [chunk(number, kind="far away" if number >= 1490 else "near", rank=number) for number in range(1500)]
    store.upsert(COLLECTION, of, vectors)
    far = {one.id for one in of[1490:]}
    for written in ({"kind": "far away"}, {"kind": {"contains": "away"}}, {"rank": {"gte": 1490}}, {"not": {"kind": "near"}}):
        found = store.search(COLLECTION, AXES[0], 100, parse(written))
        assert {one.id for one, _ in found} == far, written
    near = store.search(COLLECTION, AXES[0], 100, parse({"kind": {"contains": "nea"}}))
    assert len(near) == 100
    assert {one.attributes["kind"] for one, _ in near} == {"near"}
    assert len(store.search(COLLECTION, AXES[0], 1400)) == 1400


def test_what_a_filter_lets_pass_is_deleted(store: VectorStore):
    store.upsert(COLLECTION, chunks(), np.random.default_rng(5).normal(size=(60, 8)).astype(np.float32))
    store.upsert(OTHER, [chunk(1, kind="a")], AXES[:1])
    for written in ({"document": "a.md"}, {"not": {"kind": {"exists": True}}}, {"page": {"lt": 2}}, {"kind": "nothing has it"}):
        filter = parse(written)
        assert filter is not None
        before = {one.id for one, _ in store.search(COLLECTION, AXES[0], 100)}
        passing = {one.id for one in chunks() if matches(filter, one)} & before
        assert store.delete_where(COLLECTION, filter) == len(passing)
        assert {one.id for one, _ in store.search(COLLECTION, AXES[0], 100)} == before - passing
        assert store.count(COLLECTION) == len(before - passing)
    assert store.count(OTHER) == 1
    assert store.delete_where(Shelf("acme", "col_unknown"), Compare("kind", Operator.EQ, "a")) == 0


def test_a_scan_gives_every_chunk_once_with_its_vector_in_the_order_of_identifiers(store: VectorStore):
    vectors = np.random.default_rng(5).normal(size=(60, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    shuffled = np.random.default_rng(6).permutation(60)
    store.upsert(COLLECTION, [chunks()[number] for number in shuffled], vectors[shuffled])
    store.upsert(OTHER, [chunk(1)], AXES[:1])
    seen: list[Chunk] = []
    after = ""
    while True:
        some, their = store.scan(COLLECTION, after, 25)
        assert their.shape[:1] == (len(some),)
        for one, vector in zip(some, their, strict=True):
            wanted = AXES[0] if one.document_id == "doc_meanwhile" else vectors[int(one.id.removeprefix("chk_"))]
            assert vector == pytest.approx(wanted, abs=1e-6)
        seen += some
        if len(some) < 25:
            break
        after = some[-1].id
        store.upsert(COLLECTION, [chunk(9, "doc_meanwhile")], AXES[:1])  # disturbs nothing
    assert [one for one in seen if one.document_id != "doc_meanwhile"] == chunks()
    assert [one.id for one in seen] == sorted(one.id for one in seen)
    assert store.scan(COLLECTION, "zzz", 5)[0] == store.scan(Shelf("acme", "col_unknown"), "", 5)[0] == []


def test_vectors_of_another_dimension_are_told_and_change_nothing(store: VectorStore):
    store.upsert(COLLECTION, [chunk(1)], AXES[:1])
    other = np.eye(4, dtype=np.float32)
    for call in (
        lambda: store.upsert(COLLECTION, [chunk(2)], other[:1]),
        lambda: store.search(COLLECTION, other[0], 3),
        lambda: store.similarities(COLLECTION, other[0], ["chk_doc_a_1_1"]),
    ):
        with pytest.raises(Conflict) as refused:
            call()
        assert refused.value.code == "embedding_changed"
    assert store.count(COLLECTION) == 1
    store.upsert(OTHER, [chunk(2)], other[:1])
    assert store.search(OTHER, other[0], 3)[0][1] == pytest.approx(1.0, abs=1e-3)


def test_chunks_and_vectors_that_do_not_belong_together_are_refused(store: VectorStore):
    with pytest.raises(ValueError, match="1 chunks with 2 vectors"):
        store.upsert(COLLECTION, [chunk(1)], AXES[:2])
    store.upsert(COLLECTION, [], AXES[:0])
    assert store.count(COLLECTION) == 0


def test_writers_of_the_same_chunks_do_not_hinder_each_other(store: VectorStore):
    failures: list[BaseException] = []
    of = [chunk(number) for number in range(50)]

    def write(turned: bool) -> None:
        try:
            for _ in range(4):
                store.upsert(COLLECTION, of[::-1] if turned else of, np.resize(AXES, (50, 8)))
                store.delete_document(COLLECTION, "doc_a", keep_revision=1)
        except BaseException as error:  # noqa: BLE001 - told to the test's own thread
            failures.append(error)

    writers = [threading.Thread(target=write, args=(turned,)) for turned in (True, False, True)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert failures == []
    assert store.count(COLLECTION) == 50


def test_what_one_opener_of_a_shared_store_writes_the_other_finds(store: VectorStore, settings: Settings):
    if not store.shareable:
        pytest.skip("one process has it")
    other = opened(settings)
    store.upsert(COLLECTION, [chunk(1)], AXES[:1])
    assert other.count(COLLECTION) == 1
    other.delete_collection(COLLECTION)
    assert store.count(COLLECTION) == 0
    other.upsert(COLLECTION, [chunk(2), chunk(3)], np.eye(4, dtype=np.float32)[:2])
    assert store.search(COLLECTION, np.eye(4, dtype=np.float32)[0], 1)[0][0] == chunk(2)
    other.delete_collection(COLLECTION)
    store.upsert(COLLECTION, [chunk(4)], AXES[:1])
    assert [one.id for one, _ in other.search(COLLECTION, AXES[0], 5)] == ["chk_doc_a_1_4"]
    other.close()
