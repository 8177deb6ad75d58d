"""People and service accounts of the tenant, its teams and its roles."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.responses import Response

from core import denials
from core.errors import InvalidRequest
from core.principals import ROLE_SCOPES, Principal, Role, Scope, beyond, held_in
from core.tables import User, UserKind
from server.access.directory import Directory, UserChange
from server.access.email_addresses import stored
from server.access.passwords import no_person
from server.auth import requires
from server.pagination import Paging, page, page_of
from server.state import CurrentState, State

router = APIRouter(prefix="/api/v1", tags=["Access"])

Manager = Annotated[Principal, requires(Scope.USERS_MANAGE)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
#: What an e-mail server decides is more; this keeps out what is none for certain.
EmailAddress = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", max_length=320)]
RoleName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$", description="a-z, 0-9, _ and -")]


class NewUser(BaseModel):
    """A person, who signs in, or a service account, which holds keys alone."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "Ada", "email": "ada@example.com", "role": "user"}]}
    )

    name: Name
    kind: UserKind = UserKind.PERSON
    email: EmailAddress | None = Field(None, description="what a person signs in with")
    role: RoleName = Role.USER.value
    password: SecretStr | None = Field(None, max_length=1024, description="null: no password signs in")


class ChangedUser(BaseModel):
    """What is to change; the rest stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"role": "developer"}, {"disabled": True}]})

    name: Name | None = None
    role: RoleName | None = None
    disabled: bool | None = Field(None, description="true: refused everywhere, with all keys, within a second")


class NewUserPassword(BaseModel):
    """A password that an administrator gives."""

    model_config = ConfigDict(extra="forbid")

    password: SecretStr = Field(max_length=1024, description="GENAI_SIGN_IN__PASSWORD_CHARACTERS or more; 12 as it comes")


class UserInfo(BaseModel):
    """A user, without what they sign in with."""

    id: str
    kind: str
    name: str
    email: str | None
    role: str
    created_at: datetime
    disabled_at: datetime | None
    has_password: bool
    issuer: str | None = Field(description="the identity provider that they sign in at")

    @classmethod
    def of(cls, user: User) -> "UserInfo":
        return cls(**user.model_dump(), has_password=user.password_digest is not None)


class UserPage(BaseModel):
    """Some of the users."""

    results: list[UserInfo]
    next_cursor: str | None


class NewTeam(BaseModel):
    """A team without members yet."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "Research"}]})

    name: Name


class Members(BaseModel):
    """Who belongs to a team."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"members": []}]})

    members: list[Annotated[str, Field(max_length=64)]] = Field(max_length=10_000, description="identifiers of users")


class TeamInfo(Members):
    """A team."""

    id: str
    name: str


class TeamList(BaseModel):
    """Some of the teams, by name."""

    results: list[TeamInfo]
    next_cursor: str | None


class RoleScopes(BaseModel):
    """What a role holds."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"scopes": ["chat:invoke", "models:read"]}]})

    scopes: list[Scope]
    description: str = Field("", max_length=2000)


class RoleInfo(BaseModel):
    """A role that keys and users can have."""

    name: str
    scopes: list[str]
    description: str
    built_in: bool

    def within(self, principal: Principal) -> bool:
        """Whether the principal may do all that it holds."""
        return not beyond({Scope(scope) for scope in self.scopes if scope in set(Scope)}, principal.scopes)


class RoleList(BaseModel):
    """Some of the roles: the built-in ones, then those of the tenant's own."""

    results: list[RoleInfo]
    next_cursor: str | None


@router.post("/users", status_code=201)
async def create_user(new: NewUser, state: CurrentState, principal: Manager) -> UserInfo:
    """Make a user, who can do no more than the caller."""
    digest = None
    if new.password is not None:
        _refuse_token(principal)
        if new.kind is not UserKind.PERSON:
            raise no_person()
        digest = await state.access.passwords.digest(new.password.get_secret_value(), email=new.email)
    wanted = User(
        tenant=principal.tenant,
        kind=new.kind.value,
        name=new.name,
        email=stored(new.email) if new.email else None,
        role=new.role,
        password_digest=digest,
    )
    return UserInfo.of(await _directory(state).add_user(principal, wanted))


@router.get("/users", response_model=UserPage)
async def list_users(state: CurrentState, principal: Manager, paging: Paging) -> dict[str, Any]:
    """List the users of the tenant."""
    rows, following = await _directory(state).users(principal, paging.limit, paging.after)
    return page([UserInfo.of(row) for row in rows], following)


@router.get("/users/{user_id}")
async def get_user(user_id: str, state: CurrentState, principal: Manager) -> UserInfo:
    """Show a user."""
    return UserInfo.of(await _directory(state).user(principal, user_id))


@router.patch("/users/{user_id}")
async def change_user(user_id: str, change: ChangedUser, state: CurrentState, principal: Manager) -> UserInfo:
    """Change a user's name or role, disable or enable them."""
    user = await _directory(state).change_user(principal, user_id, UserChange(**change.model_dump()))
    state.access.forget()
    return UserInfo.of(user)


@router.put("/users/{user_id}/password", status_code=204)
async def set_user_password(user_id: str, new: NewUserPassword, state: CurrentState, principal: Manager) -> Response:
    """Give a person a password. Their browser sessions and tokens end. Who is signed in changes their own with the old one."""
    _refuse_token(principal)
    if principal.from_cookie and user_id == principal.id and await state.access.passwords.known(principal):
        text = "You have a password: change it with the old one, at /account or by POST /api/v1/auth/password."
        raise denials.barred(principal, text, code="old_password_needed")

    async def allow(session: AsyncSession) -> None:
        await Directory.refuse_unchangeable(session, principal, user_id)

    await state.access.passwords.set(principal.tenant, user_id, new.password.get_secret_value(), allow=allow)
    state.access.forget()
    return Response(status_code=204)


@router.delete("/users/{user_id}/sessions", status_code=204)
async def end_user_sessions(user_id: str, state: CurrentState, principal: Manager) -> Response:
    """End a user's browser sessions and tokens. Keys that act for them stay."""
    await _directory(state).end_sign_ins(principal, user_id)
    state.access.forget()
    return Response(status_code=204)


@router.get("/teams", response_model=TeamList)
async def list_teams(state: CurrentState, principal: Manager, paging: Paging) -> dict[str, Any]:
    """List the teams of the tenant with their members."""
    return page_of(await all_teams(state, principal), paging, lambda team: team.id)


async def all_teams(state: State, principal: Principal) -> list[TeamInfo]:
    """The teams of the tenant with their members, by name."""
    teams = await _directory(state).teams(principal)
    return [TeamInfo(id=team.id, name=team.name, members=members) for team, members in teams]


@router.post("/teams", status_code=201)
async def create_team(new: NewTeam, state: CurrentState, principal: Manager) -> TeamInfo:
    """Make a team."""
    team = await _directory(state).add_team(principal, new.name)
    return TeamInfo(id=team.id, name=team.name, members=[])


@router.put("/teams/{team_id}/members")
async def set_team_members(team_id: str, wanted: Members, state: CurrentState, principal: Manager) -> Members:
    """Say who belongs to a team."""
    members = await _directory(state).set_members(principal, team_id, wanted.members)
    state.access.forget()
    return Members(members=members)


@router.delete("/teams/{team_id}", status_code=204)
async def delete_team(team_id: str, state: CurrentState, principal: Manager) -> Response:
    """Delete a team; its members stay."""
    await _directory(state).delete_team(principal, team_id)
    state.access.forget()
    return Response(status_code=204)


@router.get("/roles", response_model=RoleList)
async def list_roles(state: CurrentState, principal: Manager, paging: Paging) -> dict[str, Any]:
    """List the roles that keys and users of the tenant can have."""
    return page_of(await all_roles(state, principal), paging, lambda role: role.name)


async def all_roles(state: State, principal: Principal) -> list[RoleInfo]:
    """The built-in roles, then the tenant's own."""
    built_in = [
        RoleInfo(name=role.value, scopes=sorted(held_in(principal.tenant, scopes)), description="", built_in=True)
        for role, scopes in ROLE_SCOPES.items()
    ]
    own = [
        RoleInfo(name=role.name, scopes=role.scopes, description=role.description, built_in=False)
        for role in await _directory(state).roles(principal)
    ]
    return built_in + own


@router.put("/roles/{role_name}")
async def set_role(role_name: RoleName, wanted: RoleScopes, state: CurrentState, principal: Manager) -> RoleInfo:
    """Make or change a role of the tenant's own. It can hold no more than the caller."""
    if not wanted.scopes:
        raise InvalidRequest("A role holds one scope or more. Delete it to take it from everybody.", param="scopes")
    role = await _directory(state).set_role(principal, role_name, wanted.description, frozenset(wanted.scopes))
    state.access.forget()
    return RoleInfo(name=role.name, scopes=role.scopes, description=role.description, built_in=False)


@router.delete("/roles/{role_name}", status_code=204)
async def delete_role(role_name: RoleName, state: CurrentState, principal: Manager) -> Response:
    """Delete a role of the tenant's own. Who has it can do nothing any more."""
    await _directory(state).delete_role(principal, role_name)
    state.access.forget()
    return Response(status_code=204)


def _refuse_token(principal: Principal) -> None:
    """A password, as a key, would go on when the token's family has ended."""
    if principal.from_token:
        raise denials.shown_a_token(principal, "gives nobody a password")


def _directory(state: State) -> Directory:
    return Directory(state.database)
