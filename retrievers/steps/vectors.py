"""The vectors of chunks that were found: the store's, where it gives them, else embedded anew."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrievers.base import Chunk, KeepsVectors, Shelf, Vectors
from retrievers.generations import check_model, last_known
from retrievers.indexing import embedded_text

if TYPE_CHECKING:
    from retrievers.library import Resources


def vectors_of(resources: "Resources", shelf: Shelf, chunks: Sequence[Chunk]) -> Vectors:
    """(n, dimension) float32, L2-normalised, in the order of the chunks. Blocking.

    Raises:
        ProviderFailed, Unavailable: a vector is not in the store, and the embedding model does not answer.
        Conflict: `embedding_changed`: nor is the embedding model that of the others.
    """
    known: dict[str, NDArray[np.float32]] = {}
    generation = last_known(resources, shelf)
    store = resources.store_of(generation.store)
    if isinstance(store, KeepsVectors):
        known.update(store.vectors(generation.shelf, [chunk.id for chunk in chunks]))
    missing = [chunk for chunk in chunks if chunk.id not in known]
    if missing:
        embeddings = resources.models.embeddings(generation.embeddings)
        check_model(resources, generation)
        made = embeddings.embed_documents([embedded_text(chunk) for chunk in missing])
        known |= {chunk.id: np.asarray(vector, dtype=np.float32) for chunk, vector in zip(missing, made, strict=True)}
    matrix = np.stack([known[chunk.id] for chunk in chunks])
    lengths = np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12)
    return np.asarray(matrix / lengths, dtype=np.float32)
