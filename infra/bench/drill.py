"""The drill: a platform is copied while it serves, destroyed, put back, and asked again.

What it has answered, what it cites, what its keys open, what its ledger says and what it has stored is the same afterwards.
"""

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.bench.gateway import mock_provider
from infra.running import ROOT, Running, wait_until

_COLLECTION = "papers"
DOCUMENTS, SEARCH = (f"/api/v1/rag/collections/{_COLLECTION}/{what}" for what in ("documents", "search"))
#: That a caller adds while the copy is made; afterwards they chat on.
_DOCUMENTS_EACH = 20
#: Above it documents are theirs, and of something else.
_OTHERS = 100_000
CONFIGURATION = """
handbook = false
[local]
warm = false
[timeouts]
first_token = 120
between_tokens = 120
total = 240
[[models]]
alias = "default"
[[models.deployments]]
provider = "openai_compatible:mock"
model = "mock"
[models.deployments.price]
input_usd_per_million = 1
output_usd_per_million = 3
[providers."openai_compatible:mock"]
base_url = "{provider}/v1"
api_key = "none"
"""


def restored(
    place: Path, settings: Mapping[str, str], *, documents: int, callers: int, destroy: Callable[[Path], None]
) -> dict[str, float]:
    """Fill a platform, back it up beside so many callers who write, destroy it (`destroy` is given its data directory), restore
    it, and compare.

    Raises:
        AssertionError: something is not as it was.
        RuntimeError: a command failed.
    """
    place.mkdir(parents=True, exist_ok=True)
    data, keys = place / "backup", place / "keys"
    with mock_provider() as provider:
        configuration = place / "genai.toml"
        configuration.write_text(CONFIGURATION.format(provider=provider))
        platform = Running(place / "platform", GENAI_CONFIG=str(configuration), **settings)
        platform.start()
        try:
            reader, session = filled(platform, documents)
            before = state(platform, reader, session)
            with _writing(platform, callers) as written:
                took = _timed(lambda: genai(platform, "backup", "--to", str(data), "--keys", str(keys)))
            platform.kill()
            destroy(platform.directory / "data")
            genai(platform, "restore", "--from", str(data), "--keys", str(keys))
            back = time.perf_counter()
            platform.start()
            _reconciled(platform)
            ready = time.perf_counter() - back
            after = state(platform, reader, session)
            for name, was in before.items():
                assert after[name] == was, f"{name}: {after[name]!r} was {was!r}"
            others = _whole(platform)
        finally:
            if platform.process is not None:
                platform.stop()
    return {"documents": documents, "others": others, "written": written[0], "backup_s": took, "made_again_s": ready}


def genai(platform: Running, *arguments: str) -> str:
    """What the command says on the machine of the platform, with its settings.

    Raises:
        RuntimeError: it has failed.
    """
    command = [str(Path(sys.executable).with_name("genai")), *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=platform.environment(), capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"genai {arguments[0]}: {done.stderr[-2000:]}")
    return done.stderr + done.stdout


def emptied(directory: Path) -> None:
    """As a lost disk."""
    shutil.rmtree(directory)


def _text(number: int) -> str:
    if number > _OTHERS:
        return f"# Crane {number}\n\nThe crane at quay {number} lifts loads of up to {number} tonnes.\n"
    return f"# Pump {number}\n\nThe pump {number} of station {number} lifts {number * 7 + 3} litres a second.\n"


def filled(platform: Running, documents: int) -> tuple[str, str]:
    """The key of somebody who reads, and the name of their session."""
    files = {f"pump-{number}.md": _text(number).encode() for number in range(documents)}
    with platform.client() as client:
        job = platform.ingest(client, _COLLECTION, files)
        assert job["state"] == "succeeded", job
        made = client.post("/api/v1/keys", json={"name": "reader"}).raise_for_status().json()
    with platform.client(key=made["key"]) as client:
        for turn in range(3):
            said = {"messages": [{"role": "user", "content": f"turn {turn}"}], "session_id": "kept"}
            client.post("/api/v1/chat", json=said).raise_for_status()
    return made["key"], "kept"


def state(platform: Running, reader: str, session: str) -> dict[str, Any]:
    """What a caller sees. The ledger first: asking adds to it."""
    with platform.client() as admin, platform.client(key=reader) as client:
        who = next(
            key["id"] for key in admin.get("/api/v1/keys").raise_for_status().json()["results"] if key["name"] == "reader"
        )
        usage = admin.get("/api/v1/usage", params={"group_by": "principal,model"}).raise_for_status().json()["results"]
        keys = admin.get("/api/v1/keys").raise_for_status().json()["results"]
        page: dict[str, str | int] = {"limit": 200, "name_contains": "pump-"}
        mine = {row["name"]: row for row in admin.get(DOCUMENTS, params=page).raise_for_status().json()["results"]}
        stored = {
            name: (row["id"], row["state"], admin.get(f"{DOCUMENTS}/{row['id']}/original").raise_for_status().content)
            for name, row in mine.items()
        }
        answers = {}
        for name in sorted(mine)[:10]:
            number = name.removeprefix("pump-").removesuffix(".md")
            asked = {"question": f"How many litres a second does pump {number} lift?", "collection": _COLLECTION}
            answer = admin.post("/api/v1/rag", json=asked).raise_for_status().json()
            found = admin.post(SEARCH, json={"query": f"pump {number} litres", "filter": None}).raise_for_status()
            places = [(one["document"], one["chunk_id"], one["text"]) for one in found.json()["results"]]
            # the mock says its sentence twice where it is asked for a stream
            said_once = list(dict.fromkeys(answer["output"].split(". ")))[:1]
            answers[name] = (said_once[0].rstrip("."), answer["citations"], places[:1])
        assert any(row["principal"] == who for row in usage), usage
        assert any(citations for _, citations, _ in answers.values()), answers
        said = client.get(f"/api/v1/sessions/{session}").raise_for_status().json()["messages"]
    return {
        "ledger": [row for row in usage if row["principal"] == who],
        "keys": sorted((key["id"], key["name"]) for key in keys),
        "documents": stored,
        "answers and citations": answers,
        "session": said,
    }


@contextmanager
def _writing(platform: Running, callers: int) -> Iterator[list[int]]:
    """Callers who add documents and chat for as long as the block; how many requests were answered."""
    stop, written, lock = threading.Event(), [0], threading.Lock()
    failed: list[str] = []

    def write(caller: int) -> None:
        with platform.client() as client:
            turn = 0
            while not stop.is_set():
                turn += 1
                document = {"name": f"other-{caller}-{turn}.md", "text": _text(_OTHERS * caller + turn)}
                said: dict[str, Any] = {"messages": [{"role": "user", "content": str(turn)}], "session_id": f"other-{caller}"}
                calls = [("/api/v1/chat", said)]
                if turn <= _DOCUMENTS_EACH:
                    calls.append((DOCUMENTS, {"documents": [document]}))
                for path, body in calls:
                    answer = client.post(path, json=body)
                    if answer.status_code >= 400:
                        failed.append(answer.text[:500])
                    with lock:
                        written[0] += 1

    threads = [threading.Thread(target=write, args=(caller,)) for caller in range(1, callers + 1)]
    for thread in threads:
        thread.start()
    try:
        yield written
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failed, failed


def _reconciled(platform: Running) -> None:
    """Until every job has ended: documents that were on their way, and what compares the stores."""
    with platform.client() as client:

        def ended() -> bool:
            jobs = client.get("/api/v1/jobs", params={"limit": 200}).raise_for_status().json()["results"]
            return bool(jobs) and all(job["state"] in ("succeeded", "failed", "cancelled") for job in jobs)

        wait_until(ended, within_s=300, what="jobs after the restore")


def _whole(platform: Running) -> int:
    """Of what was written meanwhile, everything that the copy speaks of is whole; how many documents that are."""
    with platform.client() as client:
        page: dict[str, Any] = {"limit": 200}
        count = 0
        while True:
            answer = client.get(DOCUMENTS, params=page).raise_for_status().json()
            for row in answer["results"]:
                if not row["name"].startswith("other-"):
                    continue
                count += 1
                assert row["state"] == "ready", row
                _, caller, turn = row["name"].removesuffix(".md").split("-")
                expected = _text(_OTHERS * int(caller) + int(turn))
                assert client.get(f"{DOCUMENTS}/{row['id']}/text").raise_for_status().text == expected, row
            if answer.get("next_cursor") is None:
                return count
            page["cursor"] = answer["next_cursor"]


def _timed(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
