"""What every vector store promises, held for each one in the table."""

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from core.errors import Conflict
from core.settings import Settings
from retrievers import STORES
from retrievers.base import Chunk, Shelf, VectorStore

COLLECTION = Shelf("acme", "col_contract")
OTHER = Shelf("acme", "col_other")
AXES = np.eye(8, dtype=np.float32)


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


@pytest.fixture(params=list(STORES))
def store(request: pytest.FixtureRequest, settings: Settings) -> Iterator[VectorStore]:
    opened: VectorStore = STORES.load(request.param)(settings)
    yield opened
    opened.close()


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


def test_a_filter_holds_for_every_result(store: VectorStore):
    chunks = [
        chunk(1, "doc_a", lang="en", year=2024, draft=True),
        chunk(2, "doc_b", lang="de", year=2024, draft=False),
        chunk(3, "doc_c"),
    ]
    store.upsert(COLLECTION, chunks, AXES[:3])

    def ids(**filter: Any) -> set[str]:
        return {one.document_id for one, _ in store.search(COLLECTION, AXES[0], 10, filter)}

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


def test_it_answers_a_ping(store: VectorStore):
    store.ping()


def test_a_shelf_of_another_tenant_is_not_read_filled_or_cleared(store: VectorStore):
    """Even where somebody else's collection has the same identifier, and whatever the filter says."""
    foreign = Shelf("globex", COLLECTION.collection_id)
    store.upsert(COLLECTION, [chunk(1, tenant="globex")], AXES[:1])
    with pytest.raises(ValueError, match="another tenant"):
        store.upsert(foreign, [chunk(1)], AXES[:1])
    for filter in (None, {"tenant": "acme"}, {"tenant": "globex"}, {"document_id": "doc_a"}):
        assert store.search(foreign, AXES[0], 9, filter) == []
    assert store.get(foreign, ["chk_doc_a_1_1"]) == []
    assert store.similarities(foreign, AXES[0], ["chk_doc_a_1_1"]) == {}
    assert store.count(foreign) == store.count(foreign, "doc_a") == 0
    store.delete_document(foreign, "doc_a")
    store.delete_collection(foreign)
    assert [found for found, _ in store.search(COLLECTION, AXES[0], 9, {"tenant": "globex"})] == [chunk(1, tenant="globex")]
    assert store.search(COLLECTION, AXES[0], 9, {"tenant": "acme"}) == []


def test_whose_a_shelf_is_survives_a_restart(settings: Settings):
    for name in STORES:
        first: Any = STORES.load(name)(settings)
        first.upsert(COLLECTION, [chunk(1)], AXES[:1])
        first.close()
        second: Any = STORES.load(name)(settings)
        assert second.count(Shelf("globex", COLLECTION.collection_id)) == 0
        assert second.count(COLLECTION) == 1
        second.close()


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
    store: Any = STORES.load("chroma")(settings)
    assert [found.id for found, _ in store.search(COLLECTION, AXES[0], 3)] == ["chk_1"]
    store.upsert(COLLECTION, [chunk(2)], AXES[1:2])
    assert store.count(COLLECTION) == 2
    assert store.search(Shelf("globex", COLLECTION.collection_id), AXES[0], 3) == []
    store.close()


def test_after_scrubbing_nothing_of_what_was_deleted_is_in_the_files(store: VectorStore, settings: Settings):
    def holding(word: bytes) -> list[str]:
        return [str(file) for file in settings.data_dir.rglob("*") if file.is_file() and word in file.read_bytes()]

    store.upsert(COLLECTION, [chunk(number, "doc_secret", of="zqdeleted") for number in range(20)], np.resize(AXES, (20, 8)))
    store.upsert(OTHER, [chunk(1, "doc_kept", of="zqstays")], AXES[:1])
    assert holding(b"zqdeleted")
    store.delete_collection(COLLECTION)
    store.scrub()
    assert holding(b"zqdeleted") == holding(b"doc_secret") == []
    assert store.count(OTHER) == 1
    assert store.search(OTHER, AXES[0], 1)[0][0].attributes == {"of": "zqstays"}
    store.upsert(COLLECTION, [chunk(0)], AXES[:1])
    assert store.count(COLLECTION) == 1
