"""LangServe's routes, the only module that imports it: its wire format and playgrounds over our own handling of requests.

LangServe 0.3 (in maintenance since 2024) answers malformed messages, deep JSON and failing batch items with a 500, lets its
streams go on when a caller cancels, hides every error of a stream and never cancels `/invoke`. So the requests are read and
answered here; from LangServe come the request and answer models, the serialisation that `RemoteRunnable` reads, and the
playground pages. Its `/c/{config_hash}`, feedback and trace endpoints do not exist here, and nothing can be configured by
a caller.
"""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import langserve
from fastapi import FastAPI
from langserve import APIHandler
from langserve.playground import serve_playground
from langserve.validation import StreamEventsParameters
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from chains.root import OpaqueRoot, invalid_input
from chains.spec import ChainSpec
from core.context import current
from core.errors import Forbidden, InvalidRequest, MalformedJSON, NotFound, PlatformError, TooLarge
from core.settings import RequestLimits, Settings
from server.auth import request_context
from server.gate import guarded
from server.idempotency import RETURN_EXCEPTIONS
from server.playground import form_schema, from_form, page, patches, without_default
from server.rest import add_rest_route
from server.security_headers import page_policy
from server.streams import CallerGone, EventStream, GoneResponse, event, until_hung_up

PREFIX = "/api/v1"
_PAGES = {"default": "playground", "chat": "chat_playground"}


def register(app: FastAPI, specs: Mapping[str, tuple[ChainSpec, OpaqueRoot]]) -> None:
    """Serve every capability: LangServe's endpoints below its path, and plain REST on the path itself."""
    settings: Settings = app.state.platform.settings
    app.add_exception_handler(CallerGone, _answer_nobody)
    for name, (spec, root) in specs.items():
        _Capability(spec, root, settings).add_to(app, f"{PREFIX}/{name}")
        add_rest_route(app, f"{PREFIX}/{name}", spec, root)


async def _answer_nobody(_request: Request, _error: Exception) -> Response:
    return GoneResponse()


class _Capability(APIHandler):
    """The endpoints of one capability."""

    def __init__(self, spec: ChainSpec, root: OpaqueRoot, settings: Settings) -> None:
        super().__init__(root, path=f"/{spec.name}", prefix=PREFIX, config_keys=(), playground_type=spec.playground)
        self._spec = spec
        self._root = root
        self._limits: RequestLimits = settings.limits
        self._input_schema = root.get_input_schema().model_json_schema()
        self._output_schema = root.get_output_schema().model_json_schema()
        aliases = [model.alias for model in settings.aliases if model.kind == "chat"]
        self._form = form_schema(spec, self._input_schema, sorted(aliases, key=lambda alias: alias != "default"))
        self._pages = Path(langserve.__file__).parent / _PAGES[spec.playground] / "dist"
        self._files = {str(path.relative_to(self._pages)) for path in self._pages.rglob("*") if path.is_file()}

    def add_to(self, app: FastAPI, path: str) -> None:
        """Add the routes below `path`."""
        posts = {name: getattr(self, f"answer_{name}") for name in ("invoke", "batch", "stream", "stream_events", "stream_log")}
        gets = {
            "input_schema": self.show_input_schema,
            "output_schema": self.show_output_schema,
            "playground": self.lead_to_playground,
            "playground/{file:path}": self.show_playground,
        }
        for method, endpoints in (("POST", posts), ("GET", gets)):
            for name, endpoint in endpoints.items():
                behind = guarded(endpoint, self._spec.scope)
                app.add_route(f"{path}/{name}", behind, methods=[method], include_in_schema=False)
        self._document(app, path)

    async def answer_invoke(self, request: Request) -> Response:
        """The whole answer; hanging up cancels the work."""
        body = await self._body(request)
        value = self._root.parse(_given(body, "input"))
        run_id = uuid4()
        output = await until_hung_up(request, self._root.ainvoke(value, {"run_id": run_id}))
        return self._json({"output": output, "callback_events": [], "metadata": _told(run_id)})

    async def answer_batch(self, request: Request) -> Response:
        """The answers of several inputs, a bounded number at once."""
        body = await self._body(request)
        inputs = _given(body, "inputs")
        if not isinstance(inputs, list):
            raise InvalidRequest("inputs: a list is needed", param="inputs")
        if not inputs:
            raise InvalidRequest("inputs: at least one input is needed", param="inputs")
        if len(inputs) > self._limits.batch:
            raise TooLarge(f"A batch holds at most {self._limits.batch} inputs.", code="batch_too_large", param="inputs")
        configs = body.get("config")
        if isinstance(configs, list) and len(configs) != len(inputs):
            raise InvalidRequest("config: one object for all inputs, or one for each", param="config")
        tolerant = request.headers.get(RETURN_EXCEPTIONS, "").lower() in ("1", "true")
        values = inputs if tolerant else [self._parse_one(value, index) for index, value in enumerate(inputs)]
        run_ids = [uuid4() for _ in inputs]
        work = self._root.abatch(
            values,
            [{"run_id": run_id, "max_concurrency": self._limits.batch_concurrency} for run_id in run_ids],
            return_exceptions=tolerant,
        )
        outputs = [
            {**output.body(request_context(request).request_id), "status": output.status}
            if isinstance(output, PlatformError)
            else output
            for output in await until_hung_up(request, work)
        ]
        metadata = {"responses": [_told(run_id) for run_id in run_ids], "run_ids": run_ids}
        return self._json({"output": outputs, "callback_events": [], "metadata": metadata})

    async def answer_stream(self, request: Request) -> Response:
        """The answer in chunks."""
        body = await self._body(request)
        value = self._root.parse(_given(body, "input"))
        return self._stream(self._chunks(value), request)

    async def answer_stream_events(self, request: Request) -> Response:
        """The root's events: start, stream, end."""
        body = await self._body(request)
        value = _given(body, "input")
        self._root.parse(value)
        try:
            filters = StreamEventsParameters.model_validate(body)
        except ValidationError as error:
            raise invalid_input(error, body) from None
        return self._stream(self._events(value, filters), request)

    async def answer_stream_log(self, request: Request) -> Response:
        """The playground's own stream."""
        if not request_context(request).principal.from_cookie:
            raise Forbidden("This address is the playground's: use /stream or /stream_events.", code="playground_only")
        body = await self._body(request)
        value = from_form(self._spec, self._input_schema, body.get("input"))
        return self._stream(patches(self._root, value, whole_text=self._spec.playground == "chat"), request)

    async def show_input_schema(self, request: Request) -> Response:
        """The JSON schema of the input."""
        return self._json(self._input_schema)

    async def show_output_schema(self, request: Request) -> Response:
        """The JSON schema of the output."""
        return self._json(self._output_schema)

    async def lead_to_playground(self, request: Request) -> Response:
        """To the address with a slash, from which the page finds its parts."""
        return RedirectResponse(f"{request.url.path}/", 307)

    async def show_playground(self, request: Request) -> Response:
        """The page, or one of its parts."""
        name = request.path_params["file"] or "index.html"
        if name not in self._files:
            raise NotFound("There is nothing at this address.")
        response = await serve_playground(
            self._root,
            _Shown(await self._filled_in(request)),  # type: ignore[arg-type]
            _Shown(self._output_schema),  # type: ignore[arg-type]
            (),
            f"{request.scope.get('root_path', '').rstrip('/')}{self._base_url}/playground",
            name,
            False,
            False,
            self.playground_type,
        )
        if name == "index.html":
            html = page(self._spec, bytes(response.body))
            policy = page_policy(html, styles=True, evaluates=self._spec.playground != "chat")
            return Response(html, media_type="text/html", headers={"content-security-policy": policy})
        response.headers["cache-control"] = "private, max-age=86400"
        return response

    async def _filled_in(self, request: Request) -> dict[str, Any]:
        """The form, with the example's collection only where the caller has it: the handbook may have been deleted."""
        if (name := self._spec.example.get("collection")) is None:
            return self._form
        try:
            await request.app.state.platform.library.collections.get(current().principal, name)
        except PlatformError:
            return without_default(self._form, "collection")
        return self._form

    async def _body(self, request: Request) -> dict[str, Any]:
        """The request's JSON object. `config` and `kwargs` are checked and otherwise of no effect."""
        try:
            body = await request.json()
        except (ValueError, RecursionError):
            raise MalformedJSON("The body is not valid JSON.") from None
        if not isinstance(body, dict):
            raise InvalidRequest("The body must be a JSON object.")
        config = body.get("config")
        for one in config if isinstance(config, list) else [config]:
            if one is not None and not isinstance(one, dict):
                raise InvalidRequest("config: an object is needed", param="config")
            if one and one.get("configurable"):
                raise InvalidRequest("config.configurable: nothing here can be configured", param="config.configurable")
        if body.get("kwargs"):
            raise InvalidRequest("kwargs: none are taken", param="kwargs")
        return body

    def _parse_one(self, value: Any, index: int) -> Any:
        try:
            return self._root.parse(value)
        except InvalidRequest as error:
            where = f"inputs.{index}" + (f".{error.param}" if error.param else "")
            raise InvalidRequest(f"inputs.{index}: {error.message}", code=error.code, param=where) from None

    async def _chunks(self, value: Any) -> AsyncGenerator[bytes, None]:
        run_id = uuid4()
        first = True
        async with aclosing(self._root.astream(value, {"run_id": run_id})) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                if first:
                    first = False
                    yield event("metadata", {"run_id": run_id})
                yield event("data", chunk)
        yield event("end")

    async def _events(self, value: Any, filters: StreamEventsParameters) -> AsyncGenerator[bytes, None]:
        events = self._root.astream_events(value, version="v2", **filters.model_dump())
        held: list[bytes] = []  # the start is told with what follows it: until then a refusal can be a plain 4xx
        async with aclosing(events) as seen:  # type: ignore[type-var]
            async for one in seen:
                if not held and one["event"] == "on_chain_start":
                    held.append(event("data", one))
                    continue
                yield b"".join([*held, event("data", one)])
                held = [b""]
        yield b"".join(held) + event("end")

    def _stream(self, events: AsyncGenerator[bytes, None], request: Request) -> EventStream:
        request_id = request_context(request).request_id
        return EventStream(events, lambda error: _error_event(error, request_id))

    def _json(self, content: Any) -> Response:
        return Response(self._serializer.dumps(content), media_type="application/json")

    def _document(self, app: FastAPI, path: str) -> None:
        """Describe the endpoints in the OpenAPI document. The routes above are matched first: these are never called."""
        answers = {
            "invoke": (self.InvokeRequest, self.InvokeResponse, "One input, one answer"),
            "batch": (self.BatchRequest, self.BatchResponse, f"Up to {self._limits.batch} inputs, one answer each"),
            "stream": (self.StreamRequest, None, "The answer as server-sent events: metadata, data, end, error"),
            "stream_events": (self.StreamEventsRequest, None, "The run's own events as server-sent events"),
        }
        for name, (body, answer, summary) in answers.items():

            async def described(body: Any) -> Any:
                raise NotImplementedError

            described.__annotations__ = {"body": body}
            app.add_api_route(
                f"{path}/{name}",
                described,
                methods=["POST"],
                response_model=answer,
                summary=f"{self._spec.title}: {name}",
                description=f"{summary}. LangServe's wire format, for `RemoteRunnable`.",
                operation_id=f"{self._spec.name.replace('/', '_')}_{name}",
                tags=["LangServe"],
            )


class _Shown:
    """A JSON schema where LangServe expects a model that has one."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._schema = schema

    def model_json_schema(self) -> dict[str, Any]:
        return self._schema


def _given(body: dict[str, Any], name: str) -> Any:
    if name not in body:
        raise InvalidRequest(f"{name}: Field required", param=name)
    return body[name]


def _told(run_id: UUID) -> dict[str, Any]:
    return {"run_id": run_id, "feedback_tokens": []}


def _error_event(error: PlatformError, request_id: str) -> bytes:
    """An error in the middle of a stream.

    `RemoteRunnable` raises `httpx.HTTPStatusError` with this status and `message` as the response's text: as the error
    shape in JSON, `raised.response.json()["error"]["code"]` is there as for every other call.
    """
    body = error.body(request_id)
    return event("error", {"status_code": error.status, "message": json.dumps(body), **body})
