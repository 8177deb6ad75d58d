"""The gRPC interface of the fake Qdrant server: each call becomes the request over HTTP that means the same, by the conversions
of Qdrant's own client."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from qdrant_client import grpc as said
from qdrant_client import models
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc
from qdrant_client.grpc import collections_service_pb2_grpc, points_service_pb2_grpc, qdrant_pb2_grpc

from tests.fakes.qdrant_server import QdrantServer, Refused

_STATUS = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.ALREADY_EXISTS,
}


class Calls:
    """What is called, of whichever service."""

    def __init__(self, held: QdrantServer) -> None:
        self._held = held

    def _ask(self, context: Any, method: str, path: str, body: Any = None) -> Any:
        key = dict(context.invocation_metadata()).get("api-key")
        written = json.dumps(_said(body.model_dump(mode="json", exclude_none=True))).encode() if body is not None else b""
        try:
            answer = self._held.answer(method, path, key, written)
        except Refused as refused:
            context.abort(_STATUS[refused.status], str(refused))
        return answer.get("result", answer)

    def HealthCheck(self, request: Any, context: Any) -> Any:  # noqa: N802 - as the interface has it
        answer = self._ask(context, "GET", "/")
        return said.HealthCheckReply(title=answer["title"], version=answer["version"])

    def List(self, request: Any, context: Any) -> Any:  # noqa: N802
        names = self._ask(context, "GET", "/collections")["collections"]
        return said.ListCollectionsResponse(collections=[said.CollectionDescription(name=each["name"]) for each in names])

    def CollectionExists(self, request: Any, context: Any) -> Any:  # noqa: N802
        there = self._ask(context, "GET", f"/collections/{request.collection_name}/exists")["exists"]
        return said.CollectionExistsResponse(result=said.CollectionExists(exists=there))

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        body = models.CreateCollection(
            vectors=GrpcToRest.convert_vectors_config(request.vectors_config),
            sparse_vectors=GrpcToRest.convert_sparse_vector_config(request.sparse_vectors_config),
            hnsw_config=GrpcToRest.convert_hnsw_config_diff(request.hnsw_config),
        )
        done = self._ask(context, "PUT", f"/collections/{request.collection_name}", body)
        return said.CollectionOperationResponse(result=done)

    def CreateFieldIndex(self, request: Any, context: Any) -> Any:  # noqa: N802
        kind = request.field_index_params.WhichOneof("index_params")
        convert: dict[str, Callable[[Any], Any]] = {
            "keyword_index_params": GrpcToRest.convert_keyword_index_params,
            "integer_index_params": GrpcToRest.convert_integer_index_params,
            "float_index_params": GrpcToRest.convert_float_index_params,
        }
        schema = convert[kind](getattr(request.field_index_params, kind))
        body = models.CreateFieldIndex(field_name=request.field_name, field_schema=schema)
        return self._done(context, request, "PUT", "index", body)

    def Upsert(self, request: Any, context: Any) -> Any:  # noqa: N802
        points = [GrpcToRest.convert_point_struct(each) for each in request.points]
        return self._done(context, request, "PUT", "points", models.PointsList(points=points))

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._done(context, request, "POST", "points/delete", GrpcToRest.convert_points_selector(request.points))

    def Query(self, request: Any, context: Any) -> Any:  # noqa: N802
        return said.QueryResponse(result=self._found(context, request))

    def QueryBatch(self, request: Any, context: Any) -> Any:  # noqa: N802
        found = [said.BatchResult(result=self._found(context, each)) for each in request.query_points]
        return said.QueryBatchResponse(result=found)

    def Scroll(self, request: Any, context: Any) -> Any:  # noqa: N802
        body = models.ScrollRequest(
            offset=GrpcToRest.convert_point_id(request.offset) if request.HasField("offset") else None,
            limit=request.limit,
            filter=GrpcToRest.convert_filter(request.filter),
            with_payload=GrpcToRest.convert_with_payload_selector(request.with_payload),
            with_vector=GrpcToRest.convert_with_vectors_selector(request.with_vectors),
        )
        answer = self._ask(context, "POST", f"/collections/{request.collection_name}/points/scroll", body)
        more = answer["next_page_offset"]
        return said.ScrollResponse(
            result=[RestToGrpc.convert_retrieved_point(models.Record.model_validate(each)) for each in answer["points"]],
            next_page_offset=None if more is None else RestToGrpc.convert_extended_point_id(more),
        )

    def Count(self, request: Any, context: Any) -> Any:  # noqa: N802
        body = models.CountRequest(filter=GrpcToRest.convert_filter(request.filter), exact=request.exact)
        count = self._ask(context, "POST", f"/collections/{request.collection_name}/points/count", body)["count"]
        return said.CountResponse(result=said.CountResult(count=count))

    def _found(self, context: Any, request: Any) -> list[Any]:
        body = GrpcToRest.convert_query_points(request)
        answer = self._ask(context, "POST", f"/collections/{request.collection_name}/points/query", body)
        return [RestToGrpc.convert_scored_point(models.ScoredPoint.model_validate(each)) for each in answer["points"]]

    def _done(self, context: Any, request: Any, method: str, what: str, body: Any) -> Any:
        self._ask(context, method, f"/collections/{request.collection_name}/{what}", body)
        return said.PointsOperationResponse(result=said.UpdateResult(operation_id=1, status=said.UpdateStatus.Completed))


def _said(part: Any) -> Any:
    """Without the lists of conditions that are empty, which gRPC does not tell from none."""
    if isinstance(part, dict):
        none = {name for name in ("must", "should", "must_not") if part.get(name) == []}
        return {name: _said(value) for name, value in part.items() if name not in none}
    return [_said(each) for each in part] if isinstance(part, list) else part


@contextmanager
def calling(held: QdrantServer) -> Iterator[int]:
    """The port at which what the server holds is called."""
    server = grpc.server(ThreadPoolExecutor(4))
    calls: Any = Calls(held)
    qdrant_pb2_grpc.add_QdrantServicer_to_server(_Whole(calls), server)
    collections_service_pb2_grpc.add_CollectionsServicer_to_server(_Whole(calls), server)
    points_service_pb2_grpc.add_PointsServicer_to_server(_Whole(calls), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()


class _Whole:
    """A service of which only these calls are made; the others would be an error."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        return getattr(self._calls, name, None)
