"""What a batch may be made of: requests in plain REST's form or in OpenAI's, by the path that each would be sent to."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import orjson

from chains import CHAINS
from core.errors import Internal, InvalidRequest, NotFound, PlatformError
from core.principals import Scope

if TYPE_CHECKING:
    from chains.root import OpaqueRoot
    from chains.spec import ChainDeps

OPENAI_PREFIX = "/v1/"
_REST_PREFIX = "/api/v1/"
_OPENAI_SCOPES = {
    "/v1/chat/completions": Scope.CHAT_INVOKE,
    "/v1/completions": Scope.COMPLETION_INVOKE,
    "/v1/embeddings": Scope.EMBEDDINGS_INVOKE,
}

#: Answers one request's body with the body of its answer; raises `PlatformError`.
Answer = Callable[[Any], Awaitable[Any]]


def endpoints() -> list[str]:
    """All of them."""
    return [*_OPENAI_SCOPES, *(f"{_REST_PREFIX}{name}" for name in CHAINS)]


def scope_of(endpoint: str) -> Scope:
    """The right that a request to the endpoint needs.

    Raises:
        InvalidRequest: `unknown_endpoint`.
    """
    if endpoint in _OPENAI_SCOPES:
        return _OPENAI_SCOPES[endpoint]
    name = endpoint.removeprefix(_REST_PREFIX)
    if not endpoint.startswith(_REST_PREFIX) or name not in CHAINS:
        raise InvalidRequest(
            f"A batch's endpoint is one of {', '.join(endpoints())}.", code="unknown_endpoint", param="endpoint"
        )
    scope: Scope = CHAINS.load(name).scope
    return scope


def answering(endpoint: str, deps: "ChainDeps") -> Answer:
    """How requests to the endpoint are answered. Blocking: it loads the capability."""
    if endpoint.startswith(OPENAI_PREFIX):
        return _openai(endpoint, deps)
    return streamed(endpoint, deps)


def streamed(endpoint: str, deps: "ChainDeps", heard: Callable[[], None] | None = None) -> Answer:
    """The same of a capability. With `heard`, which is called at each piece of an answer's text, models are asked for it
    piece by piece."""
    root: OpaqueRoot = CHAINS.load(endpoint.removeprefix(_REST_PREFIX)).build(deps)

    async def answer(body: Any) -> Any:
        _refuse_streams(body)
        async with aclosing(root.answer(body | {}, whole=heard is None)) as deltas:
            async for delta in deltas:
                if delta.final is not None:
                    return delta.final
                if delta.text and heard is not None:
                    heard()
        raise Internal("The answer ended before it was complete.")

    return answer


def error_of(endpoint: str, error: PlatformError, request_id: str) -> tuple[int, dict[str, Any]]:
    """Status and body of a refusal, in the endpoint's own shape."""
    from chains.openai_format.errors import body_of, status_of

    if endpoint.startswith(OPENAI_PREFIX):
        return status_of(error.status), body_of(error)
    return error.status, error.body(request_id)


def _openai(endpoint: str, deps: "ChainDeps") -> Answer:
    from chains.openai_format.answering import chat_completion, completion
    from chains.openai_format.embeddings import embeddings
    from chains.openai_format.requests import ChatCompletionRequest, CompletionRequest, EmbeddingsRequest, RequestReader

    if endpoint == "/v1/embeddings":
        read_embeddings = RequestReader(EmbeddingsRequest)

        async def embed(body: Any) -> Any:
            return orjson.Fragment(await embeddings(deps.models, read_embeddings(orjson.dumps(body))))

        return embed
    if endpoint == "/v1/chat/completions":
        chat, read_chat = CHAINS.load("chat").build(deps), RequestReader(ChatCompletionRequest)

        async def answer_chat(body: Any) -> Any:
            _refuse_streams(body)
            return await chat_completion(chat, read_chat(orjson.dumps(body)))

        return answer_chat
    if endpoint == "/v1/completions":
        text, read_text = CHAINS.load("completion").build(deps), RequestReader(CompletionRequest)

        async def complete(body: Any) -> Any:
            _refuse_streams(body)
            return await completion(text, read_text(orjson.dumps(body)))

        return complete
    raise NotFound("There is nothing at this address.")


def _refuse_streams(body: Any) -> None:
    if body.get("stream"):
        raise InvalidRequest("A request of a batch cannot be streamed.", code="stream_in_batch", param="stream")
