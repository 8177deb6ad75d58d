"""`make bench-volume`: how fast a large collection is filled and searched, end to end through a server, without generation.

    make bench-volume ARGS="--chunks 100000 --store chroma --store pgvector"

Texts are made of words as frequent as in a language (Zipf); the embedding model is the mock provider's, whose vectors follow
from the words of a text. Queries are all distinct, so that nothing is remembered for them. Words alone are also searched in
this process by one thread, on an index of `--documents` chunks.
"""

import argparse
import asyncio
import contextlib
import itertools
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

from core.settings import Settings
from infra.bench.gateway import mock_provider
from infra.bench.promises import percentile, proportional_memory
from infra.postgresql import database_of_platform, postgresql
from infra.running import Running, running

COLLECTION = "volume"
CHUNKS_A_FILE = 100
FILES_AT_ONCE = 20
#: Words that make a chunk of the default size.
WORDS = 110
VOCABULARY = 30_000
_SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er", "is")]
CONFIGURATION = """
[[models]]
alias = "embeddings"
kind = "embeddings"
[[models.deployments]]
provider = "openai_compatible:mock"
model = "mock-words"

[providers."openai_compatible:mock"]
base_url = "{provider}/v1"
api_key = "none"
"""


class Language:
    """Words by rank, drawn as often as in a language. The same seed gives the same texts."""

    def __init__(self, seed: int = 1) -> None:
        generator = random.Random(seed)  # noqa: S311 - texts, no secrets
        self._words = ["".join(generator.choices(_SYLLABLES, k=generator.randint(1, 4))) for _ in range(VOCABULARY)]
        self._random = np.random.default_rng(seed)
        weights = 1 / np.arange(2, VOCABULARY + 2)
        self._weights = np.cumsum(weights / weights.sum())

    def text(self, words: int) -> str:
        """So many words, in sentences."""
        ranks = np.searchsorted(self._weights, self._random.random(words))
        drawn = [self._words[min(rank, VOCABULARY - 1)] for rank in ranks]
        return " ".join(" ".join(drawn[at : at + 12]).capitalize() + "." for at in range(0, words, 12))

    def file(self) -> bytes:
        """Paragraphs that make about `CHUNKS_A_FILE` chunks."""
        return "\n\n".join(self.text(WORDS) for _ in range(CHUNKS_A_FILE)).encode()


def main() -> None:
    """Measure each store, then the words alone, and print a table."""
    parser = argparse.ArgumentParser(
        prog="make bench-volume", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--chunks", type=int, default=20_000)
    parser.add_argument("--queries", type=int, default=300, help="of each kind")
    parser.add_argument("--store", action="append", choices=("chroma", "pgvector"), help="may be repeated; both by default")
    parser.add_argument(
        "--documents", type=int, default=10_000, help="chunks that words alone are searched among; 0: not at all"
    )
    asked = parser.parse_args()
    console = Console()
    table = Table("store", "figure", "value", box=None)
    for store in asked.store or ("chroma", "pgvector"):
        with tempfile.TemporaryDirectory() as place, console.status(store):
            for figure, value in _measured(Path(place), store, asked.chunks, asked.queries).items():
                table.add_row(store, figure, value)
    if asked.documents:
        with tempfile.TemporaryDirectory() as place, console.status("words"):
            table.add_row(
                "words", f"queries a second, one thread, {asked.documents} chunks", _words_alone(Path(place), asked.documents)
            )
    console.print(table)


@contextlib.contextmanager
def _platform(place: Path, store: str) -> Iterator[Running]:
    with contextlib.ExitStack() as stack:
        provider = stack.enter_context(mock_provider())
        configuration = place / "genai.toml"
        configuration.write_text(CONFIGURATION.format(provider=provider))
        settings = {"GENAI_CONFIG": str(configuration), "GENAI_HANDBOOK": "false", "GENAI_LOCAL__WARM": "false"}
        if store == "pgvector":
            server = stack.enter_context(postgresql())
            settings |= {"GENAI_DATABASE_URL": database_of_platform(server, "genai"), "GENAI_RETRIEVAL__STORE": store}
        yield stack.enter_context(running(place / "platform", **settings))


def _measured(place: Path, store: str, chunks: int, queries: int) -> dict[str, str]:
    with _platform(place, store) as platform, platform.client(timeout_s=300) as client:
        language = Language()
        started, most = time.perf_counter(), 0.0
        client.post("/api/v1/rag/collections", json={"name": COLLECTION}).raise_for_status()
        for first in range(0, -(-chunks // CHUNKS_A_FILE), FILES_AT_ONCE):
            last = min(first + FILES_AT_ONCE, -(-chunks // CHUNKS_A_FILE))
            files = {f"{number:06}.txt": language.file() for number in range(first, last)}
            job = platform.ingest(client, COLLECTION, files, create=False, within_s=1200)
            assert job["state"] == "succeeded", job
            most = max(most, proportional_memory(platform))
        took = time.perf_counter() - started
        held = client.get(f"/api/v1/rag/collections/{COLLECTION}").json()["chunks"]
        asked = Language(seed=2)
        figures = {
            "chunks": f"{held:,}",
            "filled": f"{held / took:.0f} chunks/s",
            "most memory while filled (PSS)": f"{most:.0f} MB",
        }
        for mode, at_once in itertools.product(("dense", "lexical", "hybrid"), (1, 8)):
            questions = [asked.text(8) for _ in range(queries)]
            took_ms = asyncio.run(_searched(platform, questions, mode, at_once))
            name = f"{mode}, c={at_once}: p50 / p95"
            figures[name] = f"{percentile(took_ms, 0.5):.1f} / {percentile(took_ms, 0.95):.1f} ms"
        figures["memory after (PSS)"] = f"{proportional_memory(platform):.0f} MB"
        return figures


async def _searched(platform: Running, questions: list[str], mode: str, at_once: int) -> list[float]:
    """Milliseconds of each search, by so many callers at once."""
    waiting, took_ms = iter(questions), []
    headers = {"authorization": f"Bearer {platform.key}"}
    async with httpx.AsyncClient(base_url=platform.url, headers=headers, timeout=60, trust_env=False) as client:

        async def caller() -> None:
            for question in waiting:
                started = time.perf_counter()
                body = {"query": question, "mode": mode, "limit": 10}
                answer = await client.post(f"/api/v1/rag/collections/{COLLECTION}/search", json=body)
                answer.raise_for_status()
                took_ms.append((time.perf_counter() - started) * 1000)

        await asyncio.gather(*(caller() for _ in range(at_once)))
    return took_ms


def _words_alone(place: Path, documents: int) -> str:
    from retrievers.base import Chunk, Shelf
    from retrievers.lexical import LexicalIndex

    index, shelf, language = LexicalIndex(Settings.load(data_dir=place)), Shelf("default", "col_volume"), Language()
    chunks = []
    for number in range(documents):
        text = language.text(WORDS)
        chunks.append(Chunk(f"chk_{number:032}", f"doc_{number // CHUNKS_A_FILE}", "text.txt", 1, text, 0, len(text)))
    for first in range(0, documents, 1000):
        index.upsert(shelf, chunks[first : first + 1000])
    questions = [Language(seed=2).text(8) for _ in range(2000)]
    started = time.perf_counter()
    for question in questions:
        index.search(shelf, question, 10)
    took = time.perf_counter() - started
    index.close()
    return f"{len(questions) / took:.0f}"


if __name__ == "__main__":
    main()
