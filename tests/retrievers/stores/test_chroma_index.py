"""Chroma's files hold vectors and nothing else of the process's memory."""

from pathlib import Path

import numpy as np
import pytest

from core.settings import Settings
from retrievers.base import Chunk, Shelf
from retrievers.stores.chroma import ChromaStore
from retrievers.stores.chroma_index import IndexFiles

SHELF = Shelf("acme", "col_a")
MEMORY = b"zqremembered"


def chunks(count: int) -> list[Chunk]:
    return [
        Chunk(id=f"chk_{number}", document_id="doc_a", document="a.md", revision=1, text="Text", start=0, end=4)
        for number in range(count)
    ]


def holding(settings: Settings, word: bytes = MEMORY) -> set[str]:
    return {file.name for file in settings.path("chroma").rglob("*.bin") if word in file.read_bytes()}


def remember(settings: Settings, count: int, size: int) -> None:
    """Write into the room for vectors to come, as Chroma does when that memory has been used before."""
    for name, written in (("data_level0.bin", count * size), ("length.bin", count * 4)):
        (path,) = settings.path("chroma").rglob(name)
        with path.open("r+b") as file:
            file.seek(written)
            file.write(MEMORY * 8)


@pytest.fixture
def vectors() -> np.ndarray:
    return np.random.default_rng(7).normal(size=(1200, 8)).astype(np.float32)


@pytest.fixture
def filled(settings: Settings, vectors: np.ndarray) -> Settings:
    """Chroma closed, with so many vectors that it has written some to its files, and memory behind them."""
    store = ChromaStore(settings)
    store.upsert(SHELF, chunks(len(vectors)), vectors)
    store.close()
    remember(settings, count=1000, size=172)
    assert holding(settings) == {"data_level0.bin", "length.bin"}
    return settings


def test_the_first_search_clears_what_is_no_vector_and_finds_every_vector(filled: Settings, vectors: np.ndarray):
    store = ChromaStore(filled)
    assert [store.search(SHELF, vectors[number], 1)[0][0].id for number in (0, 999, 1199)] == ["chk_0", "chk_999", "chk_1199"]
    assert holding(filled) == set()
    store.close()


def test_scrubbing_clears_the_files_of_collections_that_nobody_has_opened(filled: Settings, vectors: np.ndarray):
    store = ChromaStore(filled)
    store.scrub()
    assert holding(filled) == set()
    assert store.search(SHELF, vectors[3], 1)[0][0].id == "chk_3"
    store.close()


def test_what_is_written_after_clearing_is_there_when_chroma_is_opened_again(filled: Settings, vectors: np.ndarray):
    store = ChromaStore(filled)
    more = np.random.default_rng(8).normal(size=(2000, 8)).astype(np.float32)
    added = [
        Chunk(id=f"new_{number}", document_id="doc_b", document="b.md", revision=1, text="Text", start=0, end=4)
        for number in range(len(more))
    ]
    store.upsert(SHELF, added, more)
    store.close()
    again = ChromaStore(filled)
    assert again.count(SHELF) == 3200
    assert again.search(SHELF, more[1999], 1)[0][0].id == "new_1999"
    assert again.search(SHELF, vectors[999], 1)[0][0].id == "chk_999"
    again.close()


def test_another_form_of_the_files_is_told_rather_than_written_into(filled: Settings):
    (header,) = filled.path("chroma").rglob("header.bin")
    header.write_bytes(b"\x09" + header.read_bytes()[1:])
    with pytest.raises(RuntimeError, match="another form"):
        IndexFiles(header.parent).clear_room()
    assert holding(filled) == {"data_level0.bin", "length.bin"}


def test_where_there_are_no_vectors_there_is_nothing_to_clear(tmp_path: Path):
    IndexFiles(tmp_path / "gone").clear_room()
    assert list(tmp_path.iterdir()) == []
