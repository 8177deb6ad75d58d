"""The routes of `/v1`: plain Starlette ones, since a FastAPI route with dependencies costs 0.3 ms more."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, TypeVar

import orjson
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from chains.openai_format.answering import chat_completion, chat_completion_events, completion, completion_events
from chains.openai_format.answers import error_event
from chains.openai_format.embeddings import embeddings
from chains.openai_format.requests import ChatCompletionRequest, CompletionRequest, EmbeddingsRequest, RequestReader, Streamed
from chains.root import OpaqueRoot
from core.errors import NotFound
from core.principals import Scope
from providers.models import Models
from server.gate import guarded
from server.openai_door import batches, files
from server.openai_door.documented import document
from server.openai_door.models import listed
from server.streams import EventStream, until_hung_up

PREFIX = "/v1"
#: A body from this size on is read in a thread.
_LARGE_BYTES = 256 * 2**10


Body = TypeVar("Body", bound=Streamed)


def open_door(app: FastAPI, chat: OpaqueRoot, text: OpaqueRoot, models: Models) -> None:
    """Serve `/v1` on the runnables of chat and completion, and on the embedding models."""
    answer_chat = _answering(
        RequestReader(ChatCompletionRequest),
        lambda asked: chat_completion(chat, asked),
        lambda asked: chat_completion_events(chat, asked),
    )
    answer_completion = _answering(
        RequestReader(CompletionRequest),
        lambda asked: completion(text, asked),
        lambda asked: completion_events(text, asked),
    )
    read_embeddings = RequestReader(EmbeddingsRequest)

    async def answer_embeddings(request: Request) -> Response:
        given = await request.body()
        asked = read_embeddings(given) if len(given) < _LARGE_BYTES else await asyncio.to_thread(read_embeddings, given)
        body = await until_hung_up(request, embeddings(models, asked))
        return Response(body, media_type="application/json")

    async def list_models(request: Request) -> Response:
        return _json({"object": "list", "data": listed(models)})

    async def show_model(request: Request) -> Response:
        name = request.path_params["model"]
        for model in listed(models):
            if model["id"] == name:
                return _json(model)
        raise NotFound(f"The model {name[:128]!r} does not exist.", code="model_not_found", param="model")

    for path, endpoint, scope, method in (
        ("chat/completions", answer_chat, Scope.CHAT_INVOKE, "POST"),
        ("completions", answer_completion, Scope.COMPLETION_INVOKE, "POST"),
        ("embeddings", answer_embeddings, Scope.EMBEDDINGS_INVOKE, "POST"),
        ("models", list_models, Scope.MODELS_READ, "GET"),
        ("models/{model:path}", show_model, Scope.MODELS_READ, "GET"),
    ):
        app.add_route(f"{PREFIX}/{path}", guarded(endpoint, scope), methods=[method], include_in_schema=False)
    document(app, PREFIX)
    app.include_router(files.router)
    app.include_router(batches.router)


def _answering(
    read: RequestReader[Body],
    whole: Callable[[Body], Awaitable[dict[str, Any]]],
    events: Callable[[Body], AsyncGenerator[bytes, None]],
) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        given = await request.body()
        asked = read(given) if len(given) < _LARGE_BYTES else await asyncio.to_thread(read, given)
        if asked.stream:
            return EventStream(events(asked), error_event)
        return _json(await until_hung_up(request, whole(asked)))

    return answer


def _json(content: Any) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")
