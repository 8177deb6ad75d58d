"""A loopback Bedrock: Converse, ConverseStream in the binary event stream encoding, InvokeModel for embeddings, and STS."""

import json
from binascii import crc32
from collections.abc import Mapping
from struct import pack
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from tests.fakes.wire import RETRY_AFTER_S, Fake, Fault, Reply, Sent, Step, Wreck, reply_of, stream, whole

DIMENSIONS = 8
_ERRORS: dict[Fault, tuple[int, str, str]] = {
    Fault.RATE: (429, "ThrottlingException", "Too many requests, please wait before trying again."),
    Fault.RATE_BARE: (429, "ThrottlingException", "Too many requests, please wait before trying again."),
    Fault.SERVER: (500, "InternalServerException", "The system encountered an unexpected error."),
    Fault.UNAVAILABLE: (503, "ServiceUnavailableException", "Bedrock is unable to process your request."),
    Fault.CREDENTIAL: (403, "UnrecognizedClientException", "The security token included in the request is invalid."),
    Fault.FORBIDDEN: (403, "AccessDeniedException", "You don't have access to the model with the specified model ID."),
    Fault.MISSING: (404, "ResourceNotFoundException", "Model not found."),
    Fault.INVALID: (400, "ValidationException", "Malformed input request."),
    Fault.TOO_LONG: (400, "ValidationException", "Input is too long for requested model."),
    Fault.REFUSED: (400, "ValidationException", "Output blocked by content filtering policy."),
    Fault.PREFILL: (
        400,
        "ValidationException",
        "This model does not support assistant message prefill. The conversation must end with a user message.",
    ),
}
_STS = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>role-secret</SecretAccessKey><SessionToken>role-token</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials><AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/r/s</Arn>
<AssumedRoleId>A:s</AssumedRoleId></AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>"""


def frame(payload: Mapping[str, Any], **headers: str) -> bytes:
    """One message of `application/vnd.amazon.eventstream`: prelude, its CRC, headers, payload, the CRC of all."""
    head = b""
    for name, value in {"content-type": "application/json", **headers}.items():
        key = f":{name.replace('_', '-')}".encode()
        head += pack("!B", len(key)) + key + b"\x07" + pack("!H", len(value)) + value.encode()
    body = json.dumps(payload).encode()
    prelude = pack("!II", 16 + len(head) + len(body), len(head))
    message = prelude + pack("!I", crc32(prelude)) + head + body
    return message + pack("!I", crc32(message))


def event(kind: str, payload: Mapping[str, Any]) -> bytes:
    return frame(payload, event_type=kind, message_type="event")


_WRECK = Wreck(
    spoil=lambda chunk: chunk[:-4] + b"\0\0\0\0",  # its checksum is wrong
    late_error=frame({"message": "slow down"}, exception_type="throttlingException", message_type="exception"),
    empty=event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": ""}}),
    ending=2,
)


class BedrockFake(Fake):
    """Answers at `url`; `model` is the last model that was asked for."""

    model = ""

    def is_aside(self, sent: Sent) -> bool:
        return not sent.path.startswith("/model/")

    async def respond(self, request: web.Request, sent: Sent, step: Step) -> web.StreamResponse:
        if self.is_aside(sent):
            return web.Response(text=_STS, content_type="text/xml")
        self.model, _, action = unquote(sent.path).removeprefix("/model/").rpartition("/")
        if isinstance(step, Reply) and action != "invoke" and not sent.body.get("messages"):
            step = Fault.INVALID
        if isinstance(step, Fault) and step in _ERRORS:
            status, code, message = _ERRORS[step]
            headers = {"x-amzn-errortype": code} | ({"retry-after": str(RETRY_AFTER_S)} if step is Fault.RATE else {})
            return web.json_response({"message": message}, status=status, headers=headers)
        reply = reply_of(step, blocked="guardrail_intervened", broken="malformed_model_output")
        if action == "invoke":
            return await whole(request, embedded(sent.body), step, self)
        if action == "converse":
            return await whole(request, answered(reply), step, self)
        return await stream(
            request, {"content-type": "application/vnd.amazon.eventstream"}, streamed(reply), step, self, _WRECK
        )

    def length(self, reply: Reply) -> int:
        return len(streamed(reply))


def _usage(reply: Reply) -> dict[str, Any]:
    if reply.usage is not None:
        return dict(reply.usage)
    total = reply.input_tokens + reply.output_tokens
    return {"inputTokens": reply.input_tokens, "outputTokens": reply.output_tokens, "totalTokens": total}


def _stop_reason(reply: Reply) -> str:
    return ("tool_use" if reply.calls else "end_turn") if reply.finish is None else reply.finish


def answered(reply: Reply) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"text": reply.text}] if reply.text else []
    for index, (name, arguments) in enumerate(reply.calls):
        content.append({"toolUse": {"toolUseId": f"tooluse_{index}", "name": name, "input": dict(arguments)}})
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": _stop_reason(reply),
        "usage": _usage(reply),
        "metrics": {"latencyMs": 5},
        **reply.beside,
    }


def streamed(reply: Reply) -> list[bytes]:
    """The events of one answer; the last two are the reason for the end and the usage."""
    events = [event("messageStart", {"role": "assistant"})]
    events += [event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": piece}}) for piece in reply.pieces]
    if reply.text:
        events.append(event("contentBlockStop", {"contentBlockIndex": 0}))
    for index, (name, arguments) in enumerate(reply.calls, start=1):
        start = {"toolUse": {"toolUseId": f"tooluse_{index - 1}", "name": name}}
        events.append(event("contentBlockStart", {"contentBlockIndex": index, "start": start}))
        text = json.dumps(arguments)
        deltas = [{"toolUse": {"input": part}} for part in (text[: len(text) // 2], text[len(text) // 2 :])]
        events += [event("contentBlockDelta", {"contentBlockIndex": index, "delta": delta}) for delta in deltas]
        events.append(event("contentBlockStop", {"contentBlockIndex": index}))
    events.append(event("messageStop", {"stopReason": _stop_reason(reply)}))
    events.append(event("metadata", {"usage": _usage(reply), "metrics": {"latencyMs": 5}, **reply.beside}))
    return events


def embedded(body: Mapping[str, Any]) -> dict[str, Any]:
    """Titan takes one `inputText`, Cohere several `texts`."""
    if "texts" in body:
        return {"embeddings": [[float(len(text))] * DIMENSIONS for text in body["texts"]]}
    return {"embedding": [float(len(body["inputText"]))] * DIMENSIONS, "inputTextTokenCount": 3}
