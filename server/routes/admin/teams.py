"""`/admin/teams`: groups of users."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from core.errors import InvalidRequest, NotFound, PlatformError
from core.principals import Principal
from server.access.directory import Directory
from server.pages.administration import PATH, AdminRoute, Typed, admin_page, back_to, checked, typed
from server.routes import users as api
from server.routes.users import Manager, NewTeam
from server.state import CurrentState, State

router = APIRouter(prefix=f"{PATH}/teams", include_in_schema=False, route_class=AdminRoute)

#: Users that the field for a new member suggests; any other can be named in full.
_SUGGESTED = 200


@router.get("")
async def show_teams(request: Request, state: CurrentState, principal: Manager) -> Response:
    """The list."""
    return await _list(request, state, principal)


@router.post("")
async def make_team(request: Request, state: CurrentState, principal: Manager) -> Response:
    """Make a team by the form."""
    form = await typed(request)
    try:
        team = await api.create_team(checked(NewTeam, {"name": form.text("name")}), state, principal)
    except PlatformError as error:
        return await _list(request, state, principal, form=form, problem=error)
    return back_to(f"{PATH}/teams/{team.id}", "made")


@router.get("/{team_id}")
async def show_team(team_id: str, request: Request, state: CurrentState, principal: Manager) -> Response:
    """One of them, with its members."""
    return await _one(request, state, principal, team_id)


@router.post("/{team_id}")
async def change_team(team_id: str, request: Request, state: CurrentState, principal: Manager) -> Response:
    """What the forms on a team's page do."""
    form, directory = await typed(request), Directory(state.database)
    try:
        match form.act:
            case "add":
                user = await directory.find_user(principal, form.text("user_id"))
                await directory.set_member(principal, team_id, user.id, member=True)
            case "remove":
                await directory.set_member(principal, team_id, form.of, member=False)
            case "delete":
                await directory.delete_team(principal, team_id)
            case _:
                raise InvalidRequest("The form does not say what to do.")
    except PlatformError as error:
        return await _one(request, state, principal, team_id, form=form, problem=error)
    state.access.forget()
    return back_to(f"{PATH}/teams" if form.act == "delete" else f"{PATH}/teams/{team_id}", form.act)


async def _list(
    request: Request, state: State, principal: Principal, *, form: Typed | None = None, problem: PlatformError | None = None
) -> Response:
    teams = await api.all_teams(state, principal)
    return admin_page(request, principal, "teams", {"teams": teams}, form=form, problem=problem)


async def _one(
    request: Request,
    state: State,
    principal: Principal,
    team_id: str,
    *,
    form: Typed | None = None,
    problem: PlatformError | None = None,
) -> Response:
    team = next((each for each in await api.all_teams(state, principal) if each.id == team_id), None)
    if team is None:
        raise NotFound("There is no such team.", code="team_not_found")
    directory = Directory(state.database)
    suggested, _ = await directory.users(principal, _SUGGESTED, None)
    names = await directory.names(principal, team.members)
    values = {
        "team": team,
        "members": sorted(((names.get(each, each), each) for each in team.members), key=lambda pair: pair[0].casefold()),
        "suggested": [user for user in suggested if user.id not in team.members],
    }
    return admin_page(request, principal, "team", values, form=form, problem=problem)
