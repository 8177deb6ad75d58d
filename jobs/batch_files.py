"""What a batch leaves behind: a file of answers and a file of errors, each with a line a row in the order of the input."""

import secrets
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import orjson

from core.batch_work import BatchLease, BatchWork
from core.database import utc_now
from core.files import Files
from core.stored_files import BATCH_OUTPUT
from core.tables import Batch, BatchState, RowState, StoredFile

_READ_AT_ONCE = 500
_NOT_DONE = {
    BatchState.CANCELLED: ("batch_cancelled", "This request was not answered, because the batch was cancelled."),
    BatchState.FAILED: ("file_not_found", "This request was not answered, because the input file is gone."),
    BatchState.EXPIRED: ("batch_expired", "This request was not answered before the batch's time was over."),
}


async def write_files(work: BatchWork, files: Files, lease: BatchLease, batch: Batch) -> None:
    """Write the files, then close the batch. May be repeated: what an interrupted time left in the store is nobody's."""
    state = _outcome(batch)
    with tempfile.TemporaryDirectory(prefix="genai-batch-") as place:
        output = await _store(files, batch, "output", Path(place), _lines(work, batch, RowState.ANSWERED))
        errors = await _store(files, batch, "errors", Path(place), _errors(work, batch, state))
    if not await work.close(lease, state, output=output, errors=errors):
        for file in (output, errors):
            if file is not None:
                await files.delete(file.key)
        return
    batch.state = state


def _outcome(batch: Batch) -> BatchState:
    if batch.state == BatchState.CANCELLING:
        return BatchState.CANCELLED
    if batch.answered + batch.failed >= batch.total:
        return BatchState.COMPLETED
    return BatchState.EXPIRED if utc_now() >= batch.expires_at else BatchState.FAILED


async def _store(files: Files, batch: Batch, what: str, place: Path, lines: AsyncIterator[bytes]) -> StoredFile | None:
    """A stored file with the lines; None where there is none."""
    path, size = place / what, 0
    with path.open("wb") as target:
        async for line in lines:
            size += target.write(line + b"\n")
    if size == 0:
        return None
    name = f"{batch.id}_{what}.jsonl"
    row = StoredFile(tenant=batch.tenant, owner=batch.owner, purpose=BATCH_OUTPUT, name=name, size=size)
    await files.put_file(row.key, path)
    return row


async def _lines(work: BatchWork, batch: Batch, state: RowState) -> AsyncIterator[bytes]:
    after = 0
    while rows := await work.lines(batch.id, state, after=after, limit=_READ_AT_ONCE):
        for _, custom_id, line in rows:
            yield line if line is not None else custom_id.encode()
        after = rows[-1][0]


async def _errors(work: BatchWork, batch: Batch, state: BatchState) -> AsyncIterator[bytes]:
    async for line in _lines(work, batch, RowState.FAILED):
        yield line
    if state not in _NOT_DONE:
        return
    code, message = _NOT_DONE[state]
    async for custom_id in _lines(work, batch, RowState.PENDING):
        yield orjson.dumps(
            {
                "id": f"batch_req_{secrets.token_hex(8)}",
                "custom_id": custom_id.decode(),
                "response": None,
                "error": {"code": code, "message": message},
            }
        )
