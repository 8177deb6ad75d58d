"""The application: middleware, error shape, routes, LangServe, pages."""

from importlib import import_module

import structlog
from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from server import error_responses
from server.auth import Authentication
from server.body import BodyGuard
from server.edge import Edge
from server.idempotency import Idempotency
from server.openapi import describe_api
from server.pages import STATIC
from server.routes import ROUTERS
from server.state import State

log = structlog.get_logger()


def create_app(state: State) -> FastAPI:
    """Build the application around a running state. Blocking: LangServe makes many models; run it in a thread."""
    app = FastAPI(title="GenAI Platform", openapi_url=None, docs_url=None, redoc_url=None, separate_input_output_schemas=False)
    app.state.platform = state
    error_responses.install(app)
    for name in ROUTERS:
        try:
            app.include_router(import_module(f"server.routes.{name}").router)
        except (ImportError, SyntaxError, AttributeError, TypeError) as error:  # until every part is there
            log.error("part.missing", error=str(error))
    try:
        _serve_chains(app, state)
    except (ImportError, SyntaxError, AttributeError, TypeError) as error:  # until every part is there
        log.error("part.missing", error=str(error))
    describe_api(app)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    # the last one added is the first one passed
    app.add_middleware(Idempotency, database=state.database, hold_s=state.settings.timeouts.total + 60)
    app.add_middleware(BodyGuard, limits=state.settings.limits)
    app.add_middleware(Authentication, access=state.access)
    app.add_middleware(Edge)
    return app


def _serve_chains(app: FastAPI, state: State) -> None:
    from chains import CHAINS
    from chains.spec import ChainDeps
    from server.langserve_routes import register

    deps = ChainDeps(settings=state.settings, models=state.models, library=state.library, conversations=state.conversations)
    built = {}
    for name in CHAINS:
        try:
            spec = CHAINS.load(name)
            built[name] = (spec, spec.build(deps))
        except (ImportError, SyntaxError, AttributeError, TypeError) as error:  # until every part is there
            log.error("part.missing", error=str(error))
    register(app, built)
