"""Chunks as Chroma's rows, and back."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from retrievers.base import Chunk, Shelf
from retrievers.filters import Scalar
from retrievers.stores.chroma_filter import ATTRIBUTE

#: The key that says whose a Chroma collection, and each chunk in it, is. Not one that a caller's filter can name.
TENANT = "tenant"
#: How often chunks are read again of which one was deleted meanwhile.
_TRIES = 5


def metadata_of(chunk: Chunk, shelf: Shelf) -> dict[str, Scalar]:
    """What is kept beside a chunk's vector and text."""
    metadata: dict[str, Scalar] = {
        TENANT: shelf.tenant,
        "document_id": chunk.document_id,
        "document": chunk.document,
        "revision": chunk.revision,
        "start": chunk.start,
        "end": chunk.end,
        "context": chunk.context,
        "attributes": json.dumps(dict(chunk.attributes), ensure_ascii=False, default=str),
    }
    if chunk.page is not None:
        metadata["page"] = chunk.page
    for name, value in chunk.attributes.items():
        if isinstance(value, str | int | float | bool):
            metadata[ATTRIBUTE + name] = value
    return metadata


def is_on(shelf: Shelf, metadata: Mapping[str, Any]) -> bool:
    """Whether a chunk is the tenant's; one from before chunks said so is, by where it stands."""
    return bool(metadata.get(TENANT, shelf.tenant) == shelf.tenant)


def chunk_of(chunk_id: str, text: str | None, metadata: Mapping[str, Any]) -> Chunk:
    """The chunk that was kept so."""
    return Chunk(
        id=chunk_id,
        document_id=metadata["document_id"],
        document=metadata["document"],
        revision=int(metadata["revision"]),
        text=text or "",
        start=int(metadata["start"]),
        end=int(metadata["end"]),
        page=int(metadata["page"]) if "page" in metadata else None,
        context=metadata.get("context", ""),
        attributes=json.loads(metadata.get("attributes", "{}")),
    )


def read_with_vectors(
    collection: Any, chunk_ids: Sequence[str], *include: Literal["documents", "metadatas"]
) -> Mapping[str, Any]:
    """The rows that are there of these, each with its vector and no two the same.

    Chroma reads the rows first and the vectors then, and fails on one that was deleted in between (1.5.9): it is not among the
    rows the next time.
    """
    from chromadb.errors import InternalError

    tries = _TRIES
    while True:
        try:
            rows: Mapping[str, Any] = collection.get(ids=list(dict.fromkeys(chunk_ids)), include=["embeddings", *include])
        except InternalError as error:
            tries -= 1
            if not tries or "finding id" not in str(error):
                raise
        else:
            return rows
