"""Where a collection's vectors are: its index generations. A collection's name stands for the one that is active.

Who writes asks the database each time. Who searches may go by what was so a moment ago: a generation that was active is kept
for longer than that.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import IntegrityError
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from core.database import Database, utc_now
from core.errors import Conflict
from core.settings import SettingsError
from core.tables import Collection, GenerationState, IndexGeneration
from retrievers.base import FindsWords, Shelf, VectorStore
from retrievers.fusion import DENSE_WEIGHT
from retrievers.splitting_settings import Splitting, splitting_of
from retrievers.upkeep import missing_documents

if TYPE_CHECKING:
    from retrievers.library import Resources

#: Seconds for which a search goes by what was read before.
KNOWN_FOR_S = 0.4
_TRIES = 3


class GenerationChanged(Exception):
    """What was written has gone into a generation that is not active any more: it is to be written again."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One generation of `collection`, on `shelf` of the store. `id` is empty where the database knows of none, and the vectors
    are where they were before there were generations."""

    id: str
    collection: Shelf
    shelf: Shelf
    store: str
    embeddings: str
    model: str
    origin: tuple[str, str]
    state: GenerationState = GenerationState.ACTIVE
    #: How documents are split that are brought in now.
    splitting: Splitting = field(default_factory=Splitting)
    #: What the dense leg weighs in a hybrid search.
    dense_weight: float = DENSE_WEIGHT
    #: Whether passages may be missing that the database speaks of: it was put back from a backup.
    restoring: bool = False

    @classmethod
    def of(cls, row: IndexGeneration, splitting: Splitting = Splitting()) -> "Generation":  # noqa: B008 - it is frozen
        """What a row says."""
        return cls(
            id=row.id,
            collection=Shelf(row.tenant, row.collection_id),
            shelf=Shelf(row.tenant, row.shelf),
            store=row.store,
            embeddings=row.embeddings,
            model=row.model,
            origin=(row.origin_store, row.origin_model),
            state=GenerationState(row.state),
            splitting=splitting,
            dense_weight=(row.fusion or {}).get("dense_weight", DENSE_WEIGHT),
        )


def first_of(resources: "Resources", shelf: Shelf) -> Generation:
    """The generation that a collection begins with: in the store and by the model of new collections."""
    model = resources.models.embedding_name(resources.embeddings)
    return Generation("", shelf, shelf, resources.store_name, resources.embeddings, model, (resources.store_name, model))


def last_known(resources: "Resources", shelf: Shelf) -> Generation:
    """The generation that was last searched in this process, for what goes on with what was found there. Asks nobody."""
    known = resources.known.get(shelf)
    return known[1] if known is not None else first_of(resources, shelf)


def note(resources: "Resources", generation: Generation) -> None:
    """Where a collection is from now on. What else there is to know of it is read before it is searched next."""
    resources.known[generation.collection] = (float("-inf"), generation)


def check_model(resources: "Resources", generation: Generation) -> None:
    """To be called before a text is embedded that is compared with the generation's vectors, or kept among them, and after the
    model was taken that will do it: what is deployed between the two is no matter then.

    Raises:
        Conflict: `embedding_changed`: its alias has another model behind it than the one that made them. Vectors of the two may
            be of one length, and would be compared without anybody seeing that it says nothing.
        NotFound: `model_not_found`: there is no such alias any more.
    """
    if not resources.models.gives_vectors_of(generation.model, generation.embeddings):
        raise Conflict(
            f"The alias {generation.embeddings!r} has another embedding model behind it than the one that the collection was "
            f"filled with. Move the collection to it (`make reindex COLLECTION=… TO=:{generation.embeddings}`), or have the "
            "former model back.",
            code="embedding_changed",
        )


class Generations:
    """Belongs to the event loop of its database."""

    def __init__(self, database: Database, resources: "Resources") -> None:
        self._database, self._resources = database, resources

    def store(self, generation: Generation) -> VectorStore:
        """Raises Unavailable (`store_not_open`): the settings do not name it."""
        return self._resources.store_of(generation.store)

    async def known(self, shelf: Shelf) -> Generation:
        """The active generation, or the one that was so `KNOWN_FOR_S` seconds ago."""
        known = self._resources.known.get(shelf)
        if known is not None and time.monotonic() - known[0] < KNOWN_FOR_S:
            return known[1]
        asked_at = time.monotonic()
        generation = await self.current(shelf)
        self._resources.known[shelf] = (asked_at, generation)
        return generation

    async def current(self, shelf: Shelf) -> Generation:
        """The active generation as the database has it now."""
        async with self._database.session(shelf.tenant) as session:
            row = (await session.exec(_active(shelf.collection_id))).first()
            splitting = splitting_of(await session.get(Collection, shelf.collection_id))
            restoring = await missing_documents(session, shelf.collection_id) > 0
        found = Generation.of(row) if row is not None else first_of(self._resources, shelf)
        return replace(found, splitting=splitting, restoring=restoring)

    async def all(self, shelf: Shelf) -> list[Generation]:
        """Every generation of a collection, in whatever state, the oldest first."""
        async with self._database.session(shelf.tenant) as session:
            query = select(IndexGeneration).where(IndexGeneration.collection_id == shelf.collection_id)
            rows = (await session.exec(query.order_by(col(IndexGeneration.created_at)))).all()
        return [Generation.of(row) for row in rows] or [first_of(self._resources, shelf)]

    async def fusions(self, tenant: str, collection_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What was found about how to fuse the legs of these collections' searches, as far as they were checked."""
        active = (IndexGeneration.state == GenerationState.ACTIVE.value, col(IndexGeneration.collection_id).in_(collection_ids))
        query = select(IndexGeneration.collection_id, IndexGeneration.fusion).where(*active)
        async with self._database.session(tenant) as session:
            return {collection_id: dict(found) for collection_id, found in (await session.exec(query)).all() if found}

    async def open(self, session: AsyncSession, shelf: Shelf) -> IndexGeneration:
        """The row of the active generation, made now where there is none."""
        row = (await session.exec(_active(shelf.collection_id))).first()
        if row is None:
            first = first_of(self._resources, shelf)
            row = IndexGeneration(
                tenant=shelf.tenant,
                collection_id=shelf.collection_id,
                state=GenerationState.ACTIVE,
                store=first.store,
                embeddings=first.embeddings,
                model=first.model,
                shelf=first.shelf.collection_id,
                origin_store=first.origin[0],
                origin_model=first.origin[1],
                copied=True,
                switched_at=utc_now(),
            )
            session.add(row)
            await session.flush()
        return row

    async def begin(self) -> None:
        """At a start: collections of before there were generations are where new ones are made, and from now on that is
        written down. May be called by several processes at once.

        Raises:
            SettingsError: vectors are in a store that the settings do not name.
        """
        for tries_left in reversed(range(_TRIES)):
            try:
                await self._adopt()
                break
            except IntegrityError:  # another process does the same
                if not tries_left:
                    raise
        if not self._resources.lexical.follows:
            await self._refuse_elsewhere()
        async with self._database.session(all_tenants=True) as session:
            stores = set((await session.exec(select(IndexGeneration.store).distinct())).all())
        if missing := sorted(stores - self._resources.opened.keys()):
            names = ", ".join(f'"{name}"' for name in missing)
            raise SettingsError(
                f"GENAI_RETRIEVAL__OTHER_STORES: collections have vectors in {' and '.join(missing)}, which is not opened: add "
                f"[{names}], and move them with `make reindex FROM={missing[0]} TO={self._resources.store_name}`"
            )

    async def _refuse_elsewhere(self) -> None:
        """At a start where the vector store finds the words.

        Raises:
            SettingsError: collections are in stores that find none.
        """
        finding = [name for name, store in self._resources.opened.items() if isinstance(store, FindsWords)]
        query = select(func.count()).where(
            IndexGeneration.state == GenerationState.ACTIVE.value, col(IndexGeneration.store).not_in(finding)
        )
        async with self._database.session(all_tenants=True) as session:
            elsewhere = (await session.exec(query.select_from(IndexGeneration))).one()
        if elsewhere:
            raise SettingsError(
                f"GENAI_RETRIEVAL__WORDS=store: {elsewhere} collections are in stores that find no words: set it to `index`, "
                f"until they are moved with `make reindex TO={self._resources.store_name}`"
            )

    async def _adopt(self) -> None:
        known = select(IndexGeneration.id).where(IndexGeneration.collection_id == Collection.id).exists()
        async with self._database.transaction(all_tenants=True) as session:
            for row in (await session.exec(select(Collection).where(~known))).all():
                await self.open(session, Shelf.of(row))


async def is_active(session: AsyncSession, collection_id: str, generation_id: str) -> bool:
    """Whether that is the generation that questions are answered from. To be asked with the collection's number of changes
    locked (`retrievers.changes.note_change`), so that it stays so until the transaction ends."""
    row = (await session.exec(_active(collection_id))).first()
    if row is None:
        return not generation_id
    return row.id == generation_id or (not generation_id and row.shelf == collection_id)


def _active(collection_id: str) -> SelectOfScalar[IndexGeneration]:
    active = IndexGeneration.state == GenerationState.ACTIVE.value
    return select(IndexGeneration).where(IndexGeneration.collection_id == collection_id, active)
