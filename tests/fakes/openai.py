"""A loopback server that speaks OpenAI's protocol: chat, completions, embeddings and the list of models."""

import json
from typing import Any

from aiohttp import web

from tests.fakes.wire import RETRY_AFTER_S, Fake, Fault, Reply, Sent, stream

DIMENSIONS = 8
MODEL = "gpt-4o-mini"
_ERRORS: dict[Fault, tuple[int, str, str]] = {
    Fault.RATE: (429, "rate_limit_exceeded", "Rate limit reached."),
    Fault.RATE_BARE: (429, "rate_limit_exceeded", "Rate limit reached."),
    Fault.SERVER: (500, "server_error", "The server had an error."),
    Fault.UNAVAILABLE: (503, "overloaded", "The engine is currently overloaded."),
    Fault.CREDENTIAL: (401, "invalid_api_key", "Incorrect API key provided: sk-se****ret."),
    Fault.FORBIDDEN: (403, "unsupported_country", "Country not supported."),
    Fault.MISSING: (404, "model_not_found", "The model does not exist."),
    Fault.INVALID: (400, "invalid_value", "Invalid value: 'a word of the prompt'."),
    Fault.TOO_LONG: (400, "context_length_exceeded", "This model's maximum context length is 128000 tokens."),
    Fault.REFUSED: (400, "content_policy_violation", "Your request was rejected by our safety system."),
}


class OpenAIFake(Fake):
    """Answers below `base_url`."""

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def is_aside(self, sent: Sent) -> bool:
        return sent.path.endswith("/models")

    async def respond(self, request: web.Request, sent: Sent, step: Reply | Fault) -> web.StreamResponse:
        if self.is_aside(sent):
            return web.json_response({"object": "list", "data": [{"id": MODEL, "object": "model"}]})
        if isinstance(step, Fault) and step in _ERRORS:
            return _failure(step)
        if sent.path.endswith("/embeddings"):
            return web.json_response(_embedded(sent.body))
        fault = step if isinstance(step, Fault) else None
        reply = step if isinstance(step, Reply) else Reply(finish="content_filter" if fault is Fault.BLOCKED else None)
        if fault is Fault.BLOCKED:
            reply = Reply(text="", finish="content_filter")
        events = _completed(reply) if sent.path.endswith("/v1/completions") else _streamed(reply)
        if fault is Fault.LATE_ERROR:
            events[-2:] = [{"error": {"code": "server_error", "message": "The server had an error."}}]
        chunks = [f"data: {json.dumps(event)}\n\n".encode() for event in events] + [b"data: [DONE]\n\n"]
        if fault is Fault.MALFORMED:
            chunks[2] = b"data: {not json\n\n"
        return await stream(request, {"content-type": "text/event-stream"}, chunks, fault, self)


def _failure(fault: Fault) -> web.Response:
    status, code, message = _ERRORS[fault]
    headers = {"retry-after": str(RETRY_AFTER_S)} if fault is Fault.RATE else {}
    error = {"code": code, "message": message, "type": "error", "param": None}
    return web.json_response({"error": error}, status=status, headers=headers)


def _usage(reply: Reply) -> dict[str, int]:
    total = reply.input_tokens + reply.output_tokens
    return {"prompt_tokens": reply.input_tokens, "completion_tokens": reply.output_tokens, "total_tokens": total}


def _streamed(reply: Reply) -> list[dict[str, Any]]:
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": MODEL}

    def event(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    calls = [
        {"index": index, "id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
        for index, (name, given) in enumerate(reply.calls)
    ]
    return [
        event({"role": "assistant", "content": ""}),
        *(event({"content": piece}) for piece in reply.pieces),
        *(event({"tool_calls": [call]}) for call in calls),
        event({}, reply.finish or ("tool_calls" if calls else "stop")),
        {**head, "choices": [], "usage": _usage(reply)},
    ]


def _completed(reply: Reply) -> list[dict[str, Any]]:
    head = {"id": "c1", "object": "text_completion", "created": 1, "model": MODEL}
    texts = [{**head, "choices": [{"index": 0, "text": piece, "finish_reason": None}]} for piece in reply.pieces]
    last = {**head, "choices": [{"index": 0, "text": "", "finish_reason": reply.finish or "stop"}]}
    return [*texts, last, {**head, "choices": [], "usage": _usage(reply)}]


def _embedded(body: dict[str, Any]) -> dict[str, Any]:
    data = [
        {"object": "embedding", "index": index, "embedding": [float(len(text))] * DIMENSIONS}
        for index, text in enumerate(body["input"])
    ]
    return {"object": "list", "data": data, "model": "text-embedding-3-small", "usage": {"prompt_tokens": 3, "total_tokens": 3}}
