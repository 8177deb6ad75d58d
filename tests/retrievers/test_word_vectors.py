from retrievers.base import Chunk
from retrievers.word_vectors import WordVectors, index_of, indices_of


def chunk(text: str, context: str = "") -> Chunk:
    return Chunk("chk_1", "doc_a", "a.md", 1, text, 0, len(text), context=context)


def held(vectors: WordVectors, text: str, context: str = "") -> dict[int, float]:
    indices, values = vectors.of(chunk(text, context))
    assert indices == sorted(set(indices))
    return dict(zip(indices, values, strict=True))


def test_a_word_counts_for_more_the_oftener_it_is_there_and_the_shorter_the_text() -> None:
    vectors = WordVectors()
    once, twice = held(vectors, "pump and tank"), held(vectors, "pump, pumps and tank")
    long = held(vectors, "pump " + "other words that are long " * 40)
    pump = index_of("text", "pump")
    assert 0 < long[pump] < once[pump] < twice[pump] < 2.2


def test_headings_are_a_field_of_their_own_and_a_query_asks_both() -> None:
    vectors = WordVectors()
    assert index_of("text", "pump") != index_of("context", "pump")
    assert set(held(vectors, "text", "Pumps")) == {index_of("text", "text"), index_of("context", "pump")}
    indices, values = vectors.asked("Which pump? The pump!")
    assert indices == sorted(indices_of("pump"))
    assert values == [2.0, 2.0]
    assert vectors.asked("which of the") == ([], [])


def test_no_word_is_where_another_is_and_each_stays_there() -> None:
    """Vectors are kept: a change would need all documents to be read again."""
    places = {index_of(field, f"word{number}") for field in ("text", "context") for number in range(20_000)}
    assert len(places) >= 39_999
    assert index_of("text", "pump") == 2786973446
