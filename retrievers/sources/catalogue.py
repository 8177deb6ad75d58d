"""The sources of collections: made, listed, changed, deleted, and crawled when somebody asks."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlmodel import col, func, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from core import audit
from core.database import Database, utc_now
from core.errors import Conflict, InvalidRequest, NotFound
from core.keys import key_hint
from core.principals import Principal
from core.queue import Queue
from core.settings import Settings
from core.tables import Collection, Document, DocumentState, Job, Source
from retrievers import SOURCES
from retrievers.intake import MOST_ATTRIBUTES, check_attributes
from retrievers.leases import end_cancelled
from retrievers.members import condemn
from retrievers.sources import schedules
from retrievers.sources.base import Place
from retrievers.sources.crawling import secrets_place
from retrievers.sources.crawls import CRAWL, QUEUE, begin, stop
from retrievers.sources.secrets import checked

NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
#: What a crawl says of each document by itself.
_OWN_ATTRIBUTES = frozenset({"source", "url"})
#: Documents that one transaction puts out of sight.
_AT_ONCE = 100
#: Sources of one collection.
MOST_SOURCES = 200


@dataclass(frozen=True, slots=True)
class NewSource:
    """A source to make; see `core.tables.Source`. Without `secrets` the place is opened with none."""

    name: str
    kind: str
    location: Mapping[str, Any]
    secrets: Mapping[str, str] | None = None
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    prune: bool = False
    schedule: Mapping[str, Any] | None = None


class Sources:
    """Belongs to the event loop of its database. Who may change the collection, the caller has asked."""

    def __init__(self, settings: Settings, database: Database, queue: Queue) -> None:
        self._settings = settings
        self._database = database
        self._queue = queue

    async def create(self, principal: Principal, collection: Collection, new: NewSource) -> Source:
        """A source that is crawled when somebody asks, and by its schedule from its next time on, with the principal's rights.

        Raises:
            InvalidRequest: what is given makes no source (`invalid_source`, `source_not_allowed`, `invalid_credential`,
                `invalid_schedule`, `invalid_metadata`, `too_many_sources`).
            Conflict: the collection has one of that name (`already_exists`).
        """
        if not re.fullmatch(NAME_PATTERN, new.name):
            raise InvalidRequest("A source's name has 1 to 63 of a-z 0-9 _ -.", code="invalid_name", param="name")
        row = Source(
            tenant=collection.tenant,
            collection_id=collection.id,
            owner=principal.id,
            principal=principal.to_job(),
            name=new.name,
            kind=new.kind,
            include=list(new.include),
            exclude=list(new.exclude),
            prune=new.prune,
        )
        self._describe(row, new.attributes)
        self._plan(row, new.schedule)
        await self._place(row, new.location, new.secrets)
        try:
            async with self._database.transaction(collection.tenant) as session:
                held = await session.get(Collection, collection.id, with_for_update={"read": True}, populate_existing=True)
                if held is None or held.deleted_at is not None:
                    raise NotFound("There is no such collection.", code="collection_not_found")
                there = select(func.count()).select_from(Source).where(Source.collection_id == collection.id)
                if (await session.exec(there)).one() >= MOST_SOURCES:
                    raise InvalidRequest(f"A collection has at most {MOST_SOURCES} sources.", code="too_many_sources")
                session.add(row)
                await session.flush()
                await _record(session, audit.Action.SOURCE_CREATED, row, principal, {"kind": row.kind})
        except IntegrityError:
            raise Conflict(f"The collection has a source {new.name!r}.", code="already_exists", param="name") from None
        return row

    async def get(self, collection: Collection, source_id: str) -> Source:
        """Raises NotFound (`source_not_found`)."""
        async with self._database.session(collection.tenant) as session:
            return await _found(session, collection, source_id)

    async def page(self, collection: Collection, *, limit: int, after: str | None = None) -> tuple[list[Source], str | None]:
        """The collection's, by name, and the position that the next page starts after."""
        query = select(Source).where(Source.collection_id == collection.id)
        if after is not None:
            query = query.where(Source.name > after)
        async with self._database.session(collection.tenant) as session:
            rows = (await session.exec(query.order_by(Source.name).limit(limit + 1))).all()
        found = list(rows[:limit])
        return found, found[-1].name if len(rows) > limit else None

    async def counts(self, tenant: str, source_ids: Sequence[str]) -> dict[str, dict[str, int]]:
        """Documents of each source by state."""
        counts: dict[str, dict[str, int]] = {source_id: {} for source_id in source_ids}
        query = select(Document.source_id, Document.state, func.count()).where(
            col(Document.source_id).in_(source_ids), Document.state != DocumentState.DELETING
        )
        async with self._database.session(tenant) as session:
            for source_id, state, documents in (await session.exec(query.group_by(Document.source_id, Document.state))).all():
                counts[source_id or ""][state] = documents
        return counts

    async def update(self, principal: Principal, collection: Collection, source_id: str, changes: Mapping[str, Any]) -> Source:
        """Change what is named: `location`, `secrets` (None: none any more), `include`, `exclude`, `attributes`, `prune`,
        `schedule` (None: none any more). Who gives a location or secrets is whose rights it is crawled with from then on; with
        another location, secrets are given anew. Raises as `create`, and NotFound."""
        row = await self.get(collection, source_id)
        touched = {"attributes", "include", "exclude", "prune"} & set(changes)
        if "attributes" in changes:
            self._describe(row, changes["attributes"])
        if "schedule" in changes:
            self._plan(row, changes["schedule"])
            touched |= {"schedule", "next_at"}
        for name in ("include", "exclude", "prune"):
            if name in changes:
                setattr(row, name, changes[name])
        if "location" in changes or "secrets" in changes:
            moved = changes.get("location", row.location) != row.location
            if "secrets" in changes or moved:
                await self._place(row, changes.get("location", row.location), changes.get("secrets"))
                touched |= {"location", "secrets", "hint"}
            row.owner, row.principal = principal.id, principal.to_job()
            touched |= {"owner", "principal"}
        values = {name: getattr(row, name) for name in touched}  # the others may have changed since they were read
        async with self._database.transaction(collection.tenant) as session:
            await _found(session, collection, source_id, to_change=True)
            await session.exec(update(Source).where(col(Source.id) == source_id).values(**values, updated_at=utc_now()))
            await _record(session, audit.Action.SOURCE_CHANGED, row, principal, {"fields": sorted(changes)})
        return await self.get(collection, source_id)

    async def delete(self, principal: Principal, collection: Collection, source_id: str, *, documents: bool) -> list[Document]:
        """Forget the source; its crawl stops. Its documents stay, as if somebody had given them, or go with it: those are given
        back, still to be purged (`Documents.purge`)."""
        await self.get(collection, source_id)
        mine = (col(Document.source_id) == source_id, col(Document.state) != DocumentState.DELETING)
        query = select(Document).where(Document.collection_id == collection.id, *mine)
        query = query.order_by(Document.name).limit(_AT_ONCE).with_for_update()
        gone: list[Document] = []
        while documents:
            async with self._database.transaction(collection.tenant) as session:
                some = (await session.exec(query)).all()
                await condemn(session, some, principal)
            gone += some
            if len(some) < _AT_ONCE:
                break
        async with self._database.transaction(collection.tenant) as session:
            row = await _found(session, collection, source_id, to_change=True)
            job_id = await stop(session, row)
            rest: Sequence[Document] = []
            if documents:  # what a crawl has brought meanwhile
                rest = (await session.exec(query.limit(None))).all()
                gone += rest
            else:
                await session.exec(update(Document).where(*mine).values(source_id=None, source_mark=""))
            await session.delete(row)
            await _record(session, audit.Action.SOURCE_DELETED, row, principal, {"documents": len(gone)})
            await end_cancelled(session, [job_id] if job_id else [])
            await condemn(session, rest, principal)
        return gone

    async def crawl(self, principal: Principal, collection: Collection, source_id: str) -> Job:
        """Crawl it now, by a job of the principal's; while one has not ended, that one.

        Raises:
            NotFound: `source_not_found`. Conflict: it is paused (`source_paused`).
        """
        async with self._database.transaction(collection.tenant) as session:
            row = await _found(session, collection, source_id, to_change=True)
            if row.paused_at is not None:
                raise Conflict("The source is paused.", code="source_paused")
            known = row.job_id
            job = await begin(session, row, collection.name, principal)
            if job.id != known:
                await _record(session, audit.Action.SOURCE_CRAWLED, row, principal, {"job": job.id})
        await self._queue.send(CRAWL, source_id, queue=QUEUE)
        return job

    async def _place(self, row: Source, location: Mapping[str, Any], secrets: Mapping[str, str] | None) -> None:
        """Where the source is, and what opens it, checked and sealed."""
        if row.kind not in SOURCES:
            raise InvalidRequest(f"A source is of one of {', '.join(sorted(SOURCES))}.", code="invalid_source", param="kind")
        given = checked(row.kind, location, secrets) if secrets else {}
        kind: Any = SOURCES.load(row.kind)
        row.location = await asyncio.to_thread(kind.check, Place(row.tenant, location, given), self._settings)
        row.secrets = await self._database.keyring.seal_json(secrets_place(row), given) if given else None
        row.hint = key_hint(next(iter(given.values()))) if given and "service_account" not in given else ""

    def _describe(self, row: Source, attributes: Mapping[str, Any]) -> None:
        check_attributes(attributes)
        if len(attributes) > MOST_ATTRIBUTES - len(_OWN_ATTRIBUTES) or _OWN_ATTRIBUTES & set(attributes):
            raise InvalidRequest(
                "Metadata of a source leaves room for `source` and `url`, which each of its documents has.",
                code="invalid_metadata",
                param="metadata",
            )
        row.attributes = dict(attributes)

    def _plan(self, row: Source, schedule: Mapping[str, Any] | None) -> None:
        now = utc_now()
        if schedule is not None:
            schedules.check(schedule, now)
        row.schedule = dict(schedule) if schedule is not None else None
        row.next_at = schedules.next_after(schedule, now) if schedule is not None else None


async def _found(session: AsyncSession, collection: Collection, source_id: str, *, to_change: bool = False) -> Source:
    row = await session.get(Source, source_id, with_for_update=to_change or None, populate_existing=True)
    if row is None or row.collection_id != collection.id:
        raise NotFound("There is no such source.", code="source_not_found")
    return row


async def _record(
    session: AsyncSession, action: audit.Action, row: Source, principal: Principal, details: Mapping[str, audit.Detail]
) -> None:
    told = {"collection": row.collection_id, **details}
    await audit.record(session, action, on=("source", row.id), details=told, principal=principal)
