"""A Qdrant server as far as the platform asks one: HTTP on loopback in front of Qdrant's own engine.

Each request is held against the schema that Qdrant publishes, as its client has it, which refuses what is not in it. A filter
on what has no index is refused, as strict installations do.
"""

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import qdrant_edge as edge
from pydantic import TypeAdapter
from qdrant_client import models

from retrievers.stores.qdrant_edge import _filter as filter_of

BODIES: dict[tuple[str, str], Any] = {
    ("PUT", ""): models.CreateCollection,
    ("PUT", "index"): models.CreateFieldIndex,
    ("PUT", "points"): models.PointsList,
    ("POST", "points/query"): models.QueryRequest,
    ("POST", "points/query/batch"): models.QueryRequestBatch,
    ("POST", "points/scroll"): models.ScrollRequest,
    ("POST", "points/count"): models.CountRequest,
    ("POST", "points/delete"): models.FilterSelector,
}
NO_KEY = "Must provide an API key or an Authorization bearer token"


class Refused(Exception):
    """An answer with this status."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class QdrantServer:
    """What it holds. `key`: what callers must have; `version`: what it says of itself."""

    def __init__(self, directory: Path) -> None:
        self.key: str | None = None
        self.version = "1.20.0"
        #: Paths and bodies of what was asked.
        self.asked: list[tuple[str, Any]] = []
        self._directory = directory
        self._collections: dict[str, edge.EdgeShard] = {}
        self._indexed: dict[str, set[str]] = {}
        self._lock = threading.Lock()

    def answer(self, method: str, path: str, key: str | None, body: bytes) -> Any:
        if self.key is not None and key != self.key:
            raise Refused(403 if key else 401, NO_KEY)
        parts = path.partition("?")[0].strip("/").split("/", 2)
        if parts == [""]:
            return {"title": "qdrant - vector search engine", "version": self.version}
        if parts[0] != "collections" or len(parts) > 3:
            raise Refused(404, "no such path")
        if len(parts) == 1:
            return {"result": {"collections": [{"name": name} for name in self._collections]}}
        name, what = parts[1], parts[2] if len(parts) > 2 else ""
        if what == "exists":
            return {"result": {"exists": name in self._collections}}
        schema = BODIES.get((method, what))
        if method == "DELETE" and not what:
            with self._lock:
                shard = self._collections.pop(name, None)
                if shard is not None:
                    shard.close()
            return {"result": shard is not None}
        if schema is None:
            raise Refused(404, f"no such path: {method} {what}")
        given = json.loads(body)
        try:
            TypeAdapter(schema).validate_python(given, strict=False)
        except ValueError as error:
            raise Refused(400, f"Format error in JSON body: {error}") from error
        self.asked.append((f"{method} {what}", given))
        with self._lock:
            if (method, what) == ("PUT", ""):
                return {"result": self._create(name, given)}
            shard = self._collections.get(name)
            if shard is None:
                raise Refused(404, f"Not found: Collection `{name}` doesn't exist!")
            return {"result": self._do(name, shard, what, given)}

    def _create(self, name: str, given: Any) -> bool:
        if name in self._collections:
            raise Refused(409, f"Wrong input: Collection `{name}` already exists!")
        dense = {
            each: edge.EdgeVectorParams(size=params["size"], distance=edge.Distance.Cosine)
            for each, params in given["vectors"].items()
            if params["distance"] == "Cosine"
        }
        words = {
            each: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)
            for each, params in given["sparse_vectors"].items()
            if params["modifier"] == "idf"
        }
        shutil.rmtree(self._directory / name, ignore_errors=True)
        config = edge.EdgeConfig(vectors=dense, sparse_vectors=words, wal_enabled=False)
        self._collections[name] = edge.EdgeShard.create(str(self._directory / name), config)
        self._indexed[name] = set()
        return True

    def _do(self, name: str, shard: edge.EdgeShard, what: str, given: Any) -> Any:
        match what:
            case "index":
                self._indexed[name].add(given["field_name"])
                if given["field_name"] in ("tenant", "collection", "filter"):  # the engine takes its time for each
                    shard.update(edge.UpdateOperation.create_field_index(given["field_name"], edge.KeywordIndexParams()))
                return {"operation_id": 1, "status": "completed"}
            case "points":
                points = [edge.Point(each["id"], _vectors(each["vector"]), each["payload"]) for each in given["points"]]
                shard.update(edge.UpdateOperation.upsert_points(points))
                return {"operation_id": 1, "status": "completed"}
            case "points/query":
                return {"points": self._query(name, shard, given)}
            case "points/query/batch":
                return [{"points": self._query(name, shard, each)} for each in given["searches"]]
            case "points/scroll":
                asked = edge.ScrollRequest(
                    offset=given.get("offset"),
                    limit=given["limit"],
                    filter=self._filter(name, given),
                    with_payload=given["with_payload"],
                    with_vector=given["with_vector"],
                )
                found, more = shard.scroll(asked)
                return {"points": [_record(one) for one in found], "next_page_offset": None if more is None else str(more)}
            case "points/count":
                return {"count": shard.count(edge.CountRequest(exact=given["exact"], filter=self._filter(name, given)))}
        shard.update(edge.UpdateOperation.delete_points_by_filter(self._filter(name, given)))
        return {"operation_id": 1, "status": "completed"}

    def _query(self, name: str, shard: edge.EdgeShard, given: Any) -> list[Any]:
        params = given["params"]
        query = given["query"]
        corpus = (params.get("idf") or {}).get("corpus")
        asked = edge.QueryRequest(
            limit=given["limit"],
            query=edge.Query.Nearest(_vector(query), using=given["using"]),
            filter=self._filter(name, given),
            with_payload=given["with_payload"],
            with_vector=given.get("with_vector") or False,
            params=edge.SearchParams(
                exact=bool(params.get("exact")), idf=None if corpus is None else edge.IdfParams(corpus=filter_of(corpus))
            ),
        )
        return [{**_record(one), "version": 0, "score": one.score} for one in shard.query(asked)]

    def _filter(self, name: str, given: Any) -> Any:
        for key in _keys(given["filter"]):
            if key not in self._indexed[name]:
                raise Refused(400, f"Bad request: Index required but not found for `{key}`")
        return filter_of(given["filter"])

    def close(self) -> None:
        for shard in self._collections.values():
            with suppress(Exception):
                shard.close()


def _keys(said: Any, inside: str = "") -> Iterator[str]:
    """The keys that a filter names."""
    for word in ("must", "should", "must_not"):
        for part in said.get(word) or ():
            if part.get("nested"):
                yield from _keys(part["nested"]["filter"], f"{inside}{part['nested']['key']}[].")
            elif part.get("key"):
                yield inside + part["key"]
            else:
                yield from _keys(part, inside)


def _vector(given: Any) -> Any:
    if isinstance(given, dict):
        given = given.get("nearest", given)
    return edge.SparseVector(given["indices"], given["values"]) if isinstance(given, dict) else given


def _vectors(given: Any) -> dict[str, Any]:
    return {name: _vector(each) for name, each in given.items()}


def _record(one: Any) -> dict[str, Any]:
    vectors = {
        name: {"indices": each.indices, "values": each.values} if isinstance(each, edge.SparseVector) else each
        for name, each in (one.vector or {}).items()
    }
    return {"id": str(one.id), "payload": one.payload, "vector": vectors or None}


@contextmanager
def serving(directory: Path) -> Iterator[tuple[str, QdrantServer]]:
    """Its address, and what it holds."""
    held = QdrantServer(directory)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status = 200
            try:
                said = held.answer(self.command, self.path, self.headers.get("api-key"), body)
                said = {"status": "ok", "time": 0.0, **said} if "result" in said else said
            except Refused as refused:
                status, said = refused.status, {"status": {"error": str(refused)}, "time": 0.0}
            written = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(written)))
            self.end_headers()
            self.wfile.write(written)

        do_GET = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815 - http.server's names

        def log_message(self, *args: Any) -> None:
            """Not told."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", held
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        held.close()
