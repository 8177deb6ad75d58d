"""Chunks as Weaviate's objects, and back; the collection that they are in, and filters in Weaviate's language.

A property has one type in all objects, and a name of ASCII letters, so that attributes cannot be properties of their own: what
a chunk can be filtered by is in one list of marks (`retrievers.filters.marks`).
"""

import json
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from retrievers.base import Chunk, Shelf
from retrievers.filters import And, Compare, Filter, Not, Or, by_marks, marks, marks_asked, narrow, weakened

if TYPE_CHECKING:
    from weaviate import WeaviateClient
    from weaviate.collections.classes.filters import _Filters

#: The name of the one vector of an object.
VECTOR = "default"
#: What is read to make a chunk again, and to see whose it is.
PROPERTIES = (
    "tenant",
    "chunk_id",
    "document_id",
    "document",
    "revision",
    "text",
    "start",
    "end",
    "page",
    "context",
    "attributes",
)
#: Of the identifiers of objects, which Weaviate wants as UUIDs.
_NAMESPACE = uuid.UUID("6f9c8f0e-6d0f-5a3c-9c55-3a1d9a0c7e61")


def make_collection(client: "WeaviateClient", name: str) -> None:
    """Make the collection: a tenant of it, which has an index of its own, is a collection of the platform."""
    from weaviate.classes.config import Configure, DataType, Property, Tokenization, VectorDistances

    def text(name: str, *, kind: DataType = DataType.TEXT, filtered: bool = False) -> Property:
        return Property(
            name=name,
            data_type=kind,
            tokenization=Tokenization.FIELD,
            index_filterable=filtered,
            index_searchable=False,
        )

    def number(name: str, *, filtered: bool = False) -> Property:
        return Property(name=name, data_type=DataType.INT, index_filterable=filtered, index_searchable=False)

    client.collections.create(
        name,
        description="Chunks of the documents of the GenAI Platform",
        properties=[
            text("tenant"),
            text("chunk_id"),
            text("document_id", filtered=True),
            text("document"),
            number("revision", filtered=True),
            text("text"),
            number("start", filtered=True),
            number("end"),
            number("page"),
            text("context"),
            text("attributes"),
            text("marks", kind=DataType.TEXT_ARRAY, filtered=True),
        ],
        vector_config=Configure.Vectors.self_provided(
            name=VECTOR,
            quantizer=Configure.VectorIndex.Quantizer.none(),
            vector_index_config=Configure.VectorIndex.hnsw(distance_metric=VectorDistances.COSINE, ef_construction=128),
        ),
        multi_tenancy_config=Configure.multi_tenancy(enabled=True, auto_tenant_creation=True, auto_tenant_activation=True),
    )


def object_id(chunk_id: str) -> uuid.UUID:
    """The identifier of a chunk's object, which is the same each time."""
    return uuid.uuid5(_NAMESPACE, chunk_id)


def properties_of(chunk: Chunk, shelf: Shelf) -> dict[str, Any]:
    """What is kept beside a chunk's vector."""
    kept: dict[str, Any] = {
        "tenant": shelf.tenant,
        "chunk_id": chunk.id,
        "document_id": chunk.document_id,
        "document": chunk.document,
        "revision": chunk.revision,
        "text": chunk.text,
        "start": chunk.start,
        "end": chunk.end,
        "context": chunk.context,
        "attributes": json.dumps(dict(chunk.attributes), ensure_ascii=False, default=str),
        "marks": marks(chunk),
    }
    return kept if chunk.page is None else {**kept, "page": chunk.page}


def chunk_of(kept: Any) -> Chunk:
    """The chunk that was kept so."""
    page = kept.get("page")
    return Chunk(
        id=kept["chunk_id"],
        document_id=kept["document_id"],
        document=kept["document"],
        revision=int(kept["revision"]),
        text=kept["text"],
        start=int(kept["start"]),
        end=int(kept["end"]),
        page=None if page is None else int(page),
        context=kept["context"],
        attributes=json.loads(kept["attributes"]),
    )


def said(filter: Filter | None) -> "_Filters | None":
    """The strongest that Weaviate can say of a filter. What it lets pass has to be checked against the whole of it."""
    narrowed = narrow(weakened(filter, by_marks), by_marks)
    return None if narrowed.filter is None else _said(narrowed.filter)


def _said(filter: Filter) -> "_Filters":
    from weaviate.classes.query import Filter as Asked

    match filter:
        case And():
            return _joined(Asked.all_of, [_said(part) for part in filter.parts])
        case Or():
            return _joined(Asked.any_of, [_said(part) for part in filter.parts])
        case Not(part=Compare() as compare):
            return Asked.by_property("marks").contains_none(marks_asked(compare))
        case Compare():
            return Asked.by_property("marks").contains_any(marks_asked(filter))
    raise TypeError("a filter that Weaviate cannot say")


def _joined(join: Any, parts: Sequence["_Filters"]) -> "_Filters":
    return parts[0] if len(parts) == 1 else join(list(parts))
