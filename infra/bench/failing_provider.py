"""A provider that fails in every way, and repeats what it was sent wherever it says anything; and an OTLP collector."""

import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

#: The first part of a path: a status, or another way to fail.
FAULTS = ("401", "403", "404", "429", "500", "503", "html", "garbage", "cut", "late", "redirect", "stream", "silent")
#: Seconds that `late` takes, unless the provider ends before.
LATE_S = 4
_STREAM = {"content-type": "text/event-stream"}


class _Failing(BaseHTTPRequestHandler):
    """Answers by the path. What is sent to `/collect` is kept, unpacked."""

    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        fault = self.path.split("/")[1]
        with suppress(OSError):  # who asked has given up
            if fault == "collect":
                self._collect(body)
            else:
                self._fail(fault)

    do_GET = do_POST  # noqa: N815 - the standard library's names

    def _collect(self, body: bytes) -> None:
        packed = self.headers.get("content-encoding")
        self.server.collected.append(gzip.decompress(body) if packed == "gzip" else zlib.decompress(body) if packed else body)
        self._send(200, b"{}")

    def _fail(self, fault: str) -> None:
        repeated = f"Incorrect API key provided: {dict(self.headers)}"
        error = json.dumps({"error": {"message": repeated, "code": repeated, "type": repeated}, "message": repeated}).encode()
        if fault == "late":
            self.server.ended.wait(LATE_S)
        if fault.isdigit():
            self._send(int(fault), error, **{"x-amzn-errortype": "UnrecognizedClientException", "retry-after": "0"})
        elif fault == "redirect":
            self._send(307, error, location=f"/401/{dict(self.headers)}")
        elif fault in ("silent", "cut"):
            self.close_connection = True
            if fault == "cut":
                self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n" + error)
        else:
            status, body, headers = {
                "html": (502, f"<html>{repeated}</html>".encode(), {"content-type": "text/html"}),
                "garbage": (200, b'{"choices": ' + error, {}),
                "stream": (200, b"data: " + error + b"\n\n", _STREAM),
            }.get(fault, (200, error, {}))
            self._send(status, body, **headers)

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"content-type": "application/json"} | headers).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    """Callers who hang up are no error of its."""

    def __init__(self, collected: list[bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Failing)
        self.collected = collected
        self.ended = Event()

    def handle_error(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def failing_provider(collected: list[bytes]) -> Iterator[str]:
    """Its address; what traces are sent to `/collect` are put into `collected`."""
    server = _Server(collected)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()
