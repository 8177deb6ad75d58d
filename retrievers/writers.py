"""Who may still write to a collection's stores and files: living workers, by the leases that they hold."""

from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.database import utc_now
from core.tables import CollectionUpkeep, DataRequest, DataRequestKind, Document


async def writers(session: AsyncSession, collection_id: str) -> set[str]:
    """The leases of those who work on one of its documents, or restore a snapshot into it."""
    documents = select(Document.lease).where(Document.collection_id == collection_id, *_is_alive(Document))
    restoring = (DataRequest.kind == DataRequestKind.RESTORE.value, DataRequest.subject == collection_id)
    restores = select(DataRequest.lease).where(*restoring, *_is_alive(DataRequest))
    return {lease for query in (documents, restores) for lease in (await session.exec(query)).all() if lease}


async def reconcilers(session: AsyncSession, collection_id: str) -> set[str]:
    """The lease of who reconciles it, if somebody does."""
    mine = (CollectionUpkeep.collection_id == collection_id, *_is_alive(CollectionUpkeep))
    return {lease for lease in (await session.exec(select(CollectionUpkeep.lease).where(*mine))).all() if lease}


def _is_alive(table: Any) -> tuple[Any, Any]:
    return col(table.lease).is_not(None), col(table.leased_until) > utc_now()
