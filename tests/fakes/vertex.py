"""A loopback Vertex AI over REST: Gemini's generateContent, streamGenerateContent (as events and as one array), countTokens,
embeddings by `predict`, Claude's rawPredict and streamRawPredict, and Google's token server."""

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from tests.fakes.wire import RETRY_AFTER_S, Fake, Fault, Reply, Sent, Step, Wreck, reply_of, stream, whole

DIMENSIONS = 8
TOKEN = "fresh-token"
_ERRORS: dict[Fault, tuple[int, str, str, str]] = {
    Fault.RATE: (429, "RESOURCE_EXHAUSTED", "rate_limit_error", "Resource exhausted. Please try again later."),
    Fault.RATE_BARE: (429, "RESOURCE_EXHAUSTED", "rate_limit_error", "Resource exhausted. Please try again later."),
    Fault.SERVER: (500, "INTERNAL", "api_error", "Internal error encountered."),
    Fault.UNAVAILABLE: (503, "UNAVAILABLE", "overloaded_error", "The service is currently unavailable."),
    Fault.CREDENTIAL: (401, "UNAUTHENTICATED", "authentication_error", "Request had invalid authentication credentials."),
    Fault.FORBIDDEN: (403, "PERMISSION_DENIED", "permission_error", "Permission denied on resource project."),
    Fault.MISSING: (404, "NOT_FOUND", "not_found_error", "Publisher Model was not found."),
    Fault.INVALID: (400, "INVALID_ARGUMENT", "invalid_request_error", "Request contains an invalid argument."),
    Fault.TOO_LONG: (
        400,
        "INVALID_ARGUMENT",
        "invalid_request_error",
        "The input token count (2000001) exceeds the maximum number of tokens allowed (1048576).",
    ),
    Fault.PREFILL: (
        400,
        "INVALID_ARGUMENT",
        "invalid_request_error",
        "This model does not support assistant message prefill. The conversation must end with a user message.",
    ),
}
_OVERLOADED = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}
_EMPTY = b'{"candidates": [{"content": {"role": "model", "parts": [{"text": ""}]}, "index": 0}], "modelVersion": "gemini"}'
_GEMINI_EVENTS = Wreck(
    empty=b"data: " + _EMPTY + b"\r\n\r\n",
    spoil=lambda chunk: chunk[: len(chunk) // 2] + b"\r\n\r\n",
    late_error=b"data: " + json.dumps(_OVERLOADED).encode() + b"\r\n\r\n",
)
_GEMINI_ARRAY = Wreck(
    spoil=lambda chunk: chunk[:-5], late_error=b"," + json.dumps(_OVERLOADED).encode() + b"]", empty=b"," + _EMPTY, ending=2
)
_CLAUDE = Wreck(
    spoil=lambda _: b"event: content_block_delta\ndata: {not json\n\n",
    late_error=b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}\n\n',
    empty=b"event: content_block_delta\n"
    b'data: {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": ""}}\n\n',
    ending=2,
)


class VertexFake(Fake):
    """Answers at `url`."""

    def is_aside(self, sent: Sent) -> bool:
        return sent.path == "/token"

    async def respond(self, request: web.Request, sent: Sent, step: Step) -> web.StreamResponse:
        if self.is_aside(sent):
            return web.json_response({"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"})
        action = sent.path.rpartition(":")[2]
        claude = "/publishers/anthropic/" in sent.path
        if isinstance(step, Fault) and step in _ERRORS:
            return _failure(step, claude, as_array=action == "streamGenerateContent" and "alt" not in sent.query)
        if action == "countTokens" or sent.path.endswith("/count-tokens:rawPredict"):
            return web.json_response({"totalTokens": 1, "input_tokens": 1})
        if action in ("predict", "embedContent"):
            return await whole(request, embedded(sent.body), step, self)
        return await (self._claude if claude else self._gemini)(request, sent, action, step)

    def length(self, reply: Reply) -> int:
        return len(gemini_chunks(reply))

    def begun(self, body: Any) -> str | None:
        contents = body.get("contents") if isinstance(body, dict) else None
        if not contents:
            return super().begun(body)
        parts = contents[-1]["parts"] if contents[-1].get("role") == "model" else None
        return None if parts is None else "".join(part.get("text", "") for part in parts)

    async def _gemini(self, request: web.Request, sent: Sent, action: str, step: Step) -> web.StreamResponse:
        if step is Fault.REFUSED:
            chunks: list[dict[str, Any]] = [
                {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 3}}
            ]
        else:
            chunks = gemini_chunks(
                Reply(finish="SAFETY") if step is Fault.BLOCKED else reply_of(step, blocked="SAFETY", broken="OTHER")
            )
        if action == "generateContent":
            return await whole(request, chunks[0] if step is Fault.REFUSED else gemini_whole(chunks), step, self)
        lines = [json.dumps(chunk).encode() for chunk in chunks]
        if sent.query.get("alt") == "sse":
            events = [b"data: " + line + b"\r\n\r\n" for line in lines]
            return await stream(request, {"content-type": "text/event-stream"}, events, step, self, _GEMINI_EVENTS)
        array = [(b"[" if index == 0 else b",\r\n") + line for index, line in enumerate(lines)] + [b"]"]
        return await stream(request, {"content-type": "application/json"}, array, step, self, _GEMINI_ARRAY)

    async def _claude(self, request: web.Request, sent: Sent, action: str, step: Step) -> web.StreamResponse:
        withheld = step in (Fault.BLOCKED, Fault.REFUSED)
        reply = Reply(finish="refusal") if withheld else reply_of(step, blocked="refusal", broken="pause_turn")
        if action == "rawPredict":
            return await whole(request, claude_whole(reply), step, self)
        chunks = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in claude_events(reply)]
        return await stream(request, {"content-type": "text/event-stream"}, chunks, step, self, _CLAUDE)


def _failure(fault: Fault, claude: bool, as_array: bool) -> web.Response:
    status, name, kind, message = _ERRORS[fault]
    error: dict[str, Any] = {"code": status, "message": message, "status": name, "details": []}
    headers = {}
    if fault is Fault.RATE:
        headers = {"retry-after": str(RETRY_AFTER_S)}
        error["details"] = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{RETRY_AFTER_S}s"}]
    body: Any = {"type": "error", "error": {"type": kind, "message": message}} if claude else {"error": error}
    return web.json_response([body] if as_array and not claude else body, status=status, headers=headers)


def gemini_chunks(reply: Reply) -> list[dict[str, Any]]:
    """The chunks of a stream: the usage grows, and the last one has the reason for the end."""
    parts: list[dict[str, Any]] = [{"text": piece} for piece in reply.pieces]
    parts += [{"functionCall": {"name": name, "args": dict(arguments)}} for name, arguments in reply.calls]
    chunks: list[dict[str, Any]] = []
    for index, part in enumerate(parts, start=1):
        output = reply.output_tokens if index == len(parts) else min(index, reply.output_tokens)
        usage = {
            "promptTokenCount": reply.input_tokens,
            "candidatesTokenCount": output,
            "totalTokenCount": reply.input_tokens + output,
        }
        usage = _told(reply, usage, last=index == len(parts))
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": [part]}, "index": 0}
        chunks.append({"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini"})
    if not chunks:
        candidate = {"content": {"role": "model", "parts": [{"text": ""}]}, "index": 0}
        counts = {"promptTokenCount": reply.input_tokens, "candidatesTokenCount": reply.output_tokens}
        usage = _told(reply, counts | {"totalTokenCount": reply.input_tokens + reply.output_tokens}, last=True)
        chunks = [{"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini"}]
    if reply.finish != "":
        chunks[-1]["candidates"][0]["finishReason"] = reply.finish or "STOP"
    return chunks


def _told(reply: Reply, usage: dict[str, Any], *, last: bool) -> dict[str, Any]:
    """As Google tells it: what was sent from the first chunk on, what was made and the details of it in the last."""
    if reply.usage is None:
        return usage
    told = dict(reply.usage)
    return told if last else {"promptTokenCount": told["promptTokenCount"], "totalTokenCount": told["promptTokenCount"]}


def gemini_whole(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    texts = "".join(part.get("text", "") for chunk in chunks for part in chunk["candidates"][0]["content"]["parts"])
    calls = [part for chunk in chunks for part in chunk["candidates"][0]["content"]["parts"] if "functionCall" in part]
    parts = ([{"text": texts}] if texts else []) + calls
    last = chunks[-1]
    return last | {"candidates": [last["candidates"][0] | {"content": {"role": "model", "parts": parts}}]}


def claude_whole(reply: Reply) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "text", "text": reply.text}] if reply.text else []
    for index, (name, arguments) in enumerate(reply.calls):
        content.append({"type": "tool_use", "id": f"toolu_{index}", "name": name, "input": dict(arguments)})
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": content,
        "stop_reason": (("tool_use" if reply.calls else "end_turn") if reply.finish is None else reply.finish) or None,
        "stop_sequence": None,
        "usage": {"input_tokens": reply.input_tokens, "output_tokens": reply.output_tokens} | dict(reply.usage or {}),
    }


def claude_events(reply: Reply) -> list[dict[str, Any]]:
    whole = claude_whole(reply)
    told = whole["usage"]
    later = {"output_tokens": 1, "output_tokens_details": None}
    start = whole | {"content": [], "stop_reason": None, "usage": told | {name: later[name] for name in told.keys() & later}}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": start}]
    for index, block in enumerate(whole["content"]):
        if block["type"] == "text":
            events.append({"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}})
            deltas = [{"type": "text_delta", "text": piece} for piece in reply.pieces]
        else:
            events.append({"type": "content_block_start", "index": index, "content_block": block | {"input": {}}})
            deltas = [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    usage = {name: told[name] for name in ("output_tokens", "output_tokens_details") if name in told}
    events.append(
        {"type": "message_delta", "delta": {"stop_reason": whole["stop_reason"], "stop_sequence": None}, "usage": usage}
    )
    events.append({"type": "message_stop"})
    return events


def embedded(body: Mapping[str, Any]) -> dict[str, Any]:
    if "instances" in body:
        vectors = [[float(len(instance["content"]))] * DIMENSIONS for instance in body["instances"]]
        return {"predictions": [{"embeddings": {"values": vector, "statistics": {"token_count": 3}}} for vector in vectors]}
    text = body["content"]["parts"][0]["text"]
    return {"embedding": {"values": [float(len(text))] * DIMENSIONS}}
