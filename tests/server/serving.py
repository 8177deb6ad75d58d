"""A real server round routes under test: the platform's own error shape, body limits and request contexts, on a free port."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import uvicorn
from fastapi import FastAPI

from core.principals import SYSTEM, Principal, held_in
from core.settings import Settings
from server import error_responses
from server.body import BodyGuard
from server.edge import Edge
from server.readiness import Readiness

EVERYBODY = replace(SYSTEM, id="caller", name="caller")


class _Caller:
    """Stands for authentication: whoever calls is `principal`, by cookie when they send one; in the tenant that a header
    `x-tenant` names, and by the identifier that `x-user` does."""

    def __init__(self, app: Any, principal: Principal) -> None:
        self._app = app
        self._principal = principal

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            by_cookie = any(name == b"cookie" for name, _ in scope["headers"])
            tenant = dict(scope["headers"]).get(b"x-tenant", self._principal.tenant.encode()).decode()
            user = dict(scope["headers"]).get(b"x-user", self._principal.id.encode()).decode()
            held = {"id": user, "tenant": tenant, "scopes": held_in(tenant, self._principal.scopes)}
            scope["state"]["context"].principal = replace(self._principal, from_cookie=by_cookie, **held)
        await self._app(scope, receive, send)


def platform(settings: Settings, *, principal: Principal = EVERYBODY, **state: Any) -> FastAPI:
    """An application with the platform's layers and no routes yet."""
    app = FastAPI(openapi_url="/openapi.json")
    app.state.platform = SimpleNamespace(
        settings=settings, **{"readiness": Readiness(), "library": None, "worker_runs": None, **state}
    )
    error_responses.install(app)
    app.add_middleware(BodyGuard, limits=settings.limits)
    app.add_middleware(_Caller, principal=principal)
    app.add_middleware(Edge)
    return app


@contextlib.contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The address of the application, served by uvicorn in a thread."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(5)
