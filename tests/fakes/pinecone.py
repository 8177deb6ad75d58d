"""Pinecone in this process, as its OpenAPI description (in its own package) and its documentation have it, with both planes.

Each body is held against the model of its operation, and refused beyond the limits: of identifiers, metadata, filters, `top_k`,
and the sizes of requests and answers. Writes are seen late: the next query of a namespace still sees it without them.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
from pinecone.config.openapi_configuration import Configuration
from pinecone.core.openapi.db_control.model.create_index_request import CreateIndexRequest
from pinecone.core.openapi.db_data.model.delete_request import DeleteRequest
from pinecone.core.openapi.db_data.model.describe_index_stats_request import DescribeIndexStatsRequest
from pinecone.core.openapi.db_data.model.query_request import QueryRequest
from pinecone.core.openapi.db_data.model.sparse_values import SparseValues
from pinecone.core.openapi.db_data.model.upsert_request import UpsertRequest
from pinecone.core.openapi.db_data.model.vector import Vector
from pinecone.openapi_support.exceptions import PineconeException
from pinecone.openapi_support.model_utils import validate_and_convert_types

from tests.fakes.pinecone_filters import SCALARS, Refused, check_filter, holds

VERSION = "2025-04"


@dataclass(slots=True)
class Namespace:
    """What queries see, and what was written since: its number with what is there then."""

    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    lsn: int = 0
    written: list[tuple[int, dict[str, dict[str, Any]]]] = field(default_factory=list)

    @property
    def newest(self) -> dict[str, dict[str, Any]]:
        return self.written[-1][1] if self.written else self.records

    def write(self, records: dict[str, dict[str, Any]]) -> int:
        last = self.written[-1][0] if self.written else self.lsn
        self.written.append((last + 1, records))
        return last + 1

    def see(self) -> None:
        if self.written:
            self.lsn, self.records = self.written.pop(0)


@dataclass(slots=True)
class Index:
    name: str
    #: 0 of a sparse one.
    dimension: int
    spec: dict[str, Any]
    namespaces: dict[str, Namespace] = field(default_factory=dict)
    #: Looks until it is ready.
    looks: int = 1


class PineconeFake:
    def __init__(self, *, key: str = "pckey", late: bool = True) -> None:
        self.key, self.late = key, late
        self.url = ""
        self.indexes: dict[str, Index] = {}
        #: What came, by operation.
        self.calls: list[str] = []
        #: Statuses to answer with before anything else.
        self.failing: list[int] = []
        #: Whether queries never see what is written from now on.
        self.stuck = False
        self.lock = threading.RLock()

    def answer(
        self, method: str, path: str, query: Mapping[str, list[str]], headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Any, dict[str, str]]:
        """The status, the body and headers of an answer."""
        with self.lock:
            try:
                self._admit(headers)
                given = json.loads(body) if body else {}
                first, _, rest = path.strip("/").partition("/")
                if first == "indexes":
                    return self._controlled(method, rest, given)
                return self._data(method, self.indexes[first], rest, query, given, len(body))
            except Refused as error:
                return error.status, {"code": 3, "message": str(error), "details": []}, {}
            except (PineconeException, TypeError, ValueError) as error:
                return 400, {"code": 3, "message": f"{type(error).__name__}: {error}", "details": []}, {}

    def _admit(self, headers: Mapping[str, str]) -> None:
        if self.failing:
            raise Refused(self.failing.pop(0), "told to fail")
        if headers.get("api-key") != self.key:
            raise Refused(401, "Invalid API Key")
        if headers.get("x-pinecone-api-version") != VERSION:
            raise Refused(400, "no such version of the API")

    def _controlled(self, method: str, name: str, given: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        if method == "POST":
            self.calls.append("create_index")
            _checked(CreateIndexRequest, given)
            if given["name"] in self.indexes:
                raise Refused(409, "Resource already exists")
            if len(given["name"]) > 45 or not given["name"].replace("-", "a").isalnum():
                raise Refused(400, "name")
            sparse = given.get("vector_type") == "sparse"
            if given.get("metric") != ("dotproduct" if sparse else "cosine") or sparse is ("dimension" in given):
                raise Refused(400, "metric or dimension")
            self.indexes[given["name"]] = Index(given["name"], given.get("dimension", 0), given["spec"])
            return 201, self._described(self.indexes[given["name"]]), {}
        if name:
            self.calls.append("describe_index")
            index = self.indexes[name]
            described = self._described(index)
            index.looks -= 1
            return 200, described, {}
        self.calls.append("list_indexes")
        return 200, {"indexes": [self._described(index) for index in self.indexes.values()]}, {}

    def _described(self, index: Index) -> dict[str, Any]:
        ready = index.looks <= 0
        return {
            "name": index.name,
            **({"dimension": index.dimension} if index.dimension else {}),
            "metric": "cosine" if index.dimension else "dotproduct",
            "vector_type": "dense" if index.dimension else "sparse",
            "host": f"{self.url}/{index.name}",
            "deletion_protection": "disabled",
            "spec": index.spec,
            "status": {"ready": ready, "state": "Ready" if ready else "Initializing"},
        }

    def _data(
        self, method: str, index: Index, path: str, query: Mapping[str, list[str]], given: dict[str, Any], size: int
    ) -> tuple[int, Any, dict[str, str]]:
        self.calls.append(path)
        named = given.get("namespace") or (query.get("namespace") or [""])[0]
        space = index.namespaces.get(named, Namespace())
        match method, path:
            case "POST", "vectors/upsert":
                _checked(UpsertRequest, given)
                lsn = self._upsert(index, named, given["vectors"], size)
                return 200, {"upsertedCount": len(given["vectors"])}, {"x-pinecone-request-lsn": str(lsn)}
            case "POST", "vectors/delete":
                _checked(DeleteRequest, given)
                lsn = self._delete(index, named, given)
                return 200, {}, {"x-pinecone-request-lsn": str(lsn)}
            case "POST", "query":
                _checked(QueryRequest, given)
                found = _nearest(index, space, given) if index.dimension else _sharing(space, given)
                answered = {"matches": found, "namespace": named, "usage": {"readUnits": 1}}
                if len(json.dumps(answered)) > 4 * 2**20:
                    raise Refused(400, "the result is larger than 4 MB")
                told = {"x-pinecone-max-indexed-lsn": str(space.lsn)}
                if not self.stuck:
                    space.see()
                return 200, answered, told
            case "GET", "vectors/fetch":
                ids = query.get("ids", [])
                if not 1 <= len(ids) <= 1000:
                    raise Refused(400, "1 to 1,000 ids")
                found = {one: space.records[one] for one in ids if one in space.records}
                return 200, {"vectors": found, "namespace": named, "usage": {"readUnits": 1}}, {}
            case "GET", "vectors/list":
                return 200, _listed(space, query), {}
            case "POST", "describe_index_stats":
                _checked(DescribeIndexStatsRequest, given)
                counts = {name: {"vectorCount": len(each.records)} for name, each in index.namespaces.items()}
                return 200, {"namespaces": counts, "dimension": index.dimension, "indexFullness": 0}, {}
        raise Refused(404, f"no operation {method} {path}")

    def _upsert(self, index: Index, named: str, vectors: list[dict[str, Any]], size: int) -> int:
        if not 1 <= len(vectors) <= 1000 or size > 2 * 2**20:
            raise Refused(400, "at most 1,000 records and 2 MB")
        for vector in vectors:
            _check_names(Vector, vector)
            _check_record(vector, index.dimension)
            if not index.dimension:
                _check_sparse(vector.get("sparseValues"))
        space = index.namespaces.setdefault(named, Namespace())
        kept = {one["id"]: {**one, "values": np.asarray(one.get("values", []), dtype=np.float32).tolist()} for one in vectors}
        return self._written(space, {**space.newest, **kept})

    def _delete(self, index: Index, named: str, given: dict[str, Any]) -> int:
        if named not in index.namespaces:
            raise Refused(404, "Namespace not found")
        space = index.namespaces[named]
        if given.get("deleteAll"):
            return self._written(space, {})
        if not 1 <= len(given["ids"]) <= 1000:
            raise Refused(400, "1 to 1,000 ids")
        gone = set(given["ids"])
        return self._written(space, {key: one for key, one in space.newest.items() if key not in gone})

    def _written(self, space: Namespace, records: dict[str, dict[str, Any]]) -> int:
        lsn = space.write(records)
        if not self.late:
            space.see()
        return lsn


def _checked(model: Any, given: dict[str, Any]) -> None:
    """Held against the model of the description, which lets unknown names pass: these too."""
    _check_names(model, given)
    validate_and_convert_types(deepcopy(given), (model,), ["body"], True, True, configuration=Configuration())


def _check_names(model: Any, given: dict[str, Any]) -> None:
    unknown = given.keys() - set(model.attribute_map.values())
    if unknown:
        raise Refused(400, f"unknown {sorted(unknown)}")


def _check_record(one: dict[str, Any], dimension: int) -> None:
    if not one["id"].isascii() or not 1 <= len(one["id"]) <= 512:
        raise Refused(400, "an id is 1 to 512 ASCII characters")
    if len(one.get("values", [])) != dimension:
        raise Refused(400, f"Vector dimension {len(one['values'])} does not match the dimension of the index {dimension}")
    if dimension and "sparseValues" in one:
        raise Refused(400, "Index configuration does not support sparse values")
    if dimension and not any(one["values"]):
        raise Refused(400, "Dense vectors must contain at least one non-zero value")
    metadata = one.get("metadata", {})
    if len(json.dumps(metadata, ensure_ascii=False).encode()) > 40 * 1024:
        raise Refused(400, "Metadata size is over the limit of 40960 bytes per vector")
    for name, value in metadata.items():
        texts = isinstance(value, list) and all(isinstance(each, str) for each in value)
        if name.startswith("$") or not (texts or isinstance(value, SCALARS)):
            raise Refused(400, f"Metadata value must be a string, number, boolean or list of strings: {name}")


def _nearest(index: Index, space: Namespace, given: dict[str, Any]) -> list[dict[str, Any]]:
    top, vector = given["topK"], np.asarray(given["vector"], dtype=np.float64)
    if not 1 <= top <= 10_000 or len(vector) != index.dimension or not vector.any():
        raise Refused(400, "topK or vector")
    check_filter(given.get("filter") or {}, top=True)
    passing = [one for one in space.records.values() if holds(given.get("filter") or {}, one["metadata"])]
    if not passing:
        return []
    matrix = np.asarray([one["values"] for one in passing])
    scores = matrix @ vector / np.maximum(np.linalg.norm(matrix, axis=1) * np.linalg.norm(vector), 1e-12)
    found = []
    for place in np.argsort(-scores, kind="stable")[:top]:
        one = {"id": passing[place]["id"], "score": float(scores[place]), "values": []}
        if given.get("includeValues"):
            one["values"] = passing[place]["values"]
        if given.get("includeMetadata"):
            one["metadata"] = passing[place]["metadata"]
        found.append(one)
    return found


def _check_sparse(given: dict[str, Any] | None) -> None:
    """Held against what Pinecone has said of sparse indexes at their beginning, which was less than it takes now."""
    if given is None or not 1 <= len(given["indices"]) <= 1000 or len(given["indices"]) != len(given["values"]):
        raise Refused(400, "Sparse vector must contain 1 to 1,000 values, and as many indices")
    if len(set(given["indices"])) != len(given["indices"]) or not all(0 <= index < 2**32 for index in given["indices"]):
        raise Refused(400, "Sparse indices are 32-bit, each once")
    if not all(given["values"]):
        raise Refused(400, "Sparse values are not zero")


def _sharing(space: Namespace, given: dict[str, Any]) -> list[dict[str, Any]]:
    """Those that have an entry of the query's, by the product."""
    if "vector" in given or not 1 <= given["topK"] <= 1000:
        raise Refused(400, "topK, or a dense vector for a sparse index")
    _check_names(SparseValues, given["sparseVector"])
    _check_sparse(given["sparseVector"])
    check_filter(given.get("filter") or {}, top=True)
    asked = dict(zip(given["sparseVector"]["indices"], given["sparseVector"]["values"], strict=True))
    found = []
    for one in space.records.values():
        if holds(given.get("filter") or {}, one["metadata"]):
            kept = zip(one["sparseValues"]["indices"], one["sparseValues"]["values"], strict=True)
            if score := sum(value * asked.get(index, 0.0) for index, value in kept):
                found.append({"id": one["id"], "score": score, "values": []})
    return sorted(found, key=lambda each: -each["score"])[: given["topK"]]


def _listed(space: Namespace, query: Mapping[str, list[str]]) -> dict[str, Any]:
    limit, after = int(query.get("limit", ["100"])[0]), query.get("paginationToken", [""])[0]
    if not 1 <= limit <= 100:
        raise Refused(400, "limit must be 1 to 100")
    ids = sorted(one for one in space.records if one > after)
    page: dict[str, Any] = {"vectors": [{"id": one} for one in ids[:limit]], "usage": {"readUnits": 1}}
    return page | ({"pagination": {"next": ids[limit - 1]}} if len(ids) > limit else {})


@contextmanager
def serving(fake: PineconeFake, *, port: int = 0) -> Iterator[dict[str, Any]]:
    """The fake on loopback: the settings that name it."""
    gone = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version, wbufsize = "HTTP/1.1", -1  # in one write: two would wait for each other

        def do_GET(self) -> None:
            if gone.is_set():  # a connection from before
                self.close_connection = True
                return
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, answered, told = fake.answer(self.command, parts.path, parse_qs(parts.query), headers, body)
            written = json.dumps(answered).encode()
            self.send_response(status)
            for name, value in ({"Content-Type": "application/json", "Content-Length": str(len(written))} | told).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(written)

        do_POST = do_DELETE = do_GET  # noqa: N815 - the standard library's names

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield {"pinecone_url": fake.url, "pinecone_api_key": fake.key}
    finally:
        gone.set()
        server.shutdown()
        server.server_close()
        thread.join()
