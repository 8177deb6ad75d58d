"""Working off a batch: check its input, answer its rows some at once, write its files. Taken up again where it was left."""

import asyncio
import random
import secrets
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import structlog

from chains.conversations import Conversations
from chains.endpoints import Answer, answering, error_of
from chains.spec import ChainDeps
from core.batch_work import BatchLease, BatchWork, RowResult
from core.batches import QUEUE, RUN_BATCH
from core.context import RequestContext, serving
from core.database import utc_now
from core.errors import Internal, NotFound, PlatformError
from core.tables import BatchRow, BatchState
from jobs.alive import LeaseLost, kept_alive
from jobs.base import JobContext, JobSpec
from jobs.batch_files import write_files
from jobs.batch_input import read_input, read_row

log = structlog.get_logger()

#: Calls of one row that may fail for a while (a rate limit, a provider that is away) before it has failed.
TRIES = 6
#: Seconds between them: doubled each time, at random, and never less than the provider asks for.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
_CLAIMED_AT_ONCE = 64


async def run_batch(context: JobContext, batch_id: str) -> None:
    """Work on the batch until it has ended, if no other worker does. May be repeated, and run at once by many."""
    work = BatchWork(context.database, lease_s=context.settings.jobs.lease_s)
    lease = await work.take(batch_id)
    if lease is None:
        return
    with structlog.contextvars.bound_contextvars(job_id=lease.batch.job_id, batch_id=batch_id):
        try:
            await _go_on(context, work, lease)
        except LeaseLost:
            log.info("batch.left")
        finally:
            await asyncio.shield(_let_go(context, work, lease))


RUN = JobSpec(queue=QUEUE, run=run_batch)


async def _go_on(context: JobContext, work: BatchWork, lease: BatchLease) -> None:
    files = context.library.resources.files
    if lease.batch.state != BatchState.CANCELLING:
        try:
            async with (
                kept_alive(lambda: work.renew(lease), lease_s=context.settings.jobs.lease_s),
                files.local(f"files/{lease.batch.input_file_id}") as path,
            ):
                if lease.batch.state == BatchState.VALIDATING and not await _accepted(context, work, lease, path):
                    return
                await _Rows(context, work, lease, path).answer_all()
        except NotFound:
            if lease.batch.state == BatchState.VALIDATING:
                await work.refuse(lease, [{"code": "file_not_found", "message": "The input file is gone.", "line": 0}])
                return
        except LeaseLost:
            batch = await work.current(lease)
            if batch is None or batch.state != BatchState.CANCELLING:
                raise
    batch = await work.finalize(lease)
    if batch is not None:
        await write_files(work, files, lease, batch)
        log.info("batch.ended", state=batch.state, answered=batch.answered, failed=batch.failed)


async def _accepted(context: JobContext, work: BatchWork, lease: BatchLease, path: Path) -> bool:
    most = context.settings.batches.requests
    rows, errors = await asyncio.to_thread(read_input, path, lease.batch.endpoint, most=most)
    if errors:
        log.info("batch.refused", errors=len(errors), code=errors[0]["code"])
        await work.refuse(lease, errors)
        return False
    await work.accept(lease, rows)
    return True


async def _let_go(context: JobContext, work: BatchWork, lease: BatchLease) -> None:
    try:
        batch = await work.release(lease)
    except Exception:  # the sweeper finds it when the lease is over
        log.warning("batch.not_released", exc_info=True)
        return
    if batch is not None and not BatchState(batch.state).finished:
        await context.queue.send(RUN_BATCH, batch.id, queue=QUEUE)


@dataclass(slots=True)
class _Rows:
    """The rows of one batch that are left, answered some at once."""

    context: JobContext
    work: BatchWork
    lease: BatchLease
    path: Path
    _answer: Answer = field(init=False)
    _claimed: deque[BatchRow] = field(default_factory=deque)
    _after: int = 0
    _in_hand: dict[int, BatchRow] = field(default_factory=dict)
    _claiming: asyncio.Lock = field(default_factory=asyncio.Lock)
    _ended: "_Ended" = field(init=False)

    async def answer_all(self) -> None:
        """Until no row is left, or the time of the batch is over."""
        library = self.context.library
        deps = ChainDeps(
            settings=self.context.settings,
            models=library.resources.models,
            library=library,
            conversations=Conversations(self.context.database),
        )
        self._answer = await asyncio.to_thread(answering, self.lease.batch.endpoint, deps)
        self._ended = _Ended(self.work, self.lease)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self.context.settings.batches.concurrency):
                    group.create_task(self._answer_some())
        except* LeaseLost:
            raise LeaseLost from None
        finally:
            await asyncio.shield(self._ended.settled())
            left = [*self._claimed, *self._in_hand.values()]
            if left:
                await asyncio.shield(self.work.give_back(self.lease, left))

    async def _answer_some(self) -> None:
        while (row := await self._next()) is not None:
            self._in_hand[row.number] = row
            result = await self._answered(row)
            if not await self._ended.record(result):
                raise LeaseLost
            del self._in_hand[row.number]

    async def _next(self) -> BatchRow | None:
        if utc_now() >= self.lease.batch.expires_at:
            return None
        async with self._claiming:
            if not self._claimed:
                rows = await self.work.claim(self.lease, after=self._after, limit=_CLAIMED_AT_ONCE)
                self._claimed.extend(rows)
                self._after = rows[-1].number if rows else self._after
            return self._claimed.popleft() if self._claimed else None

    async def _answered(self, row: BatchRow) -> RowResult:
        """The row's answer, or why it has none."""
        endpoint = self.lease.batch.endpoint
        request = RequestContext(
            request_id=f"{self.lease.batch.id}-{row.number}",
            principal=self.lease.principal,
            openai=endpoint.startswith("/v1/"),
        )
        if row.attempts > self.context.settings.jobs.max_attempts:
            error: PlatformError = Internal(
                "The worker was ended each time that it worked on this request.", code="interrupted"
            )
        else:
            try:
                body = await asyncio.to_thread(read_row, self.path, row.position, row.length)
                with serving(request):
                    answer = await self._patiently(body)
            except PlatformError as refusal:
                error = refusal
            except Exception:  # the boundary of a row: the others of the batch go on
                log.exception("batch.row_crashed", row=row.number)
                error = Internal("The request could not be answered; the log says why.")
            else:
                return RowResult(row.number, row.custom_id, _line(row.custom_id, request.request_id, 200, answer))
        status, told = error_of(endpoint, error, request.request_id)
        line = _line(row.custom_id, request.request_id, status, told)
        return RowResult(row.number, row.custom_id, line, {"code": error.code, "message": error.message})

    async def _patiently(self, body: Any) -> Any:
        """A batch has time: what a provider refuses for now is asked again."""
        for tried in range(1, TRIES + 1):
            try:
                return await self._answer(body)
            except PlatformError as error:
                pause_s = random.uniform(0, min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**tried))  # noqa: S311 - no secret
                pause_s = max(pause_s, error.retry_after_s or 0)
                left_s = (self.lease.batch.expires_at - utc_now()).total_seconds()
                if not error.retryable or tried == TRIES or pause_s > min(left_s, 15 * LONGEST_PAUSE_S):
                    raise
                log.info("batch.row_waits", code=error.code, pause_s=round(pause_s, 1))
            await asyncio.sleep(pause_s)
        raise AssertionError("the last try returns or raises")


class _Ended:
    """Puts down how rows ended, those that end together in one transaction."""

    def __init__(self, work: BatchWork, lease: BatchLease) -> None:
        self._work = work
        self._lease = lease
        self._waiting: list[tuple[RowResult, asyncio.Future[bool]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def record(self, result: RowResult) -> bool:
        """True once it is put down; False when the lease was lost."""
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((result, written))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        return await written

    async def settled(self) -> None:
        """Wait until nothing is being put down any more."""
        if self._writing is not None:
            await self._writing

    async def _write(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            try:
                kept = await self._work.record(self._lease, [result for result, _ in group])
            except Exception as error:  # noqa: BLE001 - handed to those who wait for it
                for _, written in group:
                    if not written.done():
                        written.set_exception(error)
            else:
                for _, written in group:
                    if not written.done():
                        written.set_result(kept)


def _line(custom_id: str, request_id: str, status: int, body: Any) -> bytes:
    """A line of the output, in OpenAI's form."""
    response = {"status_code": status, "request_id": request_id, "body": body}
    return orjson.dumps(
        {"id": f"batch_req_{secrets.token_hex(8)}", "custom_id": custom_id, "response": response, "error": None}
    )
