"""HTTP before it is a request: what is no HTTP, or has no end, is refused here in the platform's error shape.

uvicorn answers such a request with plain text, and holds a header in memory for as long as it goes on.
"""

import json
import secrets
from typing import Any

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from server.security_headers import ALWAYS

log = structlog.get_logger()

#: Bytes of path and query. httptools gives up at 65,535; the longest that means something here has 2,100.
MAX_ADDRESS_BYTES = 16 * 2**10
#: Bytes of all headers together. Browsers keep their cookies below 16 KiB, and proxies refuse from 8 to 32 KiB.
MAX_HEADER_BYTES = 64 * 2**10

_NO_HTTP = (400, "Bad Request", "malformed_request", "This is not HTTP as the platform can read it.")
_LONG_ADDRESS = (414, "URI Too Long", "uri_too_long", f"The address is longer than {MAX_ADDRESS_BYTES} bytes.")
_LONG_HEADERS = (
    431,
    "Request Header Fields Too Large",
    "headers_too_large",
    f"The headers are longer than {MAX_HEADER_BYTES} bytes together.",
)


_HEADERS = "".join(f"{name.decode()}: {value.decode()}\r\n" for name, value in ALWAYS)


class _Refused(Exception):
    """Ends the parser's work on a connection."""


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol on httptools, with a bound on what comes before a request's body."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = False
        self._head_bytes = self._unended_bytes = 0
        self._refusal = _NO_HTTP

    def data_received(self, data: bytes) -> None:
        """Feed the parser. It tells of a header once that has ended: one that does not is counted here."""
        begun = self._in_head
        super().data_received(data)
        if begun and self._in_head and not self.transport.is_closing():
            self._unended_bytes += len(data)
            if self._unended_bytes > MAX_HEADER_BYTES + MAX_ADDRESS_BYTES:
                self._refusal = _LONG_HEADERS
                self.send_400_response("")

    def on_message_begin(self) -> None:
        """A request's first byte."""
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = self._unended_bytes = 0

    def on_url(self, url: bytes) -> None:
        """A piece of the address."""
        super().on_url(url)
        if len(self.url) > MAX_ADDRESS_BYTES:
            self._refusal = _LONG_ADDRESS
            raise _Refused

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header that has ended."""
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > MAX_HEADER_BYTES:
            self._refusal = _LONG_HEADERS
            raise _Refused
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The request can be served."""
        self._in_head = False
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot become a request, and close the connection. `msg` is uvicorn's."""
        status, phrase, code, message = self._refusal
        request_id = f"req_{secrets.token_hex(12)}"
        body = json.dumps({"error": {"code": code, "message": message, "request_id": request_id}})
        head = (
            f"HTTP/1.1 {status} {phrase}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
            f"x-request-id: {request_id}\r\ncache-control: no-store\r\n{_HEADERS}connection: close\r\n\r\n"
        )
        log.info("request.refused", status=status, code=code, request_id=request_id)
        self.transport.write((head + body).encode("ascii"))
        self.transport.close()
