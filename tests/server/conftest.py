"""A small application behind the platform's own middleware, for tests of that middleware; and the platform of `switchable`."""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from core.database import Database
from core.policies.store import Policies
from core.queue import Queue
from core.settings import Settings
from server import error_responses
from server.access.access import Access
from server.auth import Authentication
from server.body import BodyGuard
from server.cors import CrossOrigin
from server.edge import Edge
from server.idempotency import Idempotency
from server.readiness import Readiness
from server.routes import account, auth, browser_tokens, keys, sign_in, tokens
from server.state import State
from tests.server.switchable import Here, switchable

#: For tests of what no database makes a difference to.
ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def behind_edge() -> Callable[..., tuple[FastAPI, httpx.AsyncClient]]:
    """Makes an application behind `Edge` and the given middleware, and a client that talks to it."""

    def make(*middleware: Middleware) -> tuple[FastAPI, httpx.AsyncClient]:
        app = FastAPI(middleware=[Middleware(Edge), *middleware])
        error_responses.install(app)
        return app, _client(app)

    return make


@dataclass
class Guarded:
    """The whole stack of middleware and the access routes, on a real database; `key` is an administrator's."""

    app: FastAPI
    access: Access
    client: httpx.AsyncClient
    key: str
    policies: Policies

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}


@pytest.fixture
def hold_s() -> float:
    """For how long an unfinished request has its Idempotency-Key; overridden by tests that need another time."""
    return 60


@pytest.fixture
async def guarded(database: Database, settings: Settings, hold_s: float) -> AsyncIterator[Guarded]:
    access = await Access.open(settings, database)
    key = await access.keys.ensure_administrator(None)
    assert key is not None
    policies = Policies()
    app = FastAPI(
        middleware=[
            Middleware(CrossOrigin, policies=policies),
            Middleware(Edge),
            Middleware(Authentication, access=access, policies=policies),
            Middleware(BodyGuard, limits=settings.limits),
            Middleware(Idempotency, database=database, hold_s=hold_s),
        ]
    )
    error_responses.install(app)
    missing: Any = None
    models: Any = SimpleNamespace(policies=policies)
    queue = Queue("redis://127.0.0.1:1")
    app.state.platform = State(
        settings=settings,
        readiness=Readiness(),
        database=database,
        redis_url="",
        queue=queue,
        access=access,
        models=models,
        library=missing,
        conversations=missing,
    )
    app.router.routes.extend(_access_routes())
    async with _client(app) as client:
        yield Guarded(app, access, client, key, policies)
    queue.close()


@cache
def _access_routes() -> list[BaseRoute]:
    """Built once: they know no application but the one that a request is for, and FastAPI takes 50 ms to build them."""
    app = FastAPI(openapi_url=None)
    for module in (auth, sign_in, account, tokens, browser_tokens, keys):
        app.include_router(module.router)
    return list(app.router.routes)


def _client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://test")


@pytest.fixture(scope="module")
def switched(
    tmp_path_factory: pytest.TempPathFactory, valkey_url: str, with_schema: Callable[[Settings], Settings]
) -> Iterator[Here]:
    """The platform of `tests.server.switchable`, one for a module: use `here`, which clears it."""
    with switchable(tmp_path_factory.mktemp("data"), valkey_url, with_schema) as started:
        yield started


@pytest.fixture
def here(switched: Here) -> Iterator[Here]:
    """The same, with nothing switched off and no credential kept."""
    switched.clear()
    yield switched
    switched.clear()
