"""The list of a document's chunks, as it lies beside the extracted text in the file store: where each begins and ends, and what
goes with it. With the text, chunks can be made from it again, as they were given to the stores; their text is not in it.

It is JSON by column, compressed: some ten bytes for each chunk, beside its identifier's sixteen.
"""

import asyncio
import hashlib
import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from core.errors import NotFound
from retrievers.base import Chunk

if TYPE_CHECKING:
    from core.files import Files
    from core.tables import Document

#: What is not in the list: the text, what all chunks of a document share, and what only widened ones have.
_APART = frozenset({"text", "document_id", "document", "revision", "parts"})
_COLUMNS = tuple(field.name for field in fields(Chunk) if field.name not in _APART)
_DIGEST_BYTES = 8


def pack(chunks: Sequence[Chunk]) -> bytes:
    """The list of these chunks, all of one revision of a document."""
    columns: dict[str, Any] = {name: _packed([getattr(chunk, name) for chunk in chunks]) for name in _COLUMNS}
    first = chunks[0] if chunks else None
    body = {"revision": first.revision if first else 0, "chunks": len(chunks), "columns": columns}
    return zlib.compress(json.dumps(body, ensure_ascii=False, separators=(",", ":"), default=str).encode(), 6)


def unpack(packed: bytes, text: str, *, document_id: str, name: str) -> list[Chunk]:
    """The chunks of a list and the extracted text that it lies beside.

    Raises:
        ValueError: it is no such list.
    """
    try:
        body = json.loads(zlib.decompress(packed))
    except zlib.error as error:
        raise ValueError("no list of chunks") from error
    columns = {column: _unpacked(values, body["chunks"]) for column, values in body["columns"].items() if column in _COLUMNS}
    rows = (dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))
    return [
        Chunk(
            document_id=document_id,
            document=name,
            revision=body["revision"],
            text=text[row["start"] : row["end"]],
            **row,
        )
        for row in rows
    ]


async def listed(files: "Files", document: "Document") -> list[Chunk]:
    """The chunks of the document's revision that is searchable, from its files.

    Raises:
        NotFound: a file is gone, or the document is from before lists were kept (`file_not_found`).
        DecryptionFailed, ValueError: a file is not what was stored.
        Unavailable: the file store does not answer.
    """
    if not document.chunks_key:
        raise NotFound("There is no list of the document's chunks.", code="file_not_found")
    packed = await files.get(document.chunks_key, tenant=document.tenant)
    text = await files.get(document.text_key, tenant=document.tenant)
    return await asyncio.to_thread(_opened, packed, text, document.id, document.name)


def _opened(packed: bytes, text: bytes, document_id: str, name: str) -> list[Chunk]:
    return unpack(packed, text.decode(), document_id=document_id, name=name)


def digest(chunk_ids: Iterable[str]) -> str:
    """Tells a set of chunks from another, whatever the order: 16 hexadecimal digits."""
    return f"{fold(chunk_ids):016x}"


def fold(chunk_ids: Iterable[str], folded: int = 0) -> int:
    """The same as a number, to be gone on with: `fold(b, fold(a)) == fold(a + b)`."""
    for chunk_id in chunk_ids:
        hashed = hashlib.blake2b(chunk_id.encode(), digest_size=_DIGEST_BYTES).digest()
        folded = (folded + int.from_bytes(hashed, "big")) % (1 << 8 * _DIGEST_BYTES)
    return folded


def _packed(values: list[Any]) -> Any:
    """One value where all are the same, as a document's attributes are."""
    if values and all(value == values[0] for value in values):
        return {"all": _plain(values[0])}
    return [_plain(value) for value in values]


def _unpacked(packed: Any, count: int) -> list[Any]:
    return [packed["all"]] * count if isinstance(packed, dict) else list(packed)


def _plain(value: Any) -> Any:
    return dict(value) if hasattr(value, "keys") else value
