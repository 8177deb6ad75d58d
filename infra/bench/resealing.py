"""Encryption keys are rotated while callers read and write everything that is sealed: no request fails, and nothing is lost.

What is stored at the end is opened with the newest key alone, by a platform that has no other.
"""

import asyncio
import json
import os
import secrets
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from infra.bench.fuzzing import target
from infra.running import ROOT, Running, wait_until

KEY_FILE = "encryption.key"
_WORD = "resealed"
_DOCUMENTS = "/api/v1/rag/collections/papers/documents"
#: Sessions of some messages that are there before: a rotation has to take its time.
_SESSIONS = 40


def rotated(place: Path, settings: dict[str, str], *, rotations: int, callers: int) -> dict[str, float]:
    """Rotate that many times beside that many callers.

    Raises:
        AssertionError: a request failed, a rotation failed, or something cannot be read with the newest key alone.
    """
    with target(place, **settings) as platform:
        kept = _store(platform)
        seen, took = asyncio.run(_beside(platform, kept, rotations, callers))
        failed = {" ".join(what): count for what, count in seen.items() if len(what) > 1}
        assert not failed, failed
        file = platform.directory / "data" / KEY_FILE
        keys = file.read_text().split()
        assert len(keys) == rotations + 1, f"{len(keys)} keys after {rotations} rotations"
        file.write_text(f"{keys[0]}\n")
        os.chmod(file, 0o600)
        platform.stop()
        platform.start()
        with platform.client() as client:
            for path in kept.values():
                assert _WORD in client.get(path).raise_for_status().text, path
        told = platform.output()
        assert not any(key in told for key in keys), "a key is in the log"
    return {"requests": sum(seen.values()), "failed": 0, "rotations": rotations, "rotations_took_s": took}


def _store(platform: Running) -> dict[str, str]:
    """Something in every place that is sealed; where each is read, by what it is."""
    with platform.client() as client:
        for number in range(_SESSIONS):
            client.post("/api/v1/chat", json=_said(f"s{number}", _WORD)).raise_for_status()
        line = {
            "custom_id": _WORD,
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"messages": _said("", _WORD)["messages"]},
        }
        upload = {"file": ("in.jsonl", json.dumps(line).encode())}
        file = client.post("/v1/files", files=upload, data={"purpose": "batch"}).raise_for_status().json()["id"]
        batch = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        made = client.post("/v1/batches", json=batch).raise_for_status().json()["id"]
        wait_until(lambda: client.get(f"/v1/batches/{made}").json()["status"] == "completed", within_s=60, what="the batch")
        platform.ingest(client, "papers", {"a.md": f"The pump is {_WORD}.".encode()})
        document = client.get(_DOCUMENTS).raise_for_status().json()["results"][0]["id"]
    return {
        "session": "/api/v1/sessions/s0",
        "upload": f"/v1/files/{file}/content",
        "results": f"/api/v1/batches/{made}/results",
        "text": f"{_DOCUMENTS}/{document}/text",
        "original": f"{_DOCUMENTS}/{document}/original",
    }


async def _beside(platform: Running, kept: dict[str, str], rotations: int, callers: int) -> tuple[Counter[Any], float]:
    """(what was asked, with what a refusal said of itself; the seconds that all rotations took)."""
    stop = asyncio.Event()
    using = [asyncio.create_task(_use(platform, number, kept, stop)) for number in range(callers)]
    started = time.perf_counter()
    try:
        for _ in range(rotations):
            done = await asyncio.to_thread(_rotate, platform)
            assert done.returncode == 0, done.stderr[-2000:]
    finally:
        took = time.perf_counter() - started
        stop.set()
        seen = await asyncio.gather(*using)
    return sum(seen, Counter()), took


def _rotate(platform: Running) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "langserve_app.py", "--rotate-encryption"]
    return subprocess.run(
        command, cwd=ROOT, env=platform.environment(), capture_output=True, text=True, timeout=400, check=False
    )


async def _use(platform: Running, number: int, kept: dict[str, str], stop: asyncio.Event) -> Counter[Any]:
    """Read and write until told to stop: a session of one's own, uploads, and what was stored before."""
    seen: Counter[Any] = Counter()
    headers = {"authorization": f"Bearer {platform.key}"}
    async with httpx.AsyncClient(base_url=platform.url, headers=headers, timeout=60, trust_env=False) as client:
        turn = 0
        while not stop.is_set():
            repeated: dict[str, Any] = {
                "json": _said(f"u{number}", str(turn)),
                "headers": {"idempotency-key": f"{number}-{turn}"},
            }
            turn += 1
            calls: list[tuple[str, str, str, dict[str, Any]]] = [
                ("chat", "POST", "/api/v1/chat", repeated),
                ("own session", "GET", f"/api/v1/sessions/u{number}", {}),
                ("write file", "POST", "/v1/files", _upload()),
                *((name, "GET", path, {}) for name, path in kept.items()),
            ]
            for name, method, path, more in calls:
                answer = await client.request(method, path, **more)
                seen[_outcome(name, answer)] += 1
                if name in kept and answer.status_code == 200:
                    assert _WORD in answer.text, name
            # what was kept of the chat is given again, once it is kept: until then it is 409, with Retry-After
            while (again := await client.post("/api/v1/chat", **repeated)).status_code == 409:  # noqa: ASYNC110 - another's doing
                await asyncio.sleep(0.02)
            seen[_outcome("chat again", again)] += 1
    return seen


def _outcome(name: str, answer: httpx.Response) -> tuple[str, ...]:
    """What was asked; and where it failed, how."""
    return (name,) if answer.status_code < 400 else (name, str(answer.status_code), answer.text[:300])


def _said(session_id: str, text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "session_id": session_id}


def _upload() -> dict[str, Any]:
    return {"files": {"file": ("x.jsonl", secrets.token_hex(8).encode())}, "data": {"purpose": "batch"}}
