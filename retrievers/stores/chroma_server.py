"""Chroma as a server: what `retrievers.stores.chroma` does in the data directory, over HTTP, for any number of processes.

What one writes the others find when the call has returned. A collection that another process has deleted, or made anew, is
found again by its name.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import httpx
import numpy as np

from core.errors import Unavailable
from core.settings import Settings, SettingsError
from retrievers.base import Chunk, Shelf, Vectors
from retrievers.stores.chroma import ChromaStore
from retrievers.stores.chroma_rows import TENANT
from retrievers.stores.scan_lists import ScanLists

Found = TypeVar("Found")

#: Seconds that a connection, and an answer, may take: a search takes milliseconds, a list of a million identifiers some ten.
_CONNECT_S, _ANSWER_S = 5.0, 60.0


class ChromaServerStore(ChromaStore):
    """`retrievers.base.VectorStore` on a Chroma server.

    Raises:
        SettingsError: no server is named.
        Unavailable: it does not answer.
    """

    shareable = True

    def __init__(self, settings: Settings) -> None:
        import chromadb
        from chromadb.config import Settings as ChromaSettings

        retrieval = settings.retrieval
        if retrieval.chroma_url is None:
            raise SettingsError("GENAI_RETRIEVAL__STORE: chroma_server is at GENAI_RETRIEVAL__CHROMA_URL, which is not set")
        token = retrieval.chroma_token
        headers = {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}
        told = ChromaSettings(anonymized_telemetry=False)
        with _told(ValueError):  # what the client says of a server that is away
            client: Any = chromadb.HttpClient(host=retrieval.chroma_url, headers=headers, settings=told)
        # the client waits for ever, leaves its connections open, and has no other way to say otherwise (1.5.9)
        self._session: httpx.Client = client._server._session  # noqa: SLF001
        self._session.timeout = httpx.Timeout(_ANSWER_S, connect=_CONNECT_S)
        self._client = client
        self._prepare()
        self._lists = ScanLists(self._ids)

    def delete_collection(self, shelf: Shelf) -> None:
        """Delete all its chunks. No error where there is no such collection."""
        from chromadb.errors import NotFoundError

        if self._existing(shelf) is not None:
            with self._lock:
                self._opened.pop(shelf, None)
            with _told(), suppress(NotFoundError):
                self._client.delete_collection(shelf.collection_id)

    def scan(self, shelf: Shelf, after: str, limit: int) -> tuple[list[Chunk], Vectors]:
        """The next chunks with their vectors as they were given, by identifier: those behind `after`."""
        chunks: list[Chunk] = []
        vectors: list[Any] = []
        while len(chunks) < limit and (ids := self._lists.behind(shelf, after, limit - len(chunks))):
            after = ids[-1]
            known = self.vectors(shelf, ids)
            some = [chunk for chunk in self.get(shelf, ids) if chunk.id in known]
            chunks += some
            vectors += [known[chunk.id] for chunk in some]
        return chunks, np.stack(vectors) if vectors else np.empty((0, 0), dtype=np.float32)

    def scrub(self) -> None:
        """Nothing: the server's files are its operator's, who lets go of what was deleted by `chroma vacuum`."""

    def ping(self) -> None:
        """Raises `core.errors.Unavailable` when the store does not answer."""
        with _told():
            self._client.heartbeat()

    def close(self) -> None:
        """Close the connections; may be called again."""
        with self._lock:
            self._opened.clear()
            self._client.close()
            self._session.close()

    def _ids(self, shelf: Shelf) -> Iterable[str]:
        opened = self._existing(shelf)
        if opened is None:
            return []
        with opened.reading() as collection:
            return list(collection.get(include=[])["ids"])

    def _existing(self, shelf: Shelf, *, create: bool = False) -> Any:
        """The Chroma collection; None where there is none, and where it is another tenant's."""
        with self._lock:
            known = self._opened.get(shelf)
        if known is not None:
            return known
        found = self._found(shelf, create=create)
        if found is None:
            return None
        with self._lock:
            return self._opened.setdefault(shelf, SharedCollection(found, lambda anew: self._again(shelf, anew)))

    def _again(self, shelf: Shelf, create: bool) -> Any:
        """The collection that has taken the place of one that is gone; None where there is none."""
        found = self._found(shelf, create=create)
        if found is None:
            with self._lock:
                self._opened.pop(shelf, None)
        return found

    def _found(self, shelf: Shelf, *, create: bool) -> Any:
        from chromadb.errors import ChromaError, NotFoundError

        with _told():
            try:
                found = self._client.get_collection(shelf.collection_id, embedding_function=None)
            except NotFoundError:
                if not create:
                    return None
                try:
                    found = self._create(shelf)
                except ChromaError as error:  # of no narrower class (1.5.9)
                    if "already exists" not in str(error):
                        raise
                    # another was first
                    found = self._client.get_collection(shelf.collection_id, embedding_function=None)
        return found if (found.metadata or {}).get(TENANT) == shelf.tenant else None


class SharedCollection:
    """A Chroma collection on a server, with the calls that the store makes. Where it is gone, the one that has taken its place
    is asked (`again`, which makes it for what is written); where there is none, it is empty."""

    def __init__(self, collection: Any, again: Callable[[bool], Any]) -> None:
        self._collection = collection
        self._again = again

    @contextmanager
    def reading(self) -> Iterator["SharedCollection"]:
        """As an embedded collection has it."""
        yield self

    changing = reading

    def query(self, **asked: Any) -> Any:
        nothing: dict[str, list[list[Any]]] = {"ids": [[]], "documents": [[]], "metadatas": [[]], "distances": [[]]}
        return self._asked(lambda collection: collection.query(**asked), nothing)

    def get(self, **asked: Any) -> Any:
        nothing: dict[str, list[Any]] = {"ids": [], "documents": [], "metadatas": [], "embeddings": []}
        return self._asked(lambda collection: collection.get(**asked), nothing)

    def count(self) -> int:
        return int(self._asked(lambda collection: collection.count(), 0))

    def delete(self, *, ids: Sequence[str]) -> None:
        self._asked(lambda collection: collection.delete(ids=list(ids)), None)

    def upsert(self, **rows: Any) -> None:
        self._asked(lambda collection: collection.upsert(**rows), None, anew=True)

    def _asked(self, call: Callable[[Any], Found], nothing: Found, *, anew: bool = False) -> Found:
        from chromadb.errors import NotFoundError

        with _told():
            try:
                return call(self._collection)
            except NotFoundError:
                found = self._again(anew)
                if found is None and anew:
                    raise ValueError("the shelf is another tenant's") from None
                if found is None:
                    return nothing
                self._collection = found
            try:
                return call(found)
            except NotFoundError:
                if anew:
                    raise Unavailable("The vector store is busy.", code="store_unavailable") from None
                return nothing


@contextmanager
def _told(*more: type[Exception]) -> Iterator[None]:
    """What the client says of a server that does not answer, as the platform's error."""
    from chromadb.errors import InternalError, RateLimitError

    try:
        yield
    except Exception as error:
        away = isinstance(error, (httpx.HTTPError, InternalError, RateLimitError, *more))
        # the client's for an answer that is not Chroma's, of a proxy before it; httpx's once it is closed
        if not away and type(error) not in (Exception, RuntimeError):
            raise
        raise Unavailable("The vector store does not answer.", code="store_unavailable") from error
