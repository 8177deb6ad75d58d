"""Kept conversations: the messages that belong to a caller's `session_id`, in the database.

A session is its owner's alone (a tenant's principal). One `session_id` is one conversation, whichever capability adds to it.
It remembers which collections were asked in it: a key that may not ask them neither reads it nor goes on with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import orjson
from pydantic import Field, StringConstraints, TypeAdapter, ValidationError
from sqlalchemy import ColumnElement, and_, delete, func, or_, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from chains.messages import Message
from core import answer_sources, audit, denials
from core.database import Database, utc_now
from core.encryption.envelope import Place, not_opened
from core.encryption.keyring import Sealer
from core.encryption.plain_forms import is_message, is_privacy
from core.errors import InvalidRequest, NotFound
from core.moments import in_utc
from core.policies.privacy import Record
from core.principals import Principal
from core.redaction.replacement import PSEUDONYM
from core.tables.conversations import Conversation, ConversationMessage

SessionId = Annotated[
    str, StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@-]*$", strict=True)
]
SessionField = Annotated[
    SessionId | None,
    Field(description="a name of your own; messages under it are kept, and the next call continues them"),
]

_MESSAGE: TypeAdapter[Any] = TypeAdapter(Message)
#: Where the pseudonyms of a session lie: table and column.
_PRIVACY = (Conversation.__tablename__, "privacy")
#: Where a message lies, and what in it names the guards that it has passed.
_PAYLOAD = (ConversationMessage.__tablename__, "payload")
_PASSED = "passed_guards"
#: What in it says where an answer comes from (`chains.kept_citations`).
_CITED = "citations"
Cited = Sequence[Mapping[str, Any]]
_ID: TypeAdapter[str] = TypeAdapter(SessionId)


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """A kept conversation, without its messages. `collections` were asked in it, by name."""

    session_id: str
    capability: str
    created_at: datetime
    updated_at: datetime
    collections: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KeptMessage:
    """A message and where it stands in its conversation, counted from 0. `passed`: the guards that it has passed, by key;
    `cited`: where an answer comes from, see `chains.kept_citations`."""

    id: str
    position: int
    created_at: datetime
    message: Any
    passed: frozenset[str] = frozenset()
    cited: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """What guards have read in a turn: `passed` of each of its messages, in order, and kept ones that were `reread`."""

    passed: Sequence[frozenset[str]] = ()
    reread: Sequence[KeptMessage] = ()


class Conversations:
    """Sessions and their messages, of the principal that is given with each call."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def history(self, principal: Principal, session_id: str, *, newest: int = 200) -> list[Any]:
        """The messages alone of what `recall` gives. Raises as it does."""
        return [kept.message for kept in await self.recall(principal, session_id, newest=newest)]

    async def recall(self, principal: Principal, session_id: str, *, newest: int = 200) -> list[KeptMessage]:
        """The session's messages, oldest first, at most the `newest` ones and every system message; empty for a new session.

        Raises:
            Forbidden: `session_not_allowed`: collections were asked in it that the key is not for.
        """
        async with self._database.session(principal.tenant) as session:
            conversation = await _find(session, principal, session_id)
            if conversation is None:
                return []
            _refuse_other_collections(principal, conversation)
            mine = select(ConversationMessage).where(ConversationMessage.conversation_id == conversation.id)
            last = await session.exec(mine.order_by(col(ConversationMessage.position).desc()).limit(newest))
            rows = {row.position: row for row in last}
            rows |= {row.position: row for row in await session.exec(mine.where(ConversationMessage.role == "system"))}
        return [await self._kept(principal, rows[position]) for position in sorted(rows)]

    async def privacy(self, principal: Principal, session_id: str) -> dict[str, Any]:
        """What is kept of a session's pseudonyms, for `core.policies.privacy.Record.take_up`; empty where there is nothing.
        Raises as `recall`."""
        async with self._database.session(principal.tenant) as session:
            conversation = await _find(session, principal, session_id)
        if conversation is None:
            return {}
        _refuse_other_collections(principal, conversation)
        return await self._kept_privacy(conversation)

    async def append(
        self,
        principal: Principal,
        session_id: str,
        messages: Sequence[Any],
        *,
        capability: str = "chat",
        privacy: Record | None = None,
        renames: bool = False,
        read: Reading = Reading(),
        collection: str | None = None,
        sources: Sequence[str] = (),
        cited: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Add messages to the end of a session, made when it is new. Calls at once do not mix their messages. `collection` is
        the name of the one that was asked, `sources` are the documents that the last message stands on, and
        `cited` the places in them. Raises as `recall`.

        The pseudonyms of `privacy` are kept with it. Where another turn has given one of them to another value meanwhile, it
        gets a new one, in the messages as well if they were written with pseudonyms (`renames`). What guards have `read` is
        remembered with the messages.
        """
        places: list[Cited] = [*[()] * (len(messages) - 1), cited][: len(messages)]
        new = [*zip(messages, read.passed or [frozenset[str]()] * len(messages), places, strict=True)]
        rows = [await self._row(principal, *one) for one in new]
        sealer = await self._database.keyring.sealer(principal.tenant)
        async with self._database.transaction(principal.tenant) as session:
            conversation = await _find_or_make(session, principal, session_id, capability)
            _refuse_other_collections(principal, conversation)
            conversation.updated_at = utc_now()
            if collection is not None and conversation.collections is not None:
                conversation.collections = sorted({*conversation.collections, collection})
            if privacy is not None:
                before = await self._kept_privacy(conversation)
                joined, renamed = privacy.joined(before)
                if (kept := joined.dump()) != before:
                    conversation.privacy = sealer.seal_json(*_PRIVACY, conversation.id, kept)
                if renames and renamed:
                    rows = [_sealed(sealer, _renamed(message, renamed), passed, places) for message, passed, places in new]
            counted = await session.exec(
                select(func.max(ConversationMessage.position)).where(ConversationMessage.conversation_id == conversation.id)
            )
            last = counted.one()
            first = 0 if last is None else last + 1
            for position, row in enumerate(rows, start=first):
                row.conversation_id, row.position = conversation.id, position
            session.add_all(rows)
            await session.flush()
            if not await answer_sources.note(session, rows[-1], sources):
                rows[-1].payload = sealer.seal_json(*_PAYLOAD, rows[-1].id, answer_sources.withheld())
            for each in read.reread:
                payload = sealer.seal_json(*_PAYLOAD, each.id, _payload(each.message, each.passed, each.cited))
                mine = (col(ConversationMessage.id) == each.id, col(ConversationMessage.conversation_id) == conversation.id)
                await session.exec(update(ConversationMessage).where(*mine).values(payload=payload))

    async def page(
        self, principal: Principal, *, limit: int = 50, after: str | None = None
    ) -> tuple[list[SessionInfo], str | None]:
        """A page of the sessions that the principal may read, newest first, and the position that the next page starts after
        (None: no more)."""
        query = select(Conversation).where(Conversation.tenant == principal.tenant, Conversation.owner == principal.id)
        query = query.order_by(col(Conversation.created_at).desc(), col(Conversation.id).desc()).limit(limit + 1)
        since = None if after is None else _position(after)
        rows: list[Conversation] = []
        async with self._database.session(principal.tenant) as session:
            while len(rows) <= limit:
                found = list(await session.exec(query if since is None else query.where(_behind(*since))))
                rows += [row for row in found if may_read(principal, row.collections)]
                if len(found) <= limit:
                    break
                since = (found[-1].created_at, found[-1].id)
        more = f"{rows[limit - 1].created_at.isoformat()}|{rows[limit - 1].id}" if len(rows) > limit else None
        return [_info(row) for row in rows[:limit]], more

    async def read(
        self, principal: Principal, session_id: str, *, limit: int = 50, after: str | None = None
    ) -> tuple[SessionInfo, list[KeptMessage], str | None]:
        """A session and a page of its messages, oldest first.

        Raises:
            NotFound: `session_not_found`.
        """
        async with self._database.session(principal.tenant) as session:
            conversation = await _find(session, principal, session_id)
            if conversation is None or not may_read(principal, conversation.collections):
                raise _missing(session_id)
            query = select(ConversationMessage).where(ConversationMessage.conversation_id == conversation.id)
            if after is not None:
                if not after.isdecimal() or len(after) > 9:
                    raise _bad_cursor()
                query = query.where(col(ConversationMessage.position) > int(after))
            rows = list(await session.exec(query.order_by(col(ConversationMessage.position)).limit(limit + 1)))
        kept = [await self._kept(principal, row) for row in rows[:limit]]
        return _info(conversation), kept, str(rows[limit - 1].position) if len(rows) > limit else None

    async def delete(self, principal: Principal, session_id: str) -> None:
        """Delete a session with its messages.

        Raises:
            NotFound: `session_not_found`.
        """
        async with self._database.transaction(principal.tenant) as session:
            conversation = await _find(session, principal, session_id, lock=True)
            if conversation is None or not may_read(principal, conversation.collections):
                raise _missing(session_id)
            await session.exec(delete(ConversationMessage).where(col(ConversationMessage.conversation_id) == conversation.id))
            await session.delete(conversation)
            on = ("conversation", conversation.id)
            await audit.record(session, audit.Action.CONVERSATION_DELETED, on=on, principal=principal)

    async def _row(self, principal: Principal, message: Any, passed: frozenset[str], cited: Cited) -> ConversationMessage:
        """A row for the message, sealed, which belongs to no conversation yet."""
        row = _new_row(message)
        row.payload = await self._database.keyring.seal_json(_place(principal, row), _payload(message, passed, cited))
        return row

    async def _kept_privacy(self, conversation: Conversation) -> dict[str, Any]:
        """Raises DecryptionFailed: it is not what was stored in this row for this tenant."""
        place = Place(conversation.tenant, *_PRIVACY, conversation.id)
        return dict(await self._database.keyring.open_json(place, conversation.privacy, fits=is_privacy))

    async def _kept(self, principal: Principal, row: ConversationMessage) -> KeptMessage:
        """Raises DecryptionFailed: it is not what was stored in this row for this tenant."""
        payload = await self._database.keyring.open_json(_place(principal, row), row.payload, fits=is_message)
        try:
            passed = frozenset(map(str, payload.get(_PASSED, ())))
            cited = tuple(payload.get(_CITED, ()))
            return KeptMessage(row.id, row.position, row.created_at, _MESSAGE.validate_python(payload), passed, cited)
        except ValidationError:  # its text would repeat what is stored
            raise not_opened("not a message") from None


def may_read(principal: Principal, collections: Sequence[str] | None) -> bool:
    """Whether a key may see a session in which these collections were asked; None, where that is not known, without limits
    alone."""
    if collections is None:
        return principal.may_search and principal.collections is None
    return not collections or (principal.may_search and all(map(principal.may_use_collection, collections)))


def _refuse_other_collections(principal: Principal, conversation: Conversation) -> None:
    if not may_read(principal, conversation.collections):
        message = "Collections were asked in this session that the key is not for: take another session_id."
        raise denials.barred(principal, message, code="session_not_allowed", param="session_id")


def _position(cursor: str) -> tuple[datetime, str]:
    created, _, identifier = cursor.partition("|")
    try:
        return in_utc(datetime.fromisoformat(created)), identifier
    except ValueError:
        raise _bad_cursor() from None


def _behind(moment: datetime, identifier: str) -> ColumnElement[bool]:
    created = col(Conversation.created_at)
    return or_(created < moment, and_(created == moment, col(Conversation.id) < identifier))


def _sealed(sealer: Sealer, message: Any, passed: frozenset[str], cited: Cited) -> ConversationMessage:
    """The same within a transaction."""
    row = _new_row(message)
    row.payload = sealer.seal_json(*_PAYLOAD, row.id, _payload(message, passed, cited))
    return row


def _new_row(message: Any) -> ConversationMessage:
    return ConversationMessage(conversation_id="", position=0, role=message.role)


def _payload(message: Any, passed: frozenset[str], cited: Cited) -> dict[str, Any]:
    payload: dict[str, Any] = message.model_dump(mode="json", exclude_defaults=True) | {"role": message.role}
    payload |= {_PASSED: sorted(passed)} if passed else {}
    return payload | ({_CITED: [*cited]} if cited else {})


def _place(principal: Principal, row: ConversationMessage) -> Place:
    return Place(principal.tenant, *_PAYLOAD, row.id)


async def _find(session: AsyncSession, principal: Principal, session_id: str, *, lock: bool = False) -> Conversation | None:
    query = select(Conversation).where(
        Conversation.tenant == principal.tenant, Conversation.owner == principal.id, Conversation.name == session_id
    )
    return (await session.exec(query.with_for_update() if lock else query)).one_or_none()


async def _find_or_make(session: AsyncSession, principal: Principal, session_id: str, capability: str) -> Conversation:
    """The session's row, locked until the transaction ends; of several calls that find none at once, one makes it."""
    found = await _find(session, principal, session_id, lock=True)
    if found is not None:
        return found
    made = Conversation(tenant=principal.tenant, owner=principal.id, name=session_id, capability=capability, collections=[])
    try:
        async with session.begin_nested():
            session.add(made)
    except IntegrityError:
        found = await _find(session, principal, session_id, lock=True)
        if found is None:
            raise
        return found
    return made


def _renamed(message: Any, renamed: Mapping[str, str]) -> Any:
    """The message with other pseudonyms."""

    def text(said: str) -> str:
        return PSEUDONYM.sub(lambda match: renamed.get(match[0], match[0]), said)

    said = orjson.loads(text(orjson.dumps(message.model_dump(mode="json")).decode()))
    return _MESSAGE.validate_python(said)


def _info(row: Conversation) -> SessionInfo:
    return SessionInfo(row.name, row.capability, row.created_at, row.updated_at, tuple(row.collections or ()))


def _missing(session_id: str) -> NotFound:
    return NotFound("There is no session of that name.", code="session_not_found")


def _bad_cursor() -> InvalidRequest:
    return InvalidRequest("The cursor is not one that this list gave.", code="invalid_cursor", param="cursor")
