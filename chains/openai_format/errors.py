"""Errors in OpenAI's shape: `{"error": {"message", "type", "param", "code"}}`, with its statuses, types and codes.

As its reference and its clients have them (platform.openai.com/docs/guides/error-codes, November 2025): a request that cannot
be served as it is has status 400, whichever part of it is wrong.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from chains.refusals import reason_of
from core.errors import InvalidRequest, PlatformError
from core.shown_names import shown

_INVALID, _SERVER = "invalid_request_error", "server_error"
_TYPES = {402: "insufficient_quota", 403: "permission_error", 429: "rate_limit_error"}
#: Ours where OpenAI has a code for the same; the others stay as they are.
_CODES = {
    "unauthenticated": "invalid_api_key",
    "invalid_key": "invalid_api_key",
    "rate_limited": "rate_limit_exceeded",
    "content_refused": "content_filter",
    "unsupported_feature": "unsupported_parameter",
    "invalid_request": "invalid_value",
}


def status_of(status: int) -> int:
    """The status that OpenAI's clients expect for one of ours."""
    return 400 if status == 422 else status


def error_body(status: int, code: str, message: str, param: str | None = None) -> dict[str, Any]:
    """The body; `status` and `code` are ours."""
    kind = _SERVER if status >= 500 else _TYPES.get(status, _INVALID)
    return {"error": {"message": message, "type": kind, "param": param, "code": _CODES.get(code, code)}}


def body_of(error: PlatformError) -> dict[str, Any]:
    """The body for one of our errors."""
    return error_body(error.status, error.code, error.message, error.param)


def unfit(problems: Sequence[Mapping[str, Any]], sent: Any) -> InvalidRequest:
    """Pydantic's problems with a request as one error: of the first field, the deepest problem. What was sent is not told."""
    first = problems[0]["loc"][:1]
    places = [(each, _path(each, sent)) for each in problems if each["loc"][:1] == first]
    # a list that is too long is so for each member of a union, some of which say of its items that they are of another type
    long = [(each, path) for each, path in places if each["type"] == "too_long"]
    depth = max(len(path) for _, path in places)
    deepest = long or [(each, path) for each, path in places if len(path) == depth]
    # of a union's members that do not fit, the one of the type that was sent tells what is wrong
    fitting = [(each, path) for each, path in deepest if not each["type"].endswith("_type")]
    problem, path = (fitting or deepest)[0]
    kind, place = problem["type"], _written(path)
    if kind == "extra_forbidden":
        return InvalidRequest(f"Unrecognized request argument supplied: {place}", code="unknown_parameter", param=place)
    if kind == "misplaced":
        return InvalidRequest(problem["msg"], code="invalid_value", param=problem["ctx"]["param"])
    if kind == "unsupported":
        return InvalidRequest(problem["msg"], code="unsupported_parameter", param=place)
    if kind == "none_required":
        return InvalidRequest(f"'{place}' is not supported here.", code="unsupported_parameter", param=place)
    if kind == "missing":
        message = f"Missing required parameter: '{place}'."
        return InvalidRequest(message, code="missing_required_parameter", param=place)
    wrong = [problem] if fitting else [each for each, _ in deepest]
    reason = ", or: ".join(dict.fromkeys(reason_of(each) for each in wrong))
    code = "invalid_type" if kind.endswith("_type") else "invalid_value"
    return InvalidRequest(f"Invalid '{place}': {reason}" if place else reason, code=code, param=place or None)


def _path(problem: Mapping[str, Any], sent: Any) -> list[int | str]:
    """Where a problem is; the names of unions' members, which pydantic puts between, are left out."""
    path: list[int | str] = []
    location, missing = problem["loc"], problem["type"] == "missing"
    for index, part in enumerate(location):
        last = missing and index == len(location) - 1
        if isinstance(sent, Mapping) and isinstance(part, str) and (part in sent or last):
            sent = sent.get(part)
            path.append(part)
        elif isinstance(sent, list) and isinstance(part, int) and part < len(sent):
            sent = sent[part]
            path.append(part)
    return path


def _written(path: Sequence[int | str]) -> str:
    """`messages[0].content`, as OpenAI writes it; names that may be none are not told."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{shown(part)}" for part in path).removeprefix(".")[:300]
