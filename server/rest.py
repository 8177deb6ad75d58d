"""Plain REST on each capability's path: a flat JSON body in, a flat JSON answer or server-sent events out."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import orjson
from fastapi import FastAPI
from pydantic import BaseModel, Field, create_model
from starlette.requests import Request
from starlette.responses import Response

from chains.forms import TokenUsage
from chains.root import OpaqueRoot
from chains.spec import ChainSpec
from core.context import RequestContext
from core.errors import Internal, InvalidRequest, MalformedJSON, PlatformError
from server.auth import request_context
from server.form_input import file_fields, form_input, form_schema
from server.gate import guarded
from server.streams import EventStream, event, until_hung_up

#: Fields of the answer that the closing `usage` event repeats, beside what streams have no headers left to carry.
_ACCOUNTING = ("model", "provider", "usage", "cost_usd")


_STREAMED = {
    "schema": {
        "type": "string",
        "description": "with `stream: true`: events `token` {text}, `citations` {citations}, `usage` {model, provider, usage, "
        "cost_usd, version, attempts, cache, overhead_ms, request_id}, then `done` with the flat answer, or `error` in the "
        "error shape",
    },
    "example": 'event: token\ndata: {"text":"Hello"}\n\nevent: done\ndata: {"output":"Hello"}\n\n',
}


class FlatAnswer(BaseModel):
    """What every flat answer carries."""

    output: Any = Field(description="the answer")
    model: str | None = Field(description="the model that answered; null when none was called")
    provider: str | None
    usage: TokenUsage
    cost_usd: float | None = Field(description="null when no price is known")
    request_id: str
    pii: dict[str, dict[str, int]] | None = Field(None, description="by place and type, where a policy found personal data")


def add_rest_route(app: FastAPI, path: str, spec: ChainSpec, root: OpaqueRoot) -> None:
    """Serve `POST path`."""

    async def answer(request: Request) -> Response:
        context = request_context(request)
        streamed, value = await _read(request, root)
        if streamed:
            return EventStream(_events(root, value, context), lambda error: _error_event(error, context.request_id))
        flat = await until_hung_up(request, _whole(root, value))
        return Response(orjson.dumps(flat | {"request_id": context.request_id}), media_type="application/json")

    app.add_route(path, guarded(answer, spec.scope), methods=["POST"], include_in_schema=False)
    _document(app, path, spec)


async def _read(request: Request, root: OpaqueRoot) -> tuple[bool, Any]:
    """Whether the answer is to be streamed, and the capability's input."""
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        body: Any = await form_input(request, root.InputType)
    else:
        try:
            body = await request.json()
        except (ValueError, RecursionError):
            raise MalformedJSON("The body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise InvalidRequest("The body must be a JSON object.")
    streamed = body.pop("stream", False)
    if streamed is not None and not isinstance(streamed, bool):
        raise InvalidRequest("stream: true or false is needed", param="stream")
    return bool(streamed), root.parse(body)


async def _whole(root: OpaqueRoot, value: Any) -> dict[str, Any]:
    async with aclosing(root.answer(value, whole=True)) as deltas:
        async for delta in deltas:
            if delta.final is not None:
                flat: dict[str, Any] = delta.final
                return flat
    raise Internal("The answer ended before it was complete.")


async def _events(root: OpaqueRoot, value: Any, context: RequestContext) -> AsyncGenerator[bytes, None]:
    """`token` as text comes, `citations` where there are any, `usage`, and `done` with the whole flat answer."""
    cited = False
    flat: dict[str, Any] = {}
    async with aclosing(root.answer(value)) as deltas:
        async for delta in deltas:
            if delta.text:
                yield event("token", {"text": delta.text})
            if "citations" in delta.data:
                cited = True
                yield event("citations", {"citations": delta.data["citations"]})
            if delta.final is not None:
                flat = delta.final | {"request_id": context.request_id}
    if "citations" in flat and not cited:
        yield event("citations", {"citations": flat["citations"]})
    told = {
        "version": context.version,
        "attempts": context.attempts,
        "cache": context.cache or "bypass",
        "overhead_ms": round(context.overhead_s * 1000, 1),
    }
    yield event("usage", {name: flat[name] for name in (*_ACCOUNTING, "request_id")} | told)
    yield event("done", flat)


def _error_event(error: PlatformError, request_id: str) -> bytes:
    return event("error", error.body(request_id))


def _document(app: FastAPI, path: str, spec: ChainSpec) -> None:
    """Describe the route in the OpenAPI document. The route above is matched first: this one is never called."""
    title = "".join(part.title() for part in spec.name.split("/"))
    body = create_model(
        f"{title}Request",
        __base__=spec.input,
        stream=(bool, Field(False, description="server-sent events: token, citations, usage, done, error")),
    )
    base: Any = (spec.answer, FlatAnswer) if spec.answer else FlatAnswer

    async def described(body: Any) -> Any:
        raise NotImplementedError

    described.__annotations__ = {"body": body}
    app.add_api_route(
        path,
        described,
        methods=["POST"],
        response_model=create_model(f"{title}FlatAnswer", __base__=base),
        summary=spec.title,
        description=spec.description,
        operation_id=spec.name.replace("/", "_"),
        responses={200: {"content": {"text/event-stream": _STREAMED}}},
        tags=["Capabilities"],
        openapi_extra={"requestBody": {"content": _contents(spec)}} if spec.example else None,
    )


def _contents(spec: ChainSpec) -> dict[str, Any]:
    """What the body may be, beside the schema that FastAPI writes."""
    described: dict[str, Any] = {"application/json": {"example": spec.example}}
    if file_fields(spec.input):
        described["multipart/form-data"] = {"schema": form_schema(spec.input)}
    return described
