"""Every route says what it asks for: one that says nothing fails here, wherever it was added."""

from pathlib import Path

import pytest
from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import Response

from chains import CHAINS
from core.principals import Scope
from core.settings import Settings
from server.app import create_app
from server.auth import current_principal, requires
from server.declared import Declared, declared_routes
from server.gate import guarded
from server.lifespan import unstarted

#: What anybody on the network may reach. Whoever adds to this list opens the platform.
PUBLIC = {
    "/api/v1/health",
    "/api/v1/health/live",
    "/api/v1/health/ready",
    "/favicon.ico",
    "/metrics",
    "/signin",
    "/signin/oidc/{name}",
    "/signin/oidc/{name}/callback",
    "/api/v1/auth/token",
    "/api/v1/auth/revoke",
    "/.well-known/jwks.json",
    "/.well-known/oauth-authorization-server",
    "/static/",
    "/static/charts/",
    "/static/swagger/",
}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    return create_app(unstarted(Settings.load(data_dir=Path(tmp_path_factory.mktemp("declared")))))


@pytest.fixture(scope="module")
def declared(app: FastAPI) -> list[Declared]:
    return list(declared_routes(app))


def test_every_route_declares_its_scope_or_is_public(declared: list[Declared]) -> None:
    silent = [f"{one.method} {one.path}" for one in declared if one.scopes is None and not one.public]
    assert silent == [], "give it requires(Scope.…), current_principal, or guarded(…) on a Starlette route"


def test_what_is_public_is_on_the_list(declared: list[Declared]) -> None:
    assert {one.path for one in declared if one.public} == PUBLIC


def test_all_the_ways_in_are_walked(declared: list[Declared]) -> None:
    """LangServe's hidden routes, plain REST, the OpenAI door, documented routes and mounts: nothing else serves requests."""
    asked = {(one.method, one.path): one.scopes for one in declared}
    for name in CHAINS:
        scope = {CHAINS.load(name).scope}
        for path in ("", "/invoke", "/batch", "/stream", "/stream_events", "/stream_log"):
            assert asked["POST", f"/api/v1/{name}{path}"] == scope
        for path in ("/input_schema", "/output_schema", "/playground", "/playground/{file}"):
            assert asked["GET", f"/api/v1/{name}{path}"] == scope
    assert asked["POST", "/v1/chat/completions"] == {Scope.CHAT_INVOKE}
    assert asked["POST", "/v1/files"] == {Scope.BATCHES_RUN}
    assert asked["PUT", "/api/v1/rag/collections/{name}/shares"] == {Scope.RAG_WRITE, Scope.RAG_MANAGE}
    assert asked["GET", "/openapi.json"] == asked["GET", "/"] == frozenset()


def test_a_route_without_one_is_found() -> None:
    """The test above can fail: for a plain route, for one whose dependencies ask for nothing, and not for the others."""
    app, router = FastAPI(openapi_url=None, docs_url=None, redoc_url=None), APIRouter()

    async def answer(request: Request) -> Response:
        return Response()

    async def described() -> None: ...

    app.add_route("/plain", answer)
    app.add_route("/guarded", guarded(answer, Scope.RAG_READ))
    router.add_api_route("/silent", described)
    router.add_api_route("/asking", described, dependencies=[requires(Scope.RAG_READ, Scope.RAG_MANAGE)])
    router.add_api_route("/open", described, dependencies=[current_principal])
    app.include_router(router)
    app.mount("/mounted", FastAPI(openapi_url=None))
    assert {one.path: one.scopes for one in declared_routes(app)} == {
        "/plain": None,
        "/guarded": {Scope.RAG_READ},
        "/silent": None,
        "/asking": {Scope.RAG_READ, Scope.RAG_MANAGE},
        "/open": frozenset(),
        "/mounted/": None,
    }
