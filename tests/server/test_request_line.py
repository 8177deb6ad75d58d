"""The line of each request in the log: what it tells of the calls."""

from typing import Any

from structlog.testing import capture_logs

from core.context import RequestContext
from core.principals import SYSTEM
from server.request_line import Passed, tell

SCOPE = {"type": "http", "method": "POST", "path": "/api/v1/chat"}


def told_of(context: RequestContext) -> dict[str, Any]:
    with capture_logs() as told:
        tell(SCOPE, context, Passed(status=200))
    (line,) = told
    return dict(line)


def test_a_degraded_request_tells_which_alias_was_asked_for() -> None:
    inner, outer = RequestContext("req_1", SYSTEM), RequestContext("req_1", SYSTEM)
    inner.alias, inner.attempts, inner.degraded, inner.degraded_from = "cheap", 1, "cheap", "default"
    outer.add(inner)
    outer.add(RequestContext("req_1", SYSTEM))
    line = told_of(outer)
    assert (line["alias"], line["degraded_to"], line["degraded_from"]) == ("cheap", "cheap", "default")


def test_one_that_was_not_degraded_tells_no_such_thing() -> None:
    context = RequestContext("req_1", SYSTEM)
    context.alias, context.attempts = "default", 1
    assert "degraded_from" not in told_of(context)
