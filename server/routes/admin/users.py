"""`/admin/users`: people and service accounts of the tenant."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from core.errors import InvalidRequest, PlatformError
from core.principals import NO_ROLE, Principal
from server.access.directory import Directory
from server.access.keys import KeySearch
from server.pages.administration import PATH, AdminRoute, Typed, admin_page, back_to, checked, typed
from server.pagination import Paging, encode_cursor
from server.routes import users as api
from server.routes.users import ChangedUser, Manager, NewUser, NewUserPassword, UserInfo
from server.state import CurrentState, State

router = APIRouter(prefix=f"{PATH}/users", include_in_schema=False, route_class=AdminRoute)

_ROWS = 25
_SHOWN_KEYS = 50
Search = Annotated[str, Query(max_length=200)]


@router.get("")
async def show_users(
    request: Request, state: CurrentState, principal: Manager, paging: Paging, search: Search = ""
) -> Response:
    """The list."""
    return await _list(request, state, principal, after=paging.after, search=search)


@router.post("")
async def make_user(request: Request, state: CurrentState, principal: Manager) -> Response:
    """Make a user by the form."""
    form = await typed(request)
    try:
        given = {name: form.text(name) for name in ("name", "kind", "role")}
        made = await api.create_user(checked(NewUser, given | {"email": form.text("email") or None}), state, principal)
    except PlatformError as error:
        return await _list(request, state, principal, form=form, problem=error)
    return back_to(f"{PATH}/users/{made.id}", "made")


@router.get("/{user_id}")
async def show_user(user_id: str, request: Request, state: CurrentState, principal: Manager) -> Response:
    """One of them."""
    return await _one(request, state, principal, user_id)


@router.post("/{user_id}")
async def change_user(user_id: str, request: Request, state: CurrentState, principal: Manager) -> Response:
    """What the forms on a user's page do."""
    form = await typed(request)
    try:
        match form.act:
            case "change":
                change = checked(ChangedUser, {"name": form.text("name"), "role": _given(form)})
                await api.change_user(user_id, change, state, principal)
            case "disable" | "enable":
                await api.change_user(user_id, ChangedUser(disabled=form.act == "disable"), state, principal)
            case "password":
                await _set_password(state, principal, user_id, form)
            case "sessions":
                await api.end_user_sessions(user_id, state, principal)
            case _:
                raise InvalidRequest("The form does not say what to do.")
    except PlatformError as error:
        return await _one(request, state, principal, user_id, form=form, problem=error)
    return back_to(f"{PATH}/users/{user_id}", form.act)


def _given(form: Typed) -> str | None:
    role = form.text("role")
    return None if role == NO_ROLE else role  # who has none is left without


async def _set_password(state: State, principal: Principal, user_id: str, form: Typed) -> None:
    password, again = form.secret("password"), form.secret("again")
    if password != again:
        raise InvalidRequest("The password was not typed the same way twice.", param="again")
    await api.set_user_password(user_id, checked(NewUserPassword, {"password": password}), state, principal)


async def _list(
    request: Request,
    state: State,
    principal: Principal,
    *,
    after: str | None = None,
    search: str = "",
    form: Typed | None = None,
    problem: PlatformError | None = None,
) -> Response:
    rows, following = await Directory(state.database).users(principal, _ROWS, after, like=search.strip())
    values = {
        "users": [UserInfo.of(row) for row in rows],
        "next_cursor": None if following is None else encode_cursor(following),
        "first": after is None,
        "search": search,
        "roles": await _roles(state, principal),
    }
    return admin_page(request, principal, "users", values, form=form, problem=problem)


async def _one(
    request: Request,
    state: State,
    principal: Principal,
    user_id: str,
    *,
    form: Typed | None = None,
    problem: PlatformError | None = None,
) -> Response:
    user = await api.get_user(user_id, state, principal)  # first: what is another tenant's is not there
    wanted = KeySearch(user_id=user_id, valid=True)
    keys, more = await state.access.keys.list(principal.tenant, _SHOWN_KEYS, None, wanted)
    teams = await api.all_teams(state, principal)
    values = {
        "user": user,
        "roles": await _roles(state, principal, user.role),
        "teams": [team for team in teams if user.id in team.members],
        "keys": keys,
        "more_keys": more is not None,
        "fewest": state.settings.sign_in.password_characters,
        "passwords": state.settings.sign_in.passwords,
    }
    return admin_page(request, principal, "user", values, form=form, problem=problem)


async def _roles(state: State, principal: Principal, held: str | None = None) -> list[tuple[str, str]]:
    """The roles that the principal may give, and the one that somebody has, as options."""
    roles = await api.all_roles(state, principal)
    given = [role.name for role in roles if role.name == held or role.within(principal)]
    names = [held, *given] if held and held not in given else given
    return [(name, "none" if name == NO_ROLE else name) for name in names]
