"""The frame of the pages that are for everybody, not for administrators alone: its menu, and refusals in it."""

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from starlette.responses import Response

from core.errors import PlatformError
from core.principals import Principal, Scope
from server.auth import request_context
from server.pages import render
from server.pages.administration import AdminRoute, Typed
from server.pages.menu import menu_of
from server.version import platform_version


def framed(
    request: Request,
    principal: Principal,
    name: str,
    values: Mapping[str, Any],
    *,
    form: Typed | None = None,
    problem: PlatformError | None = None,
) -> Response:
    """The page `name` in the frame. A problem is told at its top; `?done=…` of the address picks one of the template's
    `notes`."""
    shown = {
        "principal": principal,
        "menu": menu_of(principal),
        "may_read": principal.may_search,
        "may_ask": principal.may(Scope.RAG_READ),
        "version": platform_version(),
        "form": form or Typed(),
        "problem": problem,
        "done": request.query_params.get("done", ""),
    }
    return render(request, f"{name}.html", shown | dict(values), status=problem.status if problem else 200)


class PageRoute(AdminRoute):
    """A route of such a page: people get its refusals as a page, programs in the error shape."""

    def refused(self, request: Request, refusal: PlatformError) -> Response:
        """The page that says why."""
        return framed(request, request_context(request).principal, "refused", {}, problem=refusal)
