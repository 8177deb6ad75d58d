"""The administrators' pages: their sections, who may see them, and what all of them share."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from chains.refusals import in_words
from core.errors import InvalidRequest, PlatformError
from core.principals import Principal, Scope
from core.shown_names import shown
from server.auth import request_context
from server.pages import render
from server.routes import ROUTERS
from server.version import platform_version

PATH = "/admin"
#: More than any form of ours has; the body is bounded as well (`server.body`).
_MOST_FIELDS = 200
_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the administration at `/admin/<name>`, for whoever has one of the scopes. It is there where
    `server.routes.admin` has a module of its name."""

    name: str
    title: str
    about: str
    scopes: tuple[Scope, ...]

    @property
    def path(self) -> str:
        return f"{PATH}/{self.name}"


SECTIONS = (
    Section("users", "Users", "People and service accounts: who they are and what they may do.", (Scope.USERS_MANAGE,)),
    Section("teams", "Teams", "Groups of users who share collections.", (Scope.USERS_MANAGE,)),
    Section("roles", "Roles", "Named sets of rights, built in and your own.", (Scope.USERS_MANAGE,)),
    Section("keys", "Keys", "What programs sign in with: made, narrowed, rotated, revoked.", (Scope.KEYS_MANAGE,)),
    Section(
        "providers",
        "Providers",
        "Credentials of model providers, and the kill switch.",
        (Scope.MODELS_DEPLOY, Scope.PROVIDERS_MANAGE),
    ),
    Section("tenants", "Tenants", "Organisations whose data nobody else sees.", (Scope.TENANTS_MANAGE,)),
    Section("audit", "Audit log", "Who did what, when and from where: searched, exported, verified.", (Scope.AUDIT_READ,)),
)
#: Whoever has one of them has something to look at.
SCOPES = tuple(dict.fromkeys(scope for section in SECTIONS for scope in section.scopes))


def sections_of(principal: Principal) -> list[Section]:
    """The sections that the principal may see."""
    return [each for each in SECTIONS if f"admin.{each.name}" in ROUTERS and any(map(principal.may, each.scopes))]


@dataclass(frozen=True, slots=True)
class Typed:
    """What was typed into a form, to be read and to be shown again. `act` says which of a page's forms was sent; `of` what it
    was about, where a page has the same form for several things."""

    given: FormData = field(default_factory=FormData)

    @property
    def act(self) -> str:
        return self.text("act")

    @property
    def of(self) -> str:
        return self.text("of")

    def text(self, name: str, default: str = "") -> str:
        """A field without the white space around it; `default` where the form was not sent."""
        value = self.given.get(name, "") if self.given else default
        return value.strip() if isinstance(value, str) else ""

    def secret(self, name: str) -> str:
        """A password, exactly as it was typed. It is never shown again."""
        value = self.given.get(name, "")
        return value if isinstance(value, str) else ""

    def all(self, name: str) -> list[str]:
        """Every value of checkboxes of one name."""
        return [value for value in self.given.getlist(name) if isinstance(value, str)]

    def words(self, name: str) -> list[str] | None:
        """A field of several values, apart by commas, white space or lines; None where it is empty."""
        return self.text(name).replace(",", " ").split() or None


async def typed(request: Request) -> Typed:
    """The form of the request. A page's forms are all sent to the page's own address."""
    return Typed(await request.form(max_files=0, max_fields=_MOST_FIELDS))


def checked(model: type[_Model], values: Mapping[str, Any]) -> _Model:
    """The body of a REST route from a form's values, held to the same rules.

    Raises:
        InvalidRequest: in the route's words, without what was typed.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _unfit(error.errors(include_url=False, include_input=False)[0]) from None


def admin_page(
    request: Request,
    principal: Principal,
    name: str,
    values: Mapping[str, Any],
    *,
    form: Typed | None = None,
    problem: PlatformError | None = None,
    status: int = 200,
) -> Response:
    """A page in the administration's frame. A problem is told at its top and at the field that it is about, beside what was
    typed into `form`; `?done=…` of the address picks one of the template's `notes`."""
    shown = {
        "principal": principal,
        "sections": sections_of(principal),
        "version": platform_version(),
        "form": form or Typed(),
        "problem": problem,
        "done": request.query_params.get("done", ""),
    }
    response = render(request, f"admin/{name}.html", shown | dict(values), status=problem.status if problem else status)
    if problem is not None and problem.retry_after_s is not None:
        response.headers["retry-after"] = str(max(1, round(problem.retry_after_s + 0.5)))
    return response


def back_to(path: str, done: str) -> Response:
    """To a page that says what was done, so that reloading it does nothing again."""
    return RedirectResponse(f"{path}?done={done}", 303)


class AdminRoute(APIRoute):
    """A route of the administration: people get its refusals as a page, programs in the error shape."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except (PlatformError, RequestValidationError) as error:
                if "text/html" not in request.headers.get("accept", ""):
                    raise
                refusal = error if isinstance(error, PlatformError) else _unfit(error.errors()[0])
                return self.refused(request, refusal)

        return handled

    def refused(self, request: Request, refusal: PlatformError) -> Response:
        """The page that says why."""
        return admin_page(request, request_context(request).principal, "refused", {}, problem=refusal)


def _unfit(problem: Mapping[str, Any]) -> InvalidRequest:
    """What pydantic found, as the API tells it but for places in lists, which no form shows."""
    place = [shown(part) for part in problem["loc"] if isinstance(part, str) and part not in ("body", "query", "path")]
    return InvalidRequest(in_words(problem, ".".join(place)), param=place[0] if place else None)
