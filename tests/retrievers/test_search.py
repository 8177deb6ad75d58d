"""Indexing and search together, on the real stores and the real embedding model."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from core.database import Database
from core.errors import InvalidRequest, UnreadableFile
from core.queue import Queue
from core.settings import Settings
from core.tables import Collection, Document, DocumentState
from providers.models import Models
from retrievers.base import Shelf
from retrievers.library import Library, open_resources
from retrievers.retriever import CollectionRetriever
from retrievers.steps.diversity import DiversityStep
from retrievers.steps.expansion import ExpansionStep
from retrievers.steps.settings import Diversity, Expansion, Feedback

TEXTS = {
    "pump.md": "# Pump\n\nThe pump moves 200 litres of water per minute. Its warranty ends after two years.",
    "bread.md": "# Bread\n\nSourdough is baked at 230 degrees for forty minutes in a closed pot.",
    "code-x17.md": "# Codes\n\nError X17-B means that the door is open.",
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """The embedding model; it holds no process and no connection that would have to be closed."""
    return Models(Settings.load(data_dir=tmp_path_factory.mktemp("models")))


@pytest.fixture
async def library(prepared: Settings, models: Models) -> AsyncIterator[Library]:
    database = Database(prepared)
    resources = open_resources(prepared, models)
    yield Library.build(prepared, database, resources, Queue(f"unix://{prepared.path('no.socket')}"))
    resources.close()
    await database.close()


async def collection_of(library: Library, texts: dict[str, str], name: str = "one") -> tuple[Shelf, dict[str, Document]]:
    collection = Collection(name=name)
    async with library.database.transaction(all_tenants=True) as session:
        session.add(collection)
    shelf = Shelf.of(collection)
    return shelf, {title: await write(library, shelf, title, text) for title, text in texts.items()}


async def write(library: Library, shelf: Shelf, name: str, text: str, *, ready: bool = True, **attributes: Any) -> Document:
    data = text.encode()
    document = Document(
        collection_id=shelf.collection_id, name=name, content_hash=hashlib.sha256(data).hexdigest(), attributes=attributes
    )
    return await rewrite(library, document, text, ready=ready)


async def rewrite(library: Library, document: Document, text: str, *, ready: bool = True) -> Document:
    document.file_key = f"{document.collection_id}/{document.id}/{document.revision}/original"
    await library.resources.files.put(document.file_key, text.encode(), tenant=document.tenant)
    indexed = await library.indexer.index(document)
    if ready:
        document.text_key, document.indexed_revision = indexed.text_key, document.revision
        document.state = DocumentState.READY.value
    async with library.database.transaction(all_tenants=True) as session:
        session.add(document)
    return document


async def names(library: Library, shelf: Shelf, query: str, **options: Any) -> list[str]:
    found = await library.searcher.search(shelf, query, **{"limit": 5} | options)
    return [passage.chunk.document for passage in found]


async def test_a_warning_names_what_was_found_in_the_files_themselves(library: Library) -> None:
    mail = "From: Lena <lena@a.example>\nTo: b@a.example\nSubject: The pump\n\nThe pump moves water.\n"
    shelf, _ = await collection_of(library, {"pump.eml": mail})
    (warning,) = await library.searcher.unknown_attributes(shelf, {"sender": "Lena"})
    assert warning.endswith("There are “from”, “media_type”, “subject”, “title”, “to”, “document”, “document_id”, “page”.")


class Hanging:
    """Embeddings of a provider that says nothing, until it is let."""

    def __init__(self) -> None:
        self.asked, self.goes_on = asyncio.Event(), asyncio.Event()

    async def aembed_query(self, text: str) -> list[float]:
        self.asked.set()
        await self.goes_on.wait()
        return [1.0, *[0.0] * 383]


async def test_a_search_waits_for_a_silent_provider_without_a_thread(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf, _ = await collection_of(library, TEXTS)
    hanging = Hanging()
    monkeypatch.setattr(library.resources.models, "embeddings", lambda _: hanging)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    searching = asyncio.create_task(names(library, shelf, "water per minute"))
    await hanging.asked.wait()
    async with asyncio.timeout(20):
        assert await asyncio.to_thread(lambda: 7) == 7
    hanging.goes_on.set()
    assert "pump.md" in await searching


async def test_each_mode_finds_what_it_is_for(library: Library):
    shelf, _ = await collection_of(library, TEXTS)
    assert (await names(library, shelf, "how to make a loaf", mode="dense"))[0] == "bread.md"
    assert await names(library, shelf, "X17-B", mode="lexical") == ["code-x17.md"]
    for query, expected in (("guarantee of the water machine", "pump.md"), ("X17-B", "code-x17.md")):
        assert (await names(library, shelf, query))[0] == expected
    assert len(await names(library, shelf, "anything", limit=2)) == 2


async def test_scores_fall_and_quotes_are_in_the_stored_text(library: Library):
    shelf, documents = await collection_of(library, TEXTS)
    found = await library.searcher.search(shelf, "baking bread", limit=3)
    assert [passage.score for passage in found] == sorted((passage.score for passage in found), reverse=True)
    for passage in found:
        found = documents[passage.chunk.document]
        text = (await library.resources.files.get(found.text_key, tenant=found.tenant)).decode()
        assert text[passage.chunk.start : passage.chunk.end] == passage.chunk.text
        assert passage.similarity is not None


async def test_a_new_revision_replaces_the_old_once_the_row_says_so(library: Library):
    shelf, documents = await collection_of(library, {"a.md": "The gate opens at nine."})
    document = documents["a.md"]
    document.revision = 2
    await rewrite(library, document, "The gate opens at ten.", ready=False)

    async def texts() -> list[str]:
        return [passage.chunk.text for passage in await library.searcher.search(shelf, "gate opens", limit=5)]

    assert await texts() == ["The gate opens at nine."]
    await rewrite(library, document, "The gate opens at ten.")
    assert await texts() == ["The gate opens at ten."]
    await library.indexer.retire(document)
    assert library.resources.store.count(shelf) == library.resources.lexical.count(shelf) == 1
    assert await texts() == ["The gate opens at ten."]


async def test_indexing_again_leaves_every_chunk_once(library: Library):
    shelf, documents = await collection_of(library, {"a.md": "One text.\n\nIt is short."})
    for _ in range(2):
        await rewrite(library, documents["a.md"], "One text.\n\nIt is short.")
    assert library.resources.store.count(shelf) == library.resources.lexical.count(shelf) == 1


async def test_documents_that_are_gone_or_going_are_not_found(library: Library):
    shelf, documents = await collection_of(library, TEXTS)
    async with library.database.transaction(all_tenants=True) as session:
        await session.delete(await session.merge(documents["pump.md"]))
        documents["bread.md"].state = DocumentState.DELETING.value
        session.add(documents["bread.md"])
    for mode in ("hybrid", "dense", "lexical"):
        assert set(await names(library, shelf, "pump bread error water", mode=mode)) == {"code-x17.md"}
    await library.indexer.forget(documents["pump.md"])
    assert library.resources.store.count(shelf) == 2
    await library.indexer.forget_collection(shelf)
    assert await names(library, shelf, "bread") == []


async def test_a_filter_holds_in_every_mode(library: Library):
    shelf, _ = await collection_of(library, {})
    await write(library, shelf, "en.md", "The water pump", lang="en", year=2024)
    await write(library, shelf, "de.md", "Die Wasser pump", lang="de", year=2024)
    for mode in ("hybrid", "dense", "lexical"):
        assert await names(library, shelf, "water pump", mode=mode, filter={"lang": "de"}) == ["de.md"]
        assert len(await names(library, shelf, "water pump", mode=mode, filter={"year": 2024})) == 2
        assert await names(library, shelf, "water pump", mode=mode, filter={"lang": {"gt": "de"}}) == ["en.md"]
        either = {"or": [{"document": {"contains": "de."}}, {"year": {"lt": 2000}}], "lang": {"exists": True}}
        assert await names(library, shelf, "water pump", mode=mode, filter=either) == ["de.md"]


async def test_collections_are_apart(library: Library):
    one, _ = await collection_of(library, {"a.md": "shared words"})
    two, _ = await collection_of(library, {"b.md": "shared words"}, name="two")
    assert await names(library, one, "shared words") == ["a.md"]
    assert await names(library, two, "shared words") == ["b.md"]
    assert await names(library, Shelf("default", "col_unknown"), "shared words") == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"query": " \n"},
        {"limit": 0},
        {"limit": 10_000},
        {"filter": {"a": {"$ne": 1}}},
        {"filter": {"a": 2**70}},
        {"filter": {"": 1}},
    ],
)
async def test_what_is_no_search_is_refused(library: Library, wrong: dict[str, Any]):
    shelf, _ = await collection_of(library, {"a.md": "some text"})
    with pytest.raises(InvalidRequest):
        await library.searcher.search(shelf, wrong.pop("query", "words"), **{"limit": 5} | wrong)


async def test_odd_queries_are_searched_for_all_the_same(library: Library):
    shelf, _ = await collection_of(library, {"a.md": "some text"})
    for query in ("\x00", "?!", "a" * 50_000, "\u202e\u0301🙂", "AND OR NOT (", "' ; drop table"):
        assert await names(library, shelf, query) == ["a.md"]


async def test_a_file_that_cannot_be_read_leaves_nothing_behind(library: Library):
    shelf, _ = await collection_of(library, {})
    with pytest.raises(UnreadableFile) as refused:
        await write(library, shelf, "a.pdf", "%PDF-1.7 broken")
    assert refused.value.code in ("corrupt_file", "no_text_found")
    assert library.resources.store.count(shelf) == 0


async def test_the_fingerprint_follows_what_makes_chunks(library: Library, settings: Settings):
    from retrievers.generations import first_of
    from retrievers.indexing import Indexer

    other = Settings.load(data_dir=settings.data_dir, retrieval={"chunk_tokens": 100})
    first, parts = first_of(library.resources, Shelf("default", "col_x")), (library.resources, library.generations)
    assert library.indexer.pipeline_fingerprint(first) == Indexer(settings, *parts).pipeline_fingerprint(first)
    assert library.indexer.pipeline_fingerprint(first) != Indexer(other, *parts).pipeline_fingerprint(first)


async def test_it_is_a_retriever_for_langchain(library: Library):
    shelf, _ = await collection_of(library, TEXTS)
    retriever = CollectionRetriever(searcher=library.searcher, shelf=shelf, limit=1)
    (document,) = await retriever.ainvoke("baking bread")
    assert document.metadata["document"] == "bread.md"
    assert "Sourdough" in document.page_content


async def test_a_retriever_takes_steps_that_are_composed_as_runnables(library: Library):
    shelf, _ = await collection_of(library, TEXTS)
    tokens = library.settings.retrieval.chunk_tokens
    widen = ExpansionStep(Expansion(), library.database, library.resources, chunk_tokens=tokens)
    steps = DiversityStep(Diversity(), library.resources) | widen
    retriever = CollectionRetriever(searcher=library.searcher, shelf=shelf, limit=2, steps=steps)
    found = await retriever.ainvoke("baking bread")
    assert found[0].metadata["document"] == "bread.md"
    assert len(found) == 2


async def test_feedback_finds_what_the_best_passages_speak_of(library: Library):
    texts = {
        "a.md": "The wombat is a marsupial.",
        "b.md": "Marsupials carry their young in a pouch.",
        "c.md": "The stock exchange closed at noon.",
    }
    shelf, _ = await collection_of(library, texts)
    for mode in ("lexical", "hybrid", "dense"):
        found = await library.searcher.find(shelf, "wombat", limit=3, mode=mode, feedback=Feedback(passages=1))
        assert [passage.chunk.document for passage in found.passages][:2] == ["a.md", "b.md"]
        assert [(step.name, step.skipped) for step in found.steps] == [("feedback", None)]
    assert await names(library, shelf, "wombat", mode="lexical") == ["a.md"]


async def test_a_text_beside_the_query_counts_for_its_meaning(library: Library):
    shelf, _ = await collection_of(library, TEXTS)
    beside = ("Sourdough bread is baked in the oven.",)
    found = await library.searcher.find(shelf, "the thing", limit=1, mode="dense", beside=beside)
    assert found.passages[0].chunk.document == "bread.md"
