"""What the contract of stores does not say of Chroma."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from core.settings import Settings
from retrievers.base import Chunk, Shelf
from retrievers.filters import parse
from retrievers.stores import chroma
from retrievers.stores.chroma import ChromaStore

SHELF = Shelf("acme", "col_a")


@pytest.fixture
def store(settings: Settings) -> Iterator[ChromaStore]:
    opened = ChromaStore(settings)
    yield opened
    opened.close()


def test_what_is_farther_than_it_looks_one_by_one_is_found_among_all(store: ChromaStore, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(chroma, "_NEAREST", 16)
    monkeypatch.setattr(chroma, "_BATCH", 30)
    vectors = np.random.default_rng(2).normal(size=(100, 8)).astype(np.float32)
    vectors[:, 0] = np.where(np.arange(100) < 90, 3, -3)
    made = [
        Chunk(f"chk_{number:03}", "doc_a", "a.md", 1, "text", 0, 4, attributes={"kind": "near" if number < 90 else "far off"})
        for number in range(100)
    ]
    store.upsert(SHELF, made, vectors)
    found = store.search(SHELF, np.eye(8, dtype=np.float32)[0], 4, parse({"kind": {"contains": "off"}}))
    cosines = vectors[90:, 0] / np.linalg.norm(vectors[90:], axis=1)
    assert [chunk.id for chunk, _ in found] == [f"chk_{90 + number:03}" for number in np.argsort(-cosines)[:4]]
    assert [similarity for _, similarity in found] == pytest.approx(sorted(cosines, reverse=True)[:4], abs=1e-4)


def ask(settings: Settings, query: str) -> list[Any]:
    """From Chroma's database, once nobody has it open."""
    with closing(sqlite3.connect(settings.path("chroma") / "chroma.sqlite3")) as database:
        return database.execute(query).fetchall()


def test_what_is_written_and_read_while_it_scrubs_is_whole(settings: Settings):
    """Two copies of SQLite in one process do not see each other's locks: they destroyed the file within a second."""
    store = ChromaStore(settings)
    vectors = np.random.default_rng(3).normal(size=(60, 5, 8)).astype(np.float32)

    def fill(name: str) -> None:
        shelf = Shelf("acme", f"col_{name}")
        for turn in range(60):
            ids = [f"{name}_{turn:02}_{number}" for number in range(5)]
            store.upsert(shelf, [Chunk(one, f"doc_{turn}", "a.md", 1, f"text {one}", 0, 9) for one in ids], vectors[turn])
            store.delete_document(shelf, f"doc_{turn - 1}")
            assert [chunk.id for chunk in store.get(shelf, ids)] == ids

    with ThreadPoolExecutor() as pool:
        filling = [pool.submit(fill, name) for name in ("one", "two")]
        scrubbed = 0
        while not all(one.done() for one in filling):
            store.scrub()
            assert all(chunk.id.startswith("one_") for chunk in store.scan(Shelf("acme", "col_one"), "", 9)[0])
            scrubbed += 1
        for one in filling:
            one.result()
    assert scrubbed > 1
    assert [store.count(Shelf("acme", f"col_{name}")) for name in ("one", "two")] == [5, 5]
    store.close()
    assert ask(settings, "PRAGMA integrity_check") == [("ok",)]
