"""Words of deleted chunks leave the index's files, and nothing else does."""

from collections.abc import Sequence

import pytest

from core.settings import Settings
from retrievers.base import Chunk, Shelf
from retrievers.lexical import LexicalIndex

ONE = Shelf("acme", "col_one")


def chunk(number: int, document: str = "doc_a") -> Chunk:
    text = f"shared remnant{number}{document[-1]}"
    return Chunk(f"chk_{document}_{number}", document, f"{document}.md", 1, text, 0, len(text))


@pytest.fixture
def index(settings: Settings) -> LexicalIndex:
    return LexicalIndex(settings)


def dictionary(index: LexicalIndex) -> list[str]:
    """Every word in the index's files, whether a chunk is left that has it or not."""
    return [word for word, _ in index._open(ONE).index.searcher().terms_with_prefix("text", "remnant")]


def forget(index: LexicalIndex, chunks: Sequence[Chunk], most: int = 100) -> int:
    known = {one.id: one for one in chunks}
    return index.forget(ONE, lambda ids: [known[name] for name in ids if name in known], most)


def test_of_a_deleted_document_no_word_is_left(index: LexicalIndex) -> None:
    chunks = [*(chunk(number) for number in range(4)), *(chunk(number, "doc_b") for number in range(4))]
    index.upsert(ONE, chunks)
    index.upsert(ONE, [chunk(9, "doc_c")])
    index.delete_document(ONE, "doc_a")
    assert index.remains(ONE) == 4
    assert "remnant1a" in dictionary(index), "what is looked for was there"
    before = index.search(ONE, "shared remnant1b", 20)
    assert forget(index, chunks) == 4
    assert index.remains(ONE) == 0
    assert sorted(dictionary(index)) == ["remnant0b", "remnant1b", "remnant2b", "remnant3b", "remnant9c"]
    after = index.search(ONE, "shared remnant1b", 20)
    assert after[0][0] == before[0][0]
    assert {name for name, _ in after} == {name for name, _ in before}
    assert forget(index, chunks) == 0


def test_a_little_at_a_time_comes_to_the_same(index: LexicalIndex) -> None:
    chunks = [chunk(number) for number in range(10)]
    index.upsert(ONE, chunks[:5])
    index.upsert(ONE, chunks[5:])
    index.upsert(ONE, [chunk(1, "doc_b"), chunk(2, "doc_b")])
    for number in (0, 7):
        index.upsert(ONE, [Chunk(chunks[number].id, "doc_a", "doc_a.md", 1, "other", 0, 5)])
    known = [*chunks, chunk(1, "doc_b"), chunk(2, "doc_b")]
    while index.remains(ONE):
        assert 1 <= forget(index, known, most=3) <= 3
        assert index.count(ONE) == 12
    assert {"remnant0a", "remnant7a"}.isdisjoint(dictionary(index))


def test_what_cannot_be_read_stays_found_and_is_told(index: LexicalIndex) -> None:
    chunks = [chunk(number) for number in range(3)]
    index.upsert(ONE, chunks)
    index.upsert(ONE, [Chunk(chunks[0].id, "doc_a", "doc_a.md", 1, "other", 0, 5)])
    assert forget(index, [chunks[1]]) == 1
    assert index.remains(ONE) == 2
    assert index.count(ONE) == 3
    assert [name for name, _ in index.search(ONE, "remnant2a", 10)] == [chunks[2].id]


def test_where_there_is_no_index_there_is_nothing_to_forget(index: LexicalIndex) -> None:
    assert index.remains(ONE) == forget(index, []) == 0
