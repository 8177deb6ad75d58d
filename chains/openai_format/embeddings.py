"""Embeddings requests in OpenAI's form."""

import asyncio
import base64
import sys
from array import array
from collections.abc import Sequence
from functools import lru_cache
from math import hypot
from typing import Any

import orjson

from chains.openai_format.requests import EmbeddingsRequest
from chains.root import admit_to_model
from core.context import current
from core.errors import InvalidRequest, UnsupportedFeature
from core.policies.policy import Place
from providers.models import EMBEDDINGS, Models
from providers.privacy import protected_texts

#: Models whose vectors keep their meaning when they are cut and normalised again (Matryoshka training): OpenAI's and Google's
#: guides to embeddings, November 2025.
_SHORTENABLE = ("text-embedding-3-", "gemini-embedding-")


async def embeddings(models: Models, asked: EmbeddingsRequest) -> bytes:
    """One vector an input, in order, as JSON.

    Raises:
        NotFound: `model_not_found`.
        Forbidden: `model_not_allowed`.
        DataPolicyRefused, PersonalDataBlocked: the tenant's policies do not let the texts go there.
        InvalidRequest: tokens that are no text.
        UnsupportedFeature: `dimensions` that the model's vectors cannot be shortened to.
    """
    alias = asked.model or EMBEDDINGS
    model = models.embeddings(alias)
    admit_to_model(alias)
    texts = asked.texts()
    if texts is None:
        texts = await asyncio.to_thread(_decoded, asked.tokens())
    request = current()
    request.capability = EMBEDDINGS
    texts = await protected_texts(models.privacy, texts, Place.PROMPTS)
    before = request.usage.input_tokens
    vectors = await model.aembed_documents(texts)
    billed = request.usage.input_tokens - before
    return await asyncio.to_thread(_written, models, alias, asked, texts, vectors, billed)


def _written(
    models: Models, alias: str, asked: EmbeddingsRequest, texts: list[str], vectors: list[list[float]], billed: int
) -> bytes:
    """The answer. Blocking: a thousand vectors are ten megabytes of JSON.

    A local model bills nothing, so its tokens are counted.
    """
    if asked.dimensions is not None:
        vectors = _shortened(vectors, asked.dimensions, models.embedding_name(alias))
    write = _base64 if asked.encoding_format == "base64" else list
    tokens = billed or sum(models.count_tokens(text, alias) for text in texts)
    return orjson.dumps(
        {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": write(vector)} for index, vector in enumerate(vectors)
            ],
            "model": alias,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
    )


def _shortened(vectors: list[list[float]], dimensions: int, model: str) -> list[list[float]]:
    """The first `dimensions` of each vector, normalised again."""
    if all(len(vector) == dimensions for vector in vectors):
        return vectors
    if not model.partition("/")[2].startswith(_SHORTENABLE) or any(len(vector) < dimensions for vector in vectors):
        raise UnsupportedFeature(
            f"The model's vectors have {len(vectors[0])} dimensions and cannot be brought to {dimensions}.", param="dimensions"
        )
    cut = [vector[:dimensions] for vector in vectors]
    return [[value / (hypot(*vector) or 1.0) for value in vector] for vector in cut]


def _base64(vector: Sequence[float]) -> str:
    """Little-endian 32-bit floats, as OpenAI's clients read them."""
    floats = array("f", vector)
    if sys.byteorder == "big":
        floats.byteswap()
    return base64.b64encode(floats.tobytes()).decode()


def _decoded(inputs: list[list[int]]) -> list[str]:
    """The texts of tokens of cl100k_base, OpenAI's encoding for embeddings: LangChain's `OpenAIEmbeddings` sends them."""
    encoding = _cl100k()
    try:
        texts = [encoding.decode(tokens) for tokens in inputs]
    except (KeyError, ValueError, OverflowError):
        raise InvalidRequest("The tokens are not of cl100k_base.", code="invalid_value", param="input") from None
    if not all(texts):
        raise InvalidRequest("The tokens hold no text.", code="invalid_value", param="input")
    return texts


@lru_cache(maxsize=1)
def _cl100k() -> Any:
    import bpe_openai

    return bpe_openai.get_encoding("cl100k_base")
