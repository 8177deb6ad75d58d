"""Prints how well search finds what a labelled set asks for, store by store: nDCG@10 of each leg, of both together, and of
each optional step that needs no chat model, with its gain and what a query takes.

    make bench-rag DATA=DIRECTORY
    python -m infra.bench.rag DIRECTORY [--stores=chroma,…] [--vectors=FILE]

DIRECTORY holds `corpus.jsonl` (`_id`, `title`, `text`), `queries.jsonl` (`_id`, `text`) and `qrels.tsv` (query, document, gain
below a line of names), as the Cranfield collection is published. Documents go through the same splitter, embedding model,
stores and searcher as any other, with default settings; a document's rank is that of its best passage. Judgements are read
once all queries have been answered. Nothing is kept, but the documents' vectors in the file that `--vectors` names.
"""

import argparse
import asyncio
import csv
import json
import math
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import structlog

from core.database import Database, migrate
from core.errors import PlatformError
from core.settings import Settings, SettingsError
from core.tables import Collection, Document, DocumentState
from providers.models import Models
from retrievers import STORES
from retrievers.base import Chunk, LoadedDocument, Shelf, Vectors
from retrievers.following import Following
from retrievers.fusion_checks import FusionChecks
from retrievers.generations import Generations, first_of
from retrievers.indexing import embedded_text
from retrievers.library import Resources, open_resources
from retrievers.probing import MOST_PROBES, Finding, Probe, finding
from retrievers.search import Mode, Searcher
from retrievers.splitting import split
from retrievers.steps.diversity import DiversityStep
from retrievers.steps.expansion import ExpansionStep
from retrievers.steps.reranking import RerankStep
from retrievers.steps.settings import Diversity, Expansion, Feedback, Rerank
from retrievers.steps.step import Retrieved, Step

#: Passages that a search gives, so that ten documents are among them; a step before them chooses from all.
_PASSAGES = 50
_MOST_CHUNKS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Way:
    """A way to search: its name in the table, and what it is made of. `of` is the one that it is held against."""

    name: str
    mode: Mode = "hybrid"
    feedback: Feedback | None = None
    steps: tuple[Step, ...] = ()
    of: str = ""


@dataclass(slots=True)
class Place:
    """A store with the set in it."""

    settings: Settings
    database: Database
    resources: Resources
    shelf: Shelf
    searcher: Searcher

    def ways(self) -> list[Way]:
        """The legs, both together, and each optional step behind both."""
        resources, database = self.resources, self.database
        tokens = self.settings.retrieval.chunk_tokens
        expansion = ExpansionStep(Expansion(), database, resources, chunk_tokens=tokens)
        ways = [
            Way("dense", "dense"),
            Way("lexical", "lexical"),
            Way("hybrid"),
            Way("hybrid + feedback", feedback=Feedback(), of="hybrid"),
            Way("hybrid + mmr", steps=(DiversityStep(Diversity(), resources),), of="hybrid"),
            Way("hybrid + expansion", steps=(expansion,), of="hybrid"),
            Way("hybrid + feedback + mmr", "hybrid", Feedback(), (DiversityStep(Diversity(), resources),), "hybrid"),
        ]
        if (encoder := resources.cross_encoder) is not None:

            async def judge(query: str, passages: Sequence[Any]) -> list[float]:
                texts = [embedded_text(passage.chunk) for passage in passages]
                return await asyncio.to_thread(encoder.scores, query, texts)

            ways.append(Way("hybrid + cross-encoder", steps=(RerankStep(Rerank(by="cross_encoder"), judge),), of="hybrid"))
        return ways


async def main(directory: Path, stores: Sequence[str], kept: Path | None) -> None:
    """Index the set in each store, ask its queries in each way, print a table for each store."""
    with tempfile.TemporaryDirectory() as scratch:
        models = Models(Settings.load(data_dir=scratch))
        rows = lines_of(directory / "corpus.jsonl")
        chunks, vectors = embed(models, rows, kept)
        for store in stores:
            settings = Settings.load(data_dir=Path(scratch) / store, retrieval={"store": store})
            try:
                place = await opened(settings, models, rows, chunks, vectors)
            except (PlatformError, SettingsError) as error:  # no server of its own
                say(f"\n{store}: not measured here: {error}")
                continue
            await _measured(store, place, directory, chunks)
            place.resources.close()
            await place.database.close()
        await models.close()


def embed(models: Models, rows: Sequence[Mapping[str, str]], kept: Path | None) -> tuple[list[Chunk], Vectors]:
    """The set's chunks with their vectors, those of the file where it has as many."""
    settings = models.settings.retrieval
    chunks: list[Chunk] = []
    for row in rows:
        chunks += split(
            LoadedDocument(_text(row), "text/plain"),
            document_id=row["_id"],
            name=f"{row['_id']}.txt",
            revision=1,
            tokens_of=models.embedding_tokens,
            max_tokens=settings.chunk_tokens,
            overlap=settings.chunk_overlap_tokens,
        )
    if kept is not None and kept.exists():
        vectors: Vectors = np.load(kept)
        if len(vectors) == len(chunks):
            return chunks, vectors
    started = time.perf_counter()
    made = models.embeddings().embed_documents([embedded_text(chunk) for chunk in chunks])
    vectors = np.asarray(made, dtype=np.float32)
    say(f"{len(chunks)} chunks, embedded {len(chunks) / (time.perf_counter() - started):.1f} a second")
    if kept is not None:
        np.save(kept, vectors)
    return chunks, vectors


async def opened(
    settings: Settings, models: Models, rows: Sequence[Mapping[str, str]], chunks: Sequence[Chunk], vectors: Vectors
) -> Place:
    """The store that the settings name, with the set in it.

    Raises:
        PlatformError: it cannot be opened here.
    """
    migrate(settings)
    database = Database(settings)
    resources = open_resources(settings, models, database.keyring)
    collection = Collection(name="bench")
    shelf = Shelf.of(collection)
    documents = []
    for row in rows:
        key = f"{shelf.collection_id}/{row['_id']}/1/text"
        await resources.files.put(key, _text(row).encode(), tenant=shelf.tenant)
        documents.append(
            Document(
                id=row["_id"],
                collection_id=shelf.collection_id,
                name=f"{row['_id']}.txt",
                content_hash="",
                text_key=key,
                indexed_revision=1,
                state=DocumentState.READY.value,
            )
        )
    async with database.transaction(all_tenants=True) as session:
        session.add(collection)
        await session.flush()
        session.add_all(documents)
    for first in range(0, len(chunks), _MOST_CHUNKS_AT_ONCE):
        some = chunks[first : first + _MOST_CHUNKS_AT_ONCE]
        resources.store.upsert(shelf, some, vectors[first : first + _MOST_CHUNKS_AT_ONCE])
        resources.lexical.upsert(shelf, some)
    return Place(settings, database, resources, shelf, Searcher(database, resources, Following(database, resources)))


async def _checked(place: Place, chunks: Sequence[Chunk]) -> Finding:
    """How the legs are fused here, found as in any collection; searches go by it."""
    checks = FusionChecks(place.database, place.resources, Following(place.database, place.resources))
    chance = random.Random(str(len(chunks)))  # noqa: S311 - no secret
    drawn = (Probe.of(chunk, chance) for chunk in chance.sample(list(chunks), len(chunks)))
    probes = list(islice((probe for probe in drawn if probe is not None), MOST_PROBES))
    found = finding(await checks.ranks(first_of(place.resources, place.shelf), probes))
    async with place.database.transaction(all_tenants=True) as session:
        row = await Generations(place.database, place.resources).open(session, place.shelf)
        row.fusion = found.stored()
        session.add(row)
    return found


async def _measured(store: str, place: Place, directory: Path, chunks: Sequence[Chunk]) -> None:
    checked = await _checked(place, chunks)
    queries = lines_of(directory / "queries.jsonl")
    ranked: dict[str, list[list[str]]] = defaultdict(list)
    times: dict[str, list[float]] = defaultdict(list)
    ways = place.ways()
    for query in queries:
        for way in ways:
            started = time.perf_counter()
            found = await _found(place, way, query["text"])
            times[way.name].append(time.perf_counter() - started)
            ranked[way.name].append(found)
    gains = gains_of(directory / "qrels.tsv")
    scores = {
        name: mean(ndcg(found[:10], gains[query["_id"]]) for query, found in zip(queries, lists, strict=True))
        for name, lists in ranked.items()
    }
    say(f"\n{store}: {len(queries)} queries\n{'':26} nDCG@10    gain   p50 ms   p95 ms")
    say(
        f"(by {checked.probes} sentences of its own: dense {checked.dense:.3f}, lexical {checked.lexical:.3f}, both "
        f"{checked.hybrid:.3f}; meaning weighs {checked.dense_weight} here)"
    )
    for way in ways:
        taken = sorted(1000 * taken_s for taken_s in times[way.name])
        gain = f"{scores[way.name] - scores[way.of]:+.4f}" if way.of else ""
        say(f"{way.name:26}  {scores[way.name]:.4f} {gain:>7} {median(taken):8.1f} {taken[int(0.95 * len(taken))]:8.1f}")


async def _found(place: Place, way: Way, query: str) -> list[str]:
    """The documents, each once, by their best passages."""
    found = await place.searcher.find(place.shelf, query, limit=_PASSAGES, mode=way.mode, feedback=way.feedback)
    retrieved = Retrieved(place.shelf, query, _PASSAGES, tuple(found.passages), mode=way.mode)
    for step in way.steps:
        retrieved = await step.ainvoke(retrieved)
        if retrieved.impaired:
            raise SystemExit(f"the step {step.step} could not be taken: {retrieved.steps[-1].skipped}")
    return list(dict.fromkeys(passage.chunk.document_id for passage in retrieved.passages))


def gains_of(path: Path) -> Mapping[str, Mapping[str, float]]:
    """What each document is worth for each query; nothing where it is not judged."""
    gains: dict[str, dict[str, float]] = defaultdict(dict)
    with path.open(encoding="utf-8") as file:
        for query_id, document, gain in list(csv.reader(file, delimiter="\t"))[1:]:
            gains[query_id][document] = float(gain)
    return gains


def ndcg(ranked: Sequence[str], gains: Mapping[str, float]) -> float:
    """Normalised discounted cumulative gain of a ranking, cut where it ends, against the best ten that there are."""
    got = sum(gains.get(document, 0) / math.log2(place + 2) for place, document in enumerate(ranked))
    best = sum(gain / math.log2(place + 2) for place, gain in enumerate(sorted(gains.values(), reverse=True)[:10]))
    return got / best if best else 0.0


def _text(row: Mapping[str, str]) -> str:
    return f"{row['title']}\n\n{row['text']}"


def lines_of(path: Path) -> list[dict[str, str]]:
    """The objects of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def say(line: str) -> None:
    """Print a line now."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="how well search finds what a labelled set asks for")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--stores", default=",".join(STORES), help="names, joined by commas; by default all")
    parser.add_argument("--vectors", type=Path, help="file to keep the documents' vectors in, for the next time")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    asyncio.run(main(given.directory, given.stores.split(","), given.vectors))
