"""What the contract of stores does not say of Qdrant: words, the server's requests, and the files of the embedded engine."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import Unavailable
from core.settings import Settings, SettingsError
from retrievers.base import Chunk, Shelf
from retrievers.filters import parse
from retrievers.stores import qdrant
from retrievers.stores.qdrant import QdrantServerStore, QdrantStore
from tests.fakes import qdrant_grpc, qdrant_server
from tests.fakes.qdrant_server import QdrantServer
from tests.retrievers.filtering import chunks

SHELF, OTHERS, FOREIGN = Shelf("acme", "col_a"), Shelf("acme", "col_b"), Shelf("globex", "col_c")
AXES = np.eye(8, dtype=np.float32)
TEXTS = (
    "The pump moves water to the upper tank.",
    "Water, water everywhere; the tank is full of water.",
    "A ladder leans on the wall of the house.",
    "Houses have walls, and some of them have ladders.",
    "The upper floor is reached by stairs.",
    "Nothing here tells of what is asked.",
)


def chunk(number: int, text: str, context: str = "", **attributes: Any) -> Chunk:
    return Chunk(f"chk_{number:03}", "doc_a", "a.md", 1, text, 0, len(text), context=context, attributes=attributes)


def of_texts() -> list[Chunk]:
    made = [chunk(number, text, part=number) for number, text in enumerate(TEXTS)]
    return [*made, chunk(len(TEXTS), "Something else.", context="Pumps › Water")]


def unit(count: int) -> np.ndarray:
    vectors = np.random.default_rng(3).normal(size=(count, 8)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, QdrantServer]]:
    with qdrant_server.serving(tmp_path_factory.mktemp("server")) as serving:
        yield serving


def of_server(place: Path, url: str, **more: Any) -> Settings:
    return Settings.load(data_dir=place, retrieval={"store": "qdrant_server", "qdrant_url": url, **more})


@pytest.fixture(scope="module")
def grpc_port(server: tuple[str, QdrantServer]) -> Iterator[int]:
    with qdrant_grpc.calling(server[1]) as port:
        yield port


@pytest.fixture(scope="module", params=["qdrant", "qdrant_server", "by gRPC"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[QdrantStore]:
    """With texts on one shelf, and on others the same words in other numbers, which must not count."""
    place = tmp_path_factory.mktemp("words")
    if request.param == "qdrant":
        opened = QdrantStore(Settings.load(data_dir=place, retrieval={"store": "qdrant"}))
    else:
        more = {"qdrant_grpc_port": request.getfixturevalue("grpc_port")} if request.param == "by gRPC" else {}
        opened = QdrantServerStore(of_server(place, request.getfixturevalue("server")[0], **more))
    opened.upsert(SHELF, of_texts(), unit(len(of_texts())))
    opened.upsert(OTHERS, chunks(), unit(60))
    opened.upsert(FOREIGN, [chunk(number, "ladder wall house " * 3) for number in range(40)], unit(40))
    yield opened
    opened.close()


def test_what_is_farther_than_it_looks_one_by_one_is_found_among_all(store: QdrantStore, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(qdrant, "_NEAREST", 16)
    monkeypatch.setattr(qdrant, "_BATCH", 30)
    shelf = Shelf("acme", "col_far")
    vectors = unit(100)
    vectors[:, 0] = np.where(np.arange(100) < 90, 3, -3)
    store.upsert(shelf, [chunk(n, "text", kind="near" if n < 90 else "far off") for n in range(100)], vectors)
    found = store.search(shelf, AXES[0], 4, parse({"kind": {"contains": "off"}}))
    cosines = vectors[90:, 0] / np.linalg.norm(vectors[90:], axis=1)
    assert [one.id for one, _ in found] == [f"chk_{90 + n:03}" for n in np.argsort(-cosines)[:4]]
    assert store.delete_where(shelf, parse({"kind": {"contains": "near"}})) == 90  # type: ignore[arg-type]  # it is a filter
    assert store.count(shelf) == 10
    store.delete_collection(shelf)


def test_words_under_a_filter_that_lets_little_pass_are_looked_for_a_few_at_a_time(
    store: QdrantStore, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(qdrant, "_NEAREST", 16)
    monkeypatch.setattr(qdrant, "_BATCH", 8)
    shelf = Shelf("acme", "col_rare")
    texts = ["pump " * (1 + n % 5) + "and tank " * (n % 3) for n in range(100)]
    store.upsert(shelf, [chunk(n, texts[n], kind="near" if n < 90 else "far off") for n in range(100)], unit(100))
    every = dict(store.search_words(shelf, "pump tank", 100))
    ask, asked = store._engine.by_words, []

    def seen(dimension: int, queries: Any) -> Any:
        asked.extend(query.limit for query in queries)
        return ask(dimension, queries)

    monkeypatch.setattr(store._engine, "by_words", seen)
    found = store.search_words(shelf, "pump tank", 4, parse({"kind": {"contains": "off"}}))
    passing = sorted((-every[f"chk_{n:03}"], f"chk_{n:03}") for n in range(90, 100))
    assert [score for _, score in found] == pytest.approx([-score for score, _ in passing[:4]])
    assert {chunk_id for chunk_id, _ in found} <= {chunk_id for _, chunk_id in passing}
    assert max(asked) <= 16
    store.delete_collection(shelf)


def test_every_question_names_the_tenant_and_the_collection(store: QdrantStore, server: tuple[str, QdrantServer]):
    """Whatever the caller's filter says."""
    if not store.shareable:
        pytest.skip("it is the same code")
    held = server[1]
    held.asked.clear()
    filter = parse({"or": [{"tenant": "globex"}, {"kind": {"ne": "a"}}]})
    assert filter is not None
    store.search(OTHERS, AXES[0], 5, filter)
    store.search_words(OTHERS, "word", 5, filter)
    store.word_weights(OTHERS, ["word"])
    store.get(OTHERS, ["chk_001"])
    store.vectors(OTHERS, ["chk_001"])
    store.similarities(OTHERS, AXES[0], ["chk_001"])
    store.stretch(OTHERS, "doc_0", 1, 0, 10)
    store.count(OTHERS, "doc_0")
    store.scan(OTHERS, "", 5)
    store.delete_document(OTHERS, "doc_none")
    store.delete_where(OTHERS, parse({"kind": "nothing has it"}))  # type: ignore[arg-type]  # it is a filter
    on_shelf = [
        {"key": "tenant", "match": {"value": "acme"}},
        {"key": "collection", "match": {"value": "col_b"}},
    ]
    assert len(held.asked) > 12
    for path, body in held.asked:
        for one in body.get("searches", [body]):
            assert [_bare(part) for part in one["filter"]["must"][:2]] == on_shelf, path


def _bare(condition: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in condition.items() if value is not None}


def test_its_collections_have_a_graph_for_each_of_ours_and_know_their_tenants(server: tuple[str, QdrantServer], tmp_path: Path):
    url, held = server
    held.asked.clear()
    opened = QdrantServerStore(of_server(tmp_path, url))
    opened.upsert(Shelf("acme", "col_twelve"), [chunk(1, "text")], np.eye(12, dtype=np.float32)[:1])
    opened.close()
    made = next(body for path, body in held.asked if path == "PUT ")
    assert made["hnsw_config"]["m"] == 0
    assert made["hnsw_config"]["payload_m"] > 0
    assert made["sparse_vectors"]["words"]["modifier"] == "idf"
    schemas = {body["field_name"]: body["field_schema"] for path, body in held.asked if path == "PUT index"}
    assert schemas["tenant"]["is_tenant"] is True
    assert schemas["collection"].get("enable_hnsw") is None


def test_a_server_that_is_away_or_lets_nobody_in_is_unavailable(server: tuple[str, QdrantServer], tmp_path: Path):
    url, held = server
    with pytest.raises(Unavailable) as away:
        QdrantServerStore(of_server(tmp_path, "http://127.0.0.1:1"))
    assert away.value.code == "store_unavailable"
    opened = QdrantServerStore(of_server(tmp_path, url, qdrant_api_key="s3cret"))
    held.key = "s3cret"
    try:
        assert opened.count(SHELF) > 0
        held.key = "another"
        with pytest.raises(Unavailable):
            opened.search(SHELF, AXES[0], 3)
    finally:
        held.key = None
    opened.ping()
    opened.close()
    with pytest.raises(Unavailable):
        opened.ping()


def test_a_server_that_is_too_old_or_not_named_is_told_at_the_start(server: tuple[str, QdrantServer], tmp_path: Path):
    url, held = server
    held.version = "1.18.2"
    try:
        with pytest.raises(SettingsError, match=r"1\.19 or newer"):
            QdrantServerStore(of_server(tmp_path, url))
    finally:
        held.version = "1.20.0"
    with pytest.raises(SettingsError, match="GENAI_RETRIEVAL__QDRANT_URL"):
        QdrantServerStore(Settings.load(data_dir=tmp_path, retrieval={"store": "qdrant_server"}))
    for url in ("qdrant:6333", "https://user:pw@qdrant.example.com", "grpc://qdrant"):
        with pytest.raises(SettingsError, match="without a name or password"):
            of_server(tmp_path, url)


def test_what_comes_after_the_end_is_refused_and_touches_no_file(tmp_path: Path):
    settings = Settings.load(data_dir=tmp_path, retrieval={"store": "qdrant"})
    opened = QdrantStore(settings)
    opened.upsert(SHELF, of_texts(), unit(len(of_texts())))
    opened.close()
    again = QdrantStore(settings)
    for late in (
        lambda: opened.upsert(SHELF, of_texts()[:1], unit(1)),
        lambda: opened._engine.make(8),
        lambda: opened.count(SHELF),
        lambda: opened.delete_collection(SHELF),
        lambda: opened.search(SHELF, AXES[0], 3),
    ):
        with pytest.raises(Unavailable):
            late()
    again.close()
    reopened = QdrantStore(settings)
    assert reopened.count(SHELF) == len(of_texts())
    reopened.close()


def test_a_rewrite_that_was_cut_short_loses_nothing(tmp_path: Path):
    settings = Settings.load(data_dir=tmp_path, retrieval={"store": "qdrant"})
    opened = QdrantStore(settings)
    opened.upsert(SHELF, of_texts(), unit(len(of_texts())))
    opened.close()
    place = settings.path("qdrant")
    (place / "8.new").mkdir()  # begun, and killed
    (place / "8").replace(place / "8.old")  # between two renames, and killed
    again = QdrantStore(settings)
    assert again.count(SHELF) == len(of_texts())
    assert sorted(path.name for path in place.iterdir()) == ["8"]
    again.close()
