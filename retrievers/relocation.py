"""What is asked of collections' index generations: to move them to another store or model, to go back, to drop what is kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core import audit, denials, jobs
from core.database import Database, utc_now
from core.errors import Conflict, InvalidRequest, NotFound
from core.principals import Principal, Scope
from core.settings import Settings
from core.tables import Collection, CollectionUpkeep, Document, GenerationState, IndexGeneration, Job, JobState
from core.tables.columns import new_id
from retrievers.base import FindsWords, Shelf
from retrievers.changes import upkeep_of
from retrievers.generations import Generations
from retrievers.library import Resources


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where vectors are, or are to be: in which store, made by which alias. None: in any, or as they are now."""

    store: str | None
    embeddings: str | None

    @classmethod
    def parse(cls, said: str, *, param: str) -> "Whereabouts":
        """`STORE`, `STORE:ALIAS` or `:ALIAS`. Raises InvalidRequest."""
        store, _, alias = said.partition(":")
        if not store and not alias:
            raise InvalidRequest("Say STORE, STORE:ALIAS or :ALIAS.", param=param)
        return cls(store or None, alias or None)

    def holds(self, row: IndexGeneration) -> bool:
        """Whether a generation is there."""
        return self.store in (None, row.store) and self.embeddings in (None, row.embeddings)


@dataclass(frozen=True, slots=True)
class Move:
    """What is to be moved: `names` of the principal's tenant, or all of it that is at `source`, or of all tenants
    (`everywhere`). `keep_s`: how long what it leaves is kept."""

    to: Whereabouts
    source: Whereabouts | None = None
    names: tuple[str, ...] = ()
    everywhere: bool = False
    keep_s: float | None = None


class Relocation:
    """Belongs to the event loop of its database."""

    def __init__(self, settings: Settings, database: Database, resources: Resources, generations: Generations) -> None:
        self._settings, self._database, self._resources = settings, database, resources
        self._generations = generations

    async def ask(self, principal: Principal, move: Move) -> tuple[Job, list[str]]:
        """A job that moves collections, and the generations that it fills. What is there already, or is being moved, is left
        out; a generation that is kept there is gone back to.

        Raises:
            InvalidRequest: `store_not_open`, `unknown_model`; nothing says what is to be moved.
            NotFound: `collection_not_found`.
            Conflict: `being_moved`: a collection that was named is.
            Forbidden: for all tenants, without the right to.
        """
        self._check(principal, move)
        whose = {"all_tenants": True} if move.everywhere else {"tenant": principal.tenant}
        async with self._database.transaction(**whose) as session:
            collections = await self._chosen(session, principal, move)
            sizes = await _sizes(session, [row.id for row in collections])
            rows = []
            for collection in collections:
                row = await self._row(session, collection, move, sizes.get(collection.id, 0))
                if row is not None:
                    rows.append(row)
            # the job's lock comes first elsewhere; nobody else knows this one yet
            job = await self._job(session, principal, move, rows)
            for row in rows:
                row.job_id = job.id
                session.add(row)
            await session.flush()
            if not rows:
                await jobs.end(session, job, JobState.SUCCEEDED)
        return job, [row.id for row in rows]

    async def go_back(self, principal: Principal, collection: Collection) -> tuple[Job, list[str]]:
        """A job that makes the generation active again that was so last, brought up to what has changed since.

        Raises:
            NotFound: `generation_not_found`: none is kept.
            Conflict: `being_moved`
        """
        async with self._database.session(collection.tenant) as session:
            kept = await _kept(session, collection.id)
        if not kept:
            raise NotFound("Nothing is kept that one could go back to.", code="generation_not_found")
        to = Whereabouts(kept[0].store, kept[0].embeddings)
        return await self.ask(principal, Move(to, names=(collection.name,)))

    async def page(self, collection: Collection) -> list[IndexGeneration]:
        """A collection's generations, the newest first."""
        async with self._database.session(collection.tenant) as session:
            query = select(IndexGeneration).where(IndexGeneration.collection_id == collection.id)
            order = (col(IndexGeneration.created_at).desc(), col(IndexGeneration.id))
            return list((await session.exec(query.order_by(*order))).all())

    async def drop(self, principal: Principal, collection: Collection, generation_id: str) -> None:
        """A generation that is kept goes now; there is no way back to it.

        Raises:
            NotFound: `generation_not_found`.
            Conflict: `generation_in_use`: it is not one that is kept.
        """
        mine = (IndexGeneration.id == generation_id, IndexGeneration.collection_id == collection.id)
        async with self._database.transaction(collection.tenant) as session:
            row = (await session.exec(select(IndexGeneration).where(*mine).with_for_update())).first()
            if row is None:
                raise NotFound("There is no such generation.", code="generation_not_found")
            if row.state not in (GenerationState.KEPT.value, GenerationState.DROPPING.value):
                raise Conflict("Only a generation that is kept can be dropped.", code="generation_in_use")
            row.kept_until = utc_now() - timedelta(seconds=1)  # the sweeper takes it, once no search can be in it
            session.add(row)
            on, details = ("collection", collection.id), {"fields": [f"generation {row.id}"]}
            await audit.record(session, audit.Action.COLLECTION_CHANGED, on=on, details=details, principal=principal)

    def _check(self, principal: Principal, move: Move) -> None:
        if move.everywhere and not principal.may(Scope.PROVIDERS_MANAGE):
            raise denials.lacks(principal, Scope.PROVIDERS_MANAGE, act="do that for all tenants")
        if not move.names and move.source is None:
            raise InvalidRequest("Name the collections, or say where those are that are to be moved.", param="from")
        for param, where in (("to", move.to), ("from", move.source)):
            if where is not None and where.store not in (None, *self._resources.opened):
                known = ", ".join(self._resources.opened)
                raise InvalidRequest(
                    f"The vector store {where.store!r} is not opened here: GENAI_RETRIEVAL__OTHER_STORES names stores beside "
                    f"that of new collections. Opened are: {known}.",
                    code="store_not_opened",
                    param=param,
                )
        to = self._resources.opened.get(move.to.store or "")
        if self._settings.retrieval.words == "store" and to is not None and not isinstance(to, FindsWords):
            raise Conflict(
                f"Words are found in the vector store (GENAI_RETRIEVAL__WORDS=store), and {move.to.store!r} finds none: set it "
                "to `index` first.",
                code="words_in_store",
            )
        kinds = self._resources.models.kinds()
        if move.to.embeddings is not None and kinds.get(move.to.embeddings) != "embeddings":
            raise InvalidRequest(
                f"There is no model {move.to.embeddings!r} of the kind embeddings.", code="unknown_model", param="to"
            )

    async def _chosen(self, session: AsyncSession, principal: Principal, move: Move) -> list[Collection]:
        query = select(Collection).where(col(Collection.deleted_at).is_(None))
        if not move.everywhere:
            query = query.where(Collection.tenant == principal.tenant)
        if move.names:
            query = query.where(col(Collection.name).in_(move.names))
        if principal.collections is not None:
            query = query.where(col(Collection.name).in_(principal.collections))
        found = list((await session.exec(query.order_by(Collection.tenant, Collection.name))).all())
        if missing := set(move.names) - {row.name for row in found}:
            raise NotFound(f"There is no collection {min(missing)!r}.", code="collection_not_found")
        return found

    async def _row(self, session: AsyncSession, collection: Collection, move: Move, chunks: int) -> IndexGeneration | None:
        """The generation that is to be filled for a collection; None where there is nothing to do."""
        await upkeep_of(session, collection.tenant, collection.id)
        upkeep = select(CollectionUpkeep).where(CollectionUpkeep.collection_id == collection.id).with_for_update()
        number = (await session.exec(upkeep)).one().number
        active = await self._generations.open(session, Shelf.of(collection))
        if move.source is not None and not move.source.holds(active):
            return None
        store, alias = move.to.store or active.store, move.to.embeddings or active.embeddings
        models = self._resources.models
        model = models.embedding_name(alias)
        if alias == active.embeddings and models.gives_vectors_of(active.model, alias):
            model = active.model  # at another provider, maybe: its vectors are copied
        if (active.store, active.embeddings, active.model) == (store, alias, model):
            return None
        filling = (IndexGeneration.collection_id == collection.id, IndexGeneration.state == GenerationState.FILLING.value)
        if (await session.exec(select(IndexGeneration.id).where(*filling))).first() is not None:
            if move.names:
                raise Conflict(f"The collection {collection.name!r} is being moved already.", code="being_moved")
            return None
        row = await self._kept_there(session, collection.id, (store, alias, model))
        if row is None:
            name = new_id("gen")()
            row = IndexGeneration(
                id=name,
                tenant=collection.tenant,
                collection_id=collection.id,
                state=GenerationState.FILLING,
                store=store,
                embeddings=alias,
                model=model,
                shelf=f"{collection.id}_{name.removeprefix('gen_')}",
                origin_store=active.origin_store,
                origin_model=active.origin_model,
                number=number,
            )
        row.state, row.source_id, row.kept_until = GenerationState.FILLING, active.id, None
        row.keep_s = self._settings.retrieval.keep_generations_s if move.keep_s is None else move.keep_s
        row.done, row.total, row.attempts = 0, chunks, 0
        row.lease, row.leased_until = None, None
        session.add(row)
        await session.flush()
        return row

    @staticmethod
    async def _kept_there(session: AsyncSession, collection_id: str, place: tuple[str, str, str]) -> IndexGeneration | None:
        for row in await _kept(session, collection_id):
            if (row.store, row.embeddings, row.model) == place and (row.kept_until is None or row.kept_until > utc_now()):
                return row
        return None

    async def _job(self, session: AsyncSession, principal: Principal, move: Move, rows: Sequence[IndexGeneration]) -> Job:
        arguments: dict[str, Any] = {"to": _said(move.to), "collections": len(rows)}
        if move.source is not None:
            arguments["from"] = _said(move.source)
        if move.everywhere:
            arguments["everywhere"] = True
        if len(move.names) == 1 and not move.everywhere:
            arguments["collection"] = move.names[0]
        total = sum(row.total for row in rows)
        return await jobs.open_job(session, principal, jobs.REINDEXING, total=total, arguments=arguments)


async def cancel(database: Database, principal: Principal, job: Job) -> Job:
    """End a job that moves collections: what is being filled goes, or is kept on; what was switched stays.

    Raises:
        Conflict: the job has ended already (`job_finished`).
    """
    from retrievers import reindexing

    async with database.transaction(all_tenants=True) as session:
        row = await jobs.lock_job(session, job.id)
        if row is None or JobState(row.state).finished:
            raise Conflict("The job has ended already.", code="job_finished")
        if row.arguments.get("everywhere") and not principal.may(Scope.PROVIDERS_MANAGE):
            raise denials.lacks(principal, Scope.PROVIDERS_MANAGE, act="end that for all tenants")
        await reindexing.cancel(session, row)
    return row


async def _kept(session: AsyncSession, collection_id: str) -> Sequence[IndexGeneration]:
    """Those that are kept, the one that was active last first."""
    mine = (IndexGeneration.collection_id == collection_id, IndexGeneration.state == GenerationState.KEPT.value)
    query = select(IndexGeneration).where(*mine).order_by(col(IndexGeneration.switched_at).desc())
    return (await session.exec(query)).all()


async def _sizes(session: AsyncSession, collection_ids: Sequence[str]) -> dict[str, int]:
    """How many chunks collections have."""
    sizes: dict[str, int] = {}
    for first in range(0, len(collection_ids), 500):
        some = collection_ids[first : first + 500]
        query = select(Document.collection_id, func.sum(Document.chunks)).where(col(Document.collection_id).in_(some))
        rows = await session.exec(query.group_by(col(Document.collection_id)))
        sizes |= {collection_id: int(chunks or 0) for collection_id, chunks in rows.all()}
    return sizes


def _said(where: Whereabouts) -> str:
    return f"{where.store or ''}{':' + where.embeddings if where.embeddings else ''}"
