"""A file store that several processes reach over the network, for tests and measurements of platforms without a shared disk: an
HTTP server that keeps bytes in memory, and fsspec's file system before it, `kept://HOST:PORT/PATH`."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from fsspec.spec import AbstractFileSystem  # type: ignore[import-untyped]  # it ships no types

#: What a package on the path says so that fsspec knows the scheme.
ENTRY_POINT = "[fsspec.specs]\nkept = infra.shared_files.KeptFiles\n"


class KeptFiles(AbstractFileSystem):  # type: ignore[misc]  # as above
    """As much of a file system as `core.storages` asks for."""

    protocol = "kept"
    cachable = False

    def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        address = f"http://{quote(self._strip_protocol(path))}"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        request = urllib.request.Request(address, data=body, method=method)
        try:
            with opener.open(request, timeout=30) as answer:
                content: bytes = answer.read()
                return content
        except urllib.error.HTTPError as error:
            raise FileNotFoundError(path) from error

    def _listed(self, path: str) -> dict[str, dict[str, Any]]:
        host, _, below = self._strip_protocol(path).partition("/")
        found = json.loads(self._ask("GET", f"{host}/"))
        return {
            f"{host}/{name}": {"name": f"{host}/{name}", "type": "file", **about}
            for name, about in found.items()
            if f"{name}/".startswith(below.rstrip("/") + "/")
        }

    def pipe_file(self, path: str, value: bytes, **_: Any) -> None:
        self._ask("PUT", path, value)

    def put_file(self, lpath: str, rpath: str, **_: Any) -> None:
        self._ask("PUT", rpath, Path(lpath).read_bytes())

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        return self._ask("GET", path)[start:end]

    def get_file(self, rpath: str, lpath: str, **_: Any) -> None:
        Path(lpath).write_bytes(self.cat_file(rpath))

    def isfile(self, path: str) -> bool:
        return self._strip_protocol(path) in self._listed(path)

    def rm_file(self, path: str) -> None:
        self._ask("DELETE", path)

    def rm(self, path: str, recursive: bool = False, maxdepth: int | None = None) -> None:
        for name in self._listed(path):
            self._ask("DELETE", name)

    def find(self, path: str, *_: Any, detail: bool = False, **__: Any) -> Any:
        found = self._listed(path)
        return found if detail else list(found)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    kept: dict[str, tuple[bytes, float]]

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        self.kept[unquote(self.path[1:])] = self.rfile.read(int(self.headers["content-length"])), time.time()
        self._answer(200)

    def do_GET(self) -> None:
        if self.path == "/":
            listed = {name: {"size": len(data), "mtime": at} for name, (data, at) in list(self.kept.items())}
            self._answer(200, json.dumps(listed).encode())
        elif (found := self.kept.get(unquote(self.path[1:]))) is not None:
            self._answer(200, found[0])
        else:
            self._answer(404)

    def do_DELETE(self) -> None:
        self._answer(404 if self.kept.pop(unquote(self.path[1:]), None) is None else 200)

    def log_message(self, *_: Any) -> None:
        return


@contextmanager
def shared_files() -> Iterator[str]:
    """The address of a running one, for `GENAI_FILES_URL`."""
    handler = type("Handler", (_Handler,), {"kept": {}})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"kept://127.0.0.1:{server.server_port}/files"
        finally:
            server.shutdown()
