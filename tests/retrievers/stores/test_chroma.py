"""What the contract of stores does not say of Chroma."""

from collections.abc import Iterator

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
