"""Chunks as Pinecone's records, and back, and filters in Pinecone's language.

Metadata are texts, numbers, true or false and lists of texts, 40 KB of them at most. What a chunk can be filtered by is in one
list of marks (`retrievers.filters.marks`); numbers, which have an order, are there once more by their name.
"""

import base64
import json
import zlib
from collections.abc import Mapping
from typing import Any

from core.errors import UnreadableFile
from retrievers.base import Chunk, Shelf
from retrievers.filters import (
    And,
    Compare,
    Filter,
    Not,
    Operator,
    Or,
    by_marks,
    marks,
    marks_asked,
    narrow,
    values_of,
    weakened,
)

#: Bytes of a record's metadata as JSON. Pinecone's bound is 40 KB, by a count of its own.
MOST_BYTES = 40_000
#: Says that the chunk's words are in the index of words as well; a chunk that was written before there was one has it not.
WORDED = "worded"
#: Prefix of the keys of numbers; a key must not begin with `$`.
_NUMBER = "number."
#: Pinecone keeps numbers as 64-bit floats: whole ones beyond are not told from their neighbours.
_LARGEST_TOLD = 2**53
_ORDERS: Mapping[Operator, str] = {Operator.LT: "$lt", Operator.LTE: "$lte", Operator.GT: "$gt", Operator.GTE: "$gte"}
#: The texts of a chunk, which are packed where they take too much room.
_TEXTS = ("document", "text", "context", "attributes")


def metadata_of(chunk: Chunk, shelf: Shelf) -> dict[str, Any]:
    """What is kept beside a chunk's vector. Where it is too much for Pinecone, its texts are packed.

    Raises:
        UnreadableFile: `chunk_too_large`: it is too much all the same.
    """
    texts = {
        "document": chunk.document,
        "text": chunk.text,
        "context": chunk.context,
        "attributes": json.dumps(dict(chunk.attributes), ensure_ascii=False, default=str),
    }
    kept: dict[str, Any] = {**marked(chunk, shelf), WORDED: True}
    if chunk.page is not None:
        kept["page"] = chunk.page
    if _size(kept | texts) <= MOST_BYTES:
        return kept | texts
    kept["packed"] = base64.b85encode(zlib.compress(json.dumps([texts[name] for name in _TEXTS]).encode(), 9)).decode()
    if _size(kept) > MOST_BYTES:
        raise UnreadableFile(
            "A passage with its attributes takes more than the 40 KB that the vector store keeps beside a vector.",
            code="chunk_too_large",
        )
    return kept


def marked(chunk: Chunk, shelf: Shelf) -> dict[str, Any]:
    """What it is found by: whose it is, where it is, and what it can be filtered by."""
    kept: dict[str, Any] = {
        "tenant": shelf.tenant,
        "document_id": chunk.document_id,
        "revision": chunk.revision,
        "start": chunk.start,
        "end": chunk.end,
        "marks": marks(chunk),
    }
    for name, value in values_of(chunk).items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            kept[_NUMBER + name] = value
    return kept


def chunk_of(chunk_id: str, kept: Mapping[str, Any]) -> Chunk:
    """The chunk that was kept so."""
    texts = kept
    if "packed" in kept:
        texts = dict(zip(_TEXTS, json.loads(zlib.decompress(base64.b85decode(kept["packed"]))), strict=True))
    return Chunk(
        id=chunk_id,
        document_id=kept["document_id"],
        document=texts["document"],
        revision=int(kept["revision"]),
        text=texts["text"],
        start=int(kept["start"]),
        end=int(kept["end"]),
        page=int(kept["page"]) if "page" in kept else None,
        context=texts["context"],
        attributes=json.loads(texts["attributes"]),
    )


def said(filter: Filter | None) -> dict[str, Any] | None:
    """The strongest that Pinecone can say of a filter. What it lets pass has to be checked against the whole of it."""
    narrowed = narrow(weakened(filter, sayable), sayable)
    return None if narrowed.filter is None else _said(narrowed.filter)


def sayable(compare: Compare, negated: bool) -> bool:
    """Whether Pinecone can say a condition, or that it does not hold."""
    if by_marks(compare, negated):
        return True
    bound = compare.value
    numeric = isinstance(bound, int | float) and not isinstance(bound, bool) and abs(bound) < _LARGEST_TOLD
    return not negated and numeric and compare.operator in _ORDERS


def _said(filter: Filter) -> dict[str, Any]:
    match filter:
        case And():
            return {"$and": [_said(part) for part in filter.parts]}
        case Or():
            return {"$or": [_said(part) for part in filter.parts]}
        case Not(part=Compare() as compare):
            return {"marks": {"$nin": marks_asked(compare)}}
        case Compare(operator=operator) if operator in _ORDERS:
            return {_NUMBER + filter.name: {_ORDERS[operator]: filter.value}}
        case Compare():
            return {"marks": {"$in": marks_asked(filter)}}
    raise TypeError("a filter that Pinecone cannot say")


def _size(kept: Mapping[str, Any]) -> int:
    return len(json.dumps(kept, ensure_ascii=False).encode())
