"""Chat beside a bulk ingestion with the bundled embedding model, and how fast that is beside the model alone."""

import asyncio
import time
from pathlib import Path

import httpx

from core.settings import Settings
from infra.bench.gateway import mock_provider
from infra.bench.promises import DOCUMENTS, asynchronous, percentile
from infra.bench.volume import Language
from infra.running import Running, running
from providers.models import Models
from retrievers import splitting
from retrievers.base import LoadedDocument
from retrievers.indexing import embedded_text
from retrievers.splitting_settings import Splitting

#: What is promised: chat's p95 beside an ingestion, of what it is without; the rate, of that of the model alone.
TIMES, SHARE = 1.5, 0.9
COLLECTION = "bulk"
#: Paragraphs of a file, each about a chunk, and their words.
_PARAGRAPHS, _WORDS = 60, 90
#: Documents that one worker works on at once, and texts of one call to the model.
_AT_ONCE, _BATCH = 2, 32
_FILES_AT_ONCE = 100
_CONFIGURATION = """
[[models]]
alias = "chat"
[[models.deployments]]
provider = "openai_compatible:mock"
model = "mock-20ms"
[providers."openai_compatible:mock"]
base_url = "{provider}/v1"
api_key = "none"
"""
_SAID = {"model": "chat", "messages": [{"role": "user", "content": "Say hello"}]}


def measured(place: Path, *, files: int, calls: int) -> dict[str, float]:
    """Embed the texts of so many files alone, bring them in, and bring as many in beside chat, which `calls` calls have been
    timed of before."""
    place.mkdir(parents=True, exist_ok=True)
    language = Language(11)
    texts = {f"{number:05}.txt": _file(language) for number in range(2 * files)}
    names = sorted(texts)
    alone_per_s = asyncio.run(_alone(place / "alone", [texts[name] for name in names[:files]]))
    with mock_provider() as provider:
        configuration = place / "genai.toml"
        configuration.write_text(_CONFIGURATION.format(provider=provider))
        settings = {"GENAI_CONFIG": str(configuration), "GENAI_HANDBOOK": "false", "GENAI_LOCAL__WARM": "false"}
        with running(place / "platform", **settings) as platform:
            with platform.client() as client:
                platform.ingest(client, COLLECTION, {"first.txt": b"The model is loaded by this."})
            figures = asyncio.run(_ingested(platform, texts, names[:files], names[files:], calls))
    share = figures["chunks_per_s"] / alone_per_s
    return figures | {
        "model_alone_per_s": alone_per_s,
        "share": share,
        "times": figures["beside_p95_ms"] / figures["idle_p95_ms"],
    }


def check(figures: dict[str, float]) -> None:
    """Raises AssertionError where the platform breaks its word."""
    assert figures["times"] <= TIMES, figures
    assert figures["share"] >= SHARE, figures


def _file(language: Language) -> str:
    return "\n\n".join(language.text(_WORDS) for _ in range(_PARAGRAPHS))


async def _alone(place: Path, files: list[str]) -> float:
    """Texts a second of the embedding model, asked as an ingestion asks it."""
    settings = Settings.load(data_dir=place)
    models = Models(settings)
    tokens, overlap = Splitting().sizes(settings.retrieval)
    texts = [
        embedded_text(chunk)
        for number, text in enumerate(files)
        for chunk in splitting.split(
            LoadedDocument(text, "text/plain"),
            document_id=f"doc_{number}",
            name=f"{number:05}.txt",
            revision=1,
            tokens_of=models.embedding_tokens,
            max_tokens=tokens,
            overlap=overlap,
        )
    ]
    embeddings = models.embeddings()
    await embeddings.aembed_documents(texts[:_BATCH])
    batches = iter([texts[first : first + _BATCH] for first in range(0, len(texts), _BATCH)])

    async def caller() -> None:
        for batch in batches:
            await embeddings.aembed_documents(batch)

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(_AT_ONCE)))
    took_s = time.perf_counter() - started
    await models.close()
    return len(texts) / took_s


async def _ingested(
    platform: Running, texts: dict[str, str], first: list[str], second: list[str], calls: int
) -> dict[str, float]:
    async with asynchronous(platform) as client:
        idle = [await _chat(client) for _ in range(calls)]
        before = await _chunks(client)
        started = time.perf_counter()
        for job in await _given(client, texts, first):
            await _ended(client, job)
        took_s = time.perf_counter() - started
        chunks = await _chunks(client) - before
        jobs, beside = await _given(client, texts, second), []
        going = asyncio.gather(*(_ended(client, job) for job in jobs))
        while not going.done():
            beside.append(await _chat(client))
        await going
    return {
        "chunks": chunks,
        "chunks_per_s": chunks / took_s,
        "calls": len(beside),
        "idle_p95_ms": percentile(idle, 0.95) * 1000,
        "beside_p50_ms": percentile(beside, 0.5) * 1000,
        "beside_p95_ms": percentile(beside, 0.95) * 1000,
    }


async def _chat(client: httpx.AsyncClient) -> float:
    started = time.perf_counter()
    (await client.post("/api/v1/chat", json=_SAID)).raise_for_status()
    return time.perf_counter() - started


async def _chunks(client: httpx.AsyncClient) -> int:
    return int((await client.get(f"/api/v1/rag/collections/{COLLECTION}")).raise_for_status().json()["chunks"])


async def _given(client: httpx.AsyncClient, texts: dict[str, str], names: list[str]) -> list[str]:
    jobs = []
    for first in range(0, len(names), _FILES_AT_ONCE):
        parts = [("files", (name, texts[name].encode())) for name in names[first : first + _FILES_AT_ONCE]]
        jobs.append(str((await client.post(DOCUMENTS.format(COLLECTION), files=parts)).raise_for_status().json()["job_id"]))
    return jobs


async def _ended(client: httpx.AsyncClient, job_id: str) -> None:
    async with asyncio.timeout(600):
        while True:
            job = (await client.get(f"/api/v1/jobs/{job_id}")).raise_for_status().json()
            if job["state"] not in ("queued", "running"):
                break
            await asyncio.sleep(0.5)
    assert (job["state"], job["errors"]) == ("succeeded", []), job
