"""Data that goes by itself: what is past the time that the deployment, or its tenant, has it kept for.

May be applied by several processes at once: what one has deleted the other does not find.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy import ColumnElement
from sqlmodel import col, delete, func, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core import audit
from core.belongings import AT_ONCE, Belonging
from core.database import utc_now
from core.errors import PlatformError
from core.policies.retention import RetentionPolicy
from core.principals import DEFAULT_TENANT, SYSTEM
from core.stored_files import BATCH, BATCH_OUTPUT, drop_unclaimed, let_go
from core.tables import (
    Batch,
    BatchState,
    BrowserSession,
    Collection,
    Conversation,
    ConversationMessage,
    DataRequest,
    Document,
    DocumentState,
    EvalDataset,
    EvalExample,
    EvalResult,
    EvalRun,
    IdempotencyRecord,
    Job,
    RequestOutcome,
    RunState,
    SignInAttempts,
    SignInToken,
    StoredFile,
    Tenant,
    TokenFamily,
)
from evals.datasets import SESSIONS
from jobs.base import JobContext

log = structlog.get_logger()

_RUNS_ENDED = [state.value for state in RunState if state.finished]
_ENDED = [state.value for state in BatchState if state.finished]
#: The kind of what `audit.erase_addresses` erases.
_ADDRESSES = "audit_addresses"
#: Failed sign-ins count for a day.
_ATTEMPTS_FOR = timedelta(days=1)


class Retention:
    """Applied by the sweeper every `GENAI_RETENTION__EVERY_S` seconds."""

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._database = context.database
        self._settings = context.settings.retention
        self._next = 0.0

    async def apply_in_time(self) -> None:
        """Apply it if it is time to."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + self._settings.every_s
            await self.apply()

    async def apply(self) -> dict[str, Counter[str]]:
        """Delete what is past its time; how much of each kind, by tenant. Each tenant's counts are put on record."""
        async with self._database.session(all_tenants=True) as session:
            tenants = sorted({DEFAULT_TENANT, *(await session.exec(select(Tenant.id))).all()})
        policies, done = self._context.library.resources.models.policies, {}
        for tenant in tenants:
            done[tenant] = await self._of_tenant(tenant, policies.of(tenant).retention)
            if deleted := {kind: number for kind, number in done[tenant].items() if number}:
                log.info("retention.applied", tenant=tenant, **deleted)
                deleted.pop(_ADDRESSES, None)  # on record with their erasure
            if deleted:
                async with self._database.transaction(tenant) as session:
                    who = replace(SYSTEM, tenant=tenant)
                    await audit.record(session, audit.Action.RETENTION_APPLIED, details={**deleted}, principal=who)
        await self._of_nobody()
        return done

    async def _of_tenant(self, tenant: str, policy: RetentionPolicy) -> Counter[str]:
        work = _Tenant(self._context, tenant, policy)
        for step in (
            work.conversations, work.answers, work.exports, work.batches, work.uploads,
            work.evaluations, work.jobs, work.documents,
        ):  # fmt: skip
            await step()
        try:
            work.deleted["cache"] += await self._context.library.resources.models.answers.trim(tenant, policy)
        except PlatformError as error:  # entries end by themselves; the next pass sees to the others
            log.info("retention.cache_away", code=error.code)
        if (days := self._settings.audit_address_days) is not None:
            async with self._database.transaction(tenant) as session:
                before = utc_now() - timedelta(days=days)
                work.deleted[_ADDRESSES] += await audit.erase_addresses(session, tenant, before=before)
        await drop_unclaimed(self._database, self._context.library.resources.files)
        return work.deleted

    async def _of_nobody(self) -> None:
        """What has run out, of all tenants: nothing of it is any use. And what killed processes left opened."""
        if left := await asyncio.to_thread(self._context.library.resources.files.scratch.sweep):
            log.info("scratch.swept", directories=left)
        now = utc_now()
        async with self._database.transaction(all_tenants=True) as session:
            await session.exec(delete(BrowserSession).where(col(BrowserSession.expires_at) < now))
            await session.exec(delete(SignInToken).where(col(SignInToken.expires_at) < now))
            await session.exec(delete(TokenFamily).where(col(TokenFamily.expires_at) < now))
            await session.exec(delete(SignInAttempts).where(col(SignInAttempts.last_at) < now - _ATTEMPTS_FOR))


class _Tenant:
    """One pass over a tenant's data. With `none` everything that is kept of requests is past its time."""

    def __init__(self, context: JobContext, tenant: str, policy: RetentionPolicy) -> None:
        self._context, self._tenant, self._policy = context, tenant, policy
        self._database = context.database
        self._now = utc_now()
        self.deleted: Counter[str] = Counter()

    def _before(self, days: float | None, *, of_requests: bool = True) -> datetime | None:
        """What is older is past its time; None where nothing is."""
        if self._policy.none and of_requests:
            return self._now
        return None if days is None else self._now - timedelta(days=days)

    async def conversations(self) -> None:
        before = self._before(self._policy.conversations_days)
        if before is None:
            return
        old = (col(Conversation.tenant) == self._tenant) & (col(Conversation.updated_at) < before)
        ids = select(col(Conversation.id)).where(old)
        await self._drop("messages", Belonging(ConversationMessage, col(ConversationMessage.conversation_id).in_(ids)))
        await self._drop("conversations", Belonging(Conversation, old))

    async def answers(self) -> None:
        """Answers to an `Idempotency-Key`. One that is still being answered holds its key until it runs out."""
        past = col(IdempotencyRecord.expires_at) < self._now
        if (before := self._before(self._policy.idempotency_days, of_requests=False)) is not None:
            past = or_(past, (col(IdempotencyRecord.created_at) < before) & col(IdempotencyRecord.status).is_not(None))
        if self._policy.none:
            past = or_(past, col(IdempotencyRecord.body).is_not(None))
        await self._drop("answers", Belonging(IdempotencyRecord, (col(IdempotencyRecord.tenant) == self._tenant) & past))

    async def exports(self) -> None:
        past = (col(DataRequest.subject_tenant) == self._tenant, col(DataRequest.expires_at) < self._now)
        async with self._database.transaction(all_tenants=True) as session:
            query = select(DataRequest).where(*past, DataRequest.file_key != "").with_for_update()
            rows = (await session.exec(query)).all()
            await let_go(session, [row.file_key for row in rows])
            for row in rows:
                row.file_key = ""
                session.add(row)
        self.deleted["exports"] += len(rows)

    async def batches(self) -> None:
        """With their files, but for an input that another batch has too."""
        before = self._before(self._policy.batches_days)
        if before is None:
            return
        ended = (Batch.tenant == self._tenant, col(Batch.state).in_(_ENDED), col(Batch.ended_at) < before)
        while True:
            async with self._database.transaction(all_tenants=True) as session:
                query = select(Batch).where(*ended).order_by(Batch.id).limit(AT_ONCE).with_for_update()
                rows = (await session.exec(query)).all()
                await session.exec(delete(Batch).where(col(Batch.id).in_([row.id for row in rows])))
                named = {name for row in rows for name in (row.input_file_id, row.output_file_id, row.error_file_id) if name}
                self.deleted["files"] += await self._files(
                    session, [col(StoredFile.id).in_(named), ~_in_a_batch()], most=3 * AT_ONCE
                )
            self.deleted["batches"] += len(rows)
            if len(rows) < AT_ONCE:
                return

    async def uploads(self) -> None:
        """Files that no batch uses."""
        before = self._before(self._policy.uploads_days)
        if before is None:
            return
        purposes = col(StoredFile.purpose).in_((BATCH, BATCH_OUTPUT))
        number = AT_ONCE
        while number == AT_ONCE:
            async with self._database.transaction(all_tenants=True) as session:
                old = col(StoredFile.created_at) < before
                number = await self._files(session, [purposes, old, ~_in_a_batch()])
            self.deleted["uploads"] += number

    async def evaluations(self) -> None:
        """Runs with all that came of them, and how requests ended whose versions were compared. Where nothing is kept, datasets
        that were made of conversations as well."""
        before = self._before(self._policy.evaluations_days)
        if before is not None:
            ended = col(EvalRun.state).in_(_RUNS_ENDED) & (col(EvalRun.ended_at) < before)
            old = (col(EvalRun.tenant) == self._tenant) & ended
            runs = select(col(EvalRun.id)).where(old)
            await self._drop("evaluation_results", Belonging(EvalResult, col(EvalResult.run_id).in_(runs)))
            await self._drop("evaluations", Belonging(EvalRun, old))
        if (since := self._before(self._policy.evaluations_days, of_requests=False)) is not None:
            compared = (col(RequestOutcome.tenant) == self._tenant) & (col(RequestOutcome.at) < since)
            await self._drop("request_outcomes", Belonging(RequestOutcome, compared))
        if self._policy.none:
            said = (col(EvalDataset.tenant) == self._tenant) & (col(EvalDataset.source) == SESSIONS)
            datasets = select(col(EvalDataset.id)).where(said)
            await self._drop("examples", Belonging(EvalExample, col(EvalExample.dataset_id).in_(datasets)))
            await self._drop("datasets", Belonging(EvalDataset, said))

    async def jobs(self) -> None:
        """But for those that something still hangs on."""
        before = self._before(self._policy.jobs_days, of_requests=False)
        if before is None:
            return
        batch = select(Batch.id).where(Batch.job_id == Job.id).exists()
        run = select(EvalRun.id).where(EvalRun.job_id == Job.id).exists()
        request = select(DataRequest.id).where(
            DataRequest.job_id == Job.id, or_(DataRequest.file_key != "", col(DataRequest.settle_at).is_not(None))
        )
        past = (col(Job.tenant) == self._tenant) & (col(Job.finished_at) < before) & ~batch & ~run & ~request.exists()
        await self._drop("jobs", Belonging(Job, past))

    async def documents(self) -> None:
        """Those that the platform keeps itself, its handbook, are not a tenant's to lose."""
        before = self._before(self._policy.documents_days, of_requests=False)
        if before is None:
            return
        documents, who = self._context.library.documents, replace(SYSTEM, tenant=self._tenant)
        changed = func.coalesce(Document.content_at, Document.updated_at)
        query = (
            select(Document, Collection)
            .where(Document.collection_id == Collection.id, Document.tenant == self._tenant)
            .where(func.coalesce(Collection.owner, "") != SYSTEM.id, changed < before)
            .where(col(Document.state).in_((DocumentState.READY, DocumentState.FAILED)))
            .limit(AT_ONCE)
        )
        async with self._database.session(self._tenant) as session:
            found = (await session.exec(query)).all()
        for document, collection in found:
            await documents.delete(who, collection, document.id)
        self.deleted["documents"] += len(found)

    async def _files(self, session: AsyncSession, conditions: Sequence[ColumnElement[bool]], most: int = AT_ONCE) -> int:
        chosen = select(StoredFile).where(StoredFile.tenant == self._tenant, *conditions).limit(most)
        rows = (await session.exec(chosen)).all()
        await let_go(session, [row.key for row in rows])
        await session.exec(delete(StoredFile).where(col(StoredFile.id).in_([row.id for row in rows])))
        return len(rows)

    async def _drop(self, kind: str, belonging: Belonging) -> None:
        number = AT_ONCE
        while number == AT_ONCE:
            async with self._database.transaction(all_tenants=True) as session:
                number = await belonging.drop_some(session)
            self.deleted[kind] += number


def _in_a_batch() -> ColumnElement[bool]:
    return (
        select(Batch.id)
        .where(or_(*(column == StoredFile.id for column in (Batch.input_file_id, Batch.output_file_id, Batch.error_file_id))))
        .exists()
    )
