"""What the contract of stores does not say of Pinecone. The service is a fake (`tests.fakes.pinecone`)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import Unavailable, UnreadableFile
from core.settings import Settings, SettingsError
from retrievers.base import Chunk, Shelf
from retrievers.filters import narrow, parse, weakened
from retrievers.stores import pinecone, pinecone_client, pinecone_words
from retrievers.stores.pinecone import PineconeStore
from retrievers.stores.pinecone_rows import said, sayable
from tests.fakes.pinecone import PineconeFake, serving

SHELF = Shelf("acme", "col_a")
AXES = np.eye(8, dtype=np.float32)


def named(place: Path, **more: Any) -> Settings:
    return Settings.load(data_dir=place, retrieval={"store": "pinecone", "store_answer_s": 5, **more})


@pytest.fixture
def fake() -> PineconeFake:
    return PineconeFake()


@pytest.fixture
def settings(fake: PineconeFake, tmp_path: Path) -> Iterator[Settings]:
    with serving(fake) as where:
        yield named(tmp_path, pinecone_visible_s=5, **where)


@pytest.fixture
def store(settings: Settings) -> Iterator[PineconeStore]:
    opened = PineconeStore(settings)
    yield opened
    opened.close()


def chunk(number: int, text: str = "text", **attributes: Any) -> Chunk:
    return Chunk(f"chk_{number:03}", "doc_a", "a.md", 1, text, 0, 4, attributes=attributes)


def test_an_index_for_the_dimension_is_made_once_and_a_shelf_is_a_namespace(
    store: PineconeStore, settings: Settings, fake: PineconeFake
):
    store.upsert(SHELF, [chunk(1)], AXES[:1])
    other = PineconeStore(settings)
    other.upsert(Shelf("acme", "col_b"), [chunk(1)], AXES[:1])
    other.close()
    assert fake.calls.count("create_index") == 2
    assert list(fake.indexes) == ["genai-8", "genai-words"]
    assert fake.indexes["genai-8"].spec == {"serverless": {"cloud": "aws", "region": "us-east-1"}}
    assert list(fake.indexes["genai-8"].namespaces) == ["col_a", "col_b"]


def test_a_write_that_is_not_seen_in_time_is_told_and_may_be_repeated(settings: Settings, fake: PineconeFake, tmp_path: Path):
    of = settings.retrieval
    store = PineconeStore(named(tmp_path, pinecone_visible_s=0.1, pinecone_url=of.pinecone_url, pinecone_api_key=fake.key))
    fake.late = False
    store.upsert(SHELF, [chunk(1)], AXES[:1])
    fake.late, fake.stuck = True, True
    with pytest.raises(Unavailable, match="does not find in time") as late:
        store.upsert(SHELF, [chunk(2)], AXES[:1])
    assert late.value.code == "store_unavailable"
    with pytest.raises(Unavailable):
        store.delete_document(SHELF, "doc_a")
    fake.late = fake.stuck = False
    store.upsert(SHELF, [chunk(2)], AXES[:1])
    assert [one.id for one in store.get(SHELF, ["chk_002"])] == ["chk_002"]
    store.close()


def test_a_server_that_says_no_number_is_not_waited_for(
    store: PineconeStore, fake: PineconeFake, monkeypatch: pytest.MonkeyPatch
):
    fake.late = False
    monkeypatch.setattr(pinecone_client, "_lsn", lambda headers, name: 0)
    store.upsert(SHELF, [chunk(1)], AXES[:1])
    assert store.count(SHELF) == 1


def test_a_chunk_that_takes_too_much_room_is_packed_and_one_that_does_all_the_same_is_refused(
    store: PineconeStore, fake: PineconeFake
):
    long, noise = chunk(1, "ünd so weiter " * 4000, kind="a"), np.random.default_rng(3).bytes(60_000).hex()
    store.upsert(SHELF, [long], AXES[:1])
    kept = fake.indexes["genai-8"].namespaces["col_a"].records["chk_001"]["metadata"]
    assert "text" not in kept
    assert store.search(SHELF, AXES[0], 1, parse({"kind": "a"}))[0][0] == long
    with pytest.raises(UnreadableFile) as refused:
        store.upsert(SHELF, [chunk(2, noise)], AXES[:1])
    assert refused.value.code == "chunk_too_large"
    assert store.count(SHELF) == 1


def test_what_is_more_than_one_call_carries_goes_in_several(
    store: PineconeStore, fake: PineconeFake, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pinecone_client, "_UPSERTED_BYTES", 30_000)
    store.upsert(SHELF, [chunk(number, "x" * 8000) for number in range(10)], np.resize(AXES, (10, 8)))
    assert fake.calls.count("vectors/upsert") == 4
    assert store.count(SHELF) == 10


def test_what_is_more_than_a_query_finds_is_listed_and_compared(
    store: PineconeStore, fake: PineconeFake, monkeypatch: pytest.MonkeyPatch
):
    for module in (pinecone, pinecone_client):
        monkeypatch.setattr(module, "MOST_FOUND", 16)
    monkeypatch.setattr(pinecone_client, "_LISTED", 30)
    vectors = np.random.default_rng(2).normal(size=(100, 8)).astype(np.float32)
    vectors[:, 0] = np.where(np.arange(100) < 90, 3, -3)
    of = [chunk(number, kind="near" if number < 90 else "far off") for number in range(100)]
    store.upsert(SHELF, of, vectors)
    found = store.search(SHELF, AXES[0], 4, parse({"kind": {"contains": "off"}}))
    cosines = vectors[90:, 0] / np.linalg.norm(vectors[90:], axis=1)
    assert [one.id for one, _ in found] == [f"chk_{90 + number:03}" for number in np.argsort(-cosines)[:4]]
    assert store.count(SHELF) == store.count(SHELF, "doc_a") == 100
    assert [one.id for one in store.scan(SHELF, "", 200)[0]] == [one.id for one in of]
    filter = parse({"kind": {"contains": "near"}})
    assert filter is not None
    assert store.delete_where(SHELF, filter) == 90
    store.delete_document(SHELF, "doc_a")
    assert store.count(SHELF) == 0


def test_chunks_of_before_words_are_told_until_they_are_written_anew(store: PineconeStore, fake: PineconeFake):
    store.upsert(SHELF, [chunk(1), chunk(2)], AXES[:2])
    for name in ("genai-8", "genai-words"):  # as the version before has left it
        fake.indexes[name].namespaces["col_a"].records["chk_001"]["metadata"].pop("worded", None)
    del fake.indexes["genai-words"].namespaces["col_a"].records["chk_001"]
    assert [one for one, _ in store.search_words(SHELF, "text", 5)] == ["chk_002"]
    assert not store.has_words(SHELF)
    store.upsert(SHELF, [chunk(1)], AXES[:1])
    assert store.has_words(SHELF)
    assert [one for one, _ in store.search_words(SHELF, "text", 5)] == ["chk_001", "chk_002"]


def test_how_many_chunks_have_a_word_is_asked_once_and_beyond_what_a_query_finds_estimated(
    store: PineconeStore, fake: PineconeFake, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pinecone_words, "MOST_WORDS_FOUND", 100)
    monkeypatch.setattr(pinecone_words, "_PARTS", 8)
    store.upsert(
        SHELF, [chunk(number, "otter" if number % 4 else "otter lynx") for number in range(400)], np.resize(AXES, (400, 8))
    )
    weights = store.word_weights(SHELF, ["otter", "lynx", "emu"])
    assert weights["emu"] == pytest.approx(np.log(1 + 400.5 / 0.5))
    assert weights["lynx"] == pytest.approx(np.log(1 + 300.5 / 100.5), rel=0.3)
    assert weights["otter"] < 0.3
    fake.calls.clear()
    assert len(store.search_words(SHELF, "otter lynx", 7)) == 7
    assert fake.calls == ["query"], "counted before"
    store.delete_document(SHELF, "doc_a")
    assert store.word_weights(SHELF, ["otter"]) == {"otter": 0.0}


def test_a_vector_of_more_words_than_pinecone_takes_keeps_the_heaviest(store: PineconeStore):
    long = " ".join([*(f"word{number}" for number in range(1500)), "otter otter otter"])
    store.upsert(SHELF, [chunk(1, long)], AXES[:1])
    assert [one for one, _ in store.search_words(SHELF, "otter", 5)] == ["chk_001"]


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        (None, None),
        ({"year": {"gte": 2020}}, {"number.year": {"$gte": 2020}}),
        ({"page": {"lt": 2.5}}, {"number.page": {"$lt": 2.5}}),
        ({"title": {"contains": "a"}, "year": {"lt": 3}}, 2),
        ({"not": {"year": {"gte": 2020}}}, None),
        ({"or": [{"year": {"gt": 1}}, {"not": {"title": {"contains": "a"}}}]}, None),
        ({"n": {"lt": 2**60}}, 1),
    ],
    ids=range(7),
)
def test_what_pinecone_can_say_is_said(written: dict[str, Any] | None, wanted: Any):
    found = said(parse(written))
    if isinstance(wanted, int):
        assert len(found["$and"] if found and "$and" in found else [found]) == wanted
        assert narrow(weakened(parse(written), sayable), sayable).filter is not None
    else:
        assert found == wanted


def test_a_service_that_fails_for_a_moment_is_asked_again_and_one_that_is_away_is_unavailable(
    fake: PineconeFake, tmp_path: Path
):
    with serving(fake) as where:
        store = PineconeStore(named(tmp_path, **where))
        store.upsert(SHELF, [chunk(1)], AXES[:1])
        fake.failing = [429, 503]
        assert len(store.get(SHELF, ["chk_001"])) == 1
        fake.failing = [400]
        with pytest.raises(Unavailable):
            store.get(SHELF, ["chk_001"])
    with pytest.raises(Unavailable) as away:
        store.ping()
    assert away.value.code == "store_unavailable"
    store.close()


def test_settings_that_cannot_work_are_told(settings: Settings, tmp_path: Path):
    with pytest.raises(SettingsError, match="PINECONE_API_KEY, which is not set"):
        PineconeStore(named(tmp_path))
    with pytest.raises(SettingsError, match="Pinecone does not take it") as refused:
        PineconeStore(named(tmp_path, pinecone_url=settings.retrieval.pinecone_url, pinecone_api_key="wrongkey"))
    assert "wrongkey" not in str(refused.value)
    with pytest.raises(SettingsError, match="pinecone_index"):
        named(tmp_path, pinecone_index="Not_a_name")
