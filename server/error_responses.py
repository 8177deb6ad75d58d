"""Errors as answers: one shape on every route, whatever raised; OpenAI's where its clients call."""

import errno
from collections.abc import Mapping
from http import HTTPStatus
from math import ceil
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from chains.openai_format.errors import body_of, error_body, status_of, unfit
from chains.refusals import in_words, reason_of
from core.context import current
from core.errors import Internal, PlatformError, Unavailable
from core.shown_names import shown

log = structlog.get_logger()

_CODES = {
    400: "bad_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid_request",
    429: "rate_limited",
    501: "unsupported_feature",
}
#: What FastAPI puts before a field's own path.
_WHERE = {"body", "query", "path", "header", "__root__"}
_SHOWN_PROBLEMS = 10
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_MAX_MESSAGE = 300


def error_response(error: PlatformError) -> Response:
    """The answer for one of our own errors, with `Retry-After` where it says when to come back."""
    headers = {}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(max(1, ceil(error.retry_after_s)))
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = 'Bearer realm="genai"'
    request = current()
    request.refused(error.code, error.status)
    if request.openai:
        return JSONResponse(body_of(error), status_of(error.status), headers)
    return JSONResponse(error.body(request.request_id), error.status, headers)


def _shaped(status: int, code: str, message: str, headers: Mapping[str, str] | None = None, **more: Any) -> Response:
    """The answer for what is no `PlatformError`."""
    request, message = current(), message[:_MAX_MESSAGE]
    request.refused(code, status)
    if request.openai:
        return JSONResponse(error_body(status, code, message, more.get("param")), status_of(status), headers)
    return JSONResponse(
        {"error": {"code": code, "message": message, "request_id": request.request_id, **more}}, status, headers
    )


def as_platform_error(error: BaseException) -> PlatformError:
    """The error to show for an exception that nobody expected; logged, with its traceback unless its cause is plain."""
    if isinstance(error, PlatformError):
        return error
    if isinstance(error, PoolTimeout):
        log.warning("database.busy")
        return Unavailable("All connections to the database are in use.", code="database_busy", retry_after_s=1)
    if isinstance(error, OperationalError | InterfaceError) or (isinstance(error, DBAPIError) and error.connection_invalidated):
        log.error("database.unavailable", error=type(error).__name__, cause=type(error.__cause__).__name__)
        return Unavailable("The database does not answer.", code="database_unavailable", retry_after_s=2)
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        log.error("disk.full", error=type(error).__name__)
        return Unavailable("There is no room left on the platform's disk.", code="disk_full", retry_after_s=60)
    log.error("request.failed", error=type(error).__name__, exc_info=error)
    return Internal("Something went wrong here. The log has the details under this request's identifier.")


async def _on_platform_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, PlatformError)  # noqa: S101 - registered for this class alone
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("request.refused", code=error.code, **error.context)
    return error_response(error)


async def _on_http_exception(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class alone
    status = error.status_code
    code = _CODES.get(status, "internal_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "bad_request")
    detail = error.detail if isinstance(error.detail, str) else HTTPStatus(status).phrase
    return _shaped(status, code, _sentence(status, detail), error.headers)


def _sentence(status: int, detail: str) -> str:
    if status == HTTPStatus.NOT_FOUND and detail == HTTPStatus.NOT_FOUND.phrase:
        return "There is nothing at this address."
    if status == HTTPStatus.METHOD_NOT_ALLOWED and detail == HTTPStatus.METHOD_NOT_ALLOWED.phrase:
        return "This address does not take that method."
    return detail


async def _on_validation_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class alone
    if current().openai and (unfit_body := _unfit_body(error)) is not None:
        return error_response(unfit_body)
    problems = [_problem(item) for item in error.errors()[:_SHOWN_PROBLEMS]]
    first = problems[0] if problems else {"param": None, "message": "The request is not valid."}
    message = (
        in_words(error.errors()[0], first["param"] or "")[:_MAX_MESSAGE]
        if problems and first["param"]
        else str(first["message"])
    )
    more: dict[str, Any] = {"param": first["param"]} if first["param"] else {}
    if len(problems) > 1:
        more["problems"] = problems
    return _shaped(422, "invalid_request", message, **more)


def _unfit_body(error: RequestValidationError) -> PlatformError | None:
    """A JSON body's problems as OpenAI tells them; None where something else does not fit."""
    problems = [
        {"type": item["type"], "msg": item["msg"], "ctx": item.get("ctx"), "loc": item["loc"][1:]}
        for item in error.errors()
        if isinstance(item, Mapping) and item["loc"][:1] == ("body",) and item["type"] != "json_invalid"
    ]
    return unfit(problems, error.body) if problems else None


def _problem(item: Any) -> dict[str, Any]:
    """One of pydantic's errors without the value that it was given, and without names that may be none:
    `{"param": "messages.0.role", "message": …}`."""
    if not isinstance(item, Mapping):
        return {"param": None, "message": str(item)[:_MAX_MESSAGE]}
    place = [shown(part) for part in item.get("loc", ())]
    if place and place[0] in _WHERE:
        del place[0]
    return {"param": ".".join(place)[:_MAX_MESSAGE] or None, "message": reason_of(item)[:_MAX_MESSAGE]}


def install(app: FastAPI) -> None:
    """Register the handlers. What they do not know reaches `server.edge`, which asks `as_platform_error`."""
    app.add_exception_handler(PlatformError, _on_platform_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
