"""A loopback server that speaks OpenAI's protocol: chat, completions, embeddings and the list of models."""

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from aiohttp import web

from tests.fakes.wire import RETRY_AFTER_S, Fake, Fault, Reply, Sent, Step, Wreck, reply_of, stream, whole

DIMENSIONS = 8
MODEL = "gpt-4o-mini"
MODELS = (MODEL, "gpt-4o", "text-embedding-3-small")
Errors = Mapping[Fault, tuple[int, str, str]]
_WRECK = Wreck(
    spoil=lambda _: b"data: {not json\n\n",
    late_error=b'data: {"error": {"code": "server_error", "message": "The server had an error."}}\n\n',
    empty=b'data: {"id": "c1", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}\n\n',
    ending=3,  # the reason for the end, the usage, and `[DONE]`
)


class OpenAIFake(Fake):
    """Answers below `base_url`."""

    errors: ClassVar[Errors] = {
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
        Fault.PREFILL: (400, "invalid_value", "The last message must be a user's: an answer cannot be begun."),
    }

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def is_aside(self, sent: Sent) -> bool:
        return sent.method == "GET"

    async def respond(self, request: web.Request, sent: Sent, step: Step) -> web.StreamResponse:
        if self.is_aside(sent):
            return self.failure(step) if isinstance(step, Fault) and step in self.errors else self.aside(sent)
        if isinstance(step, Reply) and not (sent.body.get("messages") or sent.body.get("prompt") or sent.body.get("input")):
            step = Fault.INVALID
        if isinstance(step, Fault) and step in self.errors:
            return self.failure(step)
        if sent.path.endswith("/embeddings"):
            return await whole(request, embedded(sent.body), step, self)
        reply = reply_of(step, blocked="content_filter")
        if sent.path.endswith("/completions") and not sent.path.endswith("/chat/completions"):
            events = completed(reply)
        elif sent.body.get("stream"):
            events = self.streamed(reply, sent.body)
        else:
            return await whole(request, self.answered(reply, sent.body), step, self)
        chunks = [f"data: {json.dumps(event)}\n\n".encode() for event in events] + [b"data: [DONE]\n\n"]
        return await stream(request, {"content-type": "text/event-stream"}, chunks, step, self, _WRECK)

    def aside(self, sent: Sent) -> web.Response:
        listed = [{"id": name, "object": "model", "owned_by": "openai"} for name in MODELS]
        return web.json_response({"object": "list", "data": listed})

    def length(self, reply: Reply) -> int:
        return len(self.streamed(reply, {"stream_options": {"include_usage": True}})) + 1

    def failure(self, fault: Fault) -> web.Response:
        status, code, message = self.errors[fault]
        headers = {"retry-after": str(RETRY_AFTER_S)} if fault is Fault.RATE else {}
        return web.json_response({"error": self.error(fault, code, message)}, status=status, headers=headers)

    def error(self, fault: Fault, code: str, message: str) -> dict[str, Any]:
        return {"code": code, "message": message, "type": "error", "param": None}

    def answered(self, reply: Reply, body: Mapping[str, Any]) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
        if reply.calls:
            message["tool_calls"] = _calls(reply)
        choice: dict[str, Any] = {"message": message, "finish_reason": finish(reply)}
        if body.get("logprobs"):
            choice["logprobs"] = logprobs(reply.text, body)
        choices = [{"index": index, **choice} for index in range(body.get("n") or 1)]
        return {**_head("chat.completion", body), "choices": choices, "usage": _usage(reply), **reply.beside}

    def streamed(self, reply: Reply, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        head = _head("chat.completion.chunk", body) | reply.beside

        def event(delta: dict[str, Any], ending: str | None = None) -> list[dict[str, Any]]:
            more = {"logprobs": logprobs(delta["content"], body)} if body.get("logprobs") and delta.get("content") else {}
            choice = {"delta": delta, "finish_reason": ending, **more}
            return [{**head, "choices": [{"index": index, **choice}]} for index in range(body.get("n") or 1)]

        events = event({"role": "assistant", "content": ""})
        for thought in reply.thoughts:
            events += event({"content": None, "reasoning_content": thought})
        for piece in reply.pieces:
            events += event({"content": piece})
        for index, call in enumerate(_calls(reply)):
            events += event({"tool_calls": [{"index": index, **call}]})
        events += event({}, finish(reply))
        if (body.get("stream_options") or {}).get("include_usage"):
            events.append({**head, "choices": [], "usage": _usage(reply)})
        return events


def _head(kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": "c1", "object": kind, "created": 1, "model": body.get("model", MODEL), "system_fingerprint": "fp_1"}


def finish(reply: Reply) -> str | None:
    return ("tool_calls" if reply.calls else "stop") if reply.finish is None else reply.finish or None


def _usage(reply: Reply) -> dict[str, Any]:
    if reply.usage is not None:
        return dict(reply.usage)
    total = reply.input_tokens + reply.output_tokens
    return {"prompt_tokens": reply.input_tokens, "completion_tokens": reply.output_tokens, "total_tokens": total}


def _calls(reply: Reply) -> list[dict[str, Any]]:
    return [
        {"id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for index, (name, arguments) in enumerate(reply.calls)
    ]


def logprobs(text: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """One token a word, each with as many alternatives as were asked for."""
    entries = [{"token": word, "logprob": -0.1, "bytes": list(word.encode())} for word in text.split(" ") if word]
    return {
        "content": [{**each, "top_logprobs": [each] * (body.get("top_logprobs") or 0)} for each in entries],
        "refusal": None,
    }


def completed(reply: Reply) -> list[dict[str, Any]]:
    """The events of a text completion."""
    head = {"id": "c1", "object": "text_completion", "created": 1, "model": MODEL}
    texts = [{**head, "choices": [{"index": 0, "text": piece, "finish_reason": None}]} for piece in reply.pieces]
    last = {**head, "choices": [{"index": 0, "text": "", "finish_reason": reply.finish or "stop"}]}
    return [*texts, last, {**head, "choices": [], "usage": _usage(reply)}]


def embedded(body: Mapping[str, Any]) -> dict[str, Any]:
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    data = [{"object": "embedding", "index": i, "embedding": [float(len(text))] * DIMENSIONS} for i, text in enumerate(texts)]
    return {"object": "list", "data": data, "model": "text-embedding-3-small", "usage": {"prompt_tokens": 3, "total_tokens": 3}}
