"""`/admin/audit`: the audit log of the tenant, searched, exported and verified."""

from datetime import UTC, datetime
from itertools import groupby
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from pydantic import AfterValidator, BaseModel, Field
from starlette.datastructures import FormData
from starlette.responses import Response

from core import audit
from core.audit import search
from core.audit.actions import category
from core.errors import InvalidRequest, PlatformError
from core.moments import in_utc
from core.principals import Principal, Scope
from server.access.directory import Directory
from server.pages.administration import PATH, AdminRoute, Typed, admin_page, checked, sections_of, typed
from server.pagination import PageRequest, Paging
from server.routes import audit as api
from server.routes.audit import Auditor, EventPage, Verification
from server.state import CurrentState, State

router = APIRouter(prefix=f"{PATH}/audit", include_in_schema=False, route_class=AdminRoute)

_ROWS = 50
#: The categories of actions in words.
_CATEGORIES = {
    "authentication": "Signing in",
    "iam": "Users, keys and rights",
    "configuration": "Configuration",
    "intrusion_detection": "Refusals",
    "network": "Network",
    "database": "Data",
}


def _in_utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else in_utc(at)


Moment = Annotated[datetime, AfterValidator(_in_utc)]


class _Search(BaseModel):
    """The fields of the search form. A moment without an offset is in UTC, as a browser sends it."""

    action: audit.Action | None = None
    outcome: audit.Outcome | None = None
    actor: str | None = Field(None, max_length=64)
    object_type: str | None = Field(None, max_length=64)
    object: str | None = Field(None, max_length=200)
    address: str | None = Field(None, max_length=64)
    request_id: str | None = Field(None, max_length=64)
    since: Moment | None = Field(None, alias="from")
    until: Moment | None = Field(None, alias="to")

    def filter(self) -> search.Filter:
        return search.Filter(
            self.action,
            self.outcome,
            self.actor,
            self.object_type,
            self.object,
            address=self.address,
            request_id=self.request_id,
            since=self.since,
            until=self.until,
        )


@router.get("")
async def show_events(request: Request, state: CurrentState, principal: Auditor, paging: Paging) -> Response:
    """What the search finds, the newest first."""
    return await _page(request, state, principal, Typed(FormData(request.query_params)), paging.after)


@router.post("")
async def verify_events(request: Request, state: CurrentState, principal: Auditor) -> Response:
    """Verify the chain, and say how it is."""
    form = await typed(request)
    if form.act != "verify":
        problem = InvalidRequest("The form does not say what to do.")
        return await _page(request, state, principal, Typed(), problem=problem)
    return await _page(request, state, principal, Typed(), verified=await api.verify_events(state, principal))


async def _page(
    request: Request,
    state: State,
    principal: Principal,
    form: Typed,
    after: str | None = None,
    *,
    problem: PlatformError | None = None,
    verified: Verification | None = None,
) -> Response:
    asked = {name: text for name in _FIELDS if (text := form.text(name))}
    listed: dict[str, Any] = {"results": [], "next_cursor": None}
    exported = ""
    try:
        wanted = await _wanted(state, principal, asked)
        listed = await api.list_events(state, principal, wanted.filter(), PageRequest(_ROWS, after))
        exported = urlencode(wanted.model_dump(mode="json", by_alias=True, exclude_none=True))
    except PlatformError as error:
        problem = problem or error
    values = {
        "events": listed["results"],
        "names": await _names(state, principal, EventPage(**listed)),
        "next_cursor": listed["next_cursor"],
        "first": after is None,
        "searched": bool(asked),
        "query": urlencode(asked),
        "exported": exported,
        "actions": _actions(),
        "verified": verified,
        "linked": {each.name.removesuffix("s"): each.path for each in sections_of(principal) if each.name in _PAGES},
    }
    return admin_page(request, principal, "audit", values, form=form, problem=problem)


_FIELDS = tuple(field.alias or name for name, field in _Search.model_fields.items())
#: The sections that have a page for each thing.
_PAGES = ("users", "teams", "keys")


async def _wanted(state: State, principal: Principal, asked: dict[str, str]) -> _Search:
    """The search. Who may see users may name one by e-mail address."""
    if "@" in asked.get("actor", "") and principal.may(Scope.USERS_MANAGE):
        try:
            asked = asked | {"actor": (await Directory(state.database).find_user(principal, asked["actor"])).id}
        except InvalidRequest as error:
            raise InvalidRequest(error.message, code=error.code, param="actor") from None
    return checked(_Search, asked)


async def _names(state: State, principal: Principal, listed: EventPage) -> dict[str, str]:
    ids = {each for event in listed.results for each in (event.actor, event.object_id) if each is not None}
    return await Directory(state.database).names(principal, ids)


def _actions() -> list[tuple[str, list[str]]]:
    """Every action, in groups."""
    ranked = sorted(audit.Action, key=lambda action: (list(_CATEGORIES).index(category(action)), action))
    return [(_CATEGORIES[kind], [each.value for each in found]) for kind, found in groupby(ranked, key=category)]
