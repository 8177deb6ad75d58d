"""A listener for `/metrics` alone, in threads of its own: it answers also while the platform's event loop is busy, and in
workers, which serve nothing else."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import structlog

from core.errors import NotFound, PlatformError, Unauthenticated
from core.metrics.exposition import PATH, Exposition
from core.settings import MetricsSettings, SettingsError, setting_name

log = structlog.get_logger()

#: Seconds that a scraper may take to say what it wants.
_PATIENCE_S = 5.0


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    exposition: Exposition

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("metrics.scrape_broken_off")


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    timeout = _PATIENCE_S
    server: _Server
    server_version, sys_version = "genai", ""

    def do_GET(self) -> None:
        try:
            if self.path.partition("?")[0] != PATH:
                raise NotFound("There is nothing at this address.")
            self.server.exposition.admit(self.headers.get("authorization"), alone=True)
        except PlatformError as error:
            self._answer(error.status, json.dumps(error.body()).encode(), "application/json", refused=error)
            return
        body, content_type = self.server.exposition.render(self.headers.get("accept"))
        self._answer(200, body, content_type)

    def _answer(self, status: int, body: bytes, content_type: str, refused: PlatformError | None = None) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.send_header("cache-control", "no-store")
        self.send_header("x-content-type-options", "nosniff")
        if isinstance(refused, Unauthenticated):
            self.send_header("www-authenticate", 'Bearer realm="genai"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server names it so
        """Scrapes are not logged."""


class Listener:
    """Listens from its making until `close`."""

    def __init__(self, settings: MetricsSettings, exposition: Exposition) -> None:
        """Raises SettingsError: its address cannot be listened on; the message names the setting."""
        host, port = settings.host, settings.port or 0
        try:
            self._server = (_Server6 if ":" in host else _Server)((host, port), _Handler)
        except OSError as error:
            where = setting_name(("metrics", "port"))
            raise SettingsError(
                f"These settings cannot be used:\n  {where}: cannot listen on {host} port {port}: {error.strerror}"
            ) from error
        self._server.exposition = exposition
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()
        log.info("metrics.listening", host=host, port=self.port)

    @property
    def port(self) -> int:
        """Where it listens, also where the settings left the choice."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(_PATIENCE_S)
