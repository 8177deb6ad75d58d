"""Weaviate in this process, as its protobuf files and its documentation describe it: gRPC for objects, REST for the schema.

It refuses what a server refuses: unknown collections, tenants and properties, values of another type than the property's,
conditions on what is not indexed, more results than `QUERY_MAXIMUM_RESULTS`, a cursor beside a filter, other dimensions.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

import grpc
import numpy as np
from weaviate.proto.v1 import (
    aggregate_pb2,
    base_pb2,
    batch_delete_pb2,
    batch_pb2,
    health_weaviate_pb2,
    search_get_pb2,
    tenants_pb2,
    weaviate_pb2_grpc,
)

from tests.fakes.weaviate_ranking import Refused, Stored, Tenant, by_words, nearest, property_of
from tests.fakes.weaviate_schema import CLASS_FIELDS, filled_up, property_problems

_TENANT = re.compile(r"[A-Za-z0-9_-]{1,64}")
_OPERATOR = base_pb2.Filters


class WeaviateFake(weaviate_pb2_grpc.WeaviateServicer):  # type: ignore[misc]  # generated without types
    def __init__(self, *, key: str = "", version: str = "1.34.0", most_results: int = 10_000) -> None:
        self.key, self.version, self.most_results = key, version, most_results
        self.classes: dict[str, dict[str, Any]] = {}
        self.tenants: dict[str, dict[str, Tenant]] = {}
        #: The calls that came, by name.
        self.calls: list[str] = []
        self.lock = threading.RLock()

    # gRPC: objects

    def Search(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return self._answered(context, "search", lambda: self._search(request))

    def BatchObjects(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return self._answered(context, "write", lambda: self._write(request))

    def BatchDelete(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return self._answered(context, "delete", lambda: self._delete(request))

    def Aggregate(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return self._answered(context, "aggregate", lambda: self._aggregate(request))

    def TenantsGet(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return self._answered(context, "tenants", lambda: self._tenants(request))

    def _answered(self, context: grpc.ServicerContext, name: str, answer: Callable[[], Any]) -> Any:
        told = dict(context.invocation_metadata())
        if self.key and told.get("authorization") != f"Bearer {self.key}":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "unauthorized: invalid api key")
        try:
            with self.lock:
                self.calls.append(name)
                return answer()
        except Refused as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))

    def _search(self, request: Any) -> Any:
        schema, tenant = self._place(request.collection, request.tenant)
        names = list(request.properties.non_ref_properties)
        for name in names:
            property_of(schema, name)
        limit = request.limit or 10
        if limit + request.offset > self.most_results:
            raise Refused("query maximum results exceeded")
        is_by_words = request.HasField("bm25_search")
        if request.after and (request.HasField("filters") or request.HasField("near_vector") or request.offset or is_by_words):
            raise Refused("cursor api: invalid 'after' parameter: other params cannot be set with after and limit parameters")
        found = [(key, one, None) for key, one in sorted(tenant.objects.items()) if key > request.after]
        if request.HasField("filters"):
            found = [one for one in found if self._holds(schema, request.filters, one[0], one[1])]
        if request.HasField("near_vector"):
            found = nearest(schema, request.near_vector, tenant, found)
        scores = by_words(schema, request.bm25_search, tenant) if is_by_words else {}
        if is_by_words:  # how rare a word is, is counted among all, whatever the filter
            found = sorted((one for one in found if one[0] in scores), key=lambda each: -scores[each[0]])
        reply = search_get_pb2.SearchReply()
        for key, one, distance in found[request.offset : request.offset + limit]:
            result = reply.results.add()
            result.metadata.id, result.metadata.id_as_bytes = key, UUID(key).bytes
            if distance is not None and request.metadata.distance:
                result.metadata.distance, result.metadata.distance_present = distance, True
            if key in scores and request.metadata.score:
                result.metadata.score, result.metadata.score_present = scores[key], True
            if request.metadata.vector or request.metadata.vectors:
                packed = one.vector.astype("<f4").tobytes()
                name = next(iter(schema["vectorConfig"]))
                result.metadata.vectors.add(name=name, vector_bytes=packed, type=base_pb2.Vectors.VECTOR_TYPE_SINGLE_FP32)
            for name in names:
                _tell(result.properties.non_ref_props.fields[name], one.properties.get(name))
        return reply

    def _write(self, request: Any) -> Any:
        reply = batch_pb2.BatchObjectsReply()
        for number, given in enumerate(request.objects):
            try:
                self._put(given)
            except Refused as error:
                reply.errors.add(index=number, error=str(error))
        return reply

    def _put(self, given: Any) -> None:
        schema = self._schema(given.collection)
        if not _TENANT.fullmatch(given.tenant):
            raise Refused("class has multi-tenancy enabled, but request was without tenant")
        tenants = self.tenants[given.collection]
        if given.tenant not in tenants:
            if not schema["multiTenancyConfig"].get("autoTenantCreation"):
                raise Refused(f'tenant not found: "{given.tenant}"')
            tenants[given.tenant] = Tenant()
        tenant = tenants[given.tenant]
        UUID(given.uuid)
        properties: dict[str, Any] = dict(given.properties.non_ref_properties)
        properties |= {each.prop_name: list(each.values) for each in given.properties.text_array_properties}
        for name, value in properties.items():
            _check_value(property_of(schema, name), value)
        (packed,) = [one.vector_bytes for one in given.vectors if one.name in schema["vectorConfig"]]
        vector = np.frombuffer(packed, dtype="<f4")
        if tenant.dimension not in (0, len(vector)):
            raise Refused(
                f"new node has a vector with length {len(vector)}. Existing nodes have vectors with length {tenant.dimension}"
            )
        tenant.dimension = len(vector)
        tenant.objects[given.uuid] = Stored(properties, vector)

    def _delete(self, request: Any) -> Any:
        schema, tenant = self._place(request.collection, request.tenant)
        found = [key for key, one in tenant.objects.items() if self._holds(schema, request.filters, key, one)]
        if not request.dry_run:
            for key in found[: self.most_results]:
                del tenant.objects[key]
        return batch_delete_pb2.BatchDeleteReply(matches=len(found), successful=len(found[: self.most_results]))

    def _aggregate(self, request: Any) -> Any:
        schema, tenant = self._place(request.collection, request.tenant)
        if not request.objects_count:
            raise Refused("nothing to aggregate")
        reply = aggregate_pb2.AggregateReply()
        reply.single_result.objects_count = sum(
            not request.HasField("filters") or self._holds(schema, request.filters, key, one)
            for key, one in tenant.objects.items()
        )
        return reply

    def _tenants(self, request: Any) -> Any:
        self._schema(request.collection)
        reply = tenants_pb2.TenantsGetReply()
        for name in self.tenants[request.collection]:
            if not request.HasField("names") or name in request.names.values:
                reply.tenants.add(name=name, activity_status=tenants_pb2.TENANT_ACTIVITY_STATUS_ACTIVE)
        return reply

    def _schema(self, name: str) -> dict[str, Any]:
        if name not in self.classes:
            raise Refused(f"could not find class {name} in schema")
        return self.classes[name]

    def _place(self, name: str, tenant: str) -> tuple[dict[str, Any], Tenant]:
        schema = self._schema(name)
        if not tenant:
            raise Refused(f"class {name} has multi-tenancy enabled, but request was without tenant")
        if tenant not in self.tenants[name]:
            raise Refused(f'tenant not found: "{tenant}"')
        return schema, self.tenants[name][tenant]

    def _holds(self, schema: Mapping[str, Any], asked: Any, key: str, one: Stored) -> bool:
        if asked.operator in (_OPERATOR.OPERATOR_AND, _OPERATOR.OPERATOR_OR):
            parts = [self._holds(schema, part, key, one) for part in asked.filters]
            if len(parts) < 1:
                raise Refused("a compound filter without operands")
            return all(parts) if asked.operator == _OPERATOR.OPERATOR_AND else any(parts)
        name = asked.target.property or (asked.on[0] if asked.on else "")
        kind = "text"
        if name != "_id":
            described = property_of(schema, name)
            kind = described["dataType"][0].removesuffix("[]")
            if not described.get("indexFilterable"):
                raise Refused(f"Searching by property {name} requires inverted index: set indexFilterable")
        kept = key if name == "_id" else one.properties.get(name)
        if name != "_id" and described.get("tokenization") == "whitespace" and kept is not None:
            kept = kept.split()
        return _compared(asked, kept, _asked_value(asked, kind))

    # REST: what is there, and the schema

    def answer(self, method: str, path: str, authorization: str, body: Any) -> tuple[int, Any]:
        """The status and the body of an answer."""
        if path == "/v1/.well-known/ready":
            return 200, {}
        if path == "/v1/meta":
            return 200, {"version": self.version, "hostname": "fake", "modules": {}}
        if self.key and authorization != f"Bearer {self.key}":
            return 401, {"code": 401, "message": "unauthorized: invalid api key"}
        with self.lock:
            self.calls.append(f"{method} {path}")
            match (method, path.removeprefix("/v1/").split("/")):
                case "POST", ["schema"]:
                    return self._make(body)
                case "POST", ["schema", name, "properties"] if name in self.classes:
                    return self._add_property(name, body)
                case "GET", ["schema", name]:
                    return (200, filled_up(self.classes[name])) if name in self.classes else (404, {})
                case "DELETE", ["schema", name, "tenants"] if name in self.classes:
                    for tenant in body:
                        self.tenants[name].pop(tenant, None)
                    return 200, {}
        return 404, {"code": 404, "message": f"path {path} was not found"}

    def _make(self, given: dict[str, Any]) -> tuple[int, Any]:
        problems = [f"unknown field {name}" for name in given.keys() - CLASS_FIELDS]
        for each in given["properties"]:
            problems += property_problems(each)
        if given["class"] in self.classes:
            problems.append(f"class name {given['class']} already exists")
        if problems:
            return 422, {"error": [{"message": problem} for problem in problems]}
        self.classes[given["class"]] = given
        self.tenants[given["class"]] = {}
        return 200, given

    def _add_property(self, name: str, given: dict[str, Any]) -> tuple[int, Any]:
        """What objects have of it that are there already, is not indexed."""
        problems = property_problems(given)
        if given["name"].lower() in {each["name"].lower() for each in self.classes[name]["properties"]}:
            problems.append(
                f"class {name!r}: conflict for property {given['name']!r}: already in use or provided multiple times"
            )
        if problems:
            return 422, {"error": [{"message": problem} for problem in problems]}
        self.classes[name]["properties"].append(given)
        return 200, given


def _check_value(described: Mapping[str, Any], value: Any) -> None:
    good = {
        "text": isinstance(value, str),
        "int": isinstance(value, float | int) and float(value).is_integer(),
        "text[]": isinstance(value, list) and all(isinstance(each, str) for each in value),
    }
    if not good[described["dataType"][0]]:
        raise Refused(f"invalid {described['dataType'][0]} property '{described['name']}' on class")


def _tell(field: Any, value: Any) -> None:
    if isinstance(value, str):
        field.text_value = value
    elif isinstance(value, list):
        field.list_value.text_values.values.extend(value)
    elif value is not None:
        field.int_value = int(value)
    else:
        field.null_value = 0


def _asked_value(asked: Any, kind: str) -> Any:
    given = asked.WhichOneof("test_value")
    wanted = {"text": ("value_text", "value_text_array"), "int": ("value_int", "value_int_array")}[kind]
    if given not in wanted:
        raise Refused(f"data type filter cannot use {given} on type {kind!r}")
    value = getattr(asked, given)
    return list(value.values) if given.endswith("_array") else value


def _compared(asked: Any, kept: Any, value: Any) -> bool:
    if kept is None:
        return bool(asked.operator in (_OPERATOR.OPERATOR_NOT_EQUAL, _OPERATOR.OPERATOR_CONTAINS_NONE))
    several = kept if isinstance(kept, list) else [kept]
    match asked.operator:
        case _OPERATOR.OPERATOR_EQUAL:
            return value in several
        case _OPERATOR.OPERATOR_NOT_EQUAL:
            return value not in several
        case _OPERATOR.OPERATOR_CONTAINS_ANY:
            return any(each in several for each in value)
        case _OPERATOR.OPERATOR_CONTAINS_NONE:
            return not any(each in several for each in value)
        case _OPERATOR.OPERATOR_LESS_THAN:
            return any(each < value for each in several)
        case _OPERATOR.OPERATOR_GREATER_THAN_EQUAL:
            return any(each >= value for each in several)
    raise Refused(f"operator {asked.operator}")


class _Health:
    """`grpc.health.v1.Health`, without a package for it."""

    @staticmethod
    def handler() -> grpc.GenericRpcHandler:
        def check(request: Any, context: Any) -> Any:
            return health_weaviate_pb2.WeaviateHealthCheckResponse(
                status=health_weaviate_pb2.WeaviateHealthCheckResponse.SERVING
            )

        method = grpc.unary_unary_rpc_method_handler(
            check,
            request_deserializer=health_weaviate_pb2.WeaviateHealthCheckRequest.FromString,
            response_serializer=health_weaviate_pb2.WeaviateHealthCheckResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": method})


@contextmanager
def serving(fake: WeaviateFake, *, ports: tuple[int, int] = (0, 0)) -> Iterator[dict[str, str]]:
    """The fake on loopback: the settings that name it."""
    gone = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version, wbufsize = "HTTP/1.1", -1  # in one write: two would wait for each other

        def do_GET(self) -> None:
            if gone.is_set():  # a connection from before
                self.close_connection = True
                return
            given = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, body = fake.answer(
                self.command, self.path.partition("?")[0], self.headers.get("Authorization", ""), json.loads(given or "null")
            )
            written = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(written)))
            self.end_headers()
            self.wfile.write(written)

        do_POST = do_DELETE = do_GET  # noqa: N815 - the standard library's names

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.max_receive_message_length", 104_858_000)])
    weaviate_pb2_grpc.add_WeaviateServicer_to_server(fake, server)
    server.add_generic_rpc_handlers([_Health.handler()])
    port = server.add_insecure_port(f"127.0.0.1:{ports[1]}")
    server.start()
    web = ThreadingHTTPServer(("127.0.0.1", ports[0]), Handler)
    web.daemon_threads = True
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield {
            "weaviate_url": f"http://127.0.0.1:{web.server_address[1]}",
            "weaviate_grpc_url": f"http://127.0.0.1:{port}",
        }
    finally:
        gone.set()
        web.shutdown()
        web.server_close()
        thread.join()
        server.stop(0).wait()
