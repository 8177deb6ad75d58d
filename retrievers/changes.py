"""Numbers a collection's changes, so that every word index can tell how far it has come.

A number is given in the transaction that makes a change true, and its row stays locked until that is committed: who sees a
number sees all changes up to it. Locks are taken in one order everywhere: documents by name, jobs by id, then these numbers.
"""

from datetime import timedelta

from sqlalchemy import ColumnElement
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, delete, func, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from core.database import Database, utc_now
from core.tables import CollectionUpkeep, DepartedDocument, Document

#: How long a deletion is listed. A word index that stands further back is compared with all documents instead.
LISTED_FOR = timedelta(days=7)


async def note_change(session: AsyncSession, document: Document) -> None:
    """What of the document is searchable changes with this transaction."""
    document.change = await _next(session, document.tenant, document.collection_id)
    session.add(document)
    await session.flush()


async def note_departure(session: AsyncSession, document: Document) -> None:
    """The document is deleted with this transaction; its row may go at any time."""
    await note_change(session, document)
    if await session.get(DepartedDocument, document.id) is None:
        session.add(
            DepartedDocument(
                document_id=document.id,
                collection_id=document.collection_id,
                tenant=document.tenant,
                number=document.change,
            )
        )
        await session.flush()


async def upkeep_of(session: AsyncSession, tenant: str, collection_id: str) -> CollectionUpkeep:
    """A collection's row, made where there is none yet."""
    row = await session.get(CollectionUpkeep, collection_id)
    if row is None:
        row = CollectionUpkeep(collection_id=collection_id, tenant=tenant, reconciled_at=utc_now())
        try:
            async with session.begin_nested():
                session.add(row)
        except IntegrityError:  # another was quicker
            row = await session.get_one(CollectionUpkeep, collection_id, populate_existing=True)
    return row


async def compare_all(session: AsyncSession, collection_id: str) -> None:
    """Have every word index of the collection compared with its documents, once the transaction is committed."""
    raised = CollectionUpkeep.comparison + 1
    await session.exec(update(CollectionUpkeep).where(_is(collection_id)).values(comparison=raised))


async def forget_departures(database: Database) -> int:
    """Delete what is listed no longer; how many. May be repeated, and run at once by many."""
    old = col(DepartedDocument.departed_at) < utc_now() - LISTED_FOR
    async with database.transaction(all_tenants=True) as session:
        query = select(DepartedDocument.collection_id, func.max(DepartedDocument.number)).where(old)
        newest = (await session.exec(query.group_by(DepartedDocument.collection_id))).all()
        for collection_id, number in sorted(newest):
            kept = func.greatest if session.get_bind().dialect.name == "postgresql" else func.max
            known = kept(CollectionUpkeep.known_from, number)
            await session.exec(update(CollectionUpkeep).where(_is(collection_id)).values(known_from=known))
        dropped = await session.exec(delete(DepartedDocument).where(old))
    return int(dropped.rowcount)


async def _next(session: AsyncSession, tenant: str, collection_id: str) -> int:
    raised = update(CollectionUpkeep).where(_is(collection_id)).values(number=CollectionUpkeep.number + 1)
    numbers = raised.returning(col(CollectionUpkeep.number)).execution_options(synchronize_session=False)
    if (number := (await session.exec(numbers)).scalar()) is None:
        await upkeep_of(session, tenant, collection_id)
        number = (await session.exec(numbers)).scalar_one()
    return int(number)


def _is(collection_id: str) -> ColumnElement[bool]:
    return col(CollectionUpkeep.collection_id) == collection_id
