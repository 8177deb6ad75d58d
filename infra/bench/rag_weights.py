"""Cross-validates the numbers of search on a labelled set in Cranfield's form: of each number those around the chosen one.

    python -m infra.bench.rag_weights DIRECTORY [--vectors=FILE]

The queries are dealt to five parts. On each four of them the best number is chosen, and the fifth says what the choice is worth
where it was not made; beside it stands what the default is worth there. No judgement is read by the platform itself.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from core.settings import Settings
from infra.bench.rag import Place, embed, gains_of, lines_of, ndcg, opened, say
from providers.models import Models
from retrievers import feedback
from retrievers.base import Chunk
from retrievers.fusion import DENSE_WEIGHT, fuse
from retrievers.indexing import embedded_text
from retrievers.steps.settings import Feedback

_DEPTH = 100
_PARTS = 5
_DENSE_WEIGHTS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9)
_PASSAGES = (3, 5, 10)
_VECTOR_WEIGHTS = (0.3, 0.6, 1.0)
_TERMS = (0, 10, 20)

Scores = Mapping[Any, NDArray[np.float64]]


class Queries:
    """The queries of a set with what each leg says of them."""

    def __init__(self, place: Place, chunks: Sequence[Chunk], texts: Sequence[str]) -> None:
        self._store, self._lexical, self._shelf = place.resources.store, place.resources.lexical, place.shelf
        self._known = {chunk.id: chunk for chunk in chunks}
        self.texts = texts
        embeddings = place.resources.models.embeddings()
        self.vectors = [np.asarray(embeddings.embed_query(text), dtype=np.float32) for text in texts]

    def legs(self, words: str, vector: NDArray[np.float32]) -> tuple[dict[str, float], dict[str, float]]:
        lexical = dict(self._lexical.search(self._shelf, words, _DEPTH))
        dense = {chunk.id: similarity for chunk, similarity in self._store.search(self._shelf, vector, _DEPTH)}
        others = [chunk_id for chunk_id in lexical if chunk_id not in dense]
        return dense | self._store.similarities(self._shelf, vector, others), lexical

    def documents(self, ranked: Sequence[tuple[str, float]]) -> list[str]:
        return list(dict.fromkeys(self._known[chunk_id].document_id for chunk_id, _ in ranked))[:10]

    def fed_back(
        self, number: int, best: Sequence[str], vectors: Mapping[str, NDArray[np.float32]], weight: float, terms: int
    ) -> list[str]:
        found = np.stack([vectors[chunk_id] for chunk_id in best])
        words = feedback.widened(
            self.texts[number],
            [embedded_text(self._known[chunk_id]) for chunk_id in best],
            terms,
            words=self._lexical.words,
            weights=lambda text: self._lexical.weights(self._shelf, text),
        )
        vector = feedback.moved(self.vectors[number], found, weight=weight)
        return self.documents(fuse(*self.legs(words, vector)))


async def main(directory: Path, kept: Path | None) -> None:
    """Print the choice of each part, and what it is worth."""
    with tempfile.TemporaryDirectory() as scratch:
        settings = Settings.load(data_dir=scratch)
        models = Models(settings)
        rows, asked = lines_of(directory / "corpus.jsonl"), lines_of(directory / "queries.jsonl")
        chunks, matrix = embed(models, rows, kept)
        place = await opened(settings, models, rows, chunks, matrix)
        vectors = dict(zip((chunk.id for chunk in chunks), matrix, strict=True))
        queries = Queries(place, chunks, [one["text"] for one in asked])
        gains = gains_of(directory / "qrels.tsv")
        weighed: dict[Any, list[float]] = {}
        fed: dict[Any, list[float]] = {}
        for number, one in enumerate(asked):
            legs = queries.legs(one["text"], queries.vectors[number])
            for weight in _DENSE_WEIGHTS:
                found = queries.documents(fuse(*legs, dense_weight=weight))
                weighed.setdefault(weight, []).append(ndcg(found, gains[one["_id"]]))
            first = [chunk_id for chunk_id, _ in fuse(*legs)]
            for key in ((count, weight, terms) for count in _PASSAGES for weight in _VECTOR_WEIGHTS for terms in _TERMS):
                found = queries.fed_back(number, first[: key[0]], vectors, *key[1:])
                fed.setdefault(key, []).append(ndcg(found, gains[one["_id"]]))
        told = Feedback()
        _validated("weight of the dense leg", _arrays(weighed), DENSE_WEIGHT)
        default = (told.passages, feedback.VECTOR_WEIGHT, told.terms)
        _validated("feedback: passages, weight of their vectors, terms", _arrays(fed), default)
        place.resources.close()
        await place.database.close()
        await models.close()


def _arrays(scores: Mapping[Any, Sequence[float]]) -> Scores:
    return {choice: np.asarray(values) for choice, values in scores.items()}


def _validated(name: str, scores: Scores, default: Any) -> None:
    say(f"\n{name}")
    for choice, values in scores.items():
        say(f"  {choice!s:20} {values.mean():.4f}{'  default' if choice == default else ''}")
    count = len(next(iter(scores.values())))
    parts = np.arange(count) % _PARTS
    worth = np.zeros(count)
    for part in range(_PARTS):
        chosen = max(scores, key=lambda choice: float(scores[choice][parts != part].mean()))
        worth[parts == part] = scores[chosen][parts == part]
        told = f"{worth[parts == part].mean():.4f}, default {scores[default][parts == part].mean():.4f}"
        say(f"  part {part + 1}: {chosen!s:20} {told}")
    say(f"  chosen elsewhere: {worth.mean():.4f}, default: {scores[default].mean():.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="cross-validates the numbers of search on a labelled set")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--vectors", type=Path, help="file to keep the documents' vectors in, for the next time")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    asyncio.run(main(given.directory, given.vectors))
