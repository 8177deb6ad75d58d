import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from core.settings import Settings
from retrievers.base import Chunk, Shelf
from retrievers.filters import matches, parse
from retrievers.lexical import LexicalIndex
from retrievers.standing import Standing
from tests.retrievers.filtering import FILTERS, chunks

ONE = Shelf("acme", "col_one")
TWO = Shelf("acme", "col_two")


def chunk(number: int, text: str, document: str = "doc_a", revision: int = 1, context: str = "", **attributes) -> Chunk:
    return Chunk(
        f"chk_{document}_{revision}_{number}",
        document,
        f"{document}.md",
        revision,
        text,
        0,
        len(text),
        None,
        context,
        attributes,
    )


@pytest.fixture
def index(settings: Settings) -> LexicalIndex:
    return LexicalIndex(settings)


def found(index: LexicalIndex, query: str, shelf: Shelf = ONE, filter: Mapping[str, Any] | None = None) -> list[str]:
    return [chunk_id for chunk_id, _ in index.search(shelf, query, 10, parse(filter))]


def test_words_are_found_in_every_form_and_case(index: LexicalIndex):
    index.upsert(ONE, [chunk(1, "The pumps were RUNNING in Gdańsk"), chunk(2, "Nothing of the kind")])
    for query in ("pump", "runs", "running pumps", "gdansk", "GDAŃSK?"):
        assert found(index, query) == ["chk_doc_a_1_1"], query


def test_rare_words_and_headings_count_for_more(index: LexicalIndex):
    chunks = [chunk(n, "the common valve of the house") for n in range(6)]
    index.upsert(ONE, [*chunks, chunk(7, "a valve with a gasket"), chunk(8, "something else", context="Gasket › Valve")])
    assert set(found(index, "valve gasket")[:2]) == {"chk_doc_a_1_7", "chk_doc_a_1_8"}


@pytest.mark.parametrize(
    "query", ["", "  ", "?!", "the of and", 'AND OR NOT "', "field:value^2 [a TO b]", "\u0000", "a" * 100_000]
)
def test_no_query_is_an_error(index: LexicalIndex, query: str):
    index.upsert(ONE, [chunk(1, "some text")])
    assert found(index, query) == []


def test_text_without_blanks_between_words_is_found(index: LexicalIndex):
    index.upsert(ONE, [chunk(1, "東京都の天気は晴れ"), chunk(2, "大阪の料理")])
    assert found(index, "東京の天気")[0] == "chk_doc_a_1_1"


def test_a_change_is_seen_at_once_and_replaces_by_id(index: LexicalIndex):
    index.upsert(ONE, [chunk(1, "first wording")])
    index.upsert(ONE, [chunk(1, "second wording")])
    assert found(index, "first") == []
    assert found(index, "second") == ["chk_doc_a_1_1"]
    assert index.count(ONE) == 1


def test_a_filter_holds_for_every_result(index: LexicalIndex):
    index.upsert(
        ONE, [chunk(1, "same words", "doc_a", lang="en", year=2024), chunk(1, "same words", "doc_b", lang="de", year=2024.0)]
    )
    assert found(index, "words", filter={"lang": "en"}) == ["chk_doc_a_1_1"]
    assert len(found(index, "words", filter={"year": 2024})) == 2
    assert found(index, "words", filter={"year": 2024, "document": "doc_b.md"}) == ["chk_doc_b_1_1"]
    assert found(index, "words", filter={"year": True}) == found(index, "words", filter={"lang": "EN"}) == []


@pytest.mark.parametrize(
    "name",
    ["year", "due.date (UTC)", "größe", "a-b_c d", "💶", "lines\nof", "<J`>", "".join(map(chr, range(33, 127))), "\x11\x96"],
    ids=[f"name{number}" for number in range(9)],
)
def test_it_knows_which_attributes_there_are(index: LexicalIndex, name: str):
    assert not index.has_attribute(ONE, name)
    index.upsert(ONE, [chunk(1, "words", **{name: "two\nlines"})])
    assert index.has_attribute(ONE, name)
    for other in (name[:-1], f"{name}s", name.replace(".", "x") + "x", "", "x" * 100_000):
        assert not index.has_attribute(ONE, other)


def test_a_filter_does_not_change_the_scores(index: LexicalIndex):
    index.upsert(ONE, [chunk(1, "same words", lang="en"), chunk(2, "other things")])
    assert index.search(ONE, "words", 5) == index.search(ONE, "words", 5, parse({"lang": "en"}))


def test_deleting_leaves_the_kept_revision_and_other_documents(index: LexicalIndex):
    index.upsert(ONE, [chunk(1, "word"), chunk(1, "word", revision=2), chunk(1, "word", "doc_b")])
    index.delete_document(ONE, "doc_a", keep_revision=2)
    assert sorted(found(index, "word")) == ["chk_doc_a_2_1", "chk_doc_b_1_1"]
    index.delete_document(ONE, "doc_a")
    index.delete_document(ONE, "doc_a")
    index.delete_document(Shelf("acme", "col_unknown"), "doc_a")
    assert (index.count(ONE, "doc_a"), index.count(ONE, "doc_b")) == (0, 1)


def test_collections_have_their_own_words(index: LexicalIndex):
    index.upsert(ONE, [chunk(1, "apple")])
    index.upsert(TWO, [chunk(n, "apple pear") for n in range(5)])
    assert found(index, "pear") == []
    assert index.weights(ONE, "pear")["pear"] > index.weights(TWO, "pear")["pear"]
    index.delete_collection(TWO)
    index.delete_collection(TWO)
    assert found(index, "apple", shelf=TWO) == []
    assert found(index, "apple") == ["chk_doc_a_1_1"]


def test_it_is_still_there_when_opened_again(index: LexicalIndex, settings: Settings):
    index.upsert(ONE, [chunk(1, "kept")])
    index.close()
    assert found(LexicalIndex(settings), "kept") == ["chk_doc_a_1_1"]


def test_a_failed_change_leaves_nothing_behind(index: LexicalIndex):
    index.upsert(ONE, [chunk(1, "good")])
    broken = chunk(2, "bad")
    object.__setattr__(broken, "text", None)
    with pytest.raises(TypeError):
        index.upsert(ONE, [chunk(3, "half"), broken])
    assert found(index, "half") == []
    index.upsert(ONE, [chunk(4, "after")])
    assert found(index, "after") == ["chk_doc_a_1_4"]


def test_writers_wait_for_each_other_while_searches_go_on(index: LexicalIndex):
    failures: list[BaseException] = []

    def write(name: str) -> None:
        try:
            for number in range(5):
                index.upsert(ONE, [chunk(number, "word", name)])
                assert index.search(ONE, "word", 50)
        except BaseException as error:  # noqa: BLE001 - told to the test's own thread
            failures.append(error)

    writers = [threading.Thread(target=write, args=(f"doc_{name}",)) for name in "abcd"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert failures == []
    assert index.count(ONE) == 20


def test_a_collection_id_cannot_leave_the_directory(index: LexicalIndex):
    with pytest.raises(ValueError, match="collection"):
        index.upsert(Shelf("acme", "../x"), [chunk(1, "word")])


def test_another_tenants_index_is_not_read_filled_or_cleared(index: LexicalIndex, settings: Settings):
    index.upsert(ONE, [chunk(1, "apple pear", tenant="globex")])
    for looking in (index, LexicalIndex(settings)):
        foreign = Shelf("globex", ONE.collection_id)
        for filter in (None, {"tenant": "globex"}, {"tenant": "acme"}):
            assert looking.search(foreign, "apple", 9, parse(filter)) == []
        assert looking.count(foreign) == 0
        assert not looking.has_attribute(foreign, "tenant")
        assert looking.weights(foreign, "apple") == {"appl": 0.0}
        looking.delete_document(foreign, "doc_a")
        looking.delete_collection(foreign)
        with pytest.raises(PermissionError, match="another tenant"):
            looking.upsert(foreign, [chunk(2, "apple")])
        assert looking.count(ONE) == 1
    assert len(index.search(ONE, "apple", 9, parse({"tenant": "globex"}))) == 1
    assert index.search(ONE, "apple", 9, parse({"tenant": "acme"})) == []


def test_an_index_of_before_it_noted_whose_it_is_goes_on(index: LexicalIndex, settings: Settings):
    index.upsert(ONE, [chunk(1, "apple")])
    index.close()
    (note,) = settings.path("lexical").rglob("tenant")
    note.unlink()
    assert index.count(ONE) == 1
    assert index.count(Shelf("globex", ONE.collection_id)) == 0


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> LexicalIndex:
    index = LexicalIndex(Settings.load(data_dir=Path(tmp_path_factory.mktemp("full"))))
    index.upsert(ONE, [*chunks(), chunk(1, "word", "doc_gone", kind="gone")])
    index.delete_document(ONE, "doc_gone")
    return index


@given(FILTERS)
def test_every_filter_finds_what_its_meaning_says(full: LexicalIndex, written: dict[str, Any]):
    filter = parse(written)
    passing = {chunk.id for chunk in chunks() if matches(filter, chunk)}
    assert {chunk_id for chunk_id, _ in full.search(ONE, "word", 100, filter)} == passing


def test_two_processes_on_one_directory_write_in_turn_and_see_each_other(settings: Settings):
    one, other = LexicalIndex(settings), LexicalIndex(settings)
    one.upsert(ONE, [chunk(0, "a valve", "doc_start")])
    assert found(other, "valve") == ["chk_doc_start_1_0"]

    def write(index: LexicalIndex, document: str) -> None:
        for number in range(5):
            index.upsert(ONE, [chunk(number, "a valve", document)])

    threads = [threading.Thread(target=write, args=(index, f"doc_{n}")) for n, index in enumerate([one, other, one])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert one.count(ONE) == other.count(ONE) == 16
    other.delete_collection(ONE)
    assert found(one, "valve") == []
    one.upsert(ONE, [chunk(1, "a valve")])
    assert (found(one, "valve"), found(other, "valve")) == (["chk_doc_a_1_1"], ["chk_doc_a_1_1"])


def test_what_is_brought_leaves_newer_revisions_and_goes_no_way_back(index: LexicalIndex):
    index.upsert(ONE, [chunk(1, "valve", revision=1), chunk(1, "valve", revision=3), chunk(1, "valve", "doc_b")])
    second = [chunk(1, "valve", revision=2)]
    index.bring(ONE, second, without={"doc_a": 2, "doc_b": None}, to=Standing(number=5))
    assert index.held(ONE) == {"doc_a": {2: 1, 3: 1}}
    index.bring(ONE, [chunk(1, "valve", "doc_late")], without={"doc_a": None}, to=Standing(number=4))
    assert index.held(ONE) == {"doc_a": {2: 1, 3: 1}}
    index.note(ONE, Standing(number=3))
    assert index.standing(ONE) == index.last_standing(ONE) == Standing(number=5)


def test_a_note_that_cannot_be_read_is_none(index: LexicalIndex, settings: Settings):
    index.note(ONE, Standing(number=5))
    note = next(settings.path("lexical").rglob("standing"))
    note.write_text("{")
    assert index.standing(ONE) == Standing()


def test_a_process_that_answers_no_searches_makes_no_index(settings: Settings):
    index = LexicalIndex(settings, makes=False)
    index.upsert(ONE, [chunk(1, "valve")])
    assert index.shelves() == []
    index.note(ONE, Standing(number=1))
    index.upsert(ONE, [chunk(1, "valve")])
    assert (index.shelves(), index.count(ONE)) == ([ONE], 1)


def test_a_collection_may_be_deleted_by_several_at_once_while_it_is_searched(settings: Settings):
    mine, others = LexicalIndex(settings), LexicalIndex(settings)
    for number in range(12):
        shelf = Shelf("acme", f"col_{number}")
        mine.upsert(shelf, [chunk(each, f"the heron {each} by the river") for each in range(20)])
        begin, failures = threading.Barrier(4), []

        def does(act: Callable[[], object], begin: threading.Barrier = begin, failures: list[str] = failures) -> None:
            begin.wait()
            try:
                for _ in range(8):
                    act()
            except Exception as error:  # noqa: BLE001 - whatever it is, it fails the test
                failures.append(repr(error))

        acts = [
            partial(mine.delete_collection, shelf),
            partial(others.delete_collection, shelf),
            partial(found, mine, "heron", shelf),
            partial(others.count, shelf),
        ]
        threads = [threading.Thread(target=does, args=(act,)) for act in acts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert mine.count(shelf) == others.count(shelf) == 0
    left = [path.name for path in settings.path("lexical").rglob("*") if path.is_dir() and path.parent.name == "v1"]
    assert left == []
