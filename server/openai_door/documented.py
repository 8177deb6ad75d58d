"""The door's routes in the OpenAPI document. The real ones are matched first: these are as good as never called."""

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, Field

from chains.openai_format.requests import ChatCompletionRequest, CompletionRequest, EmbeddingsRequest
from core.errors import NotFound


class ChatCompletion(BaseModel):
    """OpenAI's `chat.completion` object."""

    id: str
    object: str = "chat.completion"
    created: int
    model: str = Field(description="the alias that was asked for; the header x-genai-model names the model")
    choices: list[dict[str, Any]]
    usage: dict[str, Any]


class TextCompletion(ChatCompletion):
    """OpenAI's `text_completion` object."""

    object: str = "text_completion"


class EmbeddingList(BaseModel):
    """OpenAI's list of `embedding` objects."""

    object: str = "list"
    data: list[dict[str, Any]]
    model: str
    usage: dict[str, int]


class Model(BaseModel):
    """OpenAI's `model` object. `kind`: `chat` or `embeddings`."""

    id: str
    object: str = "model"
    created: int
    owned_by: str
    kind: str


class ModelList(BaseModel):
    """OpenAI's list of models."""

    object: str = "list"
    data: list[Model]


_CHUNKS = {
    "text/event-stream": {
        "schema": {"type": "string", "description": "with `stream: true`: OpenAI's chunks, then `data: [DONE]`"},
    }
}


def document(app: FastAPI, prefix: str) -> None:
    """Describe the routes."""
    posts: tuple[tuple[str, type[BaseModel], type[BaseModel], str], ...] = (
        ("chat/completions", ChatCompletionRequest, ChatCompletion, "Chat completions"),
        ("completions", CompletionRequest, TextCompletion, "Completions"),
        ("embeddings", EmbeddingsRequest, EmbeddingList, "Embeddings"),
    )
    for path, body, answer, title in posts:

        async def described(body: Any) -> Any:
            raise NotImplementedError

        described.__annotations__ = {"body": body}
        app.add_api_route(
            f"{prefix}/{path}",
            described,
            methods=["POST"],
            response_model=answer,
            summary=title,
            operation_id=f"openai_{path.replace('/', '_')}",
            responses={200: {"content": _CHUNKS}} if path != "embeddings" else None,
            tags=["OpenAI"],
        )

    async def listed() -> Any:
        raise NotImplementedError

    async def shown(model: str) -> Any:  # called for names with a line break alone, which the route before does not take
        raise NotFound("There is no such model.", code="model_not_found", param="model")

    app.add_api_route(f"{prefix}/models", listed, response_model=ModelList, summary="List models", operation_id="openai_models", tags=["OpenAI"])  # fmt: skip  # noqa: E501
    app.add_api_route(f"{prefix}/models/{{model}}", shown, response_model=Model, summary="Show a model", operation_id="openai_model", tags=["OpenAI"])  # fmt: skip  # noqa: E501
