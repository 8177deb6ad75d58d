"""Collections: named sets of documents that are searched together. Each belongs to a tenant."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import IntegrityError
from sqlmodel import col, delete, func, select, update

from core.database import Database, utc_now
from core.errors import Conflict, InvalidRequest, NotFound
from core.files import Files
from core.principals import Principal
from core.tables import Collection, Document, DocumentState
from retrievers.leases import PENDING, count_parts

if TYPE_CHECKING:
    from retrievers.indexing import Indexer

NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"


class Collections:
    """Belongs to the event loop of its database."""

    def __init__(self, database: Database, indexer: "Indexer", files: Files) -> None:
        self._database = database
        self._indexer = indexer
        self._files = files

    async def create(self, principal: Principal, name: str, *, description: str = "") -> Collection:
        """A new, empty collection.

        Raises:
            InvalidRequest: the name has other characters than `a-z 0-9 _ -`, or more than 63 (`invalid_name`).
            Conflict: the tenant has one of that name (`already_exists`).
        """
        if not re.fullmatch(NAME_PATTERN, name):
            raise InvalidRequest(
                "A collection's name has 1 to 63 characters of a-z, 0-9, _ and -, and begins with a letter or digit.",
                code="invalid_name",
                param="name",
            )
        collection = Collection(tenant=principal.tenant, name=name, description=description)
        try:
            async with self._database.transaction() as session:
                session.add(collection)
        except IntegrityError:
            raise Conflict(f"There is a collection named {name!r} already.", code="already_exists", param="name") from None
        return collection

    async def ensure(self, principal: Principal, name: str, *, description: str = "") -> Collection:
        """The collection of that name, made now where there is none."""
        try:
            return await self.get(principal, name)
        except NotFound:
            try:
                return await self.create(principal, name, description=description)
            except Conflict:  # another was quicker
                return await self.get(principal, name)

    async def get(self, principal: Principal, name: str) -> Collection:
        """Raises NotFound (`collection_not_found`), for another tenant's too."""
        async with self._database.session() as session:
            found = await session.exec(
                select(Collection).where(
                    Collection.tenant == principal.tenant, Collection.name == name, col(Collection.deleted_at).is_(None)
                )
            )
            collection = found.first()
        if collection is None:
            raise NotFound("There is no such collection.", code="collection_not_found")
        return collection

    async def page(self, principal: Principal, *, limit: int, after: str | None = None) -> tuple[list[Collection], str | None]:
        """Collections by name, and the position that the next page starts after."""
        query = select(Collection).where(Collection.tenant == principal.tenant, col(Collection.deleted_at).is_(None))
        if after is not None:
            query = query.where(Collection.name > after)
        async with self._database.session() as session:
            rows = (await session.exec(query.order_by(Collection.name).limit(limit + 1))).all()
        found = list(rows[:limit])
        return found, found[-1].name if len(rows) > limit else None

    async def counts(self, collection_ids: list[str]) -> Mapping[str, dict[str, int]]:
        """Documents by state, and chunks, of each collection: `{id: {"queued": 0, …, "total": 3, "chunks": 40}}`."""
        states = (DocumentState.QUEUED, DocumentState.PROCESSING, DocumentState.READY, DocumentState.FAILED)
        counts = {
            collection_id: {state.value: 0 for state in states} | {"total": 0, "chunks": 0} for collection_id in collection_ids
        }
        async with self._database.session() as session:
            rows = await session.exec(
                select(Document.collection_id, Document.state, func.count(), func.sum(Document.chunks))
                .where(col(Document.collection_id).in_(collection_ids), Document.state != DocumentState.DELETING)
                .group_by(Document.collection_id, Document.state)
            )
            for collection_id, state, documents, chunks in rows.all():
                counts[collection_id][state] = documents
                counts[collection_id]["total"] += documents
                counts[collection_id]["chunks"] += chunks or 0
        return counts

    async def pending(self, collection_id: str) -> int:
        """How many documents of a collection are still to be read: a search does not find them, or not as they are now."""
        async with self._database.session() as session:
            found = await session.exec(
                select(func.count()).where(Document.collection_id == collection_id, col(Document.state).in_(PENDING))
            )
            return found.one()

    async def update(self, principal: Principal, name: str, **changes: Any) -> Collection:
        """Change the description. Raises NotFound (`collection_not_found`)."""
        collection = await self.get(principal, name)
        async with self._database.transaction() as session:
            row = await session.get(Collection, collection.id, with_for_update=True)
            if row is None or row.deleted_at is not None:
                raise NotFound("There is no such collection.", code="collection_not_found")
            for field, value in changes.items():
                setattr(row, field, value)
            row.updated_at = utc_now()
        return row

    async def delete(self, principal: Principal, name: str) -> None:
        """Delete the collection with all that it holds: rows, chunks, files. It is out of sight at once; what a worker still
        holds is cleaned up when it lets go.

        Raises:
            NotFound: `collection_not_found`.
        """
        collection = await self.get(principal, name)
        async with self._database.transaction() as session:
            row = await session.get(Collection, collection.id, with_for_update=True)
            if row is None or row.deleted_at is not None:
                return
            row.deleted_at = utc_now()
            row.name = f"!{row.id}"[:64]
            await session.exec(
                select(Document.id).where(Document.collection_id == collection.id).order_by(Document.name).with_for_update()
            )
            rows = await session.exec(
                select(Document.job_id, func.count())
                .where(Document.collection_id == collection.id, col(Document.state).in_(PENDING))
                .group_by(col(Document.job_id))
            )
            waited = {job_id: documents for job_id, documents in rows.all()}  # noqa: C416 - rows, not pairs
            await session.exec(
                update(Document)
                .where(col(Document.collection_id) == collection.id)
                .values(state=DocumentState.DELETING, indexed_revision=0)
            )
            await count_parts(session, waited)
        await self.purge(collection.id)

    async def purge(self, collection_id: str) -> bool:
        """Clean up after a deleted collection; may be repeated. False while a worker still holds one of its documents: the
        rows stay until then."""
        await self._indexer.forget_collection(collection_id)
        await self._files.delete_prefix(collection_id)
        async with self._database.transaction() as session:
            held = await session.exec(
                select(Document.id).where(
                    Document.collection_id == collection_id,
                    col(Document.lease).is_not(None),
                    col(Document.leased_until) > utc_now(),
                )
            )
            if held.first() is not None:
                return False
            await session.exec(delete(Document).where(col(Document.collection_id) == collection_id))
            await session.exec(delete(Collection).where(col(Collection.id) == collection_id))
        return True

    async def deleted(self) -> list[str]:
        """Identifiers of collections that are still to be purged."""
        async with self._database.session() as session:
            rows = await session.exec(select(Collection.id).where(col(Collection.deleted_at).is_not(None)))
            return list(rows.all())
