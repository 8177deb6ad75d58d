"""What is held about somebody, kind by kind, as lines of an export. Digests are left out, what is sealed is opened."""

from collections.abc import AsyncIterator, Callable
from typing import Any

from sqlalchemy import ColumnElement, inspect, tuple_
from sqlmodel import SQLModel, col, or_, select

from core.audit.stream import as_ecs
from core.batches import result_place
from core.database import Database
from core.encryption.envelope import Place
from core.principals import ANONYMOUS
from core.tables import (
    APIKey,
    AuditEvent,
    Batch,
    BatchRow,
    BrowserSession,
    Budget,
    Collection,
    CollectionShare,
    Conversation,
    ConversationMessage,
    CostCentreRule,
    Document,
    EvalDataset,
    EvalExample,
    EvalResult,
    EvalRun,
    EvalSuite,
    Feedback,
    IdempotencyRecord,
    IndexGeneration,
    Job,
    LedgerAdjustment,
    LedgerRow,
    RateLimit,
    Source,
    StoredFile,
    Team,
    TeamMember,
    TokenFamily,
    User,
)

_AT_ONCE = 200
#: Columns that say nothing about anybody: digests of secrets, and what workers note for themselves.
_LEFT_OUT = {"digest", "reuse_key", "password_digest", "principal", "lease", "leased_until", "fingerprint", "rolled", "secrets"}

Page = list[dict[str, Any]]


class Parts:
    """The kinds of data about `subject`, a user or a key that stands for itself."""

    def __init__(self, database: Database, tenant: str, subject: str) -> None:
        self._database, self._tenant, self._subject = database, tenant, subject

    @property
    def all(self) -> dict[str, Callable[[], AsyncIterator[Page]]]:
        """By the name that each has in the export."""
        return {
            "profile": self._plain(User, col(User.id) == self._subject),
            "teams": self._plain(Team, col(Team.id).in_(self._ids(TeamMember.team_id, col(TeamMember.user_id)))),
            "keys": self._plain(APIKey, self._holds_key),
            "browser_sessions": self._plain(BrowserSession, self._acts(BrowserSession)),
            "token_families": self._plain(TokenFamily, self._acts(TokenFamily)),
            "conversations": self._conversations,
            "messages": self._messages,
            "collections": self._plain(Collection, self._owns(Collection)),
            "documents": self._plain(Document, self.in_own_collections),
            "sources": self._plain(Source, self._owns(Source)),
            "generations": self._plain(
                IndexGeneration, col(IndexGeneration.collection_id).in_(self._ids(Collection.id, col(Collection.owner)))
            ),
            "shares": self._plain(CollectionShare, col(CollectionShare.subject) == self._subject),
            "usage": self._plain(
                LedgerRow, or_(col(LedgerRow.principal) == self._subject, self._by_key(col(LedgerRow.key_id)))
            ),
            "adjustments": self._plain(LedgerAdjustment, col(LedgerAdjustment.principal) == self._subject),
            "budgets": self._plain(Budget, or_(col(Budget.user) == self._subject, self._by_key(col(Budget.key)))),
            "rate_limits": self._plain(RateLimit, or_(col(RateLimit.user) == self._subject, self._by_key(col(RateLimit.key)))),
            "cost_centre_rules": self._plain(CostCentreRule, self._fits),
            "files": self._plain(StoredFile, self._owns(StoredFile)),
            "batches": self._plain(Batch, self._owns(Batch)),
            "batch_results": self._batch_results,
            "feedback": self._feedback,
            "eval_datasets": self._plain(EvalDataset, self._owns(EvalDataset)),
            "eval_examples": self._eval_examples,
            "eval_suites": self._eval_suites,
            "eval_runs": self._eval_runs,
            "eval_results": self._eval_results,
            "jobs": self._plain(Job, self._owns(Job)),
            "kept_answers": self._kept_answers,
            "audit": self._audit,
        }

    @property
    def in_own_collections(self) -> ColumnElement[bool]:
        """The condition of a document of one of their collections."""
        return col(Document.collection_id).in_(self._ids(Collection.id, col(Collection.owner)))

    async def documents(self) -> AsyncIterator[Document]:
        async for rows in self._pages(Document, self.in_own_collections):
            for row in rows:
                yield row

    async def files(self) -> AsyncIterator[StoredFile]:
        async for rows in self._pages(StoredFile, self._owns(StoredFile)):
            for row in rows:
                yield row

    def _owns(self, model: Any) -> ColumnElement[bool]:
        return model.owner == self._subject  # type: ignore[no-any-return]  # a column's comparison

    def _acts(self, model: Any) -> ColumnElement[bool]:
        return or_(model.user_id == self._subject, self._by_key(model.key_id))

    @property
    def _holds_key(self) -> ColumnElement[bool]:
        """The condition of a key that acts for them, or is the one that they are, or took its place."""
        return or_(*(column == self._subject for column in (col(APIKey.user_id), col(APIKey.id), col(APIKey.stands_for))))

    def _by_key(self, key: Any) -> ColumnElement[bool]:
        return or_(key == self._subject, key.in_(select(APIKey.id).where(self._holds_key)))

    @property
    def _fits(self) -> ColumnElement[bool]:
        value = col(CostCentreRule.value)
        return or_(
            (col(CostCentreRule.kind) == "user") & (value == self._subject),
            (col(CostCentreRule.kind) == "key") & self._by_key(value),
        )

    def _ids(self, wanted: Any, owner: Any) -> Any:
        return select(wanted).where(owner == self._subject)

    def _plain(self, model: type[SQLModel], *conditions: ColumnElement[bool]) -> Callable[[], AsyncIterator[Page]]:
        async def pages() -> AsyncIterator[Page]:
            async for rows in self._pages(model, *conditions):
                yield [_told(row) for row in rows]

        return pages

    async def _conversations(self) -> AsyncIterator[Page]:
        async for rows in self._pages(Conversation, self._owns(Conversation)):
            yield [_told(row) | {"privacy": await self._opened(row, "privacy", row.id)} for row in rows]

    async def _messages(self) -> AsyncIterator[Page]:
        mine = col(ConversationMessage.conversation_id).in_(self._ids(Conversation.id, col(Conversation.owner)))
        async for rows in self._pages(ConversationMessage, mine):
            yield [_told(row) | {"payload": await self._opened(row, "payload", row.id)} for row in rows]

    async def _feedback(self) -> AsyncIterator[Page]:
        async for rows in self._pages(Feedback, col(Feedback.principal) == self._subject):
            told = []
            for row in rows:
                place = Place(self._tenant, Feedback.__tablename__, "comment", row.id)
                comment = None if row.comment is None else (await self._database.keyring.open(place, row.comment)).decode()
                told.append(_told(row) | {"comment": comment})
            yield told

    async def _batch_results(self) -> AsyncIterator[Page]:
        mine = col(BatchRow.batch_id).in_(self._ids(Batch.id, col(Batch.owner)))
        async for rows in self._pages(BatchRow, mine):
            told = []
            for row in rows:
                place = result_place(self._tenant, row.batch_id, row.number)
                line = None if row.result is None else await self._database.keyring.open(place, row.result)
                told.append(_told(row) | {"result": None if line is None else line.decode(errors="replace")})
            yield told

    async def _eval_examples(self) -> AsyncIterator[Page]:
        theirs = or_(
            col(EvalExample.dataset_id).in_(self._ids(EvalDataset.id, col(EvalDataset.owner))),
            col(EvalExample.subject) == self._subject,
        )
        async for rows in self._pages(EvalExample, theirs):
            yield [_told(row) | {"content": await self._text(row, "content", f"{row.dataset_id}/{row.number}")} for row in rows]

    async def _eval_suites(self) -> AsyncIterator[Page]:
        async for rows in self._pages(EvalSuite, self._owns(EvalSuite)):
            yield [_told(row) | {"definition": await self._text(row, "definition", row.id)} for row in rows]

    async def _eval_runs(self) -> AsyncIterator[Page]:
        async for rows in self._pages(EvalRun, self._owns(EvalRun)):
            yield [_told(row) | {"definition": await self._text(row, "definition", row.id)} for row in rows]

    async def _eval_results(self) -> AsyncIterator[Page]:
        theirs = or_(
            col(EvalResult.run_id).in_(self._ids(EvalRun.id, col(EvalRun.owner))), col(EvalResult.subject) == self._subject
        )
        async for rows in self._pages(EvalResult, theirs):
            told = []
            for row in rows:
                key = f"{row.run_id}/{row.number}"
                texts = {name: await self._text(row, name, key) for name in ("outcome", "details")}
                told.append(_told(row) | texts)
            yield told

    async def _text(self, row: Any, column: str, key: str) -> str | None:
        """What is sealed in a column that holds bytes."""
        value = getattr(row, column)
        if value is None:
            return None
        content = await self._database.keyring.open(Place(self._tenant, row.__tablename__, column, key), value)
        return content.decode(errors="replace")

    async def _kept_answers(self) -> AsyncIterator[Page]:
        async for rows in self._pages(IdempotencyRecord, self._owns(IdempotencyRecord)):
            told = []
            for row in rows:
                place = Place(self._tenant, IdempotencyRecord.__tablename__, "body", row.id)
                body = None if row.body is None else await self._database.keyring.open(place, row.body)
                told.append(_told(row) | {"body": None if body is None else body.decode(errors="replace")})
            yield told

    async def _audit(self) -> AsyncIterator[Page]:
        own = (self._subject, ANONYMOUS.id)  # where a colleague was who did something to them is the colleague's
        for_them = col(AuditEvent.details)["on_behalf_of"].as_string() == self._subject
        about = or_(col(AuditEvent.actor) == self._subject, col(AuditEvent.object_id) == self._subject, for_them)
        async for rows in self._pages(AuditEvent, about):
            yield [_told_event(row, whole=row.actor in own) for row in rows]

    async def _opened(self, row: Any, column: str, key: str) -> Any:
        return await self._database.keyring.open_json(Place(self._tenant, row.__tablename__, column, key), getattr(row, column))

    async def _pages(self, model: Any, *conditions: ColumnElement[bool]) -> AsyncIterator[list[Any]]:
        """Rows in the order of their key. Holds no session open between two reads."""
        key = [getattr(model, column.key) for column in inspect(model).primary_key]
        after: tuple[Any, ...] | None = None
        while True:
            query = select(model).where(*conditions).order_by(*key).limit(_AT_ONCE)
            if after is not None:
                query = query.where(tuple_(*key) > after)
            async with self._database.session(self._tenant) as session:
                rows = list((await session.exec(query)).all())
            if rows:
                yield rows
            if len(rows) < _AT_ONCE:
                return
            after = tuple(getattr(rows[-1], column.key) for column in key)


def _told_event(row: AuditEvent, *, whole: bool) -> dict[str, Any]:
    return {name: value for name, value in as_ecs(row).items() if whole or name != "source.ip"}


def _told(row: SQLModel) -> dict[str, Any]:
    return row.model_dump(exclude=_LEFT_OUT | _sealed(row))


def _sealed(row: SQLModel) -> set[str]:
    """Columns that are opened apart."""
    return (
        {"payload", "privacy", "result", "body", "content", "definition", "outcome", "details"}
        if not isinstance(row, Job)
        else set()
    )
