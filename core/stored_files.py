"""Files that callers upload to be worked on, and files that work writes for them. Each belongs to who brought it in."""

from pathlib import Path
from typing import BinaryIO

from sqlalchemy import literal, tuple_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.database import Database, UTCDateTime
from core.errors import Conflict, InvalidRequest, NotFound
from core.files import Files
from core.principals import Principal, Scope
from core.tables import Batch, BatchState, StoredFile

BATCH, BATCH_OUTPUT = "batch", "batch_output"
_UNFINISHED = [state.value for state in BatchState if not state.finished]


class StoredFiles:
    """The files of a tenant's principals; administrators reach those of the whole tenant. Another's file is not found."""

    def __init__(self, database: Database, files: Files) -> None:
        self._database = database
        self._files = files

    async def add(self, principal: Principal, content: bytes | Path, *, name: str, purpose: str, size: int) -> StoredFile:
        """Store a file. The bytes are stored first: a row never points at nothing."""
        row = StoredFile(tenant=principal.tenant, owner=principal.id, purpose=purpose, name=name[:512], size=size)
        if isinstance(content, Path):
            await self._files.put_file(row.key, content)
        else:
            await self._files.put(row.key, content)
        async with self._database.transaction() as session:
            session.add(row)
        return row

    async def get(self, principal: Principal, file_id: str) -> StoredFile:
        """Raises NotFound (`file_not_found`)."""
        async with self._database.session() as session:
            row = await session.get(StoredFile, file_id)
        if row is None or not may_see(principal, row):
            raise NotFound("There is no such file.", code="file_not_found")
        return row

    async def open(self, principal: Principal, file_id: str) -> BinaryIO:
        """The content, to be read bit by bit; the caller closes it. Raises NotFound (`file_not_found`)."""
        return await self._files.open((await self.get(principal, file_id)).key)

    async def page(
        self,
        principal: Principal,
        *,
        limit: int,
        after: str | None = None,
        purpose: str | None = None,
        oldest_first: bool = False,
    ) -> tuple[list[StoredFile], bool]:
        """The newest first, or the oldest, those after the file `after`; and whether there are more.

        Raises:
            InvalidRequest: `invalid_cursor`: there is no file `after`.
        """
        query = select(StoredFile).where(StoredFile.tenant == principal.tenant)
        if not principal.may(Scope.BATCHES_MANAGE):
            query = query.where(StoredFile.owner == principal.id)
        if purpose is not None:
            query = query.where(StoredFile.purpose == purpose)
        if after is not None:
            try:
                last = await self.get(principal, after)
            except NotFound:
                raise InvalidRequest("The list has no such file.", code="invalid_cursor", param="after") from None
            place = tuple_(col(StoredFile.created_at), col(StoredFile.id))
            here = tuple_(literal(last.created_at, UTCDateTime), literal(last.id))
            query = query.where(place > here if oldest_first else place < here)
        order = [col(StoredFile.created_at), col(StoredFile.id)]
        ordered = query.order_by(*(order if oldest_first else [column.desc() for column in order]))
        async with self._database.session() as session:
            rows = (await session.exec(ordered.limit(limit + 1))).all()
        return list(rows[:limit]), len(rows) > limit

    async def delete(self, principal: Principal, file_id: str) -> None:
        """Delete for good.

        Raises:
            NotFound: `file_not_found`.
            Conflict: `file_in_use`: a batch that has not ended reads it.
        """
        row = await self.get(principal, file_id)
        async with self._database.transaction() as session:
            if await _in_use(session, file_id):
                raise Conflict("A batch that has not ended reads this file.", code="file_in_use")
            await session.delete(row)
        await self._files.delete(row.key)


def may_see(principal: Principal, row: StoredFile | Batch) -> bool:
    """Whether it is theirs, or they manage those of its tenant."""
    return row.tenant == principal.tenant and (row.owner == principal.id or principal.may(Scope.BATCHES_MANAGE))


async def _in_use(session: AsyncSession, file_id: str) -> bool:
    query = select(Batch.id).where(Batch.input_file_id == file_id, col(Batch.state).in_(_UNFINISHED)).limit(1)
    return (await session.exec(query)).first() is not None
