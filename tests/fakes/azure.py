"""A loopback Azure OpenAI: chat completions and embeddings under deployment paths, and App Service's managed identity."""

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from tests.fakes.wire import RETRY_AFTER_S, Fake, Fault, Reply, Sent, stream

DIMENSIONS = 8
TOKEN = "entra-token"
_FILTER = {"hate": {"filtered": False, "severity": "safe"}, "violence": {"filtered": True, "severity": "high"}}
_ERRORS: dict[Fault, tuple[int, str, str]] = {
    Fault.RATE: (429, "429", "Requests have exceeded the token rate limit of your current pricing tier."),
    Fault.RATE_BARE: (429, "429", "Requests have exceeded the token rate limit of your current pricing tier."),
    Fault.SERVER: (500, "InternalServerError", "The server had an error while processing your request."),
    Fault.UNAVAILABLE: (503, "ServiceUnavailable", "The service is temporarily unable to process your request."),
    Fault.CREDENTIAL: (401, "401", "Access denied due to invalid subscription key or wrong API endpoint."),
    Fault.FORBIDDEN: (403, "403", "Access denied due to Virtual Network/Firewall rules."),
    Fault.MISSING: (404, "DeploymentNotFound", "The API deployment for this resource does not exist."),
    Fault.INVALID: (400, "BadRequest", "Unrecognized request argument."),
    Fault.TOO_LONG: (400, "context_length_exceeded", "This model's maximum context length is 128000 tokens."),
    Fault.REFUSED: (400, "content_filter", "The response was filtered due to the prompt triggering the content policy."),
}


class AzureFake(Fake):
    """Answers at `url`."""

    def is_aside(self, sent: Sent) -> bool:
        return sent.path == "/msi/token"

    async def respond(self, request: web.Request, sent: Sent, step: Reply | Fault) -> web.StreamResponse:
        if self.is_aside(sent):
            return web.json_response({"access_token": TOKEN, "expires_on": "4102444800", "resource": sent.query["resource"]})
        if isinstance(step, Reply) and not (sent.body.get("messages") or sent.body.get("input")):
            step = Fault.INVALID
        if isinstance(step, Fault) and step in _ERRORS:
            return _failure(step)
        if sent.path.endswith("/embeddings"):
            return web.json_response(embedded(sent.body))
        fault = step if isinstance(step, Fault) else None
        reply = step if isinstance(step, Reply) else Reply(finish="content_filter" if fault is Fault.BLOCKED else None)
        if not sent.body.get("stream"):
            return web.json_response(whole(reply))
        events = streamed(reply, usage=bool((sent.body.get("stream_options") or {}).get("include_usage")))
        if fault is Fault.LATE_ERROR:
            events[-2:] = [{"error": {"code": "server_error", "message": "The server had an error."}}]
        chunks = [f"data: {json.dumps(event)}\n\n".encode() for event in events] + [b"data: [DONE]\n\n"]
        if fault is Fault.MALFORMED:
            chunks[2] = b"data: {not json\n\n"
        return await stream(request, {"content-type": "text/event-stream"}, chunks, fault, self)


def _failure(fault: Fault) -> web.Response:
    status, code, message = _ERRORS[fault]
    error: dict[str, Any] = {"code": code, "message": message}
    if fault is Fault.REFUSED:
        error["innererror"] = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": _FILTER}
    headers = {"retry-after": str(RETRY_AFTER_S)} if fault is Fault.RATE else {}
    return web.json_response({"error": error}, status=status, headers=headers)


def _usage(reply: Reply) -> dict[str, int]:
    total = reply.input_tokens + reply.output_tokens
    return {"prompt_tokens": reply.input_tokens, "completion_tokens": reply.output_tokens, "total_tokens": total}


def _calls(reply: Reply) -> list[dict[str, Any]]:
    return [
        {"id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for index, (name, arguments) in enumerate(reply.calls)
    ]


def _finish(reply: Reply) -> str:
    return reply.finish or ("tool_calls" if reply.calls else "stop")


def whole(reply: Reply) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
    if reply.calls:
        message["tool_calls"] = _calls(reply)
    choice = {"index": 0, "message": message, "finish_reason": _finish(reply)}
    if reply.finish == "content_filter":
        choice["content_filter_results"] = _FILTER
    return {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o-2024-11-20",
        "choices": [choice],
        "usage": _usage(reply),
    }


def streamed(reply: Reply, *, usage: bool) -> list[dict[str, Any]]:
    """The events; the first is Azure's own, with the filter's results and no choice."""
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-2024-11-20"}

    def event(delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {**head, "choices": [{"index": 0, "delta": dict(delta), "finish_reason": finish}]}

    events: list[dict[str, Any]] = [{**head, "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}]
    events.append(event({"role": "assistant", "content": ""}))
    events += [event({"content": piece}) for piece in reply.pieces]
    events += [event({"tool_calls": [{"index": index, **call}]}) for index, call in enumerate(_calls(reply))]
    events.append(event({}, _finish(reply)))
    if usage:
        events.append({**head, "choices": [], "usage": _usage(reply)})
    return events


def embedded(body: Mapping[str, Any]) -> dict[str, Any]:
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    data = [{"object": "embedding", "index": i, "embedding": [float(len(text))] * DIMENSIONS} for i, text in enumerate(texts)]
    return {"object": "list", "data": data, "model": "text-embedding-3-small", "usage": {"prompt_tokens": 3, "total_tokens": 3}}
