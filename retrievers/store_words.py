"""The vector store's own words in the place of the word index: nothing is kept here, so there is nothing to follow.

Several servers that share a store have the same words then, at once. `retrievers.lexical` says what each call promises.
"""

from collections.abc import Mapping, Sequence

from core.settings import Settings, SettingsError
from retrievers import filters
from retrievers.base import Chunk, FindsWords, Shelf, VectorStore
from retrievers.lexical import LexicalIndex
from retrievers.standing import Standing
from retrievers.word_analysis import Words


class StoreWords:
    """What `retrievers.lexical.LexicalIndex` answers, of a store that finds words. What is brought in or deleted, the store has
    been told already."""

    #: There is no index that could be behind.
    follows = False
    makes = False

    def __init__(self, store: VectorStore) -> None:
        """Raises SettingsError: the store finds no words."""
        if not isinstance(store, FindsWords):
            raise SettingsError(
                "GENAI_RETRIEVAL__WORDS=store needs a store that finds words: GENAI_RETRIEVAL__STORE=qdrant or qdrant_server"
            )
        self._finding: FindsWords = store
        self._store: VectorStore = store
        self._words = Words()

    def search(self, shelf: Shelf, query: str, limit: int, filter: filters.Filter | None = None) -> list[tuple[str, float]]:
        """The ids of the chunks that share words with the query and pass the filter, with their BM25 score, best first."""
        return self._finding.search_words(shelf, query, limit, filter)

    def has_attribute(self, shelf: Shelf, name: str) -> bool:
        """Whether any chunk can be filtered by an attribute of that name, whatever its value."""
        return self._finding.has_attribute(shelf, name)

    def weights(self, shelf: Shelf, text: str) -> dict[str, float]:
        """The words of a text, each with how much it tells in this collection."""
        return self._finding.word_weights(shelf, list(dict.fromkeys(self.words(text))))

    def words(self, text: str) -> list[str]:
        """The words of a text as they are compared."""
        return self._words.of(text)

    def count(self, shelf: Shelf, document_id: str | None = None) -> int:
        """How many chunks a collection, or one of its documents, has."""
        return self._store.count(shelf, document_id)

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


def open_words(settings: Settings, store: VectorStore, *, makes: bool) -> WordIndex:
    """What `GENAI_RETRIEVAL__WORDS` says.

    Raises:
        SettingsError: the store is to find them, and cannot.
    """
    return StoreWords(store) if settings.retrieval.words == "store" else LexicalIndex(settings, makes=makes)
