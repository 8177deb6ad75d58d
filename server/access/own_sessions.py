"""What somebody has open: their browser sessions and the families of their tokens, listed and ended by themselves.

A token that may do less than whom it stands for has been given away for less: it sees and ends its own family alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import col, delete, false, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core import audit, denials
from core.database import Database, utc_now
from core.errors import NotFound
from core.principals import Principal, beyond
from core.tables import APIKey, BrowserSession, TokenFamily
from server.access.credentials import principal_of_key, principal_of_user
from server.access.epoch import raise_epoch
from server.access.tokens import end_families, open_families

_BROWSER = "ses_"
#: Of the digest that a session is stored under: enough to tell them apart, and no use to anybody else.
_SHOWN_CHARACTERS = 32


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A browser that is signed in, or a program that holds tokens (`kind`: `browser`, `token`)."""

    id: str
    kind: str
    created_at: datetime
    expires_at: datetime
    current: bool


async def own_sessions(
    database: Database, principal: Principal, current: str | None, *, family: str | None = None
) -> list[OpenSession]:
    """The principal's own, newest first. `current` is the digest of the session that asks, where one does; `family` that of
    the token that asks.

    Raises:
        Forbidden: `sign_in_needed`: a browser token neither sees nor ends what else its maker has open.
    """
    _refuse_browser_token(principal)
    async with database.session(principal.tenant) as session:
        own = await _own(session, principal, family)
        chosen = select(BrowserSession).where(own(BrowserSession), col(BrowserSession.expires_at) > utc_now())
        browsers: Sequence[BrowserSession] = (await session.exec(chosen.limit(200))).all()
        families = await open_families(session, [own(TokenFamily)])
    found = [OpenSession(_shown(row), "browser", row.created_at, row.expires_at, row.digest == current) for row in browsers] + [
        OpenSession(row.id, "token", row.created_at, row.expires_at, row.id == family) for row in families
    ]
    return sorted(found, key=lambda each: each.created_at, reverse=True)


async def end_own_session(database: Database, principal: Principal, session_id: str, *, family: str | None = None) -> None:
    """End one of them. `family` is that of the token that asks.

    Raises:
        NotFound: `session_not_found`, for another's as well.
        Forbidden: `sign_in_needed`.
    """
    _refuse_browser_token(principal)
    async with database.transaction(principal.tenant) as session:
        own = await _own(session, principal, family)
        if session_id.startswith(_BROWSER):
            start = session_id.removeprefix(_BROWSER)
            whole = len(start) == _SHOWN_CHARACTERS
            named = col(BrowserSession.digest).startswith(start, autoescape=True)
            chosen = delete(BrowserSession).where(own(BrowserSession), named)
            ended = (await session.exec(chosen)).rowcount if whole else 0
            await raise_epoch(session)
        else:
            ended = await end_families(session, col(TokenFamily.id) == session_id, own(TokenFamily))
        if not ended:
            raise NotFound("You have no such session.", code="session_not_found")
        on = ("session" if session_id.startswith(_BROWSER) else "token_family", session_id)
        await audit.record(session, audit.Action.SESSION_ENDED, on=on, principal=principal)


def _refuse_browser_token(principal: Principal) -> None:
    if principal.origin is not None:
        text = "Sign in, or show a key: a browser token does not manage sessions."
        raise denials.barred(principal, text, code="sign_in_needed")


async def _own(session: AsyncSession, principal: Principal, family: str | None) -> Callable[[Any], Any]:
    """The condition of a row of a table being the principal's to see and end."""
    narrow = principal.from_token and not await _does_all(session, principal)

    def condition(table: Any) -> Any:
        if narrow:
            return col(table.id) == family if table is TokenFamily else false()
        if principal.key_id is not None:
            return col(table.key_id) == principal.key_id
        return col(table.user_id) == principal.id

    return condition


async def _does_all(session: AsyncSession, principal: Principal) -> bool:
    """Whether a token may do all that whom it stands for may."""
    if principal.key_id is None:
        holder = await principal_of_user(session, principal.id)
    else:
        found = await principal_of_key(session, col(APIKey.id) == principal.key_id)
        holder = found[0] if found else None
    return holder is not None and not beyond(holder.scopes, principal.scopes)


def _shown(row: BrowserSession) -> str:
    return _BROWSER + row.digest[:_SHOWN_CHARACTERS]
