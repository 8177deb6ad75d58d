"""A provider that answers at once, for measurements: what is measured through it is the gateway before it and nothing else.

    python -m infra.bench.mock_provider --port 9900       (port 0 takes a free one; the address is printed)

It listens on the loopback interface where `--host` names no other, and speaks as much of OpenAI's protocol as gateways use:
`/chat/completions` (whole, or as a stream of 32 deltas, with usage where `stream_options.include_usage` asks for it) and
`/embeddings`, below any prefix. The model's name chooses how it behaves:

    mock           at once
    mock-20ms      the first byte after 20 ms
    mock-paced     64 deltas, 20 ms apart
    mock-long      320 deltas, 20 ms apart
    mock-failing   status 500
    mock-cut       closes the connection after half of the stream
    mock-echo      says again what it was sent
    mock-words     vectors that follow from a text's words, so that texts of the same words are alike
    mock-500       the same vectors of 500 texts a second, whoever sends them

`GET /count` tells how many calls were answered, how many of them as streams, how many streams their caller cut, and how many
tokens of input and output were reported to callers who were there to the end. All answers are made beforehand and there is no
framework: one core gives tens of thousands of answers a second.
"""

import argparse
import asyncio
import json
import zlib
from functools import lru_cache
from typing import Any

HOST = "127.0.0.1"
#: The line that tells where it listens.
LISTENING = "listening on"
DELTAS = 32
PACED = {"mock-paced": 64, "mock-long": 320}
PACE_S = 0.02
TEXTS_PER_S = 500
SENTENCE = "The lighthouse keeper counts each passing ship twice, once at dusk and once again at dawn."
PROMPT_TOKENS = 12
DIMENSION = 384


def _usage(output_tokens: int) -> dict[str, int]:
    return {
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": output_tokens,
        "total_tokens": PROMPT_TOKENS + output_tokens,
    }


def _answer(status: str, value: Any) -> bytes:
    body = json.dumps(value).encode()
    return f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def _piece(data: str) -> bytes:
    """One server-sent event as one chunk of a chunked body."""
    event = f"data: {data}\n\n"
    return f"{len(event):x}\r\n{event}\r\n".encode()


def _stream(model: str, deltas: int) -> list[bytes]:
    """A stream's pieces, its usage last; what ends it comes after them."""
    shared = {"id": "chatcmpl-mock", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": model}
    words = SENTENCE.split()

    def delta(content: dict[str, str], finish_reason: str | None, **more: Any) -> bytes:
        return _piece(
            json.dumps({**shared, "choices": [{"index": 0, "delta": content, "finish_reason": finish_reason}], **more})
        )

    texts = [words[index % len(words)] + " " for index in range(deltas)]
    first = delta({"role": "assistant", "content": texts[0]}, None)
    rest = [delta({"content": text}, None) for text in texts[1:]]
    return [first, *rest, delta({}, "stop"), _piece(json.dumps({**shared, "choices": [], "usage": _usage(deltas)}))]


_MODELS = ("mock", "mock-20ms", "mock-paced", "mock-long", "mock-cut")
_WHOLE = {
    model: _answer(
        "200 OK",
        {
            "id": "chatcmpl-mock",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": model,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": SENTENCE}, "finish_reason": "stop"}],
            "usage": _usage(DELTAS),
        },
    )
    for model in _MODELS
}
_STREAMS = {model: _stream(model, PACED.get(model, DELTAS)) for model in _MODELS}
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_STREAM_END = _piece("[DONE]") + b"0\r\n\r\n"
_FAILED = _answer("500 Internal Server Error", {"error": {"message": "out of order", "type": "server_error"}})
_MALFORMED = _answer("400 Bad Request", {"error": {"message": "not JSON", "type": "invalid_request_error"}})


class MockProvider(asyncio.Protocol):
    """One connection. `counts` is shared by all of them, and so is the time until which the paced embeddings are busy."""

    busy_until = 0.0

    def __init__(self, counts: dict[str, int]) -> None:
        self._counts = counts
        self._received = b""
        self._stream: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport  # uvloop's is no asyncio.Transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._stream is not None and not self._stream.done():
            self._counts["cut"] += 1
            self._stream.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end].decode("latin-1").lower()
            length = next((int(line[15:]) for line in head.split("\r\n") if line.startswith("content-length:")), 0)
            if len(self._received) < end + 4 + length:
                return
            body = self._received[end + 4 : end + 4 + length]
            self._received = self._received[end + 4 + length :]
            self._answer(head.split(" ", 2)[1], body)

    def _answer(self, path: str, body: bytes) -> None:
        if path == "/count":
            self._transport.write(_answer("200 OK", self._counts))
            return
        try:
            asked = json.loads(body)
        except ValueError:
            self._transport.write(_MALFORMED)
            return
        self._counts["calls"] += 1
        model = asked.get("model", "mock")
        if path.endswith("/embeddings"):
            self._send_later(_embeddings(asked["input"], model), _texts(asked["input"]) if model == "mock-500" else [])
        elif model == "mock-echo":
            self._transport.write(_echo(asked["messages"]))
        elif model not in _MODELS:
            self._transport.write(_FAILED)
        elif asked.get("stream"):
            self._counts["streams"] += 1
            wants_usage = bool((asked.get("stream_options") or {}).get("include_usage"))
            self._stream = asyncio.ensure_future(self._send_stream(model, wants_usage=wants_usage))
        elif model == "mock-20ms":
            asyncio.get_running_loop().call_later(PACE_S, self._send_whole, model)
        else:
            self._send_whole(model)

    def _send_later(self, answer: bytes, texts: list[str]) -> None:
        """At once, or when so many texts have had their turn."""
        loop = asyncio.get_running_loop()
        if not texts:
            self._transport.write(answer)
            return
        MockProvider.busy_until = max(MockProvider.busy_until, loop.time()) + len(texts) / TEXTS_PER_S
        loop.call_at(MockProvider.busy_until, self._transport.write, answer)

    def _send_whole(self, model: str) -> None:
        if not self._transport.is_closing():
            self._transport.write(_WHOLE[model])
            self._report(DELTAS)

    def _report(self, output_tokens: int) -> None:
        self._counts["input_tokens"] += PROMPT_TOKENS
        self._counts["output_tokens"] += output_tokens

    async def _send_stream(self, model: str, *, wants_usage: bool) -> None:
        pieces = _STREAMS[model] if wants_usage else _STREAMS[model][:-1]
        if model == "mock-20ms":
            await asyncio.sleep(PACE_S)
        self._transport.write(_STREAM_HEAD)
        for number, piece in enumerate(pieces):
            if model == "mock-cut" and number == DELTAS // 2:
                self._transport.close()
                return
            self._transport.write(piece)  # each by itself, as a provider sends them
            if model in PACED:
                await asyncio.sleep(PACE_S)
        self._transport.write(_STREAM_END)
        if wants_usage and not self._transport.is_closing():
            self._report(PACED.get(model, DELTAS))


def _echo(messages: list[dict[str, Any]]) -> bytes:
    said = "\n".join(str(message["content"]) for message in messages)
    choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
    return _answer("200 OK", {"id": "chatcmpl-mock", "object": "chat.completion", "choices": [choice], "usage": _usage(DELTAS)})


def _texts(given: Any) -> list[str]:
    return given if isinstance(given, list) else [given]


def _embeddings(given: Any, model: str) -> bytes:
    texts = _texts(given)
    count = len(texts)
    vectors = _vectors_of_words(texts) if model in ("mock-words", "mock-500") else [[0.05] * DIMENSION] * count
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    return _answer(
        "200 OK", {"object": "list", "model": model, "data": data, "usage": {"prompt_tokens": count, "total_tokens": count}}
    )


def _vectors_of_words(texts: list[str]) -> list[list[float]]:
    """The mean of each text's words, each of which has a direction of its own; unit length."""
    import numpy as np

    vectors = []
    for text in texts:
        total = np.sum([_direction(word) for word in text.lower().split()] or [_direction("")], axis=0)
        vectors.append((total / np.linalg.norm(total)).round(5).tolist())
    return vectors


@lru_cache(maxsize=50_000)
def _direction(word: str) -> Any:
    import numpy as np

    return np.random.default_rng(zlib.crc32(word.encode())).standard_normal(DIMENSION, dtype=np.float32)


async def serve(port: int, host: str = HOST) -> None:
    """Answer until the process ends, on the loopback interface where nothing else is said."""
    counts = dict.fromkeys(("calls", "streams", "cut", "input_tokens", "output_tokens"), 0)
    server = await asyncio.get_running_loop().create_server(lambda: MockProvider(counts), host, port, backlog=4096)
    print(f"{LISTENING} http://{host}:{server.sockets[0].getsockname()[1]}", flush=True)  # noqa: T201 - who started it reads this
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=9900)
    parser.add_argument("--host", default=HOST)
    options = parser.parse_args()
    uvloop.run(serve(options.port, options.host))
