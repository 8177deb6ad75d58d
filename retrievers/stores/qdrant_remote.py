"""A Qdrant server, over HTTP or gRPC.

Its collections are called `genai_384` by the dimension of their vectors, and are made where they are needed, with one graph of
neighbours for each of the platform's collections rather than one for all (`payload_m`, and `m` of 0).
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from core.errors import Unavailable
from core.settings import Settings, SettingsError
from retrievers.stores.qdrant_engine import CANDIDATES, LINKS, WordQuery
from retrievers.stores.qdrant_points import DENSE, INDEXED, WORDS, Condition, Found, Point, found_of

if TYPE_CHECKING:
    from qdrant_client import models

Answer = TypeVar("Answer")

_NAME = "genai_"
#: Word statistics of a part of a collection came with it.
_OLDEST = (1, 19)
#: Seconds that an answer may take.
_ANSWER_S = 60


class RemoteEngine:
    """`retrievers.stores.qdrant_engine.Engine`.

    Raises:
        SettingsError: no server is named, or it is too old.
        Unavailable: it does not answer.
    """

    def __init__(self, settings: Settings) -> None:
        from qdrant_client import QdrantClient, models

        retrieval = settings.retrieval
        if retrieval.qdrant_url is None:
            raise SettingsError("GENAI_RETRIEVAL__STORE: qdrant_server is at GENAI_RETRIEVAL__QDRANT_URL, which is not set")
        key = retrieval.qdrant_api_key
        # not as `api_key`, which warns of plaintext: where that is not wanted, `core.transport.plaintext` has refused it
        self._client = QdrantClient(
            url=retrieval.qdrant_url,
            headers={} if key is None else {"api-key": key.get_secret_value()},
            grpc_port=retrieval.qdrant_grpc_port or 6334,
            prefer_grpc=retrieval.qdrant_grpc_port is not None,
            timeout=_ANSWER_S,
            check_compatibility=False,
        )
        self._models = models
        self._made: set[int] = set()
        try:
            self._check_version()
        except BaseException:
            self._client.close()
            raise

    def _check_version(self) -> None:
        with _told():
            version = self._client.info().version
        numbers = re.match(r"(\d+)\.(\d+)", version)
        if numbers is not None and tuple(map(int, numbers.groups())) < _OLDEST:
            raise SettingsError(f"GENAI_RETRIEVAL__STORE: the server has Qdrant {version}; 1.19 or newer is needed")

    def places(self) -> list[int]:
        with _told():
            names = [each.name for each in self._client.get_collections().collections]
        return [int(name.removeprefix(_NAME)) for name in names if re.fullmatch(rf"{_NAME}\d+", name)]

    def make(self, dimension: int) -> None:
        if dimension in self._made:
            return
        models = self._models
        with _told():
            if not self._client.collection_exists(_name(dimension)):
                with _unless(409, "already exists"):
                    self._client.create_collection(
                        _name(dimension),
                        vectors_config={DENSE: models.VectorParams(size=dimension, distance=models.Distance.COSINE)},
                        sparse_vectors_config={WORDS: models.SparseVectorParams(modifier=models.Modifier.IDF)},
                        hnsw_config=models.HnswConfigDiff(m=0, payload_m=LINKS, ef_construct=CANDIDATES),
                        on_disk_payload=True,
                    )
            # whoever has made it may have been killed before this; an index that is there is left alone
            for key, kind in INDEXED.items():
                self._client.create_payload_index(_name(dimension), key, self._index(kind), wait=True)
        self._made.add(dimension)

    def _index(self, kind: str) -> Any:
        models = self._models
        match kind:
            case "tenant":
                return models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True, enable_hnsw=False)
            case "partition":  # a graph for each of its values
                return models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD)
            case "keyword":
                return models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, enable_hnsw=False)
            case "float":
                return models.FloatIndexParams(type=models.FloatIndexType.FLOAT, enable_hnsw=False)
        return models.IntegerIndexParams(type=models.IntegerIndexType.INTEGER, lookup=True, range=True, enable_hnsw=False)

    def upsert(self, dimension: int, points: Sequence[Point]) -> None:
        models = self._models
        made = [
            models.PointStruct(
                id=each.id,
                vector={DENSE: list(each.dense), WORDS: models.SparseVector(indices=each.words[0], values=each.words[1])},
                payload=dict(each.payload),
            )
            for each in points
        ]
        if _asked(lambda: self._client.upsert(_name(dimension), made, wait=True), None) is None:  # deleted on the server
            self._made.discard(dimension)
            self.make(dimension)
            with _told():
                self._client.upsert(_name(dimension), made, wait=True)

    def nearest(
        self, dimension: int, vector: Sequence[float], limit: int, passing: Condition, *, exact: bool = False
    ) -> list[Found]:
        models, filter = self._models, self._filter(passing)
        how = models.SearchParams(exact=exact, hnsw_ef=max(CANDIDATES, limit))

        def ask() -> list[Any]:
            return self._client.query_points(
                _name(dimension),
                query=list(vector),
                using=DENSE,
                query_filter=filter,
                search_params=how,
                limit=limit,
                with_payload=True,
            ).points

        nothing: list[Any] = []
        return [found_of(one, one.score) for one in _asked(ask, nothing)]

    def by_words(self, dimension: int, queries: Sequence[WordQuery]) -> list[list[Found]]:
        models = self._models
        asked = [
            models.QueryRequest(
                query=models.SparseVector(indices=query.words[0], values=query.words[1]),
                using=WORDS,
                filter=self._filter(query.passing),
                params=models.SearchParams(idf=models.IdfCorpusParams(corpus=self._filter(query.corpus))),
                limit=query.limit,
                with_payload=True,
                with_vector=[WORDS] if query.with_words else False,
            )
            for query in queries
        ]
        nothing: list[list[Any]] = [[] for _ in queries]
        found = _asked(lambda: [answer.points for answer in self._client.query_batch_points(_name(dimension), asked)], nothing)
        return [[found_of(one, one.score) for one in some] for some in found]

    def page(
        self,
        dimension: int,
        passing: Condition,
        limit: int,
        after: str | None = None,
        *,
        vectors: bool = False,
        bare: bool = False,
    ) -> tuple[list[Found], str | None]:
        def ask() -> tuple[list[Any], Any]:
            return self._client.scroll(
                _name(dimension),
                scroll_filter=self._filter(passing),
                limit=limit,
                offset=after,
                with_payload=["chunk"] if bare else True,
                with_vectors=[DENSE] if vectors else False,
            )

        nothing: tuple[list[Any], Any] = ([], None)
        found, more = _asked(ask, nothing)
        return [found_of(one) for one in found], None if more is None else str(more)

    def count(self, dimension: int, passing: Condition) -> int:
        return _asked(lambda: int(self._client.count(_name(dimension), self._filter(passing), exact=True).count), 0)

    def delete(self, dimension: int, passing: Condition) -> None:
        selector = self._models.FilterSelector(filter=self._filter(passing))
        _asked(lambda: self._client.delete(_name(dimension), selector, wait=True), None)

    def scrub(self) -> None:
        """Nothing: the server's optimizer lets go of what was deleted, in its time."""

    def ping(self) -> None:
        with _told():
            self._client.info()

    def close(self) -> None:
        self._client.close()

    def _filter(self, said: Condition) -> "models.Filter":
        return self._models.Filter.model_validate(said)


def _asked(call: Callable[[], Answer], nothing: Answer) -> Answer:
    """What the server answers; `nothing` where it has no such collection."""
    import grpc
    from qdrant_client.http.exceptions import UnexpectedResponse

    with _told():
        try:
            return call()
        except UnexpectedResponse as error:
            if error.status_code != 404:
                raise
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
        return nothing


@contextmanager
def _unless(status: int, said: str) -> Iterator[None]:
    """No error where the server answers so."""
    import grpc
    from qdrant_client.http.exceptions import UnexpectedResponse

    try:
        yield
    except UnexpectedResponse as error:
        if error.status_code != status and said.encode() not in error.content:
            raise
    except grpc.RpcError as error:
        if said not in str(error.details()):
            raise


@contextmanager
def _told() -> Iterator[None]:
    """What the client says of a server that does not answer, or does not let the platform in, as the platform's error."""
    import grpc
    from qdrant_client.common.client_exceptions import QdrantException
    from qdrant_client.http.exceptions import ApiException

    try:
        yield
    except (ApiException, QdrantException, grpc.RpcError) as error:
        raise Unavailable("The vector store does not answer.", code="store_unavailable") from error


def _name(dimension: int) -> str:
    return f"{_NAME}{dimension}"
