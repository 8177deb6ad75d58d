"""`/admin/roles`: the built-in roles, and those of the tenant's own."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from core.errors import Conflict, InvalidRequest, NotFound, PlatformError
from core.principals import Principal, Scope, held_in
from server.pages.administration import PATH, AdminRoute, Typed, admin_page, back_to, checked, typed
from server.pages.scopes import grouped
from server.routes import users as api
from server.routes.users import Manager, RoleName, RoleScopes
from server.state import CurrentState, State

router = APIRouter(prefix=f"{PATH}/roles", include_in_schema=False, route_class=AdminRoute)

RolePath = Annotated[RoleName, Path()]


class _Named(RoleScopes):
    """A role with its name, as the form for a new one has it."""

    name: RoleName


@router.get("")
async def show_roles(request: Request, state: CurrentState, principal: Manager) -> Response:
    """The list."""
    return await _list(request, state, principal)


@router.post("")
async def make_role(request: Request, state: CurrentState, principal: Manager) -> Response:
    """Make a role by the form. One that is there already is not overwritten by it."""
    form = await typed(request)
    try:
        given = checked(_Named, _wanted(form) | {"name": form.text("name")})
        if any(role.name == given.name for role in await api.all_roles(state, principal)):
            raise Conflict("There is a role of this name already.", code="already_exists", param="name")
        wanted = RoleScopes(scopes=given.scopes, description=given.description)
        await api.set_role(given.name, wanted, state, principal)
    except PlatformError as error:
        return await _list(request, state, principal, form=form, problem=error)
    return back_to(f"{PATH}/roles", "made")


@router.get("/{role}")
async def show_role(role: RolePath, request: Request, state: CurrentState, principal: Manager) -> Response:
    """One of the tenant's own."""
    return await _one(request, state, principal, role)


@router.post("/{role}")
async def change_role(role: RolePath, request: Request, state: CurrentState, principal: Manager) -> Response:
    """What the forms on a role's page do."""
    form = await typed(request)
    try:
        match form.act:
            case "change":
                await api.set_role(role, await _known(state, principal, role, form), state, principal)
            case "delete":
                await api.delete_role(role, state, principal)
            case _:
                raise InvalidRequest("The form does not say what to do.")
    except PlatformError as error:
        return await _one(request, state, principal, role, form=form, problem=error)
    return back_to(f"{PATH}/roles" if form.act == "delete" else f"{PATH}/roles/{role}", form.act)


async def _known(state: State, principal: Principal, role: str, form: Typed) -> RoleScopes:
    """The change to a role that is there: a page that was open while it was deleted does not make it again."""
    if all(each.name != role for each in await api.all_roles(state, principal)):
        raise NotFound("There is no such role of your own.", code="role_not_found")
    return checked(RoleScopes, _wanted(form))


def _wanted(form: Typed) -> dict[str, object]:
    return {"scopes": form.all("scopes"), "description": form.text("description")}


async def _list(
    request: Request, state: State, principal: Principal, *, form: Typed | None = None, problem: PlatformError | None = None
) -> Response:
    values = {"roles": await api.all_roles(state, principal), **_scopes(principal)}
    return admin_page(request, principal, "roles", values, form=form, problem=problem)


async def _one(
    request: Request,
    state: State,
    principal: Principal,
    name: str,
    *,
    form: Typed | None = None,
    problem: PlatformError | None = None,
) -> Response:
    roles = await api.all_roles(state, principal)
    role = next((each for each in roles if each.name == name), None)
    if role is None:
        raise NotFound("There is no such role.", code="role_not_found")
    return admin_page(request, principal, "role", {"role": role, **_scopes(principal)}, form=form, problem=problem)


def _scopes(principal: Principal) -> dict[str, object]:
    """The scopes to choose among, in groups, and those that the principal may give."""
    return {"groups": grouped(held_in(principal.tenant, frozenset(Scope))), "own": principal.scopes}
