"""What every store promises that finds words: each sentence of `retrievers.base.FindsWords`, held against the word index."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings

from core.settings import Settings
from retrievers import STORES
from retrievers.base import Chunk, FindsWords, Shelf
from retrievers.filters import matches, parse
from retrievers.lexical import LexicalIndex
from retrievers.stores import pinecone_words, qdrant, weaviate_words
from tests.fakes import pinecone, weaviate
from tests.retrievers.filtering import FILTERS, chunks

SHELF, OTHERS, FOREIGN, RARE = (Shelf("acme", f"col_words_{name}") for name in ("a", "b", "c", "rare"))
TEXTS = (
    "The pump moves water to the upper tank.",
    "Water, water everywhere; the tank is full of water.",
    "A ladder leans on the wall of the house.",
    "Houses have walls, and some of them have ladders.",
    "The upper floor is reached by stairs.",
    "Nothing here tells of what is asked.",
    "Being the of and.",
)
HEADED = "chk_007"
FINDING = ["qdrant", "qdrant_server", "weaviate", "pinecone"]


def chunk(number: int, text: str, context: str = "", document: str = "doc_a", **attributes: Any) -> Chunk:
    return Chunk(f"chk_{number:03}", document, "a.md", 1, text, 0, len(text), context=context, attributes=attributes)


def of_texts() -> list[Chunk]:
    made = [chunk(number, text, part=number) for number, text in enumerate(TEXTS)]
    return [*made, chunk(7, "Something else.", context="Pumps › Water")]


def unit(count: int) -> np.ndarray:
    vectors = np.random.default_rng(3).normal(size=(count, 8)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module", params=FINDING)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """With texts on one shelf, and on others the same words in other numbers, which must not count."""
    served = {"weaviate": lambda: weaviate.serving(weaviate.WeaviateFake()), "pinecone": lambda: pinecone.serving(_fake())}
    if request.param in served:
        with served[request.param]() as where:
            yield from _filled({"store": request.param, **where}, tmp_path_factory)
    else:
        url = {"qdrant_url": request.getfixturevalue("qdrant_url")} if request.param == "qdrant_server" else {}
        yield from _filled({"store": request.param, **url}, tmp_path_factory)


def _fake() -> pinecone.PineconeFake:
    return pinecone.PineconeFake()


def _filled(retrieval: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    settings = Settings.load(data_dir=tmp_path_factory.mktemp("words"), retrieval=retrieval)
    opened: Any = STORES.load(settings.retrieval.store)(settings)
    opened.upsert(SHELF, of_texts(), unit(len(of_texts())))
    opened.upsert(OTHERS, chunks(), unit(60))
    opened.upsert(FOREIGN, [chunk(number, "ladder wall house " * 3) for number in range(40)], unit(40))
    yield opened
    for shelf in (SHELF, OTHERS, FOREIGN, RARE):
        opened.delete_collection(shelf)
    opened.close()


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> LexicalIndex:
    made = LexicalIndex(Settings.load(data_dir=tmp_path_factory.mktemp("index")))
    made.upsert(SHELF, of_texts())
    return made


def test_the_stores_that_find_words_are_these(store: Any):
    assert isinstance(store, FindsWords)
    assert store.has_words(SHELF)
    assert store.has_words(Shelf("acme", "col_none"))


@pytest.mark.parametrize(
    "query", ["water in the tank", "ladders", "walls of houses", "pump", "Where is the upper floor?"], ids=range(5)
)
def test_it_ranks_by_words_as_the_word_index_does(store: Any, index: LexicalIndex, query: str):
    found, wanted = store.search_words(SHELF, query, 10), index.search(SHELF, query, 10)
    assert {chunk_id for chunk_id, _ in found} == {chunk_id for chunk_id, _ in wanted}
    best = {chunk_id for chunk_id, score in wanted if score > 0.9 * wanted[0][1]}  # where several are
    if query == "pump":  # a word of a heading, against the mean of those that are there
        best.add(HEADED)
    assert found[0][0] in best
    assert found == sorted(found, key=lambda one: (-one[1], one[0]))
    assert 0.5 < found[0][1] / wanted[0][1] < 2  # on the same scale
    ((first, score),) = store.search_words(SHELF, query, 1)
    assert (first in best, score) == (True, pytest.approx(found[0][1]))


def test_what_a_word_tells_is_counted_in_its_own_collection(store: Any, index: LexicalIndex):
    """As the word index says it, though another collection's forty chunks are full of ladders."""
    words = index.words("water ladder floor zeppelin pump")
    wanted = index.weights(SHELF, "water ladder floor zeppelin pump")
    # Pinecone counts a word of the text and one of the headings as one
    assert store.word_weights(SHELF, words) == pytest.approx(wanted, abs=1e-3 if hasattr(store, "_engine") else 0.7)
    assert store.word_weights(SHELF, words)["zeppelin"] == pytest.approx(wanted["zeppelin"], abs=1e-3)
    assert store.word_weights(SHELF, words)["ladder"] == pytest.approx(wanted["ladder"], abs=1e-3)
    assert store.word_weights(Shelf("acme", "col_none"), words) == dict.fromkeys(words, 0.0)


def test_no_query_of_words_is_an_error_and_another_tenant_finds_none(store: Any, index: LexicalIndex):
    for query in ("", "the of", "¿?", "zeppelin", '"AND (OR) -'):
        assert store.search_words(SHELF, query, 5) == []
    # what is left of a word may be a stop word of the store's own
    found = [chunk_id for chunk_id, _ in store.search_words(SHELF, "being", 5)]
    assert found == [chunk_id for chunk_id, _ in index.search(SHELF, "being", 5)] == ["chk_006"]
    foreign = Shelf("globex", SHELF.collection_id)
    assert store.search_words(foreign, "water", 5) == []
    assert store.search_words(SHELF, "water", 0) == []
    assert store.has_attribute(SHELF, "part")
    assert not store.has_attribute(SHELF, "kind")
    assert not store.has_attribute(foreign, "part")


@hypothesis_settings(max_examples=60, deadline=None)
@given(written=FILTERS)
@example(written={"page": {"gte": 2}})
@example(written={"year": {"lt": 3}, "not": {"kind": {"in": ["a", "b"]}}})
def test_a_filter_means_the_same_for_words(store: Any, written: dict[str, Any]):
    filter = parse(written)
    found = store.search_words(OTHERS, "word", 100, filter)
    assert {chunk_id for chunk_id, _ in found} == {one.id for one in chunks() if matches(filter, one)}


def test_words_under_a_filter_that_lets_little_pass_are_all_found(store: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(qdrant, "_NEAREST", 16)
    monkeypatch.setattr(weaviate_words, "_BEST", 16)
    monkeypatch.setattr(pinecone_words, "MOST_WORDS_FOUND", 16)
    texts = ["pump " * (1 + n % 5) + "and tank " * (n % 3) for n in range(100)]
    written = [chunk(n, texts[n], kind="near" if n < 90 else "far off") for n in range(100)]
    store.upsert(RARE, written, unit(100))
    far = dict(store.search_words(RARE, "pump tank", 10, parse({"kind": "far off"})))
    assert set(far) == {f"chk_{n:03}" for n in range(90, 100)}
    found = store.search_words(RARE, "pump tank", 4, parse({"kind": {"contains": "off"}}))
    assert [score for _, score in found] == pytest.approx(sorted(far.values(), reverse=True)[:4], rel=1e-4)
    assert {chunk_id for chunk_id, _ in found} <= set(far)


def test_what_is_replaced_or_deleted_is_not_found_by_its_words(store: Any):
    shelf = Shelf("acme", "col_words_gone")
    store.upsert(shelf, [chunk(1, "a walrus"), chunk(2, "a walrus"), chunk(3, "a walrus", document="doc_b")], unit(3))
    store.upsert(shelf, [chunk(1, "a marmot"), chunk(2, "the of")], unit(2))
    assert [one for one, _ in store.search_words(shelf, "walrus", 5)] == ["chk_003"]
    assert [one for one, _ in store.search_words(shelf, "marmot", 5)] == ["chk_001"]
    store.delete_document(shelf, "doc_b")
    assert store.search_words(shelf, "walrus", 5) == []
    store.delete_where(shelf, parse({"document_id": "doc_a"}))
    assert store.search_words(shelf, "marmot", 5) == []
    store.upsert(shelf, [chunk(4, "a walrus")], unit(1))
    store.delete_collection(shelf)
    store.upsert(shelf, [chunk(5, "a marmot")], unit(1))
    assert store.search_words(shelf, "walrus", 5) == []
    store.delete_collection(shelf)
