"""How near an output is to what was expected, by the meaning of both: an embedding model's cosine."""

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from core.errors import NotFound, PlatformError
from evals.base import Outcome, Score
from evals.metrics.base import Options, Scoring, references

if TYPE_CHECKING:
    from providers.models import Models


class EmbeddingOptions(Options):
    """`alias` of an embedding model."""

    alias: str = Field("embeddings", min_length=1, max_length=128)


class EmbeddingSimilarity(Scoring):
    """The cosine of output and reference, -1 to 1; of several references the nearest."""

    name = "embedding_similarity"
    needs: ClassVar[str] = "models"
    options_type: ClassVar[type[Options]] = EmbeddingOptions

    def __init__(self, *, models: "Models", **options: Any) -> None:
        super().__init__(**options)
        self._models = models
        self._named = checked_embeddings(models, self.options.alias)

    def stands_on(self) -> list[str]:
        return [self._named]

    async def measure(self, outcome: Outcome) -> Score:
        right = references(outcome.example)
        if not right:
            return Score.unmeasured("no_reference")
        if not outcome.output.strip() or not all(one.strip() for one in right):
            return Score.unmeasured("no_text")
        return await nearest(self._models, self.options.alias, outcome.output, right)


def checked_embeddings(models: "Models", alias: str) -> str:
    """Which vectors an alias gives. Raises ValueError: there is no such embedding model."""
    try:
        return models.embedding_name(alias)
    except NotFound:
        raise ValueError(f"there is no embedding model {alias!r}") from None


async def nearest(models: "Models", alias: str, text: str, others: list[str]) -> Score:
    """The largest cosine between a text and one of the others; unmeasured where the model fails."""
    try:
        vectors = np.array(await models.embeddings(alias).aembed_documents([text, *others]), dtype=np.float64)
    except PlatformError as error:
        return Score.unmeasured(error.code)
    lengths = np.linalg.norm(vectors, axis=1)
    if not (lengths > 0).all():
        return Score.unmeasured("no_meaning")
    unit = vectors / lengths[:, None]
    return Score(float(np.clip((unit[1:] @ unit[0]).max(), -1, 1)))
