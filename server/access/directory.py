"""Who belongs to a tenant: people and service accounts, teams, and roles of the tenant's own.

Nobody makes somebody who can do more than themselves, nor changes one who can.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy.exc import IntegrityError
from sqlmodel import case, col, delete, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core import audit, denials
from core.data_requests import open_about, open_request
from core.database import Database, utc_now
from core.errors import Conflict, InvalidRequest, NotFound
from core.principals import Principal, Role, Scope
from core.rights import scopes_of
from core.tables import (
    APIKey,
    CustomRole,
    DataRequest,
    DataRequestKind,
    Job,
    ShareKind,
    Team,
    TeamMember,
    User,
)
from server.access.administrators import refuse_last
from server.access.differences import changes
from server.access.email_addresses import spellings, stored
from server.access.endings import end_shares, end_sign_ins, take_role
from server.access.epoch import raise_epoch
from server.access.giving import reach_of, refuse_above, refuse_role, refuse_scopes, refuse_unknown
from server.access.handing_over import record_handed_over, settle_shared
from server.access.limits import refuse_limited, refuse_unseen


@dataclass(frozen=True, slots=True)
class UserChange:
    """What is changed of a user; None leaves it as it is."""

    name: str | None = None
    role: str | None = None
    disabled: bool | None = None


class Directory:
    """Users, teams and roles of the caller's tenant.

    Raises (what changes somebody):
        NotFound: `user_not_found`, `team_not_found`, `role_not_found`, for another tenant's as well.
        Forbidden: `more_than_own`: a right that the caller has not, or has with limits alone.
        InvalidRequest: `unknown_role`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def users(
        self, principal: Principal, limit: int, after: str | None, *, like: str | None = None
    ) -> tuple[Sequence[User], str | None]:
        """Users by identifier, and the position of the next page. `like` keeps those whose name or e-mail address holds it, and
        the one whose identifier it is."""
        query = select(User).where(User.tenant == principal.tenant).order_by(User.id).limit(limit + 1)
        if after is not None:
            query = query.where(User.id > after)
        if like:
            held = [col(each).icontains(like, autoescape=True) for each in (User.name, User.email)]
            query = query.where(or_(*held, col(User.id) == like))
        async with self._database.session(principal.tenant) as session:
            rows = (await session.exec(query)).all()
        return rows[:limit], rows[limit - 1].id if len(rows) > limit else None

    async def user(self, principal: Principal, user_id: str) -> User:
        """One of them."""
        async with self._database.session(principal.tenant) as session:
            return await _user(session, principal, user_id)

    async def find_user(self, principal: Principal, wanted: str) -> User:
        """The one of this identifier or e-mail address.

        Raises:
            InvalidRequest: `user_not_found`.
        """
        found = or_(col(User.id) == wanted, col(User.email).in_(spellings(wanted)))
        query = select(User).where(User.tenant == principal.tenant, found)
        query = query.order_by(case((User.email == stored(wanted), 0), else_=1))
        async with self._database.session(principal.tenant) as session:
            user = (await session.exec(query)).first()
        if user is None:
            raise InvalidRequest("There is no such user.", code="user_not_found", param="user_id")
        return user

    async def names(self, principal: Principal, ids: Iterable[str]) -> dict[str, str]:
        """The names of those users, teams and keys that have these identifiers, as far as the principal looks after such."""
        found: dict[str, str] = {}
        async with self._database.session(principal.tenant) as session:
            for table, scope in ((APIKey, Scope.KEYS_MANAGE), (User, Scope.USERS_MANAGE), (Team, Scope.USERS_MANAGE)):
                if ids and principal.may(scope):
                    query = select(table.id, table.name).where(table.tenant == principal.tenant, col(table.id).in_(ids))
                    found |= dict((await session.exec(query)).all())
        return found

    async def disabled(self, principal: Principal, ids: Iterable[str]) -> set[str]:
        """Those of the identifiers that are of users who are disabled."""
        query = select(User.id).where(
            User.tenant == principal.tenant, col(User.id).in_(ids), col(User.disabled_at).is_not(None)
        )
        async with self._database.session(principal.tenant) as session:
            return set((await session.exec(query)).all()) if ids else set()

    async def add_user(self, principal: Principal, user: User) -> User:
        """A new person or service account of the principal's tenant, with their password where they have one: all, or nobody.

        Raises:
            Conflict: `already_exists`: somebody of the tenant has this e-mail address.
        """
        try:
            async with self._database.transaction(principal.tenant) as session:
                await _refuse_new(session, principal, user.role)
                session.add(user)
                on, details = ("user", user.id), {"kind": user.kind, "role": user.role}
                await audit.record(session, audit.Action.USER_CREATED, on=on, details=details, principal=principal)
                if user.password_digest is not None:
                    await audit.record(session, audit.Action.USER_PASSWORD_SET, on=on, principal=principal)
        except IntegrityError:
            raise Conflict("Somebody has this e-mail address already.", code="already_exists", param="email") from None
        return user

    async def change_user(self, principal: Principal, user_id: str, change: UserChange) -> User:
        """Change a user; one who is disabled is refused everywhere within a second.

        Raises:
            Conflict: `own_account`: nobody takes their own role or account away; `being_erased`; `last_administrator`.
        """
        async with self._database.transaction(principal.tenant) as session:
            user = await _changeable(session, principal, user_id, lock=True)
            if user.id == principal.id and (change.disabled or change.role not in (None, user.role)):
                raise Conflict("Somebody else has to do this to your account.", code="own_account")
            if change.role not in (None, Role.ADMIN) or change.disabled:
                await refuse_last(session, user.tenant, without_user=user.id)
            if change.role is not None and change.role != user.role:
                await _refuse_new(session, principal, change.role)
                user.role = change.role
            if change.disabled is not None:
                user.disabled_at = utc_now() if change.disabled else None
                if change.disabled:  # who is let in again signs in again
                    await end_sign_ins(session, user.id)
            user.name = change.name or user.name
            session.add(user)
            await raise_epoch(session)
            details: dict[str, audit.Detail] = {"role": user.role, "disabled": user.disabled_at is not None}
            await audit.record(session, audit.Action.USER_CHANGED, on=("user", user.id), details=details, principal=principal)
        return user

    @staticmethod
    async def refuse_unchangeable(session: AsyncSession, principal: Principal, user_id: str) -> None:
        """Lock a user, unless the principal may not change them or they are being erased (`being_erased`)."""
        await _changeable(session, principal, user_id, lock=True)

    async def end_sign_ins(self, principal: Principal, user_id: str) -> None:
        """End a user's browser sessions and tokens everywhere within a second. Keys that act for the user stay."""
        async with self._database.transaction(principal.tenant) as session:
            user = await _user(session, principal, user_id, lock=True)
            await refuse_above(session, principal, user.role)
            await end_sign_ins(session, user.id)
            await audit.record(session, audit.Action.SESSION_ENDED, on=("user", user.id), principal=principal)

    async def erase_user(
        self, principal: Principal, user_id: str, *, hand_over_to: str | None = None, drop_shared: bool = False
    ) -> tuple[DataRequest, Job]:
        """Shut a user out everywhere within a second, and have all that is theirs erased by a job. Asked again, the same job.

        Collections that they share with others go to `hand_over_to`, another user; or go too, with `drop_shared`. Those that
        they share with nobody go.

        Raises:
            Conflict: `own_account`; `shared_collections`: nobody has said what becomes of these; `last_administrator`.
            InvalidRequest: `user_not_found`, nobody of this tenant can take the collections over.
            Forbidden: `more_than_own`, also for collections that are not the principal's to give.
        """
        async with self._database.transaction(principal.tenant) as session:
            user = await _user(session, principal, user_id, lock=True)
            await refuse_above(session, principal, user.role)
            if user.id == principal.id:
                raise Conflict("Somebody else has to do this to your account.", code="own_account")
            if (known := await open_about(session, DataRequestKind.ERASE_USER, user.id)) is not None:
                return known, await session.get_one(Job, known.job_id)
            await refuse_last(session, user.tenant, without_user=user.id)
            given = await settle_shared(session, principal, user, hand_over_to=hand_over_to, drop_shared=drop_shared)
            user.disabled_at = user.disabled_at or utc_now()
            session.add(user)
            await raise_epoch(session)
            request, job = await open_request(
                session,
                principal,
                DataRequestKind.ERASE_USER,
                subject=user.id,
                subject_tenant=principal.tenant,
                found={"collections": {"handed_over": len(given)}} if given else {},
            )
            await record_handed_over(session, principal, user, given)
            details: dict[str, audit.Detail] = {"job": job.id}
            if given and hand_over_to is not None:
                details["handed_over_to"] = hand_over_to
            await audit.record(session, audit.Action.USER_DELETED, on=("user", user.id), details=details, principal=principal)
        return request, job

    async def export_user(self, principal: Principal, user_id: str) -> tuple[DataRequest, Job]:
        """Have all that is held about somebody written into a file by a job: oneself, or a user that one manages."""
        async with self._database.transaction(principal.tenant) as session:
            await self._exportable(session, principal, user_id)
            request, job = await open_request(
                session, principal, DataRequestKind.EXPORT, subject=user_id, subject_tenant=principal.tenant
            )
            details: dict[str, audit.Detail] = {"job": job.id}
            await audit.record(session, audit.Action.USER_EXPORTED, on=("user", user_id), details=details, principal=principal)
        return request, job

    async def exports(self, principal: Principal, user_id: str) -> list[tuple[DataRequest, Job]]:
        """The exports of somebody's data, the newest first, at most 100."""
        query = (
            select(DataRequest, Job)
            .where(DataRequest.job_id == Job.id, DataRequest.subject == user_id, DataRequest.kind == DataRequestKind.EXPORT)
            .order_by(col(DataRequest.created_at).desc())
            .limit(100)
        )
        async with self._database.session(principal.tenant) as session:
            await self._exportable(session, principal, user_id)
            return list((await session.exec(query)).all())

    async def exportable(self, principal: Principal, user_id: str) -> None:
        """Refuse who may not have what is held about somebody."""
        async with self._database.session(principal.tenant) as session:
            await self._exportable(session, principal, user_id)

    @staticmethod
    async def _exportable(session: AsyncSession, principal: Principal, user_id: str) -> None:
        """A key that can do less than whom it acts for does not get around that by an export."""
        known = await session.get(User, principal.id) if user_id == principal.id else await _user(session, principal, user_id)
        role = principal.role if known is None else known.role  # a key that stands for itself is nobody else
        refuse_scopes(principal, await (scopes_of if user_id == principal.id else reach_of)(session, principal.tenant, role))
        if principal.collections is not None:
            raise denials.more_than_own(principal, ["collections"], "This key is for some collections alone.")

    async def teams(self, principal: Principal) -> list[tuple[Team, list[str]]]:
        """The teams by name, each with its members' identifiers."""
        async with self._database.session(principal.tenant) as session:
            teams = (await session.exec(select(Team).where(Team.tenant == principal.tenant).order_by(Team.name))).all()
            ids = [team.id for team in teams]
            members = (await session.exec(select(TeamMember).where(col(TeamMember.team_id).in_(ids)))).all()
        return [(team, sorted(one.user_id for one in members if one.team_id == team.id)) for team in teams]

    async def add_team(self, principal: Principal, name: str) -> Team:
        """Raises Conflict (`already_exists`)."""
        team = Team(tenant=principal.tenant, name=name)
        try:
            async with self._database.transaction(principal.tenant) as session:
                session.add(team)
                await audit.record(
                    session, audit.Action.TEAM_CHANGED, on=("team", team.id), details={"members": 0}, principal=principal
                )
        except IntegrityError:
            raise Conflict("There is a team of this name already.", code="already_exists", param="name") from None
        return team

    async def set_members(self, principal: Principal, team_id: str, user_ids: Sequence[str]) -> list[str]:
        """Let these users, and nobody else, belong to the team."""
        wanted = sorted(set(user_ids))
        async with self._database.transaction(principal.tenant) as session:
            team = await _team(session, principal, team_id)
            for user_id in wanted:
                await _user(session, principal, user_id)
            members = await _members(session, team)
            if not set(wanted) <= members:
                await _refuse_member(session, principal, team)
            await session.exec(delete(TeamMember).where(col(TeamMember.team_id) == team.id))
            session.add_all([TeamMember(team_id=team.id, user_id=user_id) for user_id in wanted])
            await raise_epoch(session)
            for told in changes(members, wanted):
                details: dict[str, audit.Detail] = {"members": len(wanted), **told}
                await audit.record(
                    session, audit.Action.TEAM_CHANGED, on=("team", team.id), details=details, principal=principal
                )
        return wanted

    async def set_member(self, principal: Principal, team_id: str, user_id: str, *, member: bool) -> None:
        """Let one user belong to the team, or no more. Twice is as once."""
        async with self._database.transaction(principal.tenant) as session:
            team, user = await _team(session, principal, team_id), await _user(session, principal, user_id, lock=True)
            row = await session.get(TeamMember, (team.id, user.id))
            if member and row is None:
                await _refuse_member(session, principal, team)
                session.add(TeamMember(team_id=team.id, user_id=user.id))
            elif not member and row is not None:
                await session.delete(row)
            await raise_epoch(session)
            details: dict[str, audit.Detail] = {"user": user.id, "member": member}
            await audit.record(session, audit.Action.TEAM_CHANGED, on=("team", team.id), details=details, principal=principal)

    async def delete_team(self, principal: Principal, team_id: str) -> None:
        """Delete a team; its members stay, and lose what was shared with it."""
        async with self._database.transaction(principal.tenant) as session:
            team = await _team(session, principal, team_id)
            members = await _members(session, team)
            await session.delete(team)
            await raise_epoch(session)
            for told in changes(members, ()):
                details: dict[str, audit.Detail] = {"deleted": True, **told}
                await audit.record(
                    session, audit.Action.TEAM_CHANGED, on=("team", team.id), details=details, principal=principal
                )

    async def roles(self, principal: Principal) -> list[CustomRole]:
        """The roles of the tenant's own, by name."""
        query = select(CustomRole).where(CustomRole.tenant == principal.tenant).order_by(CustomRole.name)
        async with self._database.session(principal.tenant) as session:
            return list((await session.exec(query)).all())

    async def set_role(self, principal: Principal, name: str, description: str, scopes: frozenset[Scope]) -> CustomRole:
        """Make a role, or change what it holds; who has it, has that within a second.

        Raises:
            Conflict: `built_in_role`.
        """
        if name in set(Role):
            raise Conflict("The built-in roles stay as they are.", code="built_in_role")
        refuse_scopes(principal, scopes)
        async with self._database.transaction(principal.tenant) as session:
            await refuse_limited(session, principal)
            role = await session.get(CustomRole, (principal.tenant, name), with_for_update=True)
            if role is None:
                await end_shares(session, principal.tenant, name)  # with one of this name that was deleted before
                await take_role(session, principal.tenant, name)
                role = CustomRole(tenant=principal.tenant, name=name)
            else:
                await refuse_above(session, principal, name)
            before, role.description, role.scopes = role.scopes, description, sorted(scopes)
            session.add(role)
            await raise_epoch(session)
            for told in changes(before, role.scopes):
                await audit.record(session, audit.Action.ROLE_CHANGED, on=("role", name), details=told, principal=principal)
        return role

    async def delete_role(self, principal: Principal, name: str) -> None:
        """Delete a role of the tenant's own, and what was shared with it; who has it has none any more, and can do nothing."""
        async with self._database.transaction(principal.tenant) as session:
            role = await session.get(CustomRole, (principal.tenant, name))
            if role is None:
                raise NotFound("There is no such role of your own.", code="role_not_found")
            await refuse_above(session, principal, name)
            ended, taken = [await end(session, principal.tenant, name) for end in (end_shares, take_role)]
            await session.delete(role)
            await raise_epoch(session)
            for told in changes(role.scopes, ()):
                details: dict[str, audit.Detail] = {"deleted": True, "shares_ended": ended, "holders": taken, **told}
                await audit.record(session, audit.Action.ROLE_CHANGED, on=("role", name), details=details, principal=principal)


async def _user(session: AsyncSession, principal: Principal, user_id: str, *, lock: bool = False) -> User:
    user = await session.get(User, user_id, with_for_update=lock)
    if user is None or user.tenant != principal.tenant:
        raise NotFound("There is no such user.", code="user_not_found")
    return user


async def _changeable(session: AsyncSession, principal: Principal, user_id: str, *, lock: bool = False) -> User:
    """A user whom the principal may change. Raises Conflict: `being_erased`."""
    user = await _user(session, principal, user_id, lock=lock)
    await refuse_above(session, principal, user.role)
    if await open_about(session, DataRequestKind.ERASE_USER, user.id) is not None:
        raise Conflict("This user is being erased.", code="being_erased")
    return user


async def _team(session: AsyncSession, principal: Principal, team_id: str) -> Team:
    team = await session.get(Team, team_id)
    if team is None or team.tenant != principal.tenant:
        raise NotFound("There is no such team.", code="team_not_found")
    return team


async def _members(session: AsyncSession, team: Team) -> set[str]:
    return set((await session.exec(select(TeamMember.user_id).where(TeamMember.team_id == team.id))).all())


async def _refuse_new(session: AsyncSession, principal: Principal, role: str) -> None:
    """Refuse to give a user a role that the principal may not give, without a limit."""
    await refuse_unknown(session, principal.tenant, role)
    await refuse_above(session, principal, role)
    await refuse_role(session, principal, role)


async def _refuse_member(session: AsyncSession, principal: Principal, team: Team) -> None:
    """Refuse to let anybody into the team for who is limited, and who may not use what is shared with it."""
    await refuse_limited(session, principal)
    await refuse_unseen(session, principal, ShareKind.TEAM, team.id)
