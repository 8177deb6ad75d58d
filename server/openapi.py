"""The OpenAPI document: what it says beside the routes, its pages without a CDN, and the committed snapshot.

`python -m server.openapi --check` fails when the code breaks what the snapshot (docs/openapi.json) promises to callers, or
when the snapshot is behind; `--write` writes it anew, and asks for `--allow-breaking` where a promise would be broken.
"""

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles

from server.auth import COOKIE, REVOKE_PATH, TOKEN_PATH, is_public
from server.edge import OPENAI_PREFIX
from server.gate import guarded
from server.idempotency import NEVER_KEPT
from server.openapi_changes import breaking_changes
from server.security_headers import page_policy
from server.version import platform_version

SNAPSHOT = Path(__file__).parent.parent / "docs" / "openapi.json"
_WAY_BACK = b'<body><a class="genai-back" href="/">&larr; Front page</a>'
#: Swagger UI has a dark style, and waits for a class to show it.
_HEAD = b'<link rel="stylesheet" href="/static/docs.css"><script src="/static/docs.js"></script></head>'
DOCS_PATH, DOCUMENT_PATH = "/docs", "/openapi.json"

_DESCRIPTION = """A self-hosted door to generative models. Each capability answers plain REST at its base path
and LangServe below it (`/invoke`, `/batch`, `/stream`, …).

Every request but health asks for a key: `Authorization: Bearer KEY` or `X-API-Key: KEY`. Errors have one shape, with stable
codes. Lists are paged by `cursor`. A POST may carry an `Idempotency-Key`: the same key gives the same answer for a day."""

#: The order of the groups in the documentation.
_TAGS = {
    "Capabilities": "Plain REST: a flat body in, a flat answer or server-sent events out",
    "OpenAI": "OpenAI's API on the same runnables, for its clients and what takes their base URL",
    "LangServe": "The same runnables in LangServe's wire format, for `RemoteRunnable`",
    "Collections": "What is searched and asked together",
    "Documents": "Files, texts and addresses, brought in by a job",
    "Sources": "Places whose files become documents, crawled now and by schedule; and what could not be brought in",
    "Search": "Passages, without an answer",
    "Experiments": "Versions of a model compared on real requests, and feedback on answers",
    "Personal data": "Found in texts, taken out, put back",
    "Jobs": "Work in the background, and its progress",
    "Sessions": "Kept conversations",
    "Operations": "Health and models",
    "Access": "Keys, tokens and signing in",
    "Audit": "What is on record",
}
_ERROR_SCHEMA = {
    "title": "Error",
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "request_id"],
            "properties": {
                "code": {"type": "string", "description": "stable; for programs"},
                "message": {"type": "string", "description": "for people"},
                "request_id": {"type": ["string", "null"], "description": "finds the request in the log"},
                "param": {"type": "string", "description": "the field that is wrong"},
            },
        }
    },
    "example": {"error": {"code": "collection_not_found", "message": "There is no such collection.", "request_id": "req_1"}},
}
_OPENAI_ERROR_SCHEMA = {
    "title": "OpenAIError",
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string", "description": "for people"},
                "type": {"type": "string", "description": "the kind, as OpenAI names it"},
                "param": {"type": ["string", "null"], "description": "the field that is wrong"},
                "code": {"type": "string", "description": "stable; for programs"},
            },
        }
    },
}
_ERROR_ANSWER = {
    "description": "A refusal or a failure, in the platform's error shape",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    "headers": {
        "Retry-After": {"schema": {"type": "integer"}, "description": "seconds to wait, where trying again may help (429, 503)"}
    },
}
_OPENAI_ERROR_ANSWER = _ERROR_ANSWER | {
    "description": "A refusal or a failure, in OpenAI's error shape",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/OpenAIError"}}},
}
_OAUTH_ERROR_SCHEMA = {
    "title": "OAuthError",
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {"type": "string", "description": "stable, as RFC 6749 names it; for programs"},
        "error_description": {"type": "string", "description": "for people"},
    },
}
#: What a form is refused for before it is read has the platform's own shape.
_OAUTH_ERROR_ANSWER = _ERROR_ANSWER | {
    "description": "A refusal in OAuth's shape, or a failure",
    "content": {
        "application/json": {
            "schema": {"anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in ("OAuthError", "Error")]},
        }
    },
}
_EVENTS = {"text/event-stream": {"schema": {"type": "string", "description": "server-sent events; see docs/api.md"}}}
#: How the addresses of streams end.
_STREAMS = ("/stream", "/stream_events", "/{job_id}/events")
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "maxLength": 255},
    "description": "the same key and body get the same answer",
}


def describe_api(app: FastAPI) -> None:
    """Offer the document at /openapi.json and its page at /docs, both from this server alone."""
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]  # FastAPI's own way to extend it
    spec = find_spec("fastapi_offline")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("fastapi-offline, which carries Swagger UI's files")
    app.mount("/static/swagger", StaticFiles(directory=Path(spec.origin).parent / "static"), name="swagger")

    async def document(_request: Request) -> Response:
        return JSONResponse(app.openapi())

    async def page(_request: Request) -> HTMLResponse:
        swagger = get_swagger_ui_html(
            openapi_url=DOCUMENT_PATH,
            title="GenAI Platform: API",
            swagger_js_url="/static/swagger/swagger-ui-bundle.js",
            swagger_css_url="/static/swagger/swagger-ui.css",
            swagger_favicon_url="/static/icon.svg",
            swagger_ui_parameters={"docExpansion": "none", "defaultModelsExpandDepth": 0, "displayRequestDuration": True},
        )
        html = bytes(swagger.body).replace(b"</head>", _HEAD, 1).replace(b"<body>", _WAY_BACK, 1)
        return HTMLResponse(html, headers={"content-security-policy": page_policy(html, styles=True)})

    app.add_route(DOCUMENT_PATH, guarded(document), include_in_schema=False)
    app.add_route(DOCS_PATH, guarded(page), include_in_schema=False)


def _document(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=platform_version(),
            description=_DESCRIPTION,
            routes=app.routes,
            separate_input_output_schemas=False,
        )
        components = document.setdefault("components", {})
        components.setdefault("schemas", {})["Error"] = _ERROR_SCHEMA
        components["schemas"]["OpenAIError"] = _OPENAI_ERROR_SCHEMA
        components["schemas"]["OAuthError"] = _OAUTH_ERROR_SCHEMA
        for unused in ("HTTPValidationError", "ValidationError"):
            components["schemas"].pop(unused, None)
        components["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            "browser": {"type": "apiKey", "in": "cookie", "name": COOKIE},
        }
        document["security"] = [{"bearer": []}, {"key": []}, {"browser": []}]
        document["tags"] = [{"name": name, "description": text} for name, text in _TAGS.items()]
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                _complete(path, method, operation)
        app.openapi_schema = document
    return app.openapi_schema


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    """Give an operation what all have: the error shape, and the header that makes a POST repeatable."""
    operation["responses"].pop("422", None)
    failed = _OPENAI_ERROR_ANSWER if path.startswith(OPENAI_PREFIX) else _ERROR_ANSWER
    if path in (TOKEN_PATH, REVOKE_PATH):
        failed = _OAUTH_ERROR_ANSWER
    operation["responses"] |= {"4XX": failed, "5XX": failed}
    if path.endswith(_STREAMS):
        operation["responses"]["200"]["content"] = _EVENTS
    if is_public(path):
        operation["security"] = []
    if method == "post" and not path.startswith(NEVER_KEPT):
        operation.setdefault("parameters", []).append(_IDEMPOTENCY_KEY)


def build_document() -> dict[str, Any]:
    """The document of this code, made without starting anything."""
    from core.settings import Settings
    from server.lifespan import unstarted

    with tempfile.TemporaryDirectory() as directory:
        from server.app import create_app

        document = create_app(unstarted(Settings.load(data_dir=directory))).openapi()
    document["info"]["version"] = "snapshot"
    normalised: dict[str, Any] = json.loads(json.dumps(document, sort_keys=True))
    return normalised


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the snapshot or write it. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Keep docs/openapi.json in step with the code.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--check", action="store_true")
    what.add_argument("--write", action="store_true")
    parser.add_argument("--allow-breaking", action="store_true", help="write even what breaks callers")
    options = parser.parse_args(arguments)
    logging.disable(logging.WARNING)
    document = build_document()
    promised = json.loads(SNAPSHOT.read_text(encoding="utf-8")) if SNAPSHOT.exists() else document
    broken = breaking_changes(promised, document)
    for change in broken:
        sys.stderr.write(f"breaks callers: {change}\n")
    if broken and not options.allow_breaking:
        sys.stderr.write("If that is meant: python -m server.openapi --write --allow-breaking, and say so in CHANGELOG.md\n")
        return 1
    if options.write:
        SNAPSHOT.write_text(json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    elif not SNAPSHOT.exists() or document != promised:
        sys.stderr.write("docs/openapi.json is behind the code: make openapi\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
