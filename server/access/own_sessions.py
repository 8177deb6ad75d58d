"""What somebody has open: their browser sessions and the families of their tokens, listed and ended by themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import col, delete, select

from core import audit
from core.database import Database, utc_now
from core.errors import Forbidden, NotFound
from core.principals import Principal
from core.tables import BrowserSession, TokenFamily
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


async def own_sessions(database: Database, principal: Principal, current: str | None) -> list[OpenSession]:
    """The principal's own, newest first. `current` is the digest of the session that asks, where one does.

    Raises:
        Forbidden: `sign_in_needed`: a browser token neither sees nor ends what else its maker has open.
    """
    _refuse_browser_token(principal)
    async with database.session(principal.tenant) as session:
        chosen = select(BrowserSession).where(_owner(BrowserSession, principal), col(BrowserSession.expires_at) > utc_now())
        browsers: Sequence[BrowserSession] = (await session.exec(chosen.limit(200))).all()
        families = await open_families(session, [_owner(TokenFamily, principal)])
    found = [OpenSession(_shown(row), "browser", row.created_at, row.expires_at, row.digest == current) for row in browsers] + [
        OpenSession(row.id, "token", row.created_at, row.expires_at, False) for row in families
    ]
    return sorted(found, key=lambda each: each.created_at, reverse=True)


async def end_own_session(database: Database, principal: Principal, session_id: str) -> None:
    """End one of them.

    Raises:
        NotFound: `session_not_found`, for another's as well.
        Forbidden: `sign_in_needed`.
    """
    _refuse_browser_token(principal)
    async with database.transaction(principal.tenant) as session:
        if session_id.startswith(_BROWSER):
            start = session_id.removeprefix(_BROWSER)
            whole = len(start) == _SHOWN_CHARACTERS
            named = col(BrowserSession.digest).startswith(start, autoescape=True)
            chosen = delete(BrowserSession).where(_owner(BrowserSession, principal), named)
            ended = (await session.exec(chosen)).rowcount if whole else 0
            await raise_epoch(session)
        else:
            ended = await end_families(session, col(TokenFamily.id) == session_id, _owner(TokenFamily, principal))
        if not ended:
            raise NotFound("You have no such session.", code="session_not_found")
        on = ("session" if session_id.startswith(_BROWSER) else "token_family", session_id)
        await audit.record(session, audit.Action.SESSION_ENDED, on=on, principal=principal)


def _refuse_browser_token(principal: Principal) -> None:
    if principal.origin is not None:
        raise Forbidden("Sign in, or show a key: a browser token does not manage sessions.", code="sign_in_needed")


def _owner(table: Any, principal: Principal) -> Any:
    if principal.key_id is not None:
        return col(table.key_id) == principal.key_id
    return col(table.user_id) == principal.id


def _shown(row: BrowserSession) -> str:
    return _BROWSER + row.digest[:_SHOWN_CHARACTERS]
