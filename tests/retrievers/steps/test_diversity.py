from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from retrievers.library import Resources
from retrievers.steps.diversity import DiversityStep, ranked
from retrievers.steps.settings import Diversity
from tests.retrievers.steps.making import names, passage, retrieved

SAME, OTHER = [1.0, 0.0], [0.0, 1.0]


class Store:
    """Gives vectors back."""

    def __init__(self, **vectors: list[float]) -> None:
        self._vectors = {f"chk_{name}": np.asarray(vector, dtype=np.float32) for name, vector in vectors.items()}

    def vectors(self, shelf: Any, chunk_ids: Any) -> Any:
        return {chunk_id: self._vectors[chunk_id] for chunk_id in chunk_ids if chunk_id in self._vectors}


def resources(store: Any, *embedded: list[float]) -> Any:
    texts: list[str] = []

    def embed(asked: list[str]) -> list[list[float]]:
        texts.extend(asked)
        return list(embedded)

    models: Any = SimpleNamespace(
        embeddings=lambda _: SimpleNamespace(embed_documents=embed),
        embedding_name=lambda _: "model",
        gives_vectors_of=lambda *_: True,
        texts=texts,
    )
    missing: Any = None
    return Resources(store=store, lexical=missing, files=missing, models=models, keyring=missing)


async def test_what_says_the_same_again_comes_later():
    step = DiversityStep(Diversity(relevance=0.5), resources(Store(a=SAME, again=SAME, new=OTHER)))
    found = await step.ainvoke(retrieved(passage("a", 0.9), passage("again", 0.89), passage("new", 0.5)))
    assert names(found.passages) == ["a", "new", "again"]
    assert [one.score for one in found.passages] == [0.9, 0.89, 0.5]
    assert not found.impaired


async def test_by_relevance_alone_nothing_moves():
    step = DiversityStep(Diversity(relevance=1), resources(Store(a=SAME, again=SAME, new=OTHER)))
    found = await step.ainvoke(retrieved(passage("a", 0.9), passage("again", 0.89), passage("new", 0.5)))
    assert names(found.passages) == ["a", "again", "new"]


async def test_what_the_store_has_no_vector_of_is_embedded():
    having = resources(Store(a=SAME), SAME, OTHER)
    step = DiversityStep(Diversity(relevance=0.5), having)
    found = await step.ainvoke(retrieved(passage("a", 0.9), passage("again", 0.89), passage("new", 0.5)))
    assert names(found.passages) == ["a", "new", "again"]
    assert having.models.texts == ["The text of again.", "The text of new."]


async def test_what_is_behind_the_candidates_stays_there():
    step = DiversityStep(Diversity(relevance=0, candidates=2), resources(Store(a=SAME, b=SAME)))
    found = await step.ainvoke(retrieved(*(passage(name, 1 - number / 10) for number, name in enumerate("abc")), limit=1))
    assert names(found.passages) == ["a", "b", "c"]


@pytest.mark.parametrize("count", [1, 5])
def test_every_candidate_is_ranked_once_whatever_the_scores(count: int):
    vectors = np.eye(count, dtype=np.float32)
    for scores in (np.zeros(count), -np.arange(count, dtype=float)):
        assert sorted(ranked(scores, vectors, 0.7)) == list(range(count))
