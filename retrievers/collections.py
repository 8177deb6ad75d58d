"""Collections: named sets of documents that are searched together. Each belongs to a tenant, and in it to its owner."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import IntegrityError
from sqlmodel import col, delete, func, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from core import answer_sources, audit, denials
from core.database import Database, utc_now
from core.errors import Conflict, InvalidRequest, NotFound
from core.files import Files
from core.principals import Principal
from core.tables import Collection, DepartedDocument, Document, DocumentState, IndexGeneration, Source
from core.threads import run_to_end
from retrievers.base import Shelf
from retrievers.changes import upkeep_of
from retrievers.leases import PENDING, count_parts, end_cancelled
from retrievers.reindexing import end_reindexing, is_worked_on
from retrievers.sharing import Level, Share, levels_of, replace_shares, shares_of, visible_to
from retrievers.sources.crawls import stop_below
from retrievers.upkeep import end_reconciliation, missing_documents
from retrievers.writers import writers

if TYPE_CHECKING:
    from retrievers.indexing import Indexer

NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"


class Collections:
    """Belongs to the event loop of its database."""

    def __init__(self, database: Database, indexer: "Indexer", files: Files) -> None:
        self._database = database
        self._indexer = indexer
        self._files = files

    async def create(
        self,
        principal: Principal,
        name: str,
        *,
        description: str = "",
        shares: Sequence[Share] = (),
        settings: Mapping[str, Any] | None = None,
    ) -> Collection:
        """A new, empty collection. It is the principal's alone but for its `shares`.

        Raises:
            InvalidRequest: the name has other characters than `a-z 0-9 _ -`, or more than 63 (`invalid_name`); what
                `retrievers.sharing.replace_shares` refuses.
            Forbidden: the principal's key is for other collections (`collection_not_allowed`).
            Conflict: the tenant has one of that name (`already_exists`).
        """
        if not re.fullmatch(NAME_PATTERN, name):
            raise InvalidRequest(
                "A collection's name has 1 to 63 characters of a-z, 0-9, _ and -, and begins with a letter or digit.",
                code="invalid_name",
                param="name",
            )
        if not principal.may_use_collection(name):
            text = "This key is for other collections."
            raise denials.barred(principal, text, code="collection_not_allowed", param="name")
        collection = Collection(
            tenant=principal.tenant, owner=principal.id, name=name, description=description, settings=dict(settings or {})
        )
        try:
            async with self._database.transaction(principal.tenant) as session:
                session.add(collection)
                await session.flush()
                await upkeep_of(session, collection.tenant, collection.id)
                await self._indexer.generations.open(session, Shelf.of(collection))
                await replace_shares(session, collection, shares)
                on, details = ("collection", collection.id), _told(await shares_of(session, collection))
                await audit.record(session, audit.Action.COLLECTION_CREATED, on=on, details=details, principal=principal)
        except IntegrityError:
            raise Conflict(f"The name {name!r} is taken in this tenant.", code="already_exists", param="name") from None
        return collection

    async def ensure(
        self, principal: Principal, name: str, *, description: str = "", shares: Sequence[Share] = ()
    ) -> Collection:
        """The collection of that name, made now where there is none."""
        try:
            return await self.get(principal, name)
        except NotFound:
            try:
                return await self.create(principal, name, description=description, shares=shares)
            except Conflict:  # another was quicker
                return await self.get(principal, name)

    async def get(self, principal: Principal, name: str, level: Level = Level.READ) -> Collection:
        """The collection, for somebody who needs that level of rights.

        Raises:
            NotFound: `collection_not_found`, for what they may not see too.
            Forbidden: `collection_read_only`; `collection_not_yours`: they see it, and may not do that.
        """
        async with self._database.session(principal.tenant) as session:
            found = await session.exec(
                select(Collection).where(
                    Collection.tenant == principal.tenant,
                    Collection.name == name,
                    col(Collection.deleted_at).is_(None),
                    visible_to(principal),
                )
            )
            collection = found.first()
            if collection is None:
                raise NotFound("There is no such collection.", code="collection_not_found")
            if level > Level.READ:
                (held,) = await levels_of(session, principal, [collection])
                _refuse(principal, collection, held, level)
        return collection

    async def levels(self, principal: Principal, collections: Sequence[Collection]) -> list[Level]:
        """What the principal may do with each."""
        async with self._database.session(principal.tenant) as session:
            return await levels_of(session, principal, collections)

    async def shares(self, principal: Principal, name: str) -> list[Share]:
        """Whom it is shared with. Raises as `get` for who may not manage it."""
        collection = await self.get(principal, name, Level.MANAGE)
        async with self._database.session(principal.tenant) as session:
            return await shares_of(session, collection)

    async def share(self, principal: Principal, name: str, shares: Sequence[Share]) -> list[Share]:
        """Share it with these and nobody else. Raises as `get` for who may not manage it, and as `replace_shares`."""
        collection = await self.get(principal, name, Level.MANAGE)
        async with self._database.transaction(principal.tenant) as session:
            row = await session.get(Collection, collection.id, with_for_update=True)
            if row is None or row.deleted_at is not None:
                raise NotFound("There is no such collection.", code="collection_not_found")
            await replace_shares(session, row, shares)
            row.updated_at = utc_now()
            shared = await shares_of(session, row)
            on, details = ("collection", row.id), _told(shared)
            await audit.record(session, audit.Action.SHARE_CHANGED, on=on, details=details, principal=principal)
            return shared

    async def page(self, principal: Principal, *, limit: int, after: str | None = None) -> tuple[list[Collection], str | None]:
        """The collections that the principal may read, by name, and the position that the next page starts after."""
        query = select(Collection).where(
            Collection.tenant == principal.tenant, col(Collection.deleted_at).is_(None), visible_to(principal)
        )
        if after is not None:
            query = query.where(Collection.name > after)
        async with self._database.session(principal.tenant) as session:
            rows = (await session.exec(query.order_by(Collection.name).limit(limit + 1))).all()
        found = list(rows[:limit])
        return found, found[-1].name if len(rows) > limit else None

    async def counts(self, tenant: str, collection_ids: list[str]) -> Mapping[str, dict[str, int]]:
        """Documents by state, and chunks, of each collection: `{id: {"queued": 0, …, "total": 3, "chunks": 40}}`."""
        states = (DocumentState.QUEUED, DocumentState.PROCESSING, DocumentState.READY, DocumentState.FAILED)
        counts = {
            collection_id: {state.value: 0 for state in states} | {"total": 0, "chunks": 0} for collection_id in collection_ids
        }
        async with self._database.session(tenant) as session:
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

    async def pending(self, collection: Collection) -> int:
        """How many documents of a collection are still to be read, or to be put back after a restore: a search does not find
        them, or not as they are now."""
        async with self._database.session(collection.tenant) as session:
            found = await session.exec(
                select(func.count()).where(Document.collection_id == collection.id, col(Document.state).in_(PENDING))
            )
            return found.one() + await missing_documents(session, collection.id)

    async def update(
        self,
        principal: Principal,
        name: str,
        *,
        description: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Collection:
        """Change the description, or those settings that are named; None leaves them. Raises as `get` for who may not write."""
        collection = await self.get(principal, name, Level.WRITE)
        async with self._database.transaction(principal.tenant) as session:
            row = await session.get(Collection, collection.id, with_for_update=True)
            if row is None or row.deleted_at is not None:
                raise NotFound("There is no such collection.", code="collection_not_found")
            if description is not None:
                row.description = description
            if settings is not None:
                row.settings = {**row.settings, **settings}
            row.updated_at = utc_now()
            fields = [*(["description"] if description is not None else []), *sorted(settings or ())]
            on, details = ("collection", row.id), {"fields": fields}
            await audit.record(session, audit.Action.COLLECTION_CHANGED, on=on, details=details, principal=principal)
        return row

    async def delete(self, principal: Principal, name: str) -> None:
        """Delete the collection with all that it holds: rows, chunks, files. It is out of sight at once; what a worker still
        holds is cleaned up when it lets go.

        Raises as `get` for who may not manage it.
        """
        collection = await self.get(principal, name, Level.MANAGE)
        async with self._database.transaction(principal.tenant) as session:
            row = await session.get(Collection, collection.id, with_for_update=True)
            if row is None or row.deleted_at is not None:
                return
            await condemn(session, row)
            on = ("collection", collection.id)
            await audit.record(session, audit.Action.COLLECTION_DELETED, on=on, principal=principal)
        await self.purge(Shelf.of(collection))

    async def held(self, shelf: Shelf) -> dict[str, int]:
        """What the stores and the file store hold of a collection, by place."""
        resources = self._indexer.resources
        async with self._database.session(shelf.tenant) as session:
            keys_of = select(Document.file_key, Document.text_key, Document.chunks_key)
            rows = await session.exec(keys_of.where(Document.collection_id == shelf.collection_id))
            files = sum(bool(key) for keys in rows.all() for key in keys)
        vectors = 0
        await self._indexer.generations.known(shelf)  # where a store that finds words has them
        for generation in await self._indexer.generations.all(shelf):
            vectors += await run_to_end(resources.store_of(generation.store).count, generation.shelf)
        return {
            "files": files,
            "vectors": vectors,
            "word_index": await run_to_end(resources.lexical.count, shelf),
        }

    async def purge(self, shelf: Shelf) -> bool:
        """Clean up after a deleted collection; may be repeated. False while a worker still holds one of its documents, restores
        a snapshot into it, or moves it: the rows stay until then."""
        collection_id = shelf.collection_id
        async with self._database.session(shelf.tenant) as session:
            held = await _is_held(session, collection_id)
        await self._indexer.forget_collection(shelf)
        await self._files.delete_prefix(collection_id)
        if held:  # it may have let go since, and have written before that
            return False
        sealer = await self._database.keyring.sealer(shelf.tenant)
        async with self._database.transaction(shelf.tenant) as session:
            if await _is_held(session, collection_id):
                return False
            await session.exec(delete(IndexGeneration).where(col(IndexGeneration.collection_id) == collection_id))
            its = select(Document.id).where(Document.collection_id == collection_id)
            await answer_sources.withhold(session, sealer, its)
            await session.exec(delete(Document).where(col(Document.collection_id) == collection_id))
            gone = (col(DepartedDocument.collection_id) == collection_id, col(DepartedDocument.number) > 0)
            await session.exec(delete(DepartedDocument).where(*gone))
            await session.exec(delete(Collection).where(col(Collection.id) == collection_id))
        return True

    async def deleted(self) -> list[Shelf]:
        """The collections of all tenants that are still to be purged."""
        async with self._database.session(all_tenants=True) as session:
            rows = await session.exec(select(Collection).where(col(Collection.deleted_at).is_not(None)))
            return [Shelf.of(row) for row in rows.all()]


async def condemn(session: AsyncSession, row: Collection) -> None:
    """Put a collection, whose row is locked, out of sight with its documents; `Collections.purge` does the rest."""
    row.deleted_at = utc_now()
    row.name = f"!{row.id}"[:64]
    session.add(row)
    mine = col(Document.collection_id) == row.id
    await session.exec(select(Document.id).where(mine).order_by(Document.name).with_for_update())
    rows = await session.exec(
        select(Document.job_id, func.count()).where(mine, col(Document.state).in_(PENDING)).group_by(col(Document.job_id))
    )
    waited = {job_id: documents for job_id, documents in rows.all()}  # noqa: C416 - rows, not pairs
    crawls = await stop_below(session, col(Source.collection_id) == row.id)
    await session.exec(update(Document).where(mine).values(state=DocumentState.DELETING, indexed_revision=0))
    await count_parts(session, waited)
    await end_cancelled(session, crawls)
    await end_reconciliation(session, row.id)
    await end_reindexing(session, row.id)
    if await session.get(DepartedDocument, row.id) is None:
        session.add(DepartedDocument(document_id=row.id, collection_id=row.id, tenant=row.tenant, number=0))


async def _is_held(session: AsyncSession, collection_id: str) -> bool:
    return bool(await writers(session, collection_id)) or await is_worked_on(session, collection_id)


def _told(shares: Sequence[Share]) -> dict[str, audit.Detail]:
    """Shares as they are put on record: how many, with whom, and for what."""
    subjects = [f"{share.kind.value} {share.subject} {share.access.value}".replace("  ", " ") for share in shares]
    return {"shares": len(shares), "with": subjects}


def _refuse(principal: Principal, collection: Collection, held: Level, needed: Level) -> None:
    if held >= needed:
        return
    details: dict[str, audit.Detail] = {"collection": collection.id}
    if needed == Level.WRITE:
        text = "This collection is shared with you for reading."
        raise denials.barred(principal, text, code="collection_read_only", details=details)
    text = "Only the collection's owner may do that, or who manages collections."
    raise denials.barred(principal, text, code="collection_not_yours", details=details)
