"""Batches as workers see them: leased, worked off row by row, closed.

The database is the truth. A worker takes a lease on a batch, and every write of its work asks for that lease, so that a holder
that lost it changes nothing any more. Each row's end is recorded once; a batch that is taken up again goes on with the rows
that are left. Locks are taken in one order everywhere: the batch, then its job.
"""

import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert
from sqlmodel import col, delete, or_, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from core import jobs
from core.batches import lock_batch, result_place, results
from core.database import Database, utc_now
from core.files import Files
from core.principals import Principal, Scope
from core.rights import REVOKED, REVOKED_MESSAGE, principal_now
from core.stored_files import claim, put_unclaimed
from core.tables import Batch, BatchRow, BatchState, JobState, RowState, StoredFile

_OPEN = tuple(state.value for state in BatchState if not state.finished)
_INSERTED_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class NewRow:
    """One request as the input file has it: `length` bytes from `position` on."""

    number: int
    custom_id: str
    position: int
    length: int


@dataclass(frozen=True, slots=True)
class RowResult:
    """How a row ended: its line of the output. `error` (`code`, `message`) where it failed."""

    number: int
    custom_id: str
    line: bytes
    error: Mapping[str, str] | None = None


@dataclass(slots=True)
class BatchLease:
    """The right to work on `batch`, a row detached from any session, for `principal`: its owner, with what they still have of
    the rights that they had when they made it."""

    id: str
    batch: Batch
    principal: Principal


class BatchWork:
    """What a worker does with batches, under leases of `lease_s` seconds."""

    def __init__(self, database: Database, *, lease_s: float) -> None:
        self._database = database
        self._lease_s = lease_s

    async def take(self, batch_id: str) -> BatchLease | None:
        """A lease; None where the batch has ended or another worker has it."""
        async with self._database.transaction(all_tenants=True) as session:
            batch = await lock_batch(session, batch_id)
            now = utc_now()
            if batch is None or batch.state not in _OPEN or (batch.leased_until is not None and batch.leased_until > now):
                return None
            lease = BatchLease(secrets.token_hex(8), batch, Principal.from_job(batch.principal))
            batch.lease, batch.leased_until = lease.id, now + timedelta(seconds=self._lease_s)
            await jobs.begin(session, batch.job_id)
        return lease

    async def renew(self, lease: BatchLease, needs: Scope) -> bool:
        """A sign of life. False when the lease is lost, or the batch is to be cancelled: by request, or since whom it is
        worked on for may not have it done any more, for which they need the scope."""
        async with self._database.transaction(lease.batch.tenant) as session:
            principal = await principal_now(session, lease.principal)
            if principal is not None:
                lease.principal = principal
            if (principal is None or not principal.may(needs)) and await _stop(session, lease):
                return False
            renewed = await session.exec(
                update(Batch)
                .where(
                    col(Batch.id) == lease.batch.id,
                    col(Batch.lease) == lease.id,
                    col(Batch.state).in_((BatchState.VALIDATING, BatchState.IN_PROGRESS, BatchState.FINALIZING)),
                )
                .values(leased_until=utc_now() + timedelta(seconds=self._lease_s))
            )
        return renewed.rowcount == 1

    async def release(self, lease: BatchLease, *, rest: bool = False) -> Batch | None:
        """Give the lease back; the row as it is now, None when another worker has it. With `rest` nobody takes the batch for as
        long as a lease lasts: what failed would fail again at once."""
        async with self._database.transaction(lease.batch.tenant) as session:
            batch = await _held(session, lease)
            if batch is not None:
                batch.lease, batch.leased_until = None, None
                if rest:
                    batch.leased_until = utc_now() + timedelta(seconds=self._lease_s)
        return batch

    async def current(self, lease: BatchLease) -> Batch | None:
        """The row as it is now, None when another worker has it."""
        async with self._database.session(lease.batch.tenant) as session:
            batch = await session.get(Batch, lease.batch.id)
        return batch if batch is not None and batch.lease == lease.id else None

    async def refuse(self, lease: BatchLease, errors: Sequence[Mapping[str, Any]]) -> None:
        """The input cannot be worked on: the batch has failed. `errors`: `code`, `message`, `line` and `param` each."""
        async with self._database.transaction(lease.batch.tenant) as session:
            batch = await _held(session, lease)
            if batch is None or batch.state != BatchState.VALIDATING:
                return
            batch.state, batch.ended_at = BatchState.FAILED, utc_now()
            batch.errors = [dict(error) for error in errors]
            job = await jobs.lock_job(session, batch.job_id)
            if job is not None:
                job.errors = [
                    {"document": f"line {error['line']}", "code": error["code"], "message": error["message"]}
                    for error in errors
                ]
                await jobs.end(session, job, JobState.FAILED)

    async def accept(self, lease: BatchLease, rows: Sequence[NewRow]) -> None:
        """The input is good: put its rows down, then begin. What a worker before this one put down is replaced."""
        async with self._database.transaction(lease.batch.tenant) as session:
            if await _held(session, lease) is None:
                return
            await session.exec(delete(BatchRow).where(col(BatchRow.batch_id) == lease.batch.id))
        for first in range(0, len(rows), _INSERTED_AT_ONCE):
            values = [
                {
                    "batch_id": lease.batch.id,
                    "number": row.number,
                    "custom_id": row.custom_id,
                    "position": row.position,
                    "length": row.length,
                    "state": RowState.PENDING.value,
                    "attempts": 0,
                }
                for row in rows[first : first + _INSERTED_AT_ONCE]
            ]
            async with self._database.transaction(lease.batch.tenant) as session:
                if await _held(session, lease) is None:
                    return
                await session.exec(insert(BatchRow), params=values)
        async with self._database.transaction(lease.batch.tenant) as session:
            batch = await _held(session, lease)
            if batch is None or batch.state != BatchState.VALIDATING:
                return
            batch.state, batch.started_at, batch.total = BatchState.IN_PROGRESS, utc_now(), len(rows)
            job = await jobs.lock_job(session, batch.job_id)
            if job is not None:
                job.total = len(rows)
                await jobs.tell(session, job, "progress")

    async def pending(self, lease: BatchLease, *, begun: bool, after: int, limit: int) -> list[BatchRow]:
        """The next rows to answer: those that a worker had begun when it died, or those that none has."""
        async with self._database.transaction(lease.batch.tenant) as session:
            if await _held(session, lease) is None:
                return []
            query = (
                select(BatchRow)
                .where(
                    BatchRow.batch_id == lease.batch.id,
                    col(BatchRow.number) > after,
                    BatchRow.state == RowState.PENDING.value,
                    col(BatchRow.attempts) > 0 if begun else col(BatchRow.attempts) == 0,
                )
                .order_by(col(BatchRow.number))
                .limit(limit)
            )
            return list((await session.exec(query)).all())

    async def begin(self, lease: BatchLease, rows: Sequence[BatchRow]) -> bool:
        """Count a try of rows whose work starts now. False when the lease was lost; then nothing has changed."""
        async with self._database.transaction(lease.batch.tenant) as session:
            if await _held(session, lease) is None:
                return False
            await session.exec(
                update(BatchRow)
                .where(col(BatchRow.batch_id) == lease.batch.id, col(BatchRow.number).in_([row.number for row in rows]))
                .values(attempts=col(BatchRow.attempts) + 1)
            )
        return True

    async def give_back(self, lease: BatchLease, rows: Sequence[BatchRow]) -> None:
        """Rows that were begun and are not answered, because the worker stops: their try does not count."""
        async with self._database.transaction(lease.batch.tenant) as session:
            if await _held(session, lease) is not None:
                await session.exec(
                    update(BatchRow)
                    .where(
                        col(BatchRow.batch_id) == lease.batch.id,
                        col(BatchRow.number).in_([row.number for row in rows]),
                        col(BatchRow.attempts) > 0,
                    )
                    .values(attempts=col(BatchRow.attempts) - 1)
                )

    async def record(self, lease: BatchLease, results: Sequence[RowResult]) -> bool:
        """These rows have ended. False when the lease was lost; then nothing has changed."""
        failed = [result for result in results if result.error is not None]
        keyring, tenant = self._database.keyring, lease.batch.tenant
        lines = [await keyring.seal(result_place(tenant, lease.batch.id, result.number), result.line) for result in results]
        async with self._database.transaction(tenant) as session:
            batch = await _held(session, lease)
            if batch is None:
                return False
            for result, line in zip(results, lines, strict=True):
                state = RowState.ANSWERED if result.error is None else RowState.FAILED
                await session.exec(
                    update(BatchRow)
                    .where(col(BatchRow.batch_id) == batch.id, col(BatchRow.number) == result.number)
                    .values(state=state.value, result=line)
                )
            batch.answered += len(results) - len(failed)
            batch.failed += len(failed)
            errors = [{"document": result.custom_id, **(result.error or {})} for result in failed]
            await jobs.advance(session, batch.job_id, done=batch.answered + batch.failed, errors=errors)
        return True

    async def finalize(self, lease: BatchLease) -> Batch | None:
        """No row is left to answer, or none is to be: the files are written now. The row, None when the lease was lost."""
        async with self._database.transaction(lease.batch.tenant) as session:
            batch = await _held(session, lease)
            if batch is not None and batch.state == BatchState.IN_PROGRESS:
                batch.state, batch.finalizing_at = BatchState.FINALIZING, utc_now()
        return batch

    async def lines(self, batch: Batch, state: RowState) -> AsyncGenerator[list[bytes]]:
        """Lines of the rows in a state that has them, in order, some MiB at a time."""
        async with aclosing(results(self._database, batch, BatchRow.state == state.value)) as groups:
            async for group in groups:
                yield group

    async def unanswered(self, batch: Batch, *, after: int, limit: int) -> list[tuple[int, str]]:
        """Rows that have not ended, in order: (number, custom_id)."""
        query = (
            select(BatchRow.number, BatchRow.custom_id)
            .where(BatchRow.batch_id == batch.id, col(BatchRow.number) > after, BatchRow.state == RowState.PENDING.value)
            .order_by(col(BatchRow.number))
            .limit(limit)
        )
        async with self._database.session(batch.tenant) as session:
            return [(number, custom_id) for number, custom_id in await session.exec(query)]

    async def put_file(self, files: Files, file: StoredFile, content: Path) -> None:
        """Store the bytes of a file that `close` is to name."""
        await put_unclaimed(self._database, files, file, content)

    async def close(
        self, lease: BatchLease, state: BatchState, *, output: StoredFile | None, errors: StoredFile | None
    ) -> bool:
        """The batch has ended; its files are in the file store. False when the lease was lost; then nothing has changed."""
        async with self._database.transaction(lease.batch.tenant) as session:
            batch = await _held(session, lease)
            if batch is None:
                return False
            for file in (output, errors):
                if file is not None:
                    await claim(session, file)
            batch.output_file_id = None if output is None else output.id
            batch.error_file_id = None if errors is None else errors.id
            batch.state, batch.ended_at = state, utc_now()
            await session.exec(delete(BatchRow).where(col(BatchRow.batch_id) == batch.id))
            job = await jobs.lock_job(session, batch.job_id)
            if job is not None and not JobState(job.state).finished:
                all_failed = batch.total > 0 and batch.failed >= batch.total
                completed = JobState.FAILED if all_failed else JobState.SUCCEEDED
                ended = {BatchState.COMPLETED: completed, BatchState.CANCELLED: JobState.CANCELLED}
                await jobs.end(session, job, ended.get(state, JobState.FAILED))
        return True

    async def waiting(self, *, all_of_them: bool = False) -> list[str]:
        """Batches that no living worker has. `all_of_them` where no other worker can be alive: their leases end."""
        now = utc_now()
        free = or_(col(Batch.leased_until).is_(None), col(Batch.leased_until) < now)
        async with self._database.transaction(all_tenants=True) as session:
            if all_of_them:
                await session.exec(update(Batch).where(col(Batch.lease).is_not(None)).values(lease=None, leased_until=None))
            rows = await session.exec(select(Batch.id).where(col(Batch.state).in_(_OPEN), free).order_by(col(Batch.created_at)))
            return list(rows.all())


async def _stop(session: AsyncSession, lease: BatchLease) -> bool:
    """End the batch where there is something left to end."""
    batch = await _held(session, lease)
    if batch is None or batch.state not in (BatchState.VALIDATING, BatchState.IN_PROGRESS):
        return False
    batch.state, batch.cancelling_at = BatchState.CANCELLING, utc_now()
    batch.errors = [{"code": REVOKED, "message": REVOKED_MESSAGE, "line": 0}]
    return True


async def _held(session: AsyncSession, lease: BatchLease) -> Batch | None:
    batch = await lock_batch(session, lease.batch.id)
    return batch if batch is not None and batch.lease == lease.id and batch.state in _OPEN else None
