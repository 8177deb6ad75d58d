from types import SimpleNamespace
from typing import Any

from core.errors import Unavailable
from retrievers.steps.compression import CompressionStep
from retrievers.steps.settings import Compression
from tests.retrievers.steps.making import passage, retrieved

PUMP = "The pump is blue. It moves water fast. Its warranty is 24 months. It stands in the cellar. Nobody paints it."
TABLE = "| Property | Value |\n|---|---|\n| Weight | 18.5 kg |\n| Colour | blue |\n| Warranty | 24 months |"


class Embeddings:
    """Sentences are near to a question as far as they share words with it."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if self._error:
            raise self._error
        asked = set(words(texts[0]))
        return [[1.0, 0.0], *([len(asked & set(words(text))) / 10, 0.0] for text in texts[1:])]


def words(text: str) -> list[str]:
    found = (word.strip(".|?").lower() for word in text.split())
    return [word for word in found if word not in ("how", "long", "is", "the", "of", "")]


def step(tokens: int, *, error: Exception | None = None, room: int | None = None) -> CompressionStep:
    lexical = SimpleNamespace(words=words, weights=lambda shelf, text: dict.fromkeys(words(text), 1.0))
    resources: Any = SimpleNamespace(lexical=lexical, models=SimpleNamespace(embeddings=lambda: Embeddings(error)))
    return CompressionStep(Compression(tokens=max(tokens, 64)), resources, lambda text: len(text.split()), room or tokens)


async def texts(compression: CompressionStep, *texts: str, query: str = "How long is the warranty") -> list[str]:
    given = retrieved(*(passage(f"p{place}", 1.0, text, start=100) for place, text in enumerate(texts)), query=query)
    found = await compression.ainvoke(given)
    assert not found.impaired
    whole = {one.chunk.document: one.chunk for one in given.passages}
    for one in found.passages:
        of = whole[one.chunk.document]
        assert of.text[one.chunk.start - of.start : one.chunk.end - of.start] == one.chunk.text
    assert len({one.chunk.id for one in found.passages}) == len(found.passages)
    return [one.chunk.text for one in found.passages]


async def test_what_fits_stays_as_it_is():
    assert await texts(step(64), PUMP) == [PUMP]


async def test_of_what_does_not_fit_the_sentences_that_matter_are_left():
    assert await texts(step(36), PUMP) == ["Its warranty is 24 months."]


async def test_sentences_that_follow_each_other_are_one_stretch():
    kept = await texts(step(43), PUMP)
    assert "Its warranty is 24 months." in " ".join(kept)
    assert sum(len(text.split()) for text in kept) <= 13


async def test_without_the_embedding_model_words_decide():
    assert await texts(step(36, error=Unavailable("away")), PUMP) == ["Its warranty is 24 months."]


async def test_a_row_keeps_the_head_of_its_table():
    kept = await texts(step(45), TABLE + "\n\n" + "The paint is dull. " * 20)
    assert kept[0].startswith("| Property | Value |\n|---|---|")
    assert "| Warranty | 24 months |" in "\n".join(kept)
    assert "Colour" not in "\n".join(kept)


async def test_at_least_a_part_of_the_best_is_left():
    kept = await texts(step(64, room=5), "warranty " * 200)
    assert len(kept) == 1
    assert 0 < len(kept[0]) < 200


async def test_the_passages_share_the_room():
    kept = await texts(step(80), PUMP, "The kettle is red. The warranty of the kettle is one year. It boils.", PUMP)
    assert len(kept) >= 2
