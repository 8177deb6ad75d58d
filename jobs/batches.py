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
from chains.endpoints import Answer, answering, error_of, scope_of
from chains.spec import ChainDeps
from core import ledger
from core.batch_work import BatchLease, BatchWork, RowResult
from core.batches import QUEUE, RUN_BATCH
from core.contained import contained
from core.context import RequestContext, serving
from core.database import utc_now
from core.errors import Internal, NotFound, PlatformError
from core.jobs import BATCH
from core.principals import Scope
from core.tables import BatchRow, BatchState
from jobs.alive import LeaseLost, kept_alive
from jobs.base import JobContext, JobSpec
from jobs.batch_files import write_files
from jobs.batch_input import read_input, read_row
from jobs.joining import job_of, joined
from jobs.together import Together

log = structlog.get_logger()

#: Calls of one row that may fail for a while (a rate limit, a provider that is away) before it has failed.
TRIES = 6
#: Seconds between them: doubled each time, at random, and never less than the provider asks for.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
_READ_AT_ONCE = 64


async def run_batch(context: JobContext, batch_id: str) -> None:
    """Work on the batch until it has ended, if no other worker does. May be repeated, and run at once by many."""
    work = BatchWork(context.database, lease_s=context.settings.jobs.lease_s)
    lease = await work.take(batch_id)
    if lease is None:
        return
    job = await job_of(context.database, lease.batch.job_id)
    bound = structlog.contextvars.bound_contextvars(job_id=lease.batch.job_id, batch_id=batch_id)
    with joined(job, BATCH), bound:
        crashed = False
        try:
            await _go_on(context, work, lease)
        except LeaseLost:
            log.info("batch.left")
        except Exception:
            crashed = True
            raise
        finally:
            await asyncio.shield(_let_go(context, work, lease, crashed=crashed))


RUN = JobSpec(queue=QUEUE, run=run_batch)


async def _go_on(context: JobContext, work: BatchWork, lease: BatchLease) -> None:
    files = context.library.resources.files
    if lease.batch.state != BatchState.CANCELLING:
        needs = await asyncio.to_thread(scope_of, lease.batch.endpoint)
        try:
            await _wanted(work, lease, needs)
            async with (
                kept_alive(lambda: work.renew(lease, needs), lease_s=context.settings.jobs.lease_s),
                files.local(f"files/{lease.batch.input_file_id}", tenant=lease.batch.tenant) as path,
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


async def _wanted(work: BatchWork, lease: BatchLease, needs: Scope) -> None:
    """Raises LeaseLost: the batch is not to be worked on by us."""
    if not await work.renew(lease, needs):
        raise LeaseLost


async def _accepted(context: JobContext, work: BatchWork, lease: BatchLease, path: Path) -> bool:
    most = context.settings.batches.requests
    rows, errors = await asyncio.to_thread(read_input, path, lease.batch.endpoint, most=most)
    if errors:
        log.info("batch.refused", errors=len(errors), code=errors[0]["code"])
        await work.refuse(lease, errors)
        return False
    await work.accept(lease, rows)
    return True


async def _let_go(context: JobContext, work: BatchWork, lease: BatchLease, *, crashed: bool) -> None:
    """Leave the batch, if it has not ended, to the next worker; after a failure to the sweeper, in a while."""
    try:
        batch = await work.release(lease, rest=crashed)
    except Exception:  # the sweeper finds it when the lease is over
        log.warning("batch.not_released", exc_info=True)
        return
    if batch is not None and not BatchState(batch.state).finished and not crashed:
        await context.queue.send(RUN_BATCH, batch.id, queue=QUEUE)


@dataclass(slots=True)
class _Rows:
    """The rows of one batch that are left, answered some at once. Those that a worker had begun when it died come first, one by
    one: if one of them ends its worker each time, the others are not blamed for it."""

    context: JobContext
    work: BatchWork
    lease: BatchLease
    path: Path
    _answer: Answer = field(init=False)
    _next_ones: deque[BatchRow] = field(default_factory=deque)
    _after: int = 0
    _in_hand: dict[int, BatchRow] = field(default_factory=dict)
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    _begun: "Together[BatchRow]" = field(init=False)
    _ended: "Together[RowResult]" = field(init=False)

    async def answer_all(self) -> None:
        """Until no row is left, or the time of the batch is over."""
        library = self.context.library
        deps = ChainDeps(
            settings=self.context.settings,
            models=library.resources.models,
            library=library,
            conversations=Conversations(self.context.database),
            analyser=library.resources.models.privacy.analyser,
        )
        self._answer = await asyncio.to_thread(answering, self.lease.batch.endpoint, deps)
        self._begun = Together(lambda rows: self.work.begin(self.lease, rows))
        self._ended = Together(lambda results: self.work.record(self.lease, results))
        try:
            for begun, at_once in ((True, 1), (False, self.context.settings.batches.concurrency)):
                self._after = 0
                async with asyncio.TaskGroup() as group:
                    for _ in range(at_once):
                        group.create_task(self._answer_some(begun=begun))
        except* LeaseLost:
            raise LeaseLost from None
        finally:
            await asyncio.shield(self._settle())

    async def _settle(self) -> None:
        await self._begun.settled()
        await self._ended.settled()
        if self._in_hand:
            await self.work.give_back(self.lease, list(self._in_hand.values()))

    async def _answer_some(self, *, begun: bool) -> None:
        while (row := await self._next(begun=begun)) is not None:
            if row.attempts < self.context.settings.jobs.max_attempts:
                result = await self._begin_and_answer(row)
            else:
                error = Internal("The worker was ended each time that it worked on this request.", code="interrupted")
                result = self._failed(row, error)
            if not await self._ended.write(result):
                raise LeaseLost
            self._in_hand.pop(row.number, None)

    async def _begin_and_answer(self, row: BatchRow) -> RowResult:
        self._in_hand[row.number] = row
        try:
            begun = await self._begun.write(row)
        except Exception:
            del self._in_hand[row.number]
            raise
        if not begun:
            raise LeaseLost
        return await self._answered(row)

    async def _next(self, *, begun: bool) -> BatchRow | None:
        if utc_now() >= self.lease.batch.expires_at:
            return None
        async with self._reading:
            if not self._next_ones:
                rows = await self.work.pending(self.lease, begun=begun, after=self._after, limit=_READ_AT_ONCE)
                self._next_ones.extend(rows)
                self._after = rows[-1].number if rows else self._after
            return self._next_ones.popleft() if self._next_ones else None

    async def _answered(self, row: BatchRow) -> RowResult:
        """The row's answer, or why it has none."""
        request = RequestContext(
            request_id=self._request_id(row),
            principal=self.lease.principal,
            openai=self.lease.batch.endpoint.startswith("/v1/"),
        )
        try:
            endpoint, depth = self.lease.batch.endpoint, self.context.settings.limits.json_depth
            body = await asyncio.to_thread(read_row, self.path, row.position, row.length, endpoint, most_depth=depth)
            with serving(request), contained():
                answer = await self._patiently(body)
            await _on_record(request)
        except PlatformError as refusal:
            await _on_record(request, refusal)
            return self._failed(row, refusal)
        except Exception:  # the boundary of a row: the others of the batch go on
            log.exception("batch.row_crashed", row=row.number)
            failure = Internal("The request could not be answered; the log says why.")
            await _on_record(request, failure)
            return self._failed(row, failure)
        return RowResult(row.number, row.custom_id, _line(row.custom_id, request.request_id, 200, answer))

    def _request_id(self, row: BatchRow) -> str:
        return f"{self.lease.batch.id}-{row.number}"

    def _failed(self, row: BatchRow, error: PlatformError) -> RowResult:
        request_id = self._request_id(row)
        status, told = error_of(self.lease.batch.endpoint, error, request_id)
        line = _line(row.custom_id, request_id, status, told)
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


async def _on_record(request: RequestContext, error: PlatformError | None = None) -> None:
    """Returns once the row's calls, and how it ended, are on record."""
    if error is not None:
        request.refused(error.code, error.status)
    ledger.enter_outcomes(request)
    await ledger.settled()


def _line(custom_id: str, request_id: str, status: int, body: Any) -> bytes:
    """A line of the output, in OpenAI's form."""
    response = {"status_code": status, "request_id": request_id, "body": body}
    return orjson.dumps(
        {"id": f"batch_req_{secrets.token_hex(8)}", "custom_id": custom_id, "response": response, "error": None}
    )
