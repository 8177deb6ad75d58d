"""BM25 over chunks, on tantivy: one index for each collection, so that a collection's word statistics are its own.

An index is one tenant's and says whose: on another tenant's shelf nothing is found.

The indexes live below `lexical/` in the data directory. A change is found by the next search after the call that made it.
Several processes may use one data directory: they write one after the other, and see each other's changes. What an index holds
can be made again at any time (see `retrievers.following`).
"""

import os
import re
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from core.settings import Settings
from retrievers import filters, standing, word_remains
from retrievers.base import Chunk, Shelf
from retrievers.lexical_directory import is_theirs, remove, remove_left, settled
from retrievers.lexical_filter import TermFilter
from retrievers.standing import Standing
from retrievers.word_analysis import Words, new_analyzer, spaced
from retrievers.word_vectors import tells

if TYPE_CHECKING:
    import tantivy

#: A change of the schema or of the analysis needs another directory, and the documents to be indexed again.
VERSION = "1"
#: Bytes that a writer buffers; tantivy's least is 15,000,000 a thread.
_WRITER_BYTES = 15_000_000
_MOST_QUERY_TERMS = 256
_COLLECTION_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
#: The file in an index's directory that says whose it is.
_WHOSE = "tenant"
#: Seconds between two tries to write while another process does.
_LOOK_S = 0.01


@dataclass(slots=True)
class _Opened:
    index: "tantivy.Index"
    #: Of the file that each commit of any process replaces, and of the directory, when they were last looked at.
    committed: tuple[int, int] = (0, 0)
    directory: int = 0


class LexicalIndex:
    """Thread-safe. All calls block; a search takes well under a millisecond, a change some ten.

    `makes`: whether what is brought in makes an index where there is none. A process that answers no searches of its own
    leaves it to those that do.
    """

    #: It may be behind what other processes have changed.
    follows = True

    def __init__(self, settings: Settings, *, makes: bool = True) -> None:
        import tantivy

        self._tantivy = tantivy
        self.makes = makes
        self._directory = settings.path("lexical", f"v{VERSION}")
        remove_left(self._directory)
        self._opened: dict[Shelf, _Opened] = {}
        self._standings: dict[Shelf, Standing] = {}
        #: One writer of an index at a time in this process; searches need no lock.
        self._writing: defaultdict[Shelf, threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()
        self._words = Words()

    def upsert(self, shelf: Shelf, chunks: Sequence[Chunk]) -> None:
        """Insert or replace by chunk id; may be repeated."""
        if not chunks:
            return
        with self._writer(shelf, create=self.makes) as writer:
            if writer is None:
                return
            for chunk in chunks:
                writer.delete_documents_by_term("id", chunk.id)
                writer.add_document(self._document(chunk))

    def bring(
        self, shelf: Shelf, chunks: Sequence[Chunk], *, without: Mapping[str, int | None], to: Standing | None = None
    ) -> None:
        """Hold these chunks, and of the documents in `without` nothing of revisions up to the given one, or nothing at all
        (None); then stand where `to` says. All of it or nothing, and nothing where another has brought it further already.
        Makes the index where there is none."""
        with self._writer(shelf, create=True) as writer:
            if writer is None or (to is not None and standing.read(self._path(shelf)).includes(to)):
                return
            for document_id, revision in without.items():
                if revision is None:
                    writer.delete_documents_by_term("document_id", document_id)
                    continue
                for held in self.revisions(shelf, document_id):
                    if held <= revision:
                        writer.delete_documents_by_term("revision", _revision_term(document_id, held))
            for chunk in chunks:
                writer.delete_documents_by_term("id", chunk.id)
                writer.add_document(self._document(chunk))
        if to is not None:
            self.note(shelf, to)

    def note(self, shelf: Shelf, to: Standing) -> None:
        """The index has come that far, if it had not already. Makes it where there is none."""
        with self._alone(shelf):
            if self._open(shelf, create=True) is None:
                return
            directory = self._path(shelf)
            if not standing.read(directory).includes(to):
                standing.write(directory, to)
        self.standing(shelf)

    def standing(self, shelf: Shelf) -> Standing:
        """How far the index has come, as the disk has it; nowhere without an index."""
        found = standing.read(self._path(shelf)) if self._open(shelf) is not None else Standing()
        self._standings[shelf] = found
        return found

    def last_standing(self, shelf: Shelf) -> Standing:
        """The same as it was last seen, without a look at the disk."""
        return self._standings.get(shelf, Standing())

    def shelves(self) -> list[Shelf]:
        """The collections that there is an index of."""
        found = []
        for whose in self._directory.glob(f"*/{_WHOSE}"):
            with suppress(FileNotFoundError):
                found.append(Shelf(whose.read_text(encoding="utf-8"), whose.parent.name))
        return found

    def revisions(self, shelf: Shelf, document_id: str | None = None) -> dict[int, int]:
        """How many chunks of each revision of a document the index holds."""
        return self.held(shelf, f"{document_id}:").get(document_id or "", {})

    def held(self, shelf: Shelf, prefix: str = "") -> dict[str, dict[int, int]]:
        """The same for all documents."""
        found: dict[str, dict[int, int]] = {}
        opened = self._open(shelf)
        if opened is None:
            return found
        every = self._tantivy.Query.all_query()  # with it, what was deleted does not count
        for term, count in opened.index.searcher().terms_with_prefix("revision", prefix, every):
            document_id, _, revision = term.rpartition(":")
            if count:
                found.setdefault(document_id, {})[int(revision)] = count
        return found

    def _document(self, chunk: Chunk) -> "tantivy.Document":
        document = self._tantivy.Document()
        document.add_text("id", chunk.id)
        document.add_text("document_id", chunk.document_id)
        document.add_text("revision", _revision_term(chunk.document_id, chunk.revision))
        document.add_text("text", spaced(chunk.text))
        document.add_text("context", spaced(chunk.context))
        for term in filters.terms(chunk):
            document.add_text("filter", term)
        return document

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
            weighed[word] = tells(total, found)
        return weighed

    def words(self, text: str) -> list[str]:
        """The words of a text as they are indexed: lower case, stemmed, without stop words."""
        return self._words.of(text)

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
        if self._open(shelf) is None:
            return
        with self._alone(shelf):
            with self._lock:
                self._opened.pop(shelf, None)
                self._standings.pop(shelf, None)
            remove(self._path(shelf))
        self._lock_file(shelf).unlink(missing_ok=True)

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

    def remains(self, shelf: Shelf) -> int:
        """How many deleted chunks there are whose words are still in the index's files."""
        return sum(segment.deleted for segment in word_remains.marked(self._path(shelf)))

    def forget(self, shelf: Shelf, read: Callable[[Sequence[str]], Sequence[Chunk]], most: int) -> int:
        """Write up to `most` chunks anew that lie beside deleted ones, which go with the last of them. `read` gives chunks by
        their identifiers; what it does not have stays as it is. How many were written."""
        with self._writer(shelf, create=False) as writer:
            if writer is None:
                return 0
            searcher = self._opened[shelf].index.searcher()
            chunks = read(list(word_remains.alive(searcher, word_remains.marked(self._path(shelf)), most)))
            for chunk in chunks:
                writer.delete_documents_by_term("id", chunk.id)
                writer.add_document(self._document(chunk))
        return len(chunks)

    def close(self) -> None:
        """Forget what is open; may be called again. Every change is on disk already."""
        with self._lock:
            self._opened.clear()

    @contextmanager
    def _writer(self, shelf: Shelf, *, create: bool) -> "Iterator[tantivy.IndexWriter | None]":
        """A writer whose changes are committed at the end of the block, dropped when it raises; None without an index."""
        if not create and self._open(shelf) is None:
            yield None
            return
        with self._alone(shelf):
            opened = self._open(shelf, create=create)
            if opened is None:
                yield None
                return
            writer = opened.index.writer(_WRITER_BYTES, 1)
            try:
                yield writer
                writer.commit()
            finally:
                # waits for merges and lets go of the index's lock; uncommitted changes are gone
                writer.wait_merging_threads()
            self._open(shelf)

    @contextmanager
    def _alone(self, shelf: Shelf) -> Iterator[None]:
        """Keep every other writer of the index out, of this process and of others."""
        with self._writing[shelf]:
            self._directory.mkdir(parents=True, exist_ok=True)
            with FileLock(self._lock_file(shelf), poll_interval=_LOOK_S):
                yield

    def _lock_file(self, shelf: Shelf) -> Path:
        return self._path(shelf).with_suffix(".lock")

    def _open(self, shelf: Shelf, *, create: bool = False) -> _Opened | None:
        """The index as it was last committed, by whichever process; None where there is none, or it is another tenant's."""
        path = self._path(shelf)
        return settled(lambda: self._open_now(shelf, path, create=create))

    def _open_now(self, shelf: Shelf, path: Path, *, create: bool) -> _Opened | None:
        with self._lock:
            opened = self._opened.get(shelf)
            if opened is not None and self._is_there(opened, path):
                return opened
            self._opened.pop(shelf, None)
            self._standings.pop(shelf, None)
            if not create and not path.is_dir():
                return None
            if create:
                path.mkdir(parents=True, exist_ok=True)
            if not is_theirs(path / _WHOSE, shelf.tenant):
                if create:
                    raise PermissionError("the shelf is another tenant's")
                return None
            index = self._tantivy.Index(self._schema(), path=str(path))
            index.register_tokenizer("words", new_analyzer())
            index.config_reader("manual")
            opened = _Opened(index, directory=path.stat().st_ino)
            self._is_there(opened, path)
            self._opened[shelf] = opened
            return opened

    @staticmethod
    def _is_there(opened: _Opened, path: Path) -> bool:
        """Whether the directory is the one that was opened; if so, what others have committed is seen from now on."""
        try:
            meta = os.stat(path / "meta.json")
        except FileNotFoundError:
            return False
        committed = meta.st_ino, meta.st_mtime_ns
        if committed != opened.committed:
            if path.stat().st_ino != opened.directory:
                return False
            opened.index.reload()
            opened.committed = committed
        return True

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

    def _query(self, opened: _Opened, query: str) -> "tantivy.Query | None":
        tantivy = self._tantivy
        clauses = []
        for word, times in Counter(self.words(query)).most_common(_MOST_QUERY_TERMS):
            for name in ("text", "context"):
                term = tantivy.Query.term_query(opened.index.schema, name, word, "freq")
                clauses.append((tantivy.Occur.Should, tantivy.Query.boost_query(term, float(times))))
        return tantivy.Query.boolean_query(clauses) if clauses else None


def _revision_term(document_id: str, revision: int) -> str:
    return f"{document_id}:{revision}"
