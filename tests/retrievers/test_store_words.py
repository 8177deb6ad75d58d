"""Searches whose words are found by the vector store, on Qdrant's engine and the real embedding model."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.database import Database
from core.errors import Conflict
from core.queue import Queue
from core.settings import Settings, SettingsError
from core.tables import Collection, Document, DocumentState
from providers.models import Models
from retrievers.base import Shelf
from retrievers.changes import note_change
from retrievers.library import Library, open_resources
from retrievers.search import Mode
from retrievers.steps.settings import Feedback
from retrievers.store_words import StoreWords

TEXTS = {
    "pump.md": "# Pump\n\nThe pump moves 200 litres of water per minute. Its warranty ends after two years.",
    "bread.md": "# Bread\n\nSourdough is baked at 230 degrees for forty minutes in a closed pot.",
    "code-x17.md": "# Codes\n\nError X17-B means that the door is open.",
}


@pytest.fixture
async def library(prepared: Settings) -> AsyncIterator[Library]:
    settings = Settings.load(data_dir=prepared.data_dir, retrieval={"store": "qdrant", "words": "store"})
    database = Database(settings)
    resources = open_resources(settings, Models(settings))
    yield Library.build(settings, database, resources, Queue(f"unix://{settings.path('no.socket')}"))
    resources.close()
    await database.close()


async def filled(library: Library) -> tuple[Shelf, dict[str, Document]]:
    collection = Collection(name="one")
    shelf, written = Shelf.of(collection), {}
    async with library.database.transaction(all_tenants=True) as session:
        session.add(collection)
    for name, text in TEXTS.items():
        document = Document(collection_id=collection.id, name=name, content_hash=name, attributes={"length": len(text)})
        document.file_key = f"{collection.id}/{document.id}/1/original"
        await library.resources.files.put(document.file_key, text.encode(), tenant=document.tenant)
        indexed = await library.indexer.index(document)
        document.text_key, document.indexed_revision = indexed.text_key, document.revision
        document.state = DocumentState.READY.value
        async with library.database.transaction(all_tenants=True) as session:
            await note_change(session, document)
        written[name] = document
    return shelf, written


async def test_the_store_finds_words_and_no_index_is_kept(library: Library):
    shelf, documents = await filled(library)
    asked: list[tuple[str, Mode, str]] = [
        ("X17-B", "lexical", "code-x17.md"),
        ("bakes", "lexical", "bread.md"),
        ("X17-B", "hybrid", "code-x17.md"),
    ]
    for query, mode, first in asked:
        findings = await library.searcher.find(shelf, query, limit=5, mode=mode, feedback=Feedback())
        assert findings.passages[0].chunk.document == first
        assert not findings.degraded
        assert [step.skipped for step in findings.steps] == [None]
    assert not library.settings.path("lexical").exists()
    assert library.resources.lexical.count(shelf) == len(TEXTS)
    (warning,) = await library.searcher.unknown_attributes(shelf, {"colour": "red"})
    assert "colour" in warning
    assert await library.searcher.unknown_attributes(shelf, {"length": 0}) == []
    await library.indexer.forget(documents["code-x17.md"])
    assert await library.searcher.search(shelf, "X17-B", limit=5, mode="lexical") == []
    assert await library.following.compare(shelf) == {}
    await library.indexer.forget_collection(shelf)
    assert library.resources.lexical.count(shelf) == 0


async def test_there_is_nothing_to_follow(library: Library):
    """However far the collection has come."""
    shelf, _ = await filled(library)
    assert await library.following.fresh(shelf)
    assert library.following.behind == set()


async def test_words_that_the_store_has_not_of_all_are_told(library: Library, monkeypatch: pytest.MonkeyPatch):
    """By an error where they are asked for alone, and as degraded where meaning finds as well."""
    shelf, _ = await filled(library)
    monkeypatch.setattr(library.resources.store, "has_words", lambda shelf: False)
    with pytest.raises(Conflict) as refused:
        await library.searcher.find(shelf, "X17-B", limit=5, mode="lexical")
    assert refused.value.code == "words_missing"
    findings = await library.searcher.find(shelf, "sourdough", limit=5)
    assert findings.degraded
    assert findings.passages[0].chunk.document == "bread.md"
    assert findings.passages[0].by_words is None
    monkeypatch.undo()
    assert not (await library.searcher.find(shelf, "X17-B", limit=5)).degraded


def test_a_store_that_finds_no_words_is_told_at_the_start(tmp_path: Path):
    settings = Settings.load(data_dir=tmp_path, retrieval={"words": "store"})
    with pytest.raises(SettingsError, match="GENAI_RETRIEVAL__WORDS"):
        open_resources(settings, Models(settings))
    with pytest.raises(SettingsError):
        StoreWords({"chroma": object()}, "chroma")  # type: ignore[dict-item]  # it is none
    open_resources(Settings.load(data_dir=tmp_path), Models(settings)).close()  # nothing was left open
