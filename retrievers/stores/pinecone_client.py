"""The indexes of a Pinecone project: what of them is used, what they say of themselves, and that what was written is found.

Pinecone is eventually consistent: each write has a number (LSN), and each query says up to which one it has seen. A call that
writes returns when a query has seen it.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import orjson
import urllib3
from numpy.typing import NDArray

from core.errors import Unavailable
from core.settings import Settings, SettingsError
from core.transport.trust import trusted_file

#: The most that one call may ask for, and may carry (Pinecone's limits of operations, 2026).
MOST_FOUND = 10_000
#: Of an index of words: as much as Pinecone has said of sparse indexes at least.
MOST_WORDS_FOUND = 1000
_LISTED, _DELETED, _UPSERTED, _UPSERTED_BYTES = 100, 1000, 500, 1_800_000
#: Identifiers of one fetch: they are in the address.
_FETCHED = 100
#: A query that gives metadata with so many results stays below the 4 MB of an answer.
MOST_WITH_METADATA = 100
#: Seconds between two looks whether a write is seen, or an index ready: the first, and the longest.
_LOOK_S, _LONGEST_LOOK_S = 0.05, 2.0
_TRIES = 3


class PineconeIndexes:
    """The platform's indexes, one for each dimension of vectors.

    Raises:
        SettingsError: there is no API key, or Pinecone does not take it.
        Unavailable: it does not answer.
    """

    def __init__(self, settings: Settings) -> None:
        from pinecone import Pinecone
        from pinecone.exceptions import ForbiddenException, UnauthorizedException

        self._settings = settings.retrieval
        key = self._settings.pinecone_api_key
        if key is None:
            raise SettingsError("GENAI_RETRIEVAL__STORE: pinecone needs GENAI_RETRIEVAL__PINECONE_API_KEY, which is not set")
        self._client = Pinecone(api_key=key.get_secret_value(), host=self._settings.pinecone_url, ssl_ca_certs=trusted_file())
        # of its own it goes on for eight seconds with a server that is away
        self._client._openapi_config.retries = urllib3.Retry(  # noqa: SLF001 - there is no setting for it
            total=_TRIES, backoff_factor=0.25, status_forcelist=(429, 500, 502, 503, 504), allowed_methods=None
        )
        self._open: dict[str, PineconeIndex] = {}
        self._sparse: SparseIndex | None = None
        with told():
            try:
                self.all()
            except (UnauthorizedException, ForbiddenException):
                raise SettingsError("GENAI_RETRIEVAL__PINECONE_API_KEY: Pinecone does not take it") from None

    def all(self) -> "list[PineconeIndex]":
        """Those that there are now."""
        found = self._control.list_indexes(_request_timeout=self._timeout).indexes
        return [
            self._opened(one.name, one.host, one.dimension)
            for one in found
            if one.status.ready and one.name == self._name(one.dimension)
        ]

    def of(self, dimension: int) -> "PineconeIndex":
        """The index of that dimension, made when it is not there."""
        for index in self.all():
            if index.dimension == dimension:
                return index
        one = self._made(self._name(dimension), {"dimension": dimension, "metric": "cosine"})
        return self._opened(one.name, one.host, one.dimension)

    def words(self) -> "SparseIndex | None":
        """The index of words, where there is one."""
        if (index := self._sparse) is None:
            for one in self._control.list_indexes(_request_timeout=self._timeout).indexes:
                if one.name == self._name("words") and one.status.ready:
                    index = self._sparse = self._opened_sparse(one)
        return index

    def of_words(self) -> "SparseIndex":
        """The index of words, made when it is not there."""
        index = self.words()
        if index is None:
            made = self._made(self._name("words"), {"vector_type": "sparse", "metric": "dotproduct"})
            index = self._sparse = self._opened_sparse(made)
        return index

    def _opened_sparse(self, one: Any) -> "SparseIndex":
        opened = self._client.Index(host=one.host, pool_threads=1)
        return SparseIndex(opened, 0, self._timeout, self._settings.pinecone_visible_s)

    def _made(self, name: str, kind: Mapping[str, Any]) -> Any:
        """The description of an index, which is made when it is not there, once it is ready."""
        self._make(name, kind)
        end, pause = time.monotonic() + self._settings.pinecone_visible_s, _LOOK_S
        while True:
            one = self._control.describe_index(name, _request_timeout=self._timeout)
            if one.status.ready:
                return one
            if time.monotonic() > end:
                raise Unavailable("The vector store has not made an index in time.", code="store_unavailable")
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_LOOK_S)

    def _make(self, name: str, kind: Mapping[str, Any]) -> None:
        from pinecone.db_control.request_factory import PineconeDBControlRequestFactory
        from pinecone.exceptions import PineconeApiException

        spec = {"serverless": {"cloud": self._settings.pinecone_cloud, "region": self._settings.pinecone_region}}
        asked = PineconeDBControlRequestFactory.create_index_request(name=name, spec=spec, **kind)
        try:
            self._control.create_index(create_index_request=asked, _request_timeout=self._timeout)
        except PineconeApiException as error:
            if error.status != 409:  # another process was first
                raise

    def close(self) -> None:
        """Close the connections; may be called again."""
        while self._open:
            self._open.popitem()[1].close()
        if (words := self._sparse) is not None:
            self._sparse = None
            words.close()

    def _opened(self, name: str, host: str, dimension: int) -> "PineconeIndex":
        if name not in self._open:
            opened = self._client.Index(host=host, pool_threads=1)
            self._open.setdefault(name, PineconeIndex(opened, dimension, self._timeout, self._settings.pinecone_visible_s))
        return self._open[name]

    def _name(self, kind: int | str) -> str:
        return f"{self._settings.pinecone_index}-{kind}"

    @property
    def _control(self) -> Any:
        """The generated interface of the control plane, which takes a timeout; the client's own does not."""
        return self._client.db._index_api  # noqa: SLF001 - see above

    @property
    def _timeout(self) -> tuple[float, float]:
        return self._settings.store_answer_s / 5, self._settings.store_answer_s


class PineconeIndex:
    """One index. Asked by the client's generated operations; answers are read here, which takes a hundredth of the time that
    the client takes for it (7.3.0)."""

    def __init__(self, index: Any, dimension: int, timeout: tuple[float, float], visible_s: float) -> None:
        self._index = index
        self.dimension = dimension
        self._timeout, self._visible_s = timeout, visible_s

    def upsert(self, namespace: str, records: Sequence[dict[str, Any]]) -> None:
        """Write, and wait until a query has seen it."""
        lsn = 0
        for part in _parts(records):
            asked = self._requests.upsert_request(part, namespace, False)
            lsn = _lsn(self._answer("upsert_vectors", asked)[1], "x-pinecone-request-lsn")
        self._wait(namespace, lsn)

    def delete(self, namespace: str, ids: Sequence[str]) -> None:
        """Delete, and wait until a query has seen it."""
        for first in range(0, len(ids), _DELETED):
            self._deleted(namespace, ids=list(ids[first : first + _DELETED]))

    def clear(self, namespace: str) -> None:
        """Delete all of a namespace."""
        self._deleted(namespace, delete_all=True)

    def _deleted(self, namespace: str, **which: Any) -> None:
        from pinecone.exceptions import NotFoundException

        try:
            _, headers = self._answer("delete_vectors", self._requests.delete_request(namespace=namespace, **which))
        except NotFoundException:  # of a namespace
            return
        self._wait(namespace, _lsn(headers, "x-pinecone-request-lsn"))

    def query(
        self,
        namespace: str,
        vector: NDArray[np.float32] | None,
        top_k: int,
        filter: Mapping[str, Any] | None = None,
        *,
        metadata: bool = False,
    ) -> list[dict[str, Any]]:
        """The nearest, with `id`, `score` and maybe `metadata`; without a vector any."""
        return list(self._queried(namespace, vector, top_k, filter, metadata=metadata)[0].get("matches", ()))

    def _queried(
        self,
        namespace: str,
        vector: NDArray[np.float32] | None,
        top_k: int,
        filter: Mapping[str, Any] | None = None,
        *,
        metadata: bool = False,
    ) -> tuple[dict[str, Any], Mapping[str, str]]:
        given = numbers(vector) if vector is not None else [1.0] + [0.0] * (self.dimension - 1)
        return self._query(namespace, top_k, filter, include_metadata=metadata, vector=given)

    def _query(
        self, namespace: str, top_k: int, filter: Mapping[str, Any] | None, **more: Any
    ) -> tuple[dict[str, Any], Mapping[str, str]]:
        asked = self._requests.query_request(
            namespace=namespace, top_k=top_k, filter=filter, include_values=False, _check_type=False, **more
        )
        return self._answer("query_vectors", asked)

    def fetch(self, namespace: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The records by their identifiers, with `id`, `values` and `metadata`."""
        found: dict[str, dict[str, Any]] = {}
        for first in range(0, len(ids), _FETCHED):
            part = list(ids[first : first + _FETCHED])
            found.update(self._answer("fetch_vectors", ids=part, namespace=namespace)[0].get("vectors", {}))
        return found

    def ids(self, namespace: str) -> Iterator[str]:
        """All identifiers."""
        found = self.query(namespace, None, MOST_FOUND)
        if len(found) < MOST_FOUND:
            yield from (one["id"] for one in found)
            return
        more: dict[str, str] = {}
        while True:
            page, _ = self._answer("list_vectors", namespace=namespace, limit=_LISTED, **more)
            yield from (one["id"] for one in page.get("vectors", ()))
            token = (page.get("pagination") or {}).get("next")
            if not token:
                return
            more = {"pagination_token": token}

    def count(self, namespace: str) -> int:
        """How many records a namespace has: exactly up to 10,000, beyond that what the index last counted."""
        found = len(self.query(namespace, None, MOST_FOUND))
        if found < MOST_FOUND:
            return found
        stats, _ = self._answer("describe_index_stats", self._requests.describe_index_stats_request())
        return max(found, int(stats.get("namespaces", {}).get(namespace, {}).get("vectorCount", 0)))

    def _wait(self, namespace: str, lsn: int) -> None:
        """Until a query has seen the write with that number; not at all where the server gives none.

        Raises:
            Unavailable: `store_unavailable`: it takes too long.
        """
        end, pause = time.monotonic() + self._visible_s, _LOOK_S
        while lsn and _lsn(self._any(namespace), "x-pinecone-max-indexed-lsn") < lsn:
            if time.monotonic() > end:
                raise Unavailable("The vector store does not find in time what it was given.", code="store_unavailable")
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_LOOK_S)

    def _any(self, namespace: str) -> Mapping[str, str]:
        """The headers of a query for any record."""
        return self._queried(namespace, None, 1)[1]

    def _answer(self, operation: str, *asked: Any, **named: Any) -> tuple[dict[str, Any], Mapping[str, str]]:
        """The answer, and its headers."""
        call = getattr(self._index._vector_api, operation)  # noqa: SLF001 - the client's own give no headers
        told = call(*asked, _request_timeout=self._timeout, _preload_content=False, _check_input_type=False, **named)
        return orjson.loads(told.data), told.headers

    @property
    def _requests(self) -> Any:
        from pinecone.db_data.request_factory import IndexRequestFactory

        return IndexRequestFactory

    def close(self) -> None:
        self._index.close()


class SparseIndex(PineconeIndex):
    """The index of words: its records have `sparse_values` for `values`, and their numbers are multiplied with a query's."""

    def find(
        self, namespace: str, vector: Mapping[str, Any], top_k: int, filter: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """The best, with `id` and `score`. What shares no entry with the vector is not among them."""
        answered, _ = self._query(namespace, top_k, filter, include_metadata=False, sparse_vector=vector)
        return list(answered.get("matches", ()))

    def _any(self, namespace: str) -> Mapping[str, str]:
        return self._query(namespace, 1, None, include_metadata=False, sparse_vector={"indices": [0], "values": [1.0]})[1]


def numbers(vector: NDArray[np.float32]) -> list[float]:
    """As short as 32 bits can be written: a request has at most 2 MB."""
    return [float(f"{value:.9g}") for value in vector.tolist()]


def _parts(records: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The records in as many calls as they need."""
    part: list[dict[str, Any]] = []
    size = 0
    for record in records:
        its = len(orjson.dumps(record))
        if part and (size + its > _UPSERTED_BYTES or len(part) == _UPSERTED):
            yield part
            part, size = [], 0
        part.append(record)
        size += its
    if part:
        yield part


def _lsn(headers: Mapping[str, str], name: str) -> int:
    """The number in the headers of an answer; 0 where there is none."""
    found = headers.get(name) or ""
    return int(found) if found.isdecimal() else 0


@contextmanager
def told() -> Iterator[None]:
    """What the client raises as the platform's error."""
    from pinecone.exceptions import PineconeException

    try:
        yield
    except (PineconeException, urllib3.exceptions.HTTPError) as error:
        name = type(error).__name__
        raise Unavailable("The vector store does not answer.", code="store_unavailable", context={"error": name}) from error
