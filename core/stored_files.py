"""Files that callers upload to be worked on, and files that work writes for them. Each belongs to who brought it in."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import ColumnElement, literal, tuple_
from sqlmodel import and_, col, delete, false, not_, or_, select, true
from sqlmodel.ext.asyncio.session import AsyncSession

from core import audit
from core.database import Database, UTCDateTime, utc_now
from core.errors import Conflict, InvalidRequest, NotFound
from core.files import Files
from core.principals import Principal, Scope
from core.tables import Batch, BatchState, StoredFile, UnclaimedFile

#: The endpoint whose answers hold passages.
ASKS_COLLECTIONS = "/api/v1/rag"
BATCH, BATCH_OUTPUT = "batch", "batch_output"
#: No upload and no writing of a batch's files takes so long.
UNCLAIMED_FOR = timedelta(days=1)
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
_UNFINISHED = [state.value for state in BatchState if not state.finished]


class StoredFiles:
    """The files of a tenant's principals; administrators reach those of the whole tenant. Another's file is not found."""

    def __init__(self, database: Database, files: Files) -> None:
        self._database = database
        self._files = files

    async def add(self, principal: Principal, content: bytes | Path, *, name: str, purpose: str, size: int) -> StoredFile:
        """Store a file. The bytes are stored first: a row never points at nothing."""
        row = StoredFile(tenant=principal.tenant, owner=principal.id, purpose=purpose, name=name[:512], size=size)
        await put_unclaimed(self._database, self._files, row, content)
        async with self._database.transaction(principal.tenant) as session:
            await claim(session, row)
            on, details = ("file", row.id), {"purpose": purpose}
            await audit.record(session, audit.Action.FILE_ADDED, on=on, details=details, principal=principal)
        return row

    async def get(self, principal: Principal, file_id: str) -> StoredFile:
        """Raises NotFound (`file_not_found`)."""
        async with self._database.session(principal.tenant) as session:
            row = (await session.exec(select(StoredFile).where(StoredFile.id == file_id, _seen(principal)))).first()
        if row is None:
            raise NotFound("There is no such file.", code="file_not_found")
        return row

    async def open(self, principal: Principal, file_id: str) -> BinaryIO:
        """The content, to be read bit by bit; the caller closes it. Raises NotFound (`file_not_found`)."""
        row = await self.get(principal, file_id)
        return await self._files.open(row.key, tenant=row.tenant)

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
        query = select(StoredFile).where(_seen(principal))
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
        async with self._database.session(principal.tenant) as session:
            rows = (await session.exec(ordered.limit(limit + 1))).all()
        return list(rows[:limit]), len(rows) > limit

    async def delete(self, principal: Principal, file_id: str) -> None:
        """Delete for good.

        Raises:
            NotFound: `file_not_found`.
            Conflict: `file_in_use`: a batch that has not ended reads it.
        """
        row = await self.get(principal, file_id)
        async with self._database.transaction(principal.tenant) as session:
            if await _in_use(session, file_id):
                raise Conflict("A batch that has not ended reads this file.", code="file_in_use")
            await session.delete(row)
            session.add(UnclaimedFile(key=row.key))
            await audit.record(session, audit.Action.FILE_DELETED, on=("file", row.id), principal=principal)
        await _drop(self._database, self._files, row.key)


async def put_unclaimed(database: Database, files: Files, row: StoredFile, content: bytes | Path) -> None:
    """Store the bytes of a row that is to come. Where it never does, `drop_unclaimed` finds them."""
    async with database.transaction(all_tenants=True) as session:
        session.add(UnclaimedFile(key=row.key))
    if isinstance(content, Path):
        await files.put_file(row.key, content, tenant=row.tenant)
    else:
        await files.put(row.key, content, tenant=row.tenant)


async def claim(session: AsyncSession, row: StoredFile) -> None:
    """Put down, in the transaction of `session`, the row whose bytes `put_unclaimed` stored.

    Raises:
        Conflict: `file_expired`: they have been dropped, since they were not claimed for `UNCLAIMED_FOR`.
    """
    claimed = await session.exec(delete(UnclaimedFile).where(col(UnclaimedFile.key) == row.key))
    if claimed.rowcount == 0:
        raise Conflict("The file took too long to be stored.", code="file_expired")
    session.add(row)


async def let_go(session: AsyncSession, keys: Iterable[str]) -> None:
    """Note, in the transaction that deletes what points at them, that these bytes are to go: the next `drop_unclaimed` deletes
    them."""
    session.add_all([UnclaimedFile(key=key, created_at=_LONG_AGO) for key in keys])
    await session.flush()


async def drop_unclaimed(database: Database, files: Files) -> int:
    """Delete the bytes that no row has come to point at, or that were not deleted with theirs, since a process died. How many.

    May be repeated, and run at once by many."""
    async with database.session(all_tenants=True) as session:
        old = col(UnclaimedFile.created_at) < utc_now() - UNCLAIMED_FOR
        keys = list(await session.exec(select(UnclaimedFile.key).where(old)))
    for key in keys:
        await _drop(database, files, key)
    return len(keys)


async def _drop(database: Database, files: Files, key: str) -> None:
    await files.delete(key)
    async with database.transaction(all_tenants=True) as session:
        await session.exec(delete(UnclaimedFile).where(col(UnclaimedFile.key) == key))


def reach(collections: frozenset[str] | None) -> str | None:
    """A key's collections as a batch keeps them, so that they can be compared where they are: a line each; None, no limit."""
    return None if collections is None else "\n".join(sorted(collections))


def seen_batches(principal: Principal) -> ColumnElement[bool]:
    """The condition of a batch that they may see: theirs, or any of the tenant for who manages batches.

    Passages of collections are for keys that read these (`may_search`); for a key for some, where such a key asked for them.
    """
    return and_(_theirs(Batch, principal), not_(_beyond(principal)))


def _seen(principal: Principal) -> ColumnElement[bool]:
    """The same of a file; of what a batch has written, where they may see the batch."""
    written = or_(Batch.output_file_id == col(StoredFile.id), Batch.error_file_id == col(StoredFile.id))
    hidden = select(Batch.id).where(Batch.tenant == principal.tenant, written, _beyond(principal))
    return and_(_theirs(StoredFile, principal), not_(hidden.exists()))


def _theirs(table: type[Batch] | type[StoredFile], principal: Principal) -> ColumnElement[bool]:
    owned = true() if principal.may(Scope.BATCHES_MANAGE) else col(table.owner) == principal.id
    return and_(col(table.tenant) == principal.tenant, owned)


def _beyond(principal: Principal) -> ColumnElement[bool]:
    """The condition of a batch whose answers may hold what the principal's key is not for."""
    asks = col(Batch.endpoint) == ASKS_COLLECTIONS
    if not principal.may_search:
        return asks
    if principal.collections is None:
        return false()
    within = {*principal.collections, reach(principal.collections)}
    return and_(asks, or_(col(Batch.collections).is_(None), col(Batch.collections).not_in(within)))


async def _in_use(session: AsyncSession, file_id: str) -> bool:
    query = select(Batch.id).where(Batch.input_file_id == file_id, col(Batch.state).in_(_UNFINISHED)).limit(1)
    return (await session.exec(query)).first() is not None
