"""What the contract of stores does not say of Weaviate. The server is a fake (`tests.fakes.weaviate`)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import Unavailable
from core.settings import Settings, SettingsError
from retrievers.base import Chunk, Shelf
from retrievers.filters import parse
from retrievers.stores import weaviate
from retrievers.stores.weaviate import WeaviateStore
from retrievers.stores.weaviate_rows import object_id
from tests.fakes.weaviate import WeaviateFake, serving

SHELF = Shelf("acme", "col_a")
AXES = np.eye(8, dtype=np.float32)


@pytest.fixture
def fake() -> WeaviateFake:
    return WeaviateFake(key="wvkey")


def named(place: Path, **more: Any) -> Settings:
    return Settings.load(data_dir=place, retrieval={"store": "weaviate", "store_answer_s": 5, **more})


@pytest.fixture
def settings(fake: WeaviateFake, tmp_path: Path) -> Iterator[Settings]:
    with serving(fake) as where:
        yield named(tmp_path, weaviate_api_key="wvkey", **where)


@pytest.fixture
def store(settings: Settings) -> Iterator[WeaviateStore]:
    opened = WeaviateStore(settings)
    yield opened
    opened.close()


def chunk(number: int, **attributes: Any) -> Chunk:
    return Chunk(f"chk_{number:03}", "doc_a", "a.md", 1, "text", 0, 4, attributes=attributes)


def many(count: int = 100) -> tuple[list[Chunk], np.ndarray]:
    """The last ten of them far off."""
    vectors = np.random.default_rng(2).normal(size=(count, 8)).astype(np.float32)
    vectors[:, 0] = np.where(np.arange(count) < count - 10, 3, -3)
    return [chunk(number, kind="near" if number < count - 10 else "far off") for number in range(count)], vectors


def test_a_collection_with_tenants_is_made_once_and_a_shelf_is_a_tenant(
    store: WeaviateStore, settings: Settings, fake: WeaviateFake
):
    WeaviateStore(settings).close()
    assert fake.calls.count("POST /v1/schema") == 1
    described = fake.classes["GenaiChunks"]
    assert described["multiTenancyConfig"]["enabled"]
    assert described["vectorConfig"]["default"]["vectorIndexConfig"]["distance"] == "cosine"
    filterable = {each["name"] for each in described["properties"] if each["indexFilterable"]}
    assert filterable == {"document_id", "revision", "start", "marks", "words", "heads", "worded"}
    assert {each["name"] for each in described["properties"] if each["indexSearchable"]} == {"words", "heads"}
    store.upsert(SHELF, [chunk(1)], AXES[:1])
    assert list(fake.tenants["GenaiChunks"]) == ["col_a"]
    store.delete_collection(SHELF)
    assert list(fake.tenants["GenaiChunks"]) == []


def test_what_is_farther_than_a_query_finds_is_found_among_all(
    store: WeaviateStore, fake: WeaviateFake, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(weaviate, "_MOST_FOUND", 16)
    monkeypatch.setattr(weaviate, "_BATCH", 15)
    fake.most_results = 16
    of, vectors = many()
    store.upsert(SHELF, of, vectors)
    found = store.search(SHELF, AXES[0], 4, parse({"kind": {"contains": "off"}}))
    cosines = vectors[90:, 0] / np.linalg.norm(vectors[90:], axis=1)
    assert [one.id for one, _ in found] == [f"chk_{90 + number:03}" for number in np.argsort(-cosines)[:4]]
    assert [similarity for _, similarity in found] == pytest.approx(sorted(cosines, reverse=True)[:4], abs=1e-4)


def test_more_than_one_deletion_deletes_is_deleted(store: WeaviateStore, fake: WeaviateFake, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(weaviate, "_MOST_FOUND", 16)
    monkeypatch.setattr(weaviate, "_BATCH", 15)
    fake.most_results = 16
    store.upsert(SHELF, *many())
    filter = parse({"kind": {"contains": "near"}})
    assert filter is not None
    assert store.delete_where(SHELF, filter) == 90
    assert store.count(SHELF) == 10
    store.upsert(SHELF, *many())
    store.delete_document(SHELF, "doc_a")
    assert store.count(SHELF) == 0


def test_an_emptied_shelf_takes_vectors_of_another_model(store: WeaviateStore):
    store.upsert(SHELF, [chunk(1)], AXES[:1])
    store.delete_document(SHELF, "doc_a")
    store.upsert(SHELF, [chunk(2)], np.eye(4, dtype=np.float32)[:1])
    assert [one.id for one, _ in store.search(SHELF, np.eye(4, dtype=np.float32)[0], 3)] == ["chk_002"]


def test_a_collection_of_before_words_gets_them_and_says_which_shelf_has_not_all(fake: WeaviateFake, settings: Settings):
    WeaviateStore(settings).close()
    described, others = fake.classes["GenaiChunks"], ("words", "heads", "worded")
    described["properties"] = [each for each in described["properties"] if each["name"] not in others]
    fake.calls.clear()
    store = WeaviateStore(settings)
    assert fake.calls.count("POST /v1/schema/GenaiChunks/properties") == 3
    store.upsert(SHELF, [chunk(1), chunk(2)], AXES[:2])
    for name in others:  # as it was written by the version before
        del fake.tenants["GenaiChunks"]["col_a"].objects[str(object_id("chk_001"))].properties[name]
    assert [one for one, _ in store.search_words(SHELF, "text", 5)] == ["chk_002"]
    assert not store.has_words(SHELF)
    store.upsert(SHELF, [chunk(1)], AXES[:1])
    assert store.has_words(SHELF)
    assert [one for one, _ in store.search_words(SHELF, "text", 5)] == ["chk_001", "chk_002"]
    store.close()


def test_every_query_for_words_is_in_the_tenant_and_names_the_filter(store: WeaviateStore, fake: WeaviateFake):
    store.upsert(SHELF, [chunk(1, kind="a"), chunk(2, kind="b")], AXES[:2])
    asked: list[Any] = []
    search = fake._search
    fake._search = lambda request: (asked.append(request), search(request))[1]  # type: ignore[method-assign]
    assert [one for one, _ in store.search_words(SHELF, "Texts texts", 5, parse({"kind": "a"}))] == ["chk_001"]
    (request,) = asked
    assert (request.tenant, request.bm25_search.query) == ("col_a", "_text _text")
    assert request.filters.target.property == "marks"


def test_a_server_that_goes_away_is_unavailable_at_once(fake: WeaviateFake, tmp_path: Path):
    with serving(fake) as where:
        store = WeaviateStore(named(tmp_path, weaviate_api_key="wvkey", **where))
        store.upsert(SHELF, [chunk(1)], AXES[:1])
    for call in (
        store.ping,
        lambda: store.search(SHELF, AXES[0], 3),
        lambda: store.upsert(SHELF, [chunk(2)], AXES[:1]),
        lambda: store.delete_document(SHELF, "doc_a"),
        lambda: store.count(SHELF),
    ):
        with pytest.raises(Unavailable) as away:
            call()
        assert away.value.code == "store_unavailable"
    store.close()
    with pytest.raises(Unavailable):
        WeaviateStore(named(tmp_path, weaviate_api_key="wvkey", **where))


def test_settings_that_cannot_work_are_told(settings: Settings, tmp_path: Path):
    with pytest.raises(SettingsError, match="WEAVIATE_URL, which is not set"):
        WeaviateStore(named(tmp_path))
    for key in ("wrongkey", None):
        where = {name: getattr(settings.retrieval, name) for name in ("weaviate_url", "weaviate_grpc_url")}
        with pytest.raises(SettingsError, match="WEAVIATE_API_KEY") as refused:
            WeaviateStore(named(tmp_path, weaviate_api_key=key, **where))
        assert "wrongkey" not in str(refused.value)
    with pytest.raises(SettingsError, match="without a name or password"):
        named(tmp_path, weaviate_url="https://me:secret@weaviate.example.com")
    with serving(WeaviateFake(version="1.32.9")) as where, pytest.raises(SettingsError, match=r"1\.33 or newer"):
        WeaviateStore(named(tmp_path, **where))
