"""What the contract of stores does not say of a Chroma server."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from core.errors import Unavailable
from core.settings import Settings, SettingsError
from retrievers.base import Chunk, Shelf
from retrievers.stores.chroma_server import ChromaServerStore

SHELF = Shelf("acme", "col_of_the_server")
AXES = np.eye(8, dtype=np.float32)


def chunk(number: int) -> Chunk:
    return Chunk(f"chk_{number}", "doc_a", "a.md", 1, "text", 0, 4)


@pytest.fixture
def settings(chroma_url: str, tmp_path: Path) -> Settings:
    return Settings.load(data_dir=tmp_path, retrieval={"store": "chroma_server", "chroma_url": chroma_url})


@pytest.fixture
def store(settings: Settings) -> Iterator[ChromaServerStore]:
    opened = ChromaServerStore(settings)
    yield opened
    opened.delete_collection(SHELF)
    opened.close()


def test_a_collection_that_another_process_has_made_anew_is_found_by_its_name(store: ChromaServerStore, settings: Settings):
    other = ChromaServerStore(settings)
    store.upsert(SHELF, [chunk(1), chunk(2)], AXES[:2])
    assert [one.id for one, _ in other.search(SHELF, AXES[0], 5)] == ["chk_1", "chk_2"]
    store.delete_collection(SHELF)
    assert other.search(SHELF, AXES[0], 5) == []
    assert other.get(SHELF, ["chk_1"]) == []
    assert other.scan(SHELF, "", 5)[0] == []
    other.delete_document(SHELF, "doc_a")
    other.upsert(SHELF, [chunk(3)], AXES[:1])
    assert [one.id for one, _ in store.search(SHELF, AXES[0], 5)] == ["chk_3"]
    store.delete_collection(SHELF)
    store.upsert(SHELF, [chunk(4)], AXES[:1])  # another one of that name
    assert [one.id for one, _ in other.search(SHELF, AXES[0], 5)] == ["chk_4"]
    other.upsert(SHELF, [chunk(5)], AXES[1:2])
    assert store.count(SHELF) == 2
    other.close()


def test_a_shelf_that_has_become_another_tenants_is_not_written_to(store: ChromaServerStore, settings: Settings):
    other = ChromaServerStore(settings)
    other.upsert(SHELF, [chunk(1)], AXES[:1])
    store.delete_collection(SHELF)
    foreign = Shelf("globex", SHELF.collection_id)
    store.upsert(foreign, [chunk(2)], AXES[:1])
    with pytest.raises(ValueError, match="another tenant"):
        other.upsert(SHELF, [chunk(3)], AXES[:1])
    assert other.count(SHELF) == 0
    store.delete_collection(foreign)
    other.close()


def test_a_server_that_is_away_is_unavailable(settings: Settings, tmp_path: Path):
    nowhere = {"store": "chroma_server", "chroma_url": "http://127.0.0.1:1"}
    with pytest.raises(Unavailable) as away:
        ChromaServerStore(Settings.load(data_dir=tmp_path, retrieval=nowhere))
    assert away.value.code == "store_unavailable"
    other = ChromaServerStore(settings)
    other.close()
    for call in (other.ping, lambda: other.search(SHELF, AXES[0], 1)):
        with pytest.raises(Unavailable) as closed:
            call()
        assert closed.value.code == "store_unavailable"


def test_it_needs_an_address(tmp_path: Path):
    with pytest.raises(SettingsError, match="GENAI_RETRIEVAL__CHROMA_URL"):
        ChromaServerStore(Settings.load(data_dir=tmp_path, retrieval={"store": "chroma_server"}))


def test_who_makes_the_same_collection_at_once_writes_to_one(store: ChromaServerStore, settings: Settings):
    others = [store, ChromaServerStore(settings), ChromaServerStore(settings)]
    together = threading.Barrier(len(others))

    def write(number: int) -> None:
        together.wait()
        others[number].upsert(SHELF, [chunk(number)], AXES[number : number + 1])

    with ThreadPoolExecutor(len(others)) as threads:
        list(threads.map(write, range(len(others))))
    assert store.count(SHELF) == len(others)
    for other in others[1:]:
        other.close()
