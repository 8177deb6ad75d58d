"""Chunks as Qdrant's points, and back; conditions on them as JSON, in the form of Qdrant's own interface.

A point is one tenant's: its identifier is made of tenant, collection and chunk, so that nobody else's chunk of the same name is
the same point, and every condition begins with the two.
"""

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from sys import float_info
from typing import Any

from retrievers import filters
from retrievers.base import Chunk, Shelf
from retrievers.word_vectors import Sparse

#: A filter, or a condition in one, as Qdrant writes it.
Condition = dict[str, Any]

#: Names of the two vectors of a point.
DENSE, WORDS = "dense", "words"
#: What is indexed of the payload: name → kind.
INDEXED: Mapping[str, str] = {
    "tenant": "tenant",
    "collection": "partition",
    "document_id": "keyword",
    "filter": "keyword",
    "named": "keyword",
    "numbers[].name": "keyword",
    "numbers[].value": "float",
    "revision": "integer",
    "start": "integer",
}
_SPACE = uuid.UUID("5b4c6a0e-6f0c-4f5e-9d55-6c1f3f0d8a11")


@dataclass(frozen=True, slots=True)
class Point:
    """A chunk with its vectors, to be kept."""

    id: str
    dense: Sequence[float]
    words: Sparse
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """A point that was found. The vectors are there where they were asked for, the score where there is one."""

    id: str
    payload: Mapping[str, Any]
    score: float = 0.0
    dense: Sequence[float] | None = None
    words: Sparse | None = None


def found_of(one: Any, score: float = 0.0) -> Found:
    """A point as the engine, or a server's client, gives it."""
    vectors = one.vector if isinstance(one.vector, dict) else {}
    words = vectors.get(WORDS)
    return Found(
        id=str(one.id),
        payload=one.payload or {},
        score=score,
        dense=vectors.get(DENSE),
        words=None if words is None else (list(words.indices), list(words.values)),
    )


def point_id(shelf: Shelf, chunk_id: str) -> str:
    """The identifier of a chunk's point."""
    return str(uuid.uuid5(_SPACE, json.dumps([shelf.tenant, shelf.collection_id, chunk_id])))


def payload_of(chunk: Chunk, shelf: Shelf) -> dict[str, Any]:
    """What is kept beside a chunk's vectors. `attributes` is how it comes back; what it can be filtered by is in `filter`, a
    term for each name with its value, `named` and `numbers`, whatever the names are."""
    values = filters.values_of(chunk)
    payload = {
        "tenant": shelf.tenant,
        "collection": shelf.collection_id,
        "chunk": chunk.id,
        "document_id": chunk.document_id,
        "document": chunk.document,
        "revision": chunk.revision,
        "text": chunk.text,
        "start": chunk.start,
        "end": chunk.end,
        "context": chunk.context,
        "attributes": json.dumps(dict(chunk.attributes), default=str),
        "filter": filters.terms(chunk),
        "named": list(values),
        "numbers": [{"name": name, "value": _float(value)} for name, value in values.items() if _is_number(value)],
    }
    return payload | ({} if chunk.page is None else {"page": chunk.page})


def chunk_of(payload: Mapping[str, Any]) -> Chunk:
    """The chunk that was kept so."""
    return Chunk(
        id=payload["chunk"],
        document_id=payload["document_id"],
        document=payload["document"],
        revision=payload["revision"],
        text=payload["text"],
        start=payload["start"],
        end=payload["end"],
        page=payload.get("page"),
        context=payload["context"],
        attributes=json.loads(payload["attributes"]),
    )


def all_of(conditions: Iterable[Condition]) -> Condition:
    """Where every one holds."""
    return {"must": list(conditions)}


def equal(key: str, value: str | int) -> Condition:
    """Where a key has the value, or one of its values is it."""
    return {"key": key, "match": {"value": value}}


def on(shelf: Shelf, *conditions: Condition) -> Condition:
    """What is on the shelf, and what the conditions say of it."""
    return all_of([equal("tenant", shelf.tenant), equal("collection", shelf.collection_id), *conditions])


def named(shelf: Shelf, chunk_ids: Sequence[str]) -> Condition:
    """These chunks."""
    return {"has_id": [point_id(shelf, chunk_id) for chunk_id in dict.fromkeys(chunk_ids)]}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _float(value: Any) -> float:
    """Beyond a float's range, its end: all that a range of numbers is asked for lies within."""
    return float(max(-float_info.max, min(float_info.max, value)))
