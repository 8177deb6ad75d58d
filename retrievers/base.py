"""The values that pass between loading, splitting, indexing and search, and the store's interface.

Positions are offsets in characters (code points) into the document's extracted text, half open: `text[start:end]`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from core.settings import Settings

if TYPE_CHECKING:  # children that parse files import this module, and have no use for a database
    from core.tables import Collection, Document
    from retrievers.filters import Filter

#: (n, dimension) float32, each row L2-normalised.
Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of the extracted text that is kept together where possible. `page` counts from 1, None without pages;
    `heading` is the path of headings above it, outermost first; `kind` is `prose`, `code` or `table`."""

    start: int
    end: int
    page: int | None = None
    heading: tuple[str, ...] = ()
    kind: str = "prose"
    language: str | None = None


@dataclass(frozen=True, slots=True)
class LoadedDocument:
    """What a loader made of a file. `text` is valid Unicode (no lone surrogates, no NUL); it is what citations quote.

    `attributes` are what the file says of itself, `page_attributes` of single pages of it; a search can be filtered by both.
    `unread_pages` are pages (an image is one) that show pictures of text; `retrievers.parsing` reads them by OCR.
    """

    text: str
    media_type: str
    sections: tuple[Section, ...] = ()
    pages: int | None = None
    title: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    page_attributes: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    unread_pages: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of a document that is embedded and found. `text` equals the stored text's `[start:end]`.

    `id` is deterministic: the same document, revision and position give the same one. `context` is what is put before the
    text when it is embedded and indexed (title, headings), never part of a quote.

    `parts` are the chunks, in order, that a widened one is made of; it has the others' pages.
    """

    id: str
    document_id: str
    document: str
    revision: int
    text: str
    start: int
    end: int
    page: int | None = None
    context: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    parts: tuple["Chunk", ...] = ()

    def page_at(self, position: int) -> int | None:
        """The page on which a character of the document stands that is in this chunk."""
        return next((part.page for part in reversed(self.parts) if part.start <= position), self.page)


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk that a search found. `score` grows with relevance and is comparable within one answer only. What it was made of,
    None where that was not asked for: `similarity` is the cosine to the query, `by_words` BM25 (0 where no word is shared),
    `fused` the weighted sum of both, `judged` what a reranker said."""

    chunk: Chunk
    score: float
    similarity: float | None = None
    by_words: float | None = None
    fused: float | None = None
    judged: float | None = None


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where a collection's chunks stand: whose they are, and in which collection. Made of a row of the database, never of what
    a caller says. A store finds nothing on a shelf that another tenant has filled, whatever its filter."""

    tenant: str
    collection_id: str

    @classmethod
    def of(cls, row: "Collection | Document") -> "Shelf":
        """The shelf of a collection, or of a document of one."""
        return cls(row.tenant, getattr(row, "collection_id", row.id))


class VectorStore(Protocol):
    """Vectors with their chunks, by shelf. Thread-safe. All calls block: run them off the event loop.

    `filter` means what `retrievers.filters.matches` says of it; None lets all pass. What a store's own language cannot say is
    checked by that function, and no result is lost for it.
    """

    #: False where only one process may open it at a time.
    shareable: bool

    def __init__(self, settings: Settings) -> None: ...

    def upsert(self, shelf: Shelf, chunks: Sequence[Chunk], vectors: Vectors) -> None:
        """Insert or replace by chunk id; may be repeated.

        Raises:
            ValueError: the shelf is another tenant's.
        """
        ...

    def search(
        self, shelf: Shelf, vector: NDArray[np.float32], limit: int, filter: "Filter | None" = None
    ) -> list[tuple[Chunk, float]]:
        """The nearest chunks with their cosine similarity, best first. Empty for an unknown collection and on another's
        shelf."""
        ...

    def get(self, shelf: Shelf, chunk_ids: Sequence[str]) -> list[Chunk]:
        """The chunks that are there, in the order asked for."""
        ...

    def similarities(self, shelf: Shelf, vector: NDArray[np.float32], chunk_ids: Sequence[str]) -> dict[str, float]:
        """The cosine similarity of the named chunks to `vector`; those that are not there are left out."""
        ...

    def delete_document(self, shelf: Shelf, document_id: str, *, keep_revision: int | None = None) -> None:
        """Delete a document's chunks; those of `keep_revision` stay. No error where there are none."""
        ...

    def delete_where(self, shelf: Shelf, filter: "Filter") -> int:
        """Delete the chunks that the filter lets pass. How many they were."""
        ...

    def delete_collection(self, shelf: Shelf) -> None:
        """Delete all its chunks. No error where there is no such collection."""
        ...

    def scan(self, shelf: Shelf, after: str, limit: int) -> tuple[list[Chunk], Vectors]:
        """The next chunks with their vectors as they were given, by identifier: those behind `after`, from the first where it
        is empty. Each chunk that is there from the first call to the last comes once; fewer than `limit` are the end."""
        ...

    def count(self, shelf: Shelf, document_id: str | None = None) -> int:
        """How many chunks a collection, or one of its documents, has."""
        ...

    def scrub(self) -> None:
        """Leave nothing of what was deleted in the store's files, where it keeps it beyond the deletion. May be repeated.

        Raises:
            Unavailable: `store_unavailable`: not now.
        """
        ...

    def ping(self) -> None:
        """Raises `core.errors.Unavailable` when the store does not answer."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class KeepsVectors(Protocol):
    """A store that gives its vectors back. Of another one, those that are compared are embedded again."""

    def vectors(self, shelf: Shelf, chunk_ids: Sequence[str]) -> Mapping[str, NDArray[np.float32]]:
        """The vectors of the named chunks, (dimension,) float32 each; those that are not there are left out."""
        ...


@runtime_checkable
class FindsIds(Protocol):
    """A store that finds without reading: of a hundred chunks that are compared, ten are shown."""

    def nearest(
        self, shelf: Shelf, vector: NDArray[np.float32], limit: int, filter: "Filter | None" = None
    ) -> list[tuple[str, float]]:
        """The ids of what `search` gives, with the same cosine similarities, best first."""
        ...


@runtime_checkable
class FindsWords(Protocol):
    """A store that finds words as well, so that no word index is needed beside it (`retrievers.store_words`)."""

    def search_words(self, shelf: Shelf, query: str, limit: int, filter: "Filter | None" = None) -> list[tuple[str, float]]:
        """The ids of the chunks that share words with the query and pass the filter, with their BM25 score, best first."""
        ...

    def word_weights(self, shelf: Shelf, words: Sequence[str]) -> dict[str, float]:
        """How much each word, as `retrievers.word_analysis` has it, tells among the shelf's chunks: its inverse document
        frequency as BM25 has it, in nats. Words in no chunk weigh most."""
        ...

    def has_attribute(self, shelf: Shelf, name: str) -> bool:
        """Whether any chunk can be filtered by an attribute of that name, whatever its value."""
        ...

    def has_words(self, shelf: Shelf) -> bool:
        """Whether every chunk can be found by its words: not where some were written by a version that kept none."""
        ...


@runtime_checkable
class KeepsStretches(Protocol):
    """A store that tells which chunks stand near another. With another one, passages cannot be widened."""

    def stretch(self, shelf: Shelf, document_id: str, revision: int, start: int, end: int) -> list[Chunk]:
        """The chunks of a document's revision that begin in the stretch `[start:end]` of its text, in any order."""
        ...
