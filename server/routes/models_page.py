"""`/models`: aliases and their versions, for people: which is live, what differs, deployed, by steps too, and rolled back."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from core import denials
from core.errors import InvalidRequest, PlatformError
from core.principals import DEFAULT_TENANT, Principal, Scope
from providers.registry.history import spells
from providers.registry.plans import IMPLIED_ERROR_RATE, Plan
from providers.registry.toml import as_toml
from server.pages.administration import Typed, checked, typed
from server.pages.frame import PageRoute, framed
from server.pagination import PageRequest, Paging
from server.routes import registry as api
from server.routes.registry import Approval, Imported, Reader, Return, Rollout
from server.state import CurrentState, State

PATH = "/models"
router = APIRouter(prefix=PATH, include_in_schema=False, route_class=PageRoute)

#: Versions and events that a page shows.
_SHOWN = 100
_STEP = re.compile(r"(\d+(?:\.\d+)?)\s*%?\s*(?:for|:|/)?\s*(\d+(?:\.\d+)?)?\s*(?:min(?:utes)?)?")
_RULES = ("min_calls", "max_error_rate", "max_latency_ratio", "max_cost_ratio", "min_score")

Number = Annotated[int | None, Query(ge=1, le=2**31 - 1)]


@router.get("")
async def show_models(request: Request, state: CurrentState, principal: Reader, paging: Paging) -> Response:
    """The aliases."""
    return await _all(request, state, principal, paging)


@router.post("")
async def import_models(request: Request, state: CurrentState, principal: Reader) -> Response:
    """Make versions of what was typed as TOML."""
    form = await typed(request)
    try:
        _may_deploy(principal)
        made = await api.import_registry(_typed_toml(form), state, principal)
    except PlatformError as error:
        return await _all(request, state, principal, PageRequest(), form=form, problem=error)
    names = [version.name for version in made["results"]]
    return RedirectResponse(
        f"{PATH}/{names[0]}?done=made" if len(names) == 1 else f"{PATH}?done={'made' if names else 'same'}", 303
    )


@router.get("/{alias:path}")
async def show_model(
    alias: str,
    request: Request,
    state: CurrentState,
    principal: Reader,
    before: Number = None,
    after: Number = None,
    at: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """One alias: its versions, two of them beside each other, and its history."""
    return await _one(request, state, principal, alias, before=before, after=after, at=at)


@router.post("/{alias:path}")
async def change_model(alias: str, request: Request, state: CurrentState, principal: Reader) -> Response:
    """What the forms on an alias's page do."""
    form = await typed(request)
    try:
        _may_deploy(principal)
        match form.act:
            case "deploy":
                await api.deploy_version(alias, _rollout(form), state, principal)
            case "rollback":
                given = {"to": form.text("to") or None, "reason": form.text("reason")}
                await api.roll_back(alias, checked(Return, given), state, principal)
            case "approve":
                names = ("evaluation", "score", "reason")
                approval = checked(Approval, {name: form.text(name) for name in names if form.text(name)})
                await api.approve_version(alias, _version(form), approval, state, principal)
            case "draft":
                await api.import_registry(_typed_toml(form), state, principal)
            case _:
                raise InvalidRequest("The form does not say what to do.")
    except PlatformError as error:
        return await _one(request, state, principal, alias, form=form, problem=error)
    return RedirectResponse(f"{PATH}/{alias}?done={form.act}", 303)


def _may_deploy(principal: Principal) -> None:
    if not principal.may(Scope.MODELS_DEPLOY):
        raise denials.lacks(principal, Scope.MODELS_DEPLOY)


def _typed_toml(form: Typed) -> Imported:
    return checked(Imported, {"toml": form.text("toml"), "deploy": False, "reason": form.text("reason")})


def _version(form: Typed) -> int:
    if not form.text("version").isdecimal():
        raise InvalidRequest("Say which version.", param="version")
    return int(form.text("version"))


def _rollout(form: Typed) -> Rollout:
    """A rollout as it was typed: at once, or in steps of a share for some minutes, one a line, held to rules."""
    given: dict[str, Any] = {"version": _version(form), "reason": form.text("reason")}
    if form.text("how") == "canary":
        steps = [_step(line) for line in form.text("steps").splitlines() if line.strip()]
        rules = {name: form.text(name) for name in _RULES if form.text(name)}
        given["canary"] = checked(Plan, {"steps": steps, "rules": rules})
    return checked(Rollout, given)


def _step(line: str) -> dict[str, str]:
    found = _STEP.fullmatch(line.strip())
    if found is None:
        raise InvalidRequest("A step reads: a share in percent, for some minutes, as “5 for 30”.", param="steps")
    return {"weight": found[1]} | ({"minutes": found[2]} if found[2] else {})


async def _all(
    request: Request,
    state: State,
    principal: Principal,
    paging: PageRequest,
    *,
    form: Typed | None = None,
    problem: PlatformError | None = None,
) -> Response:
    told = await api.list_registry(state, principal, paging)
    lived = await spells(state.database, [each.name for each in told["results"]])
    values = {
        "aliases": told["results"],
        "before": {name: [spell for spell in its if spell.until is not None][:2] for name, its in lived.items()},
        "next_cursor": told["next_cursor"],
        "first": paging.after is None,
        "deploys": may_deploy(principal),
    }
    return framed(request, principal, "models", values, form=form, problem=problem)


def may_deploy(principal: Principal) -> bool:
    """Whether the pages offer the principal to change the registry."""
    return principal.may(Scope.MODELS_DEPLOY) and principal.tenant == DEFAULT_TENANT


async def _one(
    request: Request,
    state: State,
    principal: Principal,
    alias: str,
    *,
    before: int | None = None,
    after: int | None = None,
    at: str = "",
    form: Typed | None = None,
    problem: PlatformError | None = None,
) -> Response:
    standing = await api.get_standing(alias, state, principal)
    most = PageRequest(_SHOWN)
    versions = (await api.list_versions(alias, state, principal, most))["results"]
    moment = _moment(at)
    history = (await api.list_history(alias, state, principal, most, moment))["results"]
    numbers = [version.number for version in versions]
    newest, live = max(numbers, default=None), standing.live
    before = before or (live if live != newest else (standing.past[-1] if standing.past else None)) or newest
    after = after or newest
    difference = None
    if before is not None and after is not None and before != after:
        difference = await api.compare_versions(alias, state, principal, before, after)
    base = next((version for version in versions if version.number == live), versions[0] if versions else None)
    values = {
        "standing": standing,
        "versions": versions,
        "history": history,
        "at": at,
        "before": before,
        "after": after,
        "difference": difference,
        "deploys": may_deploy(principal),
        "toml": as_toml([base.content]) if base else "",
        "implied_error_rate": IMPLIED_ERROR_RATE,
        "back_to": None if standing.candidate is not None else (standing.past[-1] if standing.past else None),
    }
    return framed(request, principal, "model", values, form=form, problem=problem)


def _moment(at: str) -> datetime | None:
    """A moment as a browser's field has it, in UTC; None where it is empty.

    Raises:
        InvalidRequest: it is none.
    """
    if not at:
        return None
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        raise InvalidRequest("Give the time as 2026-11-29T12:00.", param="at") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
