"""How the legs of each collection's searches are fused: checked once it has grown, and kept with its generation.

What is asked is in `retrievers.probing`. The database says what is due; a check may be repeated, and comes to the same.
"""

import asyncio
import random
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import structlog
from sqlmodel import col, func, select, update

from core.database import Database, utc_now
from core.errors import DecryptionFailed, NotFound, Unavailable
from core.tables import Collection, CollectionUpkeep, Document, GenerationState, IndexGeneration, Tenant
from retrievers import chunk_ledger
from retrievers.base import Chunk, FindsIds, Shelf
from retrievers.generations import Generation, note
from retrievers.indexing import embedded_text
from retrievers.leases import PENDING
from retrievers.probing import MOST_PROBES, Finding, Probe, Ranks, finding, ranked, without
from retrievers.store_words import StoreWords

if TYPE_CHECKING:
    from retrievers.following import Following
    from retrievers.library import Resources

log = structlog.get_logger()

#: What workers are called by; the queue is that of `retrievers.upkeep`, whose work nothing waits for.
CHECK = "check_fusion"
#: Chunks from which on a collection is checked, and the share by which it has to have grown or shrunk to be checked anew.
LEAST_CHUNKS, SHARE = 100, 0.25
#: As deep as each leg goes in a search.
_CANDIDATES = 100
_EMBEDDED_AT_ONCE = 32


class FusionChecks:
    """Belongs to the event loop of its database."""

    def __init__(self, database: Database, resources: "Resources", following: "Following") -> None:
        self._database, self._resources, self._following = database, resources, following

    async def due(self, limit: int) -> list[str]:
        """Active generations whose collection was never checked, or has grown by `SHARE` since, and has nothing left to read.
        What has changed by less is noted as looked at, so that its chunks are not counted again until the next change."""
        waiting = select(Document.id).where(
            Document.collection_id == IndexGeneration.collection_id, col(Document.state).in_(PENDING)
        )
        closed = col(IndexGeneration.tenant).in_(select(Tenant.id).where(col(Tenant.disabled_at).is_not(None)))
        query = (
            select(IndexGeneration, CollectionUpkeep.number)
            .where(CollectionUpkeep.collection_id == IndexGeneration.collection_id)
            .where(Collection.id == IndexGeneration.collection_id, col(Collection.deleted_at).is_(None))
            .where(IndexGeneration.state == GenerationState.ACTIVE.value, ~waiting.exists(), ~closed)
            .where(CollectionUpkeep.number != IndexGeneration.fusion_number)
            .order_by(IndexGeneration.id)
            .limit(limit)
        )
        found = []
        async with self._database.transaction(all_tenants=True) as session:
            for row, number in (await session.exec(query)).all():
                mine = (Document.collection_id == row.collection_id, Document.indexed_revision > 0)
                chunks = (await session.exec(select(func.coalesce(func.sum(Document.chunks), 0)).where(*mine))).one()
                if _has_grown(chunks, row.fusion):
                    found.append(row.id)
                else:
                    looked = update(IndexGeneration).where(col(IndexGeneration.id) == row.id)
                    await session.exec(looked.values(fusion_number=number))
        return found

    async def check(self, generation_id: str) -> Finding | None:
        """Check a generation and keep what was found; searches go by it at once here, within a second elsewhere. None where it
        is not active any more, where the store has not the words of all, and where its alias has another embedding model now.

        Raises:
            Unavailable, ProviderFailed: a store, the files, the embedding model, or the word index, which is behind.
        """
        async with self._database.session(all_tenants=True) as session:
            row = await session.get(IndexGeneration, generation_id)
            upkeep = await session.get(CollectionUpkeep, row.collection_id) if row is not None else None
        if row is None or upkeep is None or row.state != GenerationState.ACTIVE.value:
            return None
        generation = Generation.of(row)
        if not self._resources.models.gives_vectors_of(generation.model, generation.embeddings):
            await self._looked(generation_id, upkeep.number)
            return None
        if not await self._following.fresh(generation.collection):
            raise Unavailable("The word index is still catching up.", code="words_behind")
        words = self._resources.lexical
        note(self._resources, generation)  # whose words are meant
        if isinstance(words, StoreWords) and not await asyncio.to_thread(words.is_whole, generation.collection):
            await self._looked(generation_id, upkeep.number)  # a check of half of them would say that words find little
            return None
        counts = await self._counts(generation.collection)
        chance = random.Random(f"{generation.collection.collection_id}/{sum(counts.values())}")  # noqa: S311 - no secret
        probes = await self._probes(generation.collection, counts, chance)
        found = finding(await self.ranks(generation, probes))
        kept = {**found.stored(), "chunks": sum(counts.values()), "checked_at": utc_now().isoformat()}
        async with self._database.transaction(all_tenants=True) as session:
            mine = update(IndexGeneration).where(col(IndexGeneration.id) == generation_id)
            await session.exec(mine.values(fusion=kept, fusion_number=upkeep.number))
        note(self._resources, generation)
        log.info("fusion.checked", collection_id=generation.collection.collection_id, **found.stored())
        return found

    async def _looked(self, generation_id: str, number: int) -> None:
        """Nothing is to be checked until the collection changes."""
        async with self._database.transaction(all_tenants=True) as session:
            mine = update(IndexGeneration).where(col(IndexGeneration.id) == generation_id)
            await session.exec(mine.values(fusion_number=number))

    async def _counts(self, shelf: Shelf) -> dict[str, int]:
        """The chunks of each document that is found."""
        query = select(Document.id, Document.chunks).where(
            Document.collection_id == shelf.collection_id, Document.indexed_revision > 0, Document.chunks_key != ""
        )
        async with self._database.session(shelf.tenant) as session:
            return dict((await session.exec(query.order_by(Document.id))).all())

    async def _probes(self, shelf: Shelf, counts: Mapping[str, int], chance: random.Random) -> list[Probe]:
        """Sentences of chunks that are drawn from all of the collection's, each as likely as another."""
        if not (ends := list(accumulate(counts.values()))) or not ends[-1]:
            return []
        drawn: dict[str, list[int]] = defaultdict(list)
        ids = list(counts)
        for number in sorted(chance.sample(range(ends[-1]), min(2 * MOST_PROBES, ends[-1]))):
            at = bisect_right(ends, number)
            drawn[ids[at]].append(number - (ends[at - 1] if at else 0))
        order = list(drawn)
        chance.shuffle(order)
        probes: list[Probe] = []
        for document_id in order:
            if len(probes) >= MOST_PROBES:
                break
            chunks = await self._chunks(shelf, document_id)
            made = (Probe.of(chunks[number], chance) for number in drawn[document_id] if number < len(chunks))
            probes += [probe for probe in made if probe is not None]
        return probes[:MOST_PROBES]

    async def _chunks(self, shelf: Shelf, document_id: str) -> list[Chunk]:
        async with self._database.session(shelf.tenant) as session:
            document = await session.get(Document, document_id)
        if document is None or not document.indexed_revision:
            return []
        try:
            return await chunk_ledger.listed(self._resources.files, document)
        except (NotFound, DecryptionFailed, ValueError):  # the reconciliation's to put right
            return []

    async def ranks(self, generation: Generation, probes: Sequence[Probe]) -> list[Ranks]:
        """What each leg, and both, make of the probes. Raises as `check`."""
        embeddings = self._resources.models.embeddings(generation.embeddings)
        ranks: list[Ranks] = []
        for first in range(0, len(probes), _EMBEDDED_AT_ONCE):
            some = probes[first : first + _EMBEDDED_AT_ONCE]
            queries = [await embeddings.aembed_query(probe.query) for probe in some]
            rests = [f"{probe.chunk.context}\n\n{probe.rest}" if probe.chunk.context else probe.rest for probe in some]
            left = await embeddings.aembed_documents(rests)
            for probe, query, rest in zip(some, queries, left, strict=True):
                ranks.append(await asyncio.to_thread(self._rank, generation, probe, query, rest))
        return ranks

    def _rank(self, generation: Generation, probe: Probe, query: Any, rest: Any) -> Ranks:
        store, words = self._resources.store_of(generation.store), self._resources.lexical
        vector, chunk = np.asarray(query, dtype=np.float32), probe.chunk
        lexical = dict(words.search(generation.collection, probe.query, _CANDIDATES))
        if isinstance(store, FindsIds):
            near = dict(store.nearest(generation.shelf, vector, _CANDIDATES))
        else:
            near = {found.id: score for found, score in store.search(generation.shelf, vector, _CANDIDATES)}
        apart = [chunk_id for chunk_id in lexical if chunk_id not in near]
        similarities = near | (store.similarities(generation.shelf, vector, apart) if apart else {})
        for other in store.get(generation.shelf, list(similarities | lexical)):
            beside = other.document_id == chunk.document_id and other.id != chunk.id and probe.is_beside(other.start, other.end)
            if beside:
                similarities.pop(other.id, None)
                lexical.pop(other.id, None)
        similarities[chunk.id] = float(vector @ np.asarray(rest, dtype=np.float32))
        if chunk.id in lexical:
            weights = words.weights(generation.collection, probe.query)
            lexical[chunk.id] *= without(probe.query, embedded_text(chunk).replace(probe.query, " "), weights, words.words)
        return ranked(chunk.id, similarities, lexical)


def _has_grown(chunks: int, fusion: Mapping[str, Any] | None) -> bool:
    if fusion is None:
        return chunks >= LEAST_CHUNKS
    before = int(fusion["chunks"])
    return abs(chunks - before) > SHARE * max(before, 1)
