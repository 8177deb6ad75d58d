"""What a batch leaves behind: a file of answers and a file of errors, each with a line a row in the order of the input."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

import orjson

from core.batch_work import BatchLease, BatchWork
from core.database import utc_now
from core.files import Files
from core.rights import REVOKED, REVOKED_MESSAGE
from core.stored_files import BATCH_OUTPUT
from core.tables import Batch, BatchState, RowState, StoredFile

_READ_AT_ONCE = 500

#: Lines, some at a time.
Groups = AsyncGenerator[list[bytes]]
_NOT_DONE = {
    BatchState.CANCELLED: ("batch_cancelled", "This request was not answered, because the batch was cancelled."),
    BatchState.FAILED: ("file_not_found", "This request was not answered, because the input file is gone."),
    BatchState.EXPIRED: ("batch_expired", "This request was not answered before the batch's time was over."),
}


async def write_files(work: BatchWork, files: Files, lease: BatchLease, batch: Batch) -> None:
    """Write the files, then close the batch. May be repeated: what an interrupted time left behind is dropped in a day."""
    state = _outcome(batch)
    async with files.scratch.adirectory("batch") as place:
        output = await _store(work, files, batch, "output", place, work.lines(batch, RowState.ANSWERED))
        errors = await _store(work, files, batch, "errors", place, _errors(work, batch, state))
    if not await work.close(lease, state, output=output, errors=errors):
        for file in (output, errors):
            if file is not None:
                await files.delete(file.key)
        return
    batch.state = state


def _outcome(batch: Batch) -> BatchState:
    if batch.state == BatchState.CANCELLING:
        return BatchState.FAILED if _was_revoked(batch) else BatchState.CANCELLED
    if batch.answered + batch.failed >= batch.total:
        return BatchState.COMPLETED
    return BatchState.EXPIRED if utc_now() >= batch.expires_at else BatchState.FAILED


def _was_revoked(batch: Batch) -> bool:
    return any(error.get("code") == REVOKED for error in batch.errors)


async def _store(work: BatchWork, files: Files, batch: Batch, what: str, place: Path, lines: Groups) -> StoredFile | None:
    """A stored file with the lines; None where there is none."""
    path, size = place / what, 0
    async with aclosing(lines) as groups:
        async for group in groups:
            size += await asyncio.to_thread(_append, path, group)
    if size == 0:
        return None
    name = f"{batch.id}_{what}.jsonl"
    row = StoredFile(tenant=batch.tenant, owner=batch.owner, purpose=BATCH_OUTPUT, name=name, size=size)
    await work.put_file(files, row, path)
    return row


def _append(path: Path, lines: Sequence[bytes]) -> int:
    """Blocking. The bytes that were written."""
    with path.open("ab") as target:
        return sum(target.write(line) + target.write(b"\n") for line in lines)


async def _errors(work: BatchWork, batch: Batch, state: BatchState) -> Groups:
    async with aclosing(work.lines(batch, RowState.FAILED)) as groups:
        async for group in groups:
            yield group
    if state not in _NOT_DONE:
        return
    code, message = (REVOKED, REVOKED_MESSAGE) if _was_revoked(batch) else _NOT_DONE[state]
    after = 0
    while rows := await work.unanswered(batch, after=after, limit=_READ_AT_ONCE):
        yield [_not_answered(custom_id, code, message) for _, custom_id in rows]
        after = rows[-1][0]


def _not_answered(custom_id: str, code: str, message: str) -> bytes:
    return orjson.dumps(
        {
            "id": f"batch_req_{secrets.token_hex(8)}",
            "custom_id": custom_id,
            "response": None,
            "error": {"code": code, "message": message},
        }
    )
