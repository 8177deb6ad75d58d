"""Batches as callers see them: made, read and cancelled. `core.batch_work` has the workers' side."""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta

from sqlalchemy import ColumnElement, func
from sqlmodel import and_, col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core import jobs
from core.database import Database, utc_now
from core.encryption.envelope import Place
from core.errors import InvalidRequest, NotFound
from core.principals import Principal
from core.stored_files import reach, seen_batches
from core.tables import Batch, BatchRow, BatchState, StoredFile

#: What workers are called by.
RUN_BATCH, QUEUE = "run_batch", "batches"
JOB_KIND = jobs.BATCH
WINDOW = timedelta(hours=24)
#: What is read of the results at once: rows whose sizes are looked up, and bytes of those that are fetched together.
_GROUP_ROWS, _GROUP_BYTES = 500, 4 * 2**20


class Batches:
    """What callers do with batches. Another's batch is not found; who may manage batches reaches those of their tenant."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self, principal: Principal, *, endpoint: str, input_file: StoredFile, labels: Mapping[str, str] | None = None
    ) -> Batch:
        """A new batch with its job. The caller sends `RUN_BATCH` after this; a message that is lost, the sweeper sends."""
        async with self._database.transaction(principal.tenant) as session:
            job = await jobs.open_job(session, principal, JOB_KIND, total=0, arguments={"endpoint": endpoint})
            batch = Batch(
                tenant=principal.tenant,
                owner=principal.id,
                principal=principal.to_job(),
                collections=reach(principal.collections),
                endpoint=endpoint,
                job_id=job.id,
                input_file_id=input_file.id,
                labels=dict(labels or {}),
                expires_at=utc_now() + WINDOW,
            )
            session.add(batch)
            await session.flush()
            job.arguments = {"endpoint": endpoint, "batch": batch.id}
        return batch

    async def get(self, principal: Principal, batch_id: str) -> Batch:
        """Raises NotFound (`batch_not_found`)."""
        async with self._database.session(principal.tenant) as session:
            batch = (await session.exec(select(Batch).where(Batch.id == batch_id, seen_batches(principal)))).first()
        if batch is None:
            raise NotFound("There is no such batch.", code="batch_not_found")
        return batch

    async def of_job(self, principal: Principal, job_id: str) -> Batch:
        """The batch that a job works on. Raises NotFound (`batch_not_found`)."""
        async with self._database.session(principal.tenant) as session:
            batch = (await session.exec(select(Batch).where(Batch.job_id == job_id))).first()
        return await self.get(principal, batch.id if batch is not None else "")

    async def page(self, principal: Principal, *, limit: int, after: str | None = None) -> tuple[list[Batch], bool]:
        """The newest first, those after the batch `after`; and whether there are more.

        Raises:
            InvalidRequest: `invalid_cursor`: there is no batch `after`.
        """
        query = select(Batch).where(seen_batches(principal))
        if after is not None:
            try:
                last = await self.get(principal, after)
            except NotFound:
                raise InvalidRequest("The list has no such batch.", code="invalid_cursor", param="after") from None
            same_moment = and_(col(Batch.created_at) == last.created_at, col(Batch.id) < last.id)
            query = query.where(or_(col(Batch.created_at) < last.created_at, same_moment))
        async with self._database.session(principal.tenant) as session:
            ordered = query.order_by(col(Batch.created_at).desc(), col(Batch.id).desc())
            rows = (await session.exec(ordered.limit(limit + 1))).all()
        return list(rows[:limit]), len(rows) > limit

    async def cancel(self, principal: Principal, batch_id: str) -> Batch:
        """Ask for the end of a batch: rows that have ended stay, and are written. No effect on one that has ended.

        The caller sends `RUN_BATCH` after this, for a batch that no worker has.
        """
        await self.get(principal, batch_id)
        async with self._database.transaction(principal.tenant) as session:
            batch = await lock_batch(session, batch_id)
            assert batch is not None  # noqa: S101 - batches are never deleted
            if batch.state in (BatchState.VALIDATING, BatchState.IN_PROGRESS):
                batch.state = BatchState.CANCELLING
                batch.cancelling_at = utc_now()
        return batch

    async def results(self, batch: Batch) -> AsyncGenerator[list[bytes]]:
        """Lines of the rows that have ended, of a batch whose files are not written yet, in order, some MiB at a time."""
        async with aclosing(results(self._database, batch)) as groups:
            async for group in groups:
                yield group


async def results(database: Database, batch: Batch, *conditions: ColumnElement[bool] | bool) -> AsyncGenerator[list[bytes]]:
    """Lines of a batch's rows in order, as many at a time as have `_GROUP_BYTES` together, or one that has more.

    Raises:
        DecryptionFailed: a row's line is not what was stored there.
    """
    chosen = (col(BatchRow.batch_id) == batch.id, col(BatchRow.result).is_not(None), *conditions)
    after = 0
    while True:
        sized = select(BatchRow.number, func.length(BatchRow.result)).where(*chosen, col(BatchRow.number) > after)
        async with database.session(batch.tenant) as session:
            sizes = list(await session.exec(sized.order_by(col(BatchRow.number)).limit(_GROUP_ROWS)))
        for first, last in _groups(sizes):
            lines = select(BatchRow.number, BatchRow.result).where(*chosen, col(BatchRow.number).between(first, last))
            async with database.session(batch.tenant) as session:
                rows = [(number, line) for number, line in await session.exec(lines.order_by(col(BatchRow.number))) if line]
            yield [await database.keyring.open(result_place(batch.tenant, batch.id, number), line) for number, line in rows]
        if len(sizes) < _GROUP_ROWS:
            return
        after = sizes[-1][0]


def _groups(sizes: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The first and the last row of each group; `sizes`: (number, bytes) of each row."""
    start, size = 0, 0
    for index, (_, more) in enumerate(sizes):
        if index > start and size + more > _GROUP_BYTES:
            yield sizes[start][0], sizes[index - 1][0]
            start, size = index, 0
        size += more
    if sizes:
        yield sizes[start][0], sizes[-1][0]


def result_place(tenant: str, batch_id: str, number: int) -> Place:
    """Where a row's result is, for its seal."""
    return Place(tenant, BatchRow.__tablename__, "result", f"{batch_id}/{number}")


async def lock_batch(session: AsyncSession, batch_id: str) -> Batch | None:
    """The row, locked until the transaction ends."""
    return (await session.exec(select(Batch).where(Batch.id == batch_id).with_for_update())).first()
