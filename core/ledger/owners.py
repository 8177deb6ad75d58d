"""Whose an entry of the ledger is, as conditions of the database: a team's, a key's, a user's."""

from typing import Any
from typing import cast as typed

from sqlalchemy import ColumnElement, func, literal, select

from core.tables import APIKey, TeamMember

_KEY: Any = APIKey.__table__.c  # type: ignore[attr-defined]
_MEMBER: Any = TeamMember.__table__.c  # type: ignore[attr-defined]


def is_teams(row: Any, team: Any) -> ColumnElement[bool]:
    """What was called by who was in the team at that time. Of an entry that does not know its teams: by who is in it now."""
    listed = literal(",") + row.teams + literal(",")
    members = select(_MEMBER.user_id).where(_MEMBER.team_id == team)
    named = listed.like(literal("%,") + team + literal(",%"))
    return typed("ColumnElement[bool]", named | (row.teams.is_(None) & row.principal.in_(members)))


def is_keys(row: Any, key: str) -> ColumnElement[bool]:
    """What was called with the key, with those that it took the place of, and with those that took its place."""
    first = select(func.coalesce(_KEY.stands_for, _KEY.id)).where(_KEY.id == key).scalar_subquery()
    line = select(_KEY.id).where((_KEY.id == first) | (_KEY.stands_for == first))
    return typed("ColumnElement[bool]", (row.key_id == key) | row.key_id.in_(line))


def is_users(row: Any, user: str) -> ColumnElement[bool]:
    """What a user called, or a key that is nobody's: it calls by the name of the first that it took the place of."""
    first = select(_KEY.stands_for).where(_KEY.id == user)
    return typed("ColumnElement[bool]", (row.principal == user) | row.principal.in_(first))
