"""Prints how well search finds what a labelled set asks for: nDCG@10 of dense, BM25 and hybrid search, and their times.

    python infra/bench/search_quality.py DIRECTORY

DIRECTORY holds `corpus.jsonl` (`_id`, `title`, `text`), `queries.jsonl` (`_id`, `text`) and `qrels.tsv` (query, document, gain
below a line of names), as the Cranfield collection is published. Documents go through the same splitter, embedding model and
stores as any other, with default settings; a document's rank is that of its best chunk. Nothing is kept.
"""

import csv
import json
import math
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import mean, median

import numpy as np

from core.settings import Settings
from providers.models import Models
from retrievers.base import Chunk, LoadedDocument, Shelf
from retrievers.fusion import fuse
from retrievers.indexing import embedded_text
from retrievers.library import Resources, open_resources
from retrievers.splitting import split

_SHELF = Shelf("default", "col_bench")
_DEPTH = 100


def main(directory: Path) -> None:
    """Index the set, ask its queries, print the table."""
    with tempfile.TemporaryDirectory() as scratch:
        settings = Settings.load(data_dir=scratch)
        models = Models(settings)
        resources = open_resources(settings, models)
        started = time.perf_counter()
        chunks = _index(settings, resources, _lines(directory / "corpus.jsonl"))
        taken = time.perf_counter() - started
        _say(f"{len(chunks)} chunks, {len(chunks) / taken:.1f} a second")
        _ask(resources, {chunk.id: chunk.document_id for chunk in chunks}, directory)
        resources.close()


def _index(settings: Settings, resources: Resources, rows: list[dict[str, str]]) -> list[Chunk]:
    chunks: list[Chunk] = []
    for row in rows:
        chunks += split(
            LoadedDocument(f"{row['title']}\n\n{row['text']}", "text/plain"),
            document_id=row["_id"],
            name=f"{row['_id']}.txt",
            revision=1,
            tokens_of=resources.models.embedding_tokens,
            max_tokens=settings.retrieval.chunk_tokens,
            overlap=settings.retrieval.chunk_overlap_tokens,
        )
    vectors = resources.models.embeddings().embed_documents([embedded_text(chunk) for chunk in chunks])
    resources.store.upsert(_SHELF, chunks, np.asarray(vectors, dtype=np.float32))
    resources.lexical.upsert(_SHELF, chunks)
    return chunks


def _ask(resources: Resources, documents: dict[str, str], directory: Path) -> None:
    gains: dict[str, dict[str, float]] = defaultdict(dict)
    with (directory / "qrels.tsv").open(encoding="utf-8") as file:
        for query_id, document, gain in list(csv.reader(file, delimiter="\t"))[1:]:
            gains[query_id][document] = float(gain)
    found: dict[str, list[float]] = defaultdict(list)
    times: list[float] = []
    for query in _lines(directory / "queries.jsonl"):
        started = time.perf_counter()
        vector = np.asarray(resources.models.embeddings().embed_query(query["text"]), dtype=np.float32)
        dense = {chunk.id: similarity for chunk, similarity in resources.store.search(_SHELF, vector, _DEPTH)}
        lexical = dict(resources.lexical.search(_SHELF, query["text"], _DEPTH))
        others = [chunk_id for chunk_id in lexical if chunk_id not in dense]
        fused = fuse(dense | resources.store.similarities(_SHELF, vector, others), lexical)
        times.append(time.perf_counter() - started)
        for name, ids in (("dense", list(dense)), ("lexical", list(lexical)), ("hybrid", [chunk_id for chunk_id, _ in fused])):
            ranked = list(dict.fromkeys(documents[chunk_id] for chunk_id in ids))
            found[name].append(_ndcg(ranked[:10], gains[query["_id"]]))
    for name, values in found.items():
        _say(f"{name:8} nDCG@10 {mean(values):.4f}")
    _say(f"p50 {1000 * median(times):.1f} ms, p95 {1000 * sorted(times)[int(0.95 * len(times))]:.1f} ms")


def _ndcg(ranked: list[str], gains: dict[str, float]) -> float:
    got = sum(gains.get(document, 0) / math.log2(place + 2) for place, document in enumerate(ranked))
    best = sum(gain / math.log2(place + 2) for place, gain in enumerate(sorted(gains.values(), reverse=True)[:10]))
    return got / best if best else 0.0


def _lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
