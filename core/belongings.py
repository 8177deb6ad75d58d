"""What rows are whose: all that hangs on a user, all that hangs on a tenant, in the order in which it can be deleted.

A user's are what they made and what stands for them: conversations, files, batches, jobs, answers kept for repetition, keys and
what was signed in with them, and what was set for them alone: budgets with their alerts, rate limits, cost centres. Collections
and what they hold are in the stores as well: see `jobs.erasure`; words in the ledger: see `core.ledger.erasure`. A test holds
this against the tables, so that a new one cannot be forgotten.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Table, inspect, or_, select, tuple_
from sqlmodel import SQLModel, col, delete
from sqlmodel.ext.asyncio.session import AsyncSession

from core.jobs import ERASURE
from core.tables import (
    AlertDelivery,
    AlertRow,
    AnswerSource,
    APIKey,
    Batch,
    BatchRow,
    BrowserSession,
    Budget,
    CollectionShare,
    Conversation,
    ConversationMessage,
    CostCentreRule,
    EvalDataset,
    EvalExample,
    EvalResult,
    EvalRun,
    EvalSuite,
    Feedback,
    IdempotencyRecord,
    Job,
    JobEvent,
    RateLimit,
    RefreshToken,
    ShareKind,
    SignInToken,
    Source,
    TeamMember,
    TokenFamily,
    User,
)
from core.tenancy import SHARED, THROUGH, own_column

#: Rows that one transaction deletes.
AT_ONCE = 500
#: The record stays, under identifiers that name nobody any more; keys and the tenant itself go last of all.
STAYING = frozenset({"audit_events", "audit_heads", "data_keys", "tenants"})


@dataclass(frozen=True, slots=True)
class Belonging:
    """Rows of one table."""

    model: type[SQLModel]
    condition: ColumnElement[bool]

    @property
    def kind(self) -> str:
        """What they are called where it is told how many there were: by their table."""
        return str(self.model.__tablename__)

    async def drop_some(self, session: AsyncSession) -> int:
        """Delete `AT_ONCE` of them at most; how many."""
        key: list[Any] = [getattr(self.model, column.key) for column in inspect(self.model).primary_key]
        which: Any = key[0] if len(key) == 1 else tuple_(*key)
        found: Any = (await session.exec(_some(key, self.condition))).all()
        if found:
            values = [row[0] for row in found] if len(key) == 1 else [tuple(row) for row in found]
            await session.exec(delete(self.model).where(which.in_(values)))
        return len(found)


def _some(key: list[Any], condition: ColumnElement[bool]) -> Any:
    return select(*key).where(condition).limit(AT_ONCE)


def of_user(tenant: str, user_id: str) -> list[Belonging]:
    """What is a user's, the user last. Answers of before it was noted whose they are count as theirs: nobody can tell.

    Erasures that they asked for stay, so that these are finished: see `jobs.erasure`."""
    keys = select(col(APIKey.id)).where(col(APIKey.tenant) == tenant, col(APIKey.user_id) == user_id)
    families = select(col(TokenFamily.id)).where(or_(col(TokenFamily.user_id) == user_id, col(TokenFamily.key_id).in_(keys)))
    datasets, runs = _of_evaluations(tenant, user_id)
    batches = select(col(Batch.id)).where(col(Batch.tenant) == tenant, col(Batch.owner) == user_id)
    jobs = select(col(Job.id)).where(col(Job.tenant) == tenant, col(Job.owner) == user_id, col(Job.kind) != ERASURE)
    chats = select(col(Conversation.id)).where(col(Conversation.tenant) == tenant, col(Conversation.owner) == user_id)
    shared_with = (col(CollectionShare.kind) == ShareKind.USER.value, col(CollectionShare.subject) == user_id)
    unknown = or_(col(IdempotencyRecord.owner) == user_id, col(IdempotencyRecord.owner).is_(None))
    limited: list[ColumnElement[bool]] = [
        (col(model.tenant) == tenant) & or_(col(model.user) == user_id, col(model.key).in_(keys))
        for model in (Budget, RateLimit)
    ]
    budgets = select(col(Budget.id)).where(limited[0])
    told = (col(AlertRow.tenant) == tenant) & col(AlertRow.subject)["budget"].as_string().in_(budgets)
    notices = col(AlertDelivery.alert_id).in_(select(col(AlertRow.id)).where(told))
    rules = or_(
        (col(CostCentreRule.kind) == "user") & (col(CostCentreRule.value) == user_id),
        (col(CostCentreRule.kind) == "key") & col(CostCentreRule.value).in_(keys),
    )
    return [
        Belonging(AnswerSource, col(AnswerSource.conversation_id).in_(chats)),
        Belonging(ConversationMessage, col(ConversationMessage.conversation_id).in_(chats)),
        Belonging(Conversation, col(Conversation.id).in_(chats)),
        Belonging(IdempotencyRecord, (col(IdempotencyRecord.tenant) == tenant) & unknown),
        Belonging(Feedback, (col(Feedback.tenant) == tenant) & (col(Feedback.principal) == user_id)),
        Belonging(BatchRow, col(BatchRow.batch_id).in_(batches)),
        Belonging(Batch, col(Batch.id).in_(batches)),
        *_evaluations(tenant, user_id, datasets, runs),
        Belonging(JobEvent, col(JobEvent.job_id).in_(jobs)),
        Belonging(Job, col(Job.id).in_(jobs)),
        Belonging(Source, (col(Source.tenant) == tenant) & (col(Source.owner) == user_id)),
        Belonging(CollectionShare, shared_with[0] & shared_with[1]),
        Belonging(RefreshToken, col(RefreshToken.family_id).in_(families)),
        Belonging(TokenFamily, col(TokenFamily.id).in_(families)),
        Belonging(BrowserSession, or_(col(BrowserSession.user_id) == user_id, col(BrowserSession.key_id).in_(keys))),
        Belonging(SignInToken, col(SignInToken.key_id).in_(keys)),
        Belonging(AlertDelivery, (col(AlertDelivery.tenant) == tenant) & notices),
        Belonging(AlertRow, told),
        Belonging(Budget, limited[0]),
        Belonging(RateLimit, limited[1]),
        Belonging(CostCentreRule, (col(CostCentreRule.tenant) == tenant) & rules),
        Belonging(APIKey, col(APIKey.id).in_(keys)),
        Belonging(TeamMember, col(TeamMember.user_id) == user_id),
        Belonging(User, (col(User.tenant) == tenant) & (col(User.id) == user_id)),
    ]


def _of_evaluations(tenant: str, user_id: str) -> tuple[Any, Any]:
    mine = [(col(model.tenant) == tenant) & (col(model.owner) == user_id) for model in (EvalDataset, EvalRun)]
    return select(col(EvalDataset.id)).where(mine[0]), select(col(EvalRun.id)).where(mine[1])


def _evaluations(tenant: str, user_id: str, datasets: Any, runs: Any) -> list[Belonging]:
    """Theirs, and in others' datasets and runs what was made of their conversations."""
    all_datasets = select(col(EvalDataset.id)).where(col(EvalDataset.tenant) == tenant)
    all_runs = select(col(EvalRun.id)).where(col(EvalRun.tenant) == tenant)
    said = (col(EvalExample.subject) == user_id) & col(EvalExample.dataset_id).in_(all_datasets)
    asked = (col(EvalResult.subject) == user_id) & col(EvalResult.run_id).in_(all_runs)
    return [
        Belonging(EvalResult, or_(col(EvalResult.run_id).in_(runs), asked)),
        Belonging(EvalRun, col(EvalRun.id).in_(runs)),
        Belonging(EvalExample, or_(col(EvalExample.dataset_id).in_(datasets), said)),
        Belonging(EvalDataset, col(EvalDataset.id).in_(datasets)),
        Belonging(EvalSuite, (col(EvalSuite.tenant) == tenant) & (col(EvalSuite.owner) == user_id)),
    ]


def of_tenant(tenant: str) -> Iterator[Belonging]:
    """Every row of a tenant's, those that refer to others first; but for what is `STAYING`."""
    classes = {mapper.local_table: mapper.class_ for mapper in inspect(Job).registry.mappers}
    for table in reversed(SQLModel.metadata.sorted_tables):
        if table.name not in SHARED | STAYING:
            yield Belonging(classes[table], _is_of(table, tenant))


def _is_of(table: Table, tenant: str) -> ColumnElement[bool]:
    column = own_column(table)
    if column is not None:
        return table.c[column] == tenant
    ways = []
    for own, parent in THROUGH[table.name]:
        of = SQLModel.metadata.tables[parent]
        ways.append(table.c[own].in_(select(of.c.id).where(of.c.tenant == tenant)))
    return or_(*ways)
