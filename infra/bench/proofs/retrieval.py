"""What is found, by whom, and what is left of what was deleted."""

from pathlib import Path

from infra.bench import cited, erased, foreign, store_servers
from infra.bench.counts import Counts, Figures


def foreign_chunks(place: Path, counts: Counts) -> Figures:
    """5,000 of 10,000 random questions of two tenants by every route, in the stores of one process: nothing of the other."""
    return foreign.kept_apart_in(place, store_servers.EMBEDDED, queries=counts.queries // 2, seed=counts.seed)


def foreign_chunks_servers(place: Path, counts: Counts) -> Figures:
    """The other 5,000, in pgvector and on a Chroma server."""
    return foreign.kept_apart_in(place, store_servers.SERVERS, queries=counts.queries // 2, seed=counts.seed)


def erased_traces(place: Path, counts: Counts) -> Figures:
    """A deleted document is in no file of Chroma, Qdrant or the word index, and in no row of pgvector; nor in cache, files,
    database, the broker's append-only file or logs. What a conversation says of it goes with the conversation."""
    return erased.erased(place, ("chroma", "qdrant", "pgvector"), beside=counts.beside)


def cited_spans(place: Path, counts: Counts) -> Figures:
    """300 questions to a mixed corpus, and again after all of it has come in anew: every cited span is what is stored there."""
    return cited.cited(place, questions=counts.questions)
