"""The application: middleware, error shape, routes, LangServe, pages."""

from importlib import import_module

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from core import traces
from server import error_responses
from server.auth import Authentication
from server.body import BodyGuard
from server.chart_files import serve_charts
from server.cors import CrossOrigin
from server.edge import Edge
from server.exact_paths import ExactPaths
from server.idempotency import Idempotency
from server.openapi import describe_api
from server.pages import STATIC
from server.proxies import TrustedProxies
from server.routes import ROUTERS
from server.state import State


def create_app(state: State) -> FastAPI:
    """Build the application around a running state. Blocking: LangServe makes many models; run it in a thread."""
    app = FastAPI(title="GenAI Platform", openapi_url=None, docs_url=None, redoc_url=None, separate_input_output_schemas=False)
    app.state.platform = state
    error_responses.install(app)
    _serve_chains(app, state)  # first: a request is held against each route before its own
    for name in ROUTERS:
        app.include_router(import_module(f"server.routes.{name}").router)
    describe_api(app)
    serve_charts(app)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.router.routes.insert(0, ExactPaths(app.router.routes))
    # the last one added is the first one passed
    app.add_middleware(Idempotency, database=state.database, policies=state.models.policies)
    app.add_middleware(BodyGuard, limits=state.settings.limits)
    app.add_middleware(Authentication, access=state.access, policies=state.models.policies)
    app.add_middleware(Edge, hsts_s=state.settings.tls.hsts_s, readiness=state.readiness)
    app.add_middleware(CrossOrigin, policies=state.models.policies)
    app.add_middleware(TrustedProxies, proxies=state.settings.proxies)
    if (tracing := traces.connected()) is not None:
        from server.tracing import instrument  # OpenTelemetry's instrumentation

        instrument(app, tracing)
    return app


def _serve_chains(app: FastAPI, state: State) -> None:
    from chains import CHAINS
    from chains.retrieval.retrieval import Retrieval
    from chains.spec import ChainDeps
    from server.langserve_routes import register
    from server.openai_door.routes import open_door

    deps = ChainDeps(
        settings=state.settings,
        models=state.models,
        library=state.library,
        conversations=state.conversations,
        analyser=state.analyser,
    )
    state.retrieval = Retrieval(deps)
    specs = {name: CHAINS.load(name) for name in CHAINS}
    served = {name: (spec, spec.build(deps)) for name, spec in specs.items()}
    open_door(app, served["chat"][1], served["completion"][1], state.models)
    register(app, served)
