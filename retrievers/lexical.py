"""BM25 over chunks, on tantivy: one index for each collection, so that a collection's word statistics are its own.

An index is one tenant's and says whose: on another tenant's shelf nothing is found.

The indexes live below `lexical/` in the data directory. A change is found by the next search after the call that made it.
"""

import re
import shutil
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.settings import Settings
from retrievers import filters
from retrievers.base import Chunk, Shelf
from retrievers.lexical_filter import TermFilter

if TYPE_CHECKING:
    import tantivy
    from tantivy import TextAnalyzer

#: A change of the schema or of the analysis needs another directory, and the documents to be indexed again.
VERSION = "1"
#: Bytes that a writer buffers; tantivy's least is 15,000,000 a thread.
_WRITER_BYTES = 15_000_000
_MOST_QUERY_TERMS = 256
#: Words of asking, beside tantivy's short list of stop words: in a small collection they are rare, and would count for much.
_ASKING = re.findall(
    r"\w+",
    "about am any can could did do does doing done explain from had has have having he her his how i its kindly many may me "
    "might much my our please shall she should tell them those us was we were what when where which who whom whose why would "
    "you your",
)
_COLLECTION_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
#: The file in an index's directory that says whose it is.
_WHOSE = "tenant"
#: Scripts written without blanks between words: each character is indexed as a word.
_UNSPACED = re.compile(r"([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0e7f\u0e80-\u0eff\u1780-\u17ff])")


@dataclass(slots=True)
class _Opened:
    index: "tantivy.Index"
    #: One writer at a time; searches need no lock.
    writing: threading.Lock = field(default_factory=threading.Lock)


class LexicalIndex:
    """Thread-safe. All calls block; a search takes well under a millisecond, a change some ten."""

    def __init__(self, settings: Settings) -> None:
        import tantivy

        self._tantivy = tantivy
        self._directory = settings.path("lexical", f"v{VERSION}")
        self._opened: dict[Shelf, _Opened] = {}
        self._lock = threading.Lock()
        self._analyzer = self._new_analyzer()

    def upsert(self, shelf: Shelf, chunks: Sequence[Chunk]) -> None:
        """Insert or replace by chunk id; may be repeated."""
        if not chunks:
            return
        with self._writer(shelf, create=True) as writer:
            if writer is None:
                return
            for chunk in chunks:
                writer.delete_documents_by_term("id", chunk.id)
                document = self._tantivy.Document()
                document.add_text("id", chunk.id)
                document.add_text("document_id", chunk.document_id)
                document.add_text("revision", _revision_term(chunk.document_id, chunk.revision))
                document.add_text("text", _spaced(chunk.text))
                document.add_text("context", _spaced(chunk.context))
                for term in filters.terms(chunk):
                    document.add_text("filter", term)
                writer.add_document(document)

    def search(self, shelf: Shelf, query: str, limit: int, filter: filters.Filter | None = None) -> list[tuple[str, float]]:
        """The ids of the chunks that share words with the query and pass the filter, with their BM25 score, best first."""
        opened = self._open(shelf)
        parsed = self._query(opened, query) if opened and limit > 0 else None
        if opened is None or parsed is None:
            return []
        tantivy, searcher = self._tantivy, opened.index.searcher()
        if filter is not None:
            passing = TermFilter(opened.index.schema, searcher).query(filter)
            parsed = tantivy.Query.boolean_query(
                [(tantivy.Occur.Must, parsed), (tantivy.Occur.Must, tantivy.Query.const_score_query(passing, 0.0))]
            )
        hits = searcher.search(parsed, limit, count=False).hits
        return [(str(searcher.doc(address).get_first("id")), float(score)) for score, address in hits]

    def has_attribute(self, shelf: Shelf, name: str) -> bool:
        """Whether any chunk can be filtered by an attribute of that name, whatever its value."""
        opened = self._open(shelf)
        if opened is None:
            return False
        searcher = opened.index.searcher()
        return bool(searcher.search(TermFilter(opened.index.schema, searcher).having(name), 1, count=False).hits)

    def weights(self, shelf: Shelf, text: str) -> dict[str, float]:
        """The words of a text as they are indexed, each with how much it tells in this collection (inverse document
        frequency as BM25 has it, in nats). Words in no chunk weigh most."""
        import math

        words = dict.fromkeys(self.words(text))
        opened = self._open(shelf)
        if opened is None:
            return dict.fromkeys(words, 0.0)
        searcher = opened.index.searcher()
        total = searcher.num_docs
        weighed = {}
        for word in words:
            # a word in the headings alone counts as well
            found = max(searcher.doc_freq("text", word), searcher.doc_freq("context", word))
            weighed[word] = math.log(1 + (max(total - found, 0) + 0.5) / (found + 0.5))
        return weighed

    def words(self, text: str) -> list[str]:
        """The words of a text as they are indexed: lower case, stemmed, without stop words."""
        return list(self._analyzer.analyze(_spaced(text)))

    def delete_document(self, shelf: Shelf, document_id: str, *, keep_revision: int | None = None) -> None:
        """Delete a document's chunks; those of `keep_revision` stay. No error where there are none."""
        tantivy = self._tantivy
        with self._writer(shelf, create=False) as writer:
            if writer is None:
                return
            if keep_revision is None:
                writer.delete_documents_by_term("document_id", document_id)
                return
            schema = self._opened[shelf].index.schema
            kept = _revision_term(document_id, keep_revision)
            writer.delete_documents_by_query(
                tantivy.Query.boolean_query(
                    [
                        (tantivy.Occur.Must, tantivy.Query.term_query(schema, "document_id", document_id, "basic")),
                        (tantivy.Occur.MustNot, tantivy.Query.term_query(schema, "revision", kept, "basic")),
                    ]
                )
            )

    def delete_collection(self, shelf: Shelf) -> None:
        """Delete all its chunks. No error where there is no such collection."""
        opened = self._open(shelf)
        if opened is None:
            return
        with self._lock:
            self._opened.pop(shelf, None)
        with opened.writing:
            shutil.rmtree(self._path(shelf), ignore_errors=True)

    def count(self, shelf: Shelf, document_id: str | None = None) -> int:
        """How many chunks a collection, or one of its documents, has."""
        opened = self._open(shelf)
        if opened is None:
            return 0
        searcher = opened.index.searcher()
        if document_id is None:
            return int(searcher.num_docs)
        query = self._tantivy.Query.term_query(opened.index.schema, "document_id", document_id, "basic")
        return int(searcher.search(query, 1).count)  # type: ignore[attr-defined]  # missing in tantivy's stub (0.27)

    def close(self) -> None:
        """Forget what is open; may be called again. Every change is on disk already."""
        with self._lock:
            self._opened.clear()

    @contextmanager
    def _writer(self, shelf: Shelf, *, create: bool) -> "Iterator[tantivy.IndexWriter | None]":
        """A writer whose changes are committed at the end of the block, dropped when it raises; None without an index."""
        opened = self._open(shelf, create=create)
        if opened is None:
            yield None
            return
        with opened.writing:
            writer = opened.index.writer(_WRITER_BYTES, 1)
            try:
                yield writer
                writer.commit()
            finally:
                # waits for merges and lets go of the index's lock; uncommitted changes are gone
                writer.wait_merging_threads()
            opened.index.reload()

    def _open(self, shelf: Shelf, *, create: bool = False) -> _Opened | None:
        with self._lock:
            if shelf in self._opened:
                return self._opened[shelf]
            path = self._path(shelf)
            if not create and not path.is_dir():
                return None
            path.mkdir(parents=True, exist_ok=True)
            if not _is_theirs(path / _WHOSE, shelf.tenant):
                if create:
                    raise ValueError("the shelf is another tenant's")
                return None
            index = self._tantivy.Index(self._schema(), path=str(path))
            index.register_tokenizer("words", self._new_analyzer())
            index.config_reader("manual")
            index.reload()
            self._opened[shelf] = _Opened(index)
            return self._opened[shelf]

    def _path(self, shelf: Shelf) -> Path:
        if not _COLLECTION_ID.fullmatch(shelf.collection_id):
            raise ValueError("no collection id")
        return self._directory / shelf.collection_id

    def _schema(self) -> "tantivy.Schema":
        builder = self._tantivy.SchemaBuilder()
        builder.add_text_field("id", stored=True, tokenizer_name="raw", index_option="basic")
        for name in ("document_id", "revision", "filter"):
            builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
        # two fields: a word in the title or a heading tells more than one word among many
        for name in ("text", "context"):
            builder.add_text_field(name, tokenizer_name="words", index_option="freq")
        return builder.build()

    def _new_analyzer(self) -> "TextAnalyzer":
        tantivy = self._tantivy
        builder: Any = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
        for step in (
            tantivy.Filter.remove_long(64),
            tantivy.Filter.lowercase(),
            tantivy.Filter.ascii_fold(),
            tantivy.Filter.stopword("english"),
            tantivy.Filter.custom_stopword(_ASKING),
            tantivy.Filter.stemmer("english"),
        ):
            builder = builder.filter(step)
        analyzer: TextAnalyzer = builder.build()
        return analyzer

    def _query(self, opened: _Opened, query: str) -> "tantivy.Query | None":
        tantivy = self._tantivy
        clauses = []
        for word, times in Counter(self.words(query)).most_common(_MOST_QUERY_TERMS):
            for name in ("text", "context"):
                term = tantivy.Query.term_query(opened.index.schema, name, word, "freq")
                clauses.append((tantivy.Occur.Should, tantivy.Query.boost_query(term, float(times))))
        return tantivy.Query.boolean_query(clauses) if clauses else None


def _is_theirs(note: Path, tenant: str) -> bool:
    """Whether an index is the tenant's. One of a version that did not note it is theirs whose collection has that identifier,
    the first to come."""
    try:
        return note.read_text(encoding="utf-8") == tenant
    except FileNotFoundError:
        whole = note.with_suffix(".new")
        whole.write_text(tenant, encoding="utf-8")
        whole.replace(note)
        return True


def _spaced(text: str) -> str:
    return _UNSPACED.sub(r" \1 ", text)


def _revision_term(document_id: str, revision: int) -> str:
    return f"{document_id}:{revision}"
