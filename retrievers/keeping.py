"""Snapshots of collections as they are asked for, listed, fetched, restored and deleted."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement
from sqlmodel import col, or_, select

from core import audit
from core.data_requests import open_request
from core.database import Database, utc_now
from core.errors import NotFound
from core.principals import Principal, Scope
from core.stored_files import let_go
from core.tables import Collection, DataRequest, DataRequestKind, Job
from retrievers.collections import Collections


class Snapshots:
    """Those of collections that the principal manages: their own, and the tenant's for who manages collections. They outlive
    their collection, until their time is over. Belongs to the event loop of its database."""

    def __init__(self, database: Database, collections: Collections) -> None:
        self._database, self._collections = database, collections

    async def ask(self, principal: Principal, collection: Collection) -> tuple[DataRequest, Job]:
        """A job that takes a snapshot: made now, or the one that has not ended yet."""
        about = {"collection": collection.name, "owner": collection.owner or ""}
        async with self._database.transaction(collection.tenant) as session:
            asked = await open_request(
                session,
                principal,
                DataRequestKind.SNAPSHOT,
                subject=collection.id,
                subject_tenant=collection.tenant,
                arguments=about,
            )
            on, details = ("collection", collection.id), {"snapshot": asked[0].id}
            await audit.record(session, audit.Action.COLLECTION_SNAPSHOT, on=on, details={**details}, principal=principal)
        return asked

    async def all(self, principal: Principal) -> Sequence[tuple[DataRequest, Job]]:
        """Those that are there or being taken, the newest first."""
        there = or_(DataRequest.file_key != "", col(DataRequest.finished_at).is_(None))
        query = select(DataRequest, Job).where(DataRequest.job_id == Job.id, *_seen(principal), there)
        async with self._database.session(principal.tenant) as session:
            return (await session.exec(query.order_by(col(DataRequest.created_at).desc(), DataRequest.id))).all()

    async def get(self, principal: Principal, snapshot_id: str) -> tuple[DataRequest, Job]:
        """One that can be fetched. Raises NotFound (`snapshot_not_found`)."""
        query = select(DataRequest, Job).where(DataRequest.job_id == Job.id, *_seen(principal), DataRequest.id == snapshot_id)
        async with self._database.session(principal.tenant) as session:
            found = (await session.exec(query)).first()
        if found is None or not found[0].file_key or found[0].expires_at is None or found[0].expires_at <= utc_now():
            raise NotFound("There is no such snapshot, or its time is over.", code="snapshot_not_found")
        return found

    async def restore(self, principal: Principal, snapshot_id: str, name: str) -> tuple[DataRequest, Job]:
        """A job that brings it into a new collection of the principal's.

        Raises:
            NotFound: `snapshot_not_found`.
            InvalidRequest, Forbidden, Conflict: as `Collections.create`.
        """
        await self.get(principal, snapshot_id)
        collection = await self._collections.create(principal, name)
        about = {"collection": name, "owner": collection.owner or "", "snapshot": snapshot_id}
        async with self._database.transaction(principal.tenant) as session:
            asked = await open_request(
                session,
                principal,
                DataRequestKind.RESTORE,
                subject=collection.id,
                subject_tenant=principal.tenant,
                arguments=about,
            )
            on, details = ("collection", collection.id), {"snapshot": snapshot_id}
            await audit.record(session, audit.Action.COLLECTION_RESTORED, on=on, details={**details}, principal=principal)
        return asked

    async def delete(self, principal: Principal, snapshot_id: str) -> None:
        """Delete it for good. Raises NotFound (`snapshot_not_found`)."""
        found, _ = await self.get(principal, snapshot_id)
        async with self._database.transaction(principal.tenant) as session:
            row = await session.get(DataRequest, found.id, with_for_update=True)
            if row is None or not row.file_key:
                return
            await let_go(session, [row.file_key])
            row.file_key = ""
            session.add(row)
            on = ("collection", row.subject)
            details: dict[str, audit.Detail] = {"snapshot": row.id, "deleted": True}
            await audit.record(session, audit.Action.COLLECTION_SNAPSHOT, on=on, details=details, principal=principal)


def _seen(principal: Principal) -> list[ColumnElement[bool]]:
    seen = [
        col(DataRequest.kind) == DataRequestKind.SNAPSHOT.value,
        col(DataRequest.subject_tenant) == principal.tenant,
    ]
    if not principal.may(Scope.RAG_MANAGE):
        seen.append(col(Job.arguments)["owner"].as_string() == principal.id)
    if principal.collections is not None:
        seen.append(col(Job.arguments)["collection"].as_string().in_(principal.collections))
    return seen
