"""What survives a kill: every document that was accepted ends in its collection exactly once."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import infra.postgresql
from infra import samples
from infra.bench.promises import DOCUMENTS, exactly_once, killed_ingestion
from infra.running import Running, wait_until


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.thorough)])
def mortal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    """A platform of the test's own, without the handbook's work in its way."""
    settings = {"GENAI_HANDBOOK": "false", "GENAI_LOCAL__WARM": "false", "GENAI_JOBS__LEASE_S": "3"}
    if request.param == "postgresql":
        server = request.getfixturevalue("postgresql")
        name = f"crash_{abs(hash(request.node.nodeid)):x}"
        settings["GENAI_DATABASE_URL"] = infra.postgresql.database_of_platform(server, name)
    platform = Running(tmp_path / "platform", **settings)
    yield platform.start()
    if platform.process is not None:
        platform.stop()


def test_a_kill_in_the_middle_of_an_ingestion_loses_nothing_and_doubles_nothing(mortal: Running) -> None:
    killed_ingestion(mortal, files=24, kills=(0.2, 0.6))


@pytest.mark.parametrize("mortal", ["sqlite"], indirect=True)
def test_an_asked_for_stop_ends_in_order_and_the_next_start_goes_on(mortal: Running) -> None:
    with mortal.client() as client:
        client.post("/api/v1/rag/collections", json={"name": "reports"}).raise_for_status()
        files = [("files", item) for item in samples.many(10).items()]
        job = client.post(DOCUMENTS.format("reports"), files=files).json()["job_id"]
        with _watching(mortal, job) as watcher:
            assert mortal.stop() == 0
            assert "worker.stopped" in mortal.output()
            mortal.start()
            assert mortal.finished_job(client, job, within_s=120)["state"] == "succeeded"
            said, complained = watcher.communicate(timeout=60)
            assert (watcher.returncode, said.split()[:3]) == (0, [job, "ingestion", "succeeded"]), complained
        exactly_once(client, "reports", 10)


@contextmanager
def _watching(platform: Running, job: str) -> Iterator["subprocess.Popen[str]"]:
    """`genai jobs watch`, once it has asked for the job."""
    command = [str(Path(sys.executable).with_name("genai")), "--url", platform.url, "--key", platform.key, "jobs", "watch", job]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        asked = f'"path":"/api/v1/jobs/{job}"'
        wait_until(lambda: asked in platform.output(), within_s=60, what="the command's first question")
        yield process
    finally:
        process.kill()
        process.wait()
