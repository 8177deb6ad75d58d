"""The vector store's own words in the place of the word index: nothing is kept here, so there is nothing to follow.

Several servers that share a store have the same words then, at once. `retrievers.lexical` says what each call promises.
"""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from core.errors import Conflict
from core.settings import Settings, SettingsError
from retrievers import filters
from retrievers.base import Chunk, FindsWords, Shelf, VectorStore
from retrievers.lexical import LexicalIndex
from retrievers.standing import Standing
from retrievers.word_analysis import Words

if TYPE_CHECKING:
    from retrievers.generations import Generation

#: The stores that find words, as a setting's error names them.
FINDING = ("qdrant", "qdrant_server", "weaviate", "pinecone")
#: Seconds for which is gone by that a shelf has all of its words.
_WHOLE_FOR_S = 60.0


class StoreWords:
    """What `retrievers.lexical.LexicalIndex` answers, of a store that finds words. What is brought in or deleted, the store has
    been told already."""

    #: There is no index that could be behind.
    follows = False
    makes = False

    def __init__(
        self,
        opened: Mapping[str, VectorStore],
        first: str,
        known: "Mapping[Shelf, tuple[float, Generation]] | None" = None,
    ) -> None:
        """`first` is the store of new collections, `known` says where those are that were searched last
        (`retrievers.library.Resources`).

        Raises:
            SettingsError: the store of new collections finds no words.
        """
        if not isinstance(opened[first], FindsWords):
            *others, last = FINDING
            raise SettingsError(
                f"GENAI_RETRIEVAL__WORDS=store needs a GENAI_RETRIEVAL__STORE that finds words: {', '.join(others)} or {last}"
            )
        self._opened, self._first = opened, first
        self._known = {} if known is None else known
        self._whole: dict[Shelf, float] = {}
        self._words = Words()

    def search(self, shelf: Shelf, query: str, limit: int, filter: filters.Filter | None = None) -> list[tuple[str, float]]:
        """The ids of the chunks that share words with the query and pass the filter, with their BM25 score, best first.

        Raises:
            Conflict: `words_missing`: the collection was moved to a store that finds none.
        """
        store, place = self._place(shelf)
        return store.search_words(place, query, limit, filter)

    def is_whole(self, shelf: Shelf) -> bool:
        """Whether every chunk can be found by its words, as it was within the last minute."""
        try:
            store, place = self._place(shelf)
        except Conflict:
            return False
        if self._whole.get(place, 0.0) < time.monotonic():
            if not store.has_words(place):
                return False
            self._whole[place] = time.monotonic() + _WHOLE_FOR_S
        return True

    def has_attribute(self, shelf: Shelf, name: str) -> bool:
        """Whether any chunk can be filtered by an attribute of that name, whatever its value."""
        store, place = self._place(shelf)
        return store.has_attribute(place, name)

    def weights(self, shelf: Shelf, text: str) -> dict[str, float]:
        """The words of a text, each with how much it tells in this collection."""
        store, place = self._place(shelf)
        return store.word_weights(place, list(dict.fromkeys(self.words(text))))

    def _place(self, shelf: Shelf) -> tuple[FindsWords, Shelf]:
        """The store and the shelf that a collection was last known to be in."""
        name, place = self._where(shelf)
        store = self._opened.get(name)
        if not isinstance(store, FindsWords):
            raise Conflict(
                f"The collection was moved to {name!r}, which finds no words: set GENAI_RETRIEVAL__WORDS to `index`.",
                code="words_missing",
            )
        return store, place

    def _where(self, shelf: Shelf) -> tuple[str, Shelf]:
        known = self._known.get(shelf)
        return (self._first, shelf) if known is None else (known[1].store, known[1].shelf)

    def words(self, text: str) -> list[str]:
        """The words of a text as they are compared."""
        return self._words.of(text)

    def count(self, shelf: Shelf, document_id: str | None = None) -> int:
        """How many chunks a collection, or one of its documents, has."""
        name, place = self._where(shelf)
        return self._opened[name].count(place, document_id)

    def upsert(self, shelf: Shelf, chunks: Sequence[Chunk]) -> None:
        """The store has them."""

    def bring(
        self, shelf: Shelf, chunks: Sequence[Chunk], *, without: Mapping[str, int | None], to: Standing | None = None
    ) -> None:
        """The store has them."""

    def note(self, shelf: Shelf, to: Standing) -> None:
        """It has come as far as the store."""

    def standing(self, shelf: Shelf) -> Standing:
        """Nowhere: there is no index."""
        return Standing()

    last_standing = standing

    def shelves(self) -> list[Shelf]:
        """None that an index is kept of."""
        return []

    def revisions(self, shelf: Shelf, document_id: str | None = None) -> dict[int, int]:
        """None in an index."""
        return {}

    def held(self, shelf: Shelf, prefix: str = "") -> dict[str, dict[int, int]]:
        """None in an index."""
        return {}

    def delete_document(self, shelf: Shelf, document_id: str, *, keep_revision: int | None = None) -> None:
        """The store has been told."""

    def delete_collection(self, shelf: Shelf) -> None:
        """The store has been told."""

    def close(self) -> None:
        """The store is its opener's."""


#: What finds words, wherever they are kept.
WordIndex = LexicalIndex | StoreWords


def missing() -> Conflict:
    """What is said of a collection in the right store, some of whose chunks cannot be found by their words."""
    return Conflict(
        "Documents of the collection were brought in by a version that kept no words in the vector store: read them again with "
        "`genai refresh`, or set GENAI_RETRIEVAL__WORDS to `index`.",
        code="words_missing",
    )


def open_words(
    settings: Settings,
    opened: Mapping[str, VectorStore],
    known: "Mapping[Shelf, tuple[float, Generation]]",
    *,
    makes: bool,
) -> WordIndex:
    """What `GENAI_RETRIEVAL__WORDS` says.

    Raises:
        SettingsError: the store is to find them, and cannot.
    """
    if settings.retrieval.words == "store":
        return StoreWords(opened, settings.retrieval.store, known)
    return LexicalIndex(settings, makes=makes)
