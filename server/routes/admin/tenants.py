"""`/admin/tenants`: the organisations of the installation, for its operator."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from core.errors import InvalidRequest, PlatformError
from core.principals import DEFAULT_TENANT, Principal
from server.pages.administration import PATH, AdminRoute, Typed, admin_page, back_to, checked, typed
from server.pagination import PageRequest, Paging
from server.routes import tenants as api
from server.routes.tenants import ChangedTenant, MadeTenant, NewTenant, Operator
from server.state import CurrentState, State

router = APIRouter(prefix=f"{PATH}/tenants", include_in_schema=False, route_class=AdminRoute)

_ROWS = 25


@router.get("")
async def show_tenants(request: Request, state: CurrentState, principal: Operator, paging: Paging) -> Response:
    """The list."""
    return await _list(request, state, principal, after=paging.after)


@router.post("")
async def change_tenants(request: Request, state: CurrentState, principal: Operator) -> Response:
    """Make a tenant, whose first key the answer shows this once; close one, or open it again."""
    form, made = await typed(request), None
    try:
        match form.act:
            case "make":
                new = checked(NewTenant, {"id": form.text("id"), "name": form.text("name")})
                made = await api.create_tenant(new, state, principal)
            case "close" | "open":
                await api.change_tenant(form.of, ChangedTenant(disabled=form.act == "close"), state, principal)
            case _:
                raise InvalidRequest("The form does not say what to do.")
    except PlatformError as error:
        return await _list(request, state, principal, form=form, problem=error)
    if made is not None:
        return await _list(request, state, principal, made=made)
    return back_to(f"{PATH}/tenants", form.act)


async def _list(
    request: Request,
    state: State,
    principal: Principal,
    *,
    after: str | None = None,
    form: Typed | None = None,
    problem: PlatformError | None = None,
    made: MadeTenant | None = None,
) -> Response:
    listed = await api.list_tenants(state, principal, PageRequest(_ROWS, after))
    values = {
        "tenants": listed["results"],
        "next_cursor": listed["next_cursor"],
        "first": after is None,
        "operators": DEFAULT_TENANT,
        "made": made,
    }
    return admin_page(request, principal, "tenants", values, form=form, problem=problem, status=201 if made else 200)
