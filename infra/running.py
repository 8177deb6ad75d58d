"""A platform of one's own: the real server in a process of its own, for end-to-end tests, measurements and pictures."""

import ctypes
import os
import re
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

ROOT = Path(__file__).parents[1]
READY_S = 300.0
T = TypeVar("T")


def wait_until(check: Callable[[], T], *, within_s: float, what: str) -> T:
    """What `check` gives once it is true; asked every 50 ms. Raises TimeoutError with `what` when it never is."""
    until = time.monotonic() + within_s
    while True:
        if found := check():
            return found
        if time.monotonic() > until:
            raise TimeoutError(f"{what}: not within {within_s:g} s")
        time.sleep(0.05)


def free_port() -> int:
    """A port that nothing listens on, for now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end_with_parent() -> None:
    """In the new process: ask the kernel for SIGTERM when who started it is gone, however it went."""
    set_parent_death_signal = 1  # PR_SET_PDEATHSIG of linux/prctl.h
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


class Running:
    """A server on a free port with its data in `directory`. After `stop()` or `kill()`, `start()` takes the data up again."""

    #: What Python runs.
    program: tuple[str, ...] = ("langserve_app.py",)
    #: The tree that it runs from: another version's, where it is another.
    root: Path = ROOT

    def __init__(self, directory: Path, **settings: str) -> None:
        self.directory = directory
        self.port = free_port()
        self.url = f"{'https' if 'GENAI_TLS__CERTIFICATE_FILE' in settings else 'http'}://127.0.0.1:{self.port}"
        authority = settings.get("GENAI_TLS__CA_FILE")
        # httpx reads all authorities of the world for each client that is given none, which takes a core 20 ms
        self.verify = ssl.create_default_context(cafile=authority) if authority else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.key = secrets.token_urlsafe(32)
        self.log = directory / "server.log"
        self.settings = settings
        self.process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)

    def environment(self) -> dict[str, str]:
        """This process's own, without any platform's settings, and those of this server."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("GENAI_")}
        # nobody waits for what a test has left open; a tree of another version may not know the setting
        ends_soon = {"GENAI_SHUTDOWN__GRACE_S": "5"} if self.root == ROOT else {}
        return inherited | {
            **ends_soon,
            "GENAI_PORT": str(self.port),
            "GENAI_DATA_DIR": str(self.directory / "data"),
            "GENAI_ADMIN_KEY": self.key,
            "GENAI_LOG__FORMAT": "json",
            "PYTHONUNBUFFERED": "1",
            **self.settings,
        }

    def start(self, *, ready: bool = True, within_s: float = READY_S) -> "Running":
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.program],
                cwd=self.root,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=end_with_parent if sys.platform == "linux" else None,
            )
        if ready:
            self.wait_for("/api/v1/health/ready", within_s)
        return self

    def wait_for(self, path: str, within_s: float = READY_S) -> None:
        """Until `path` answers 200 to anybody."""
        try:
            wait_until(lambda: self._answers(path), within_s=within_s, what=path)
        except (TimeoutError, RuntimeError) as error:
            raise RuntimeError(f"{error}\n{self.tail()}") from None

    def _answers(self, path: str) -> bool:
        if self.process is not None and self.process.poll() is not None:
            raise RuntimeError(f"the server ended with {self.process.returncode}")
        try:
            return httpx.get(self.url + path, timeout=5, trust_env=False, verify=self.verify).status_code == 200
        except httpx.HTTPError:
            return False

    def stop(self, within_s: float = 90) -> int:
        """End it as an operator does, by SIGTERM; its exit code."""
        return self._end(signal.SIGTERM, within_s)

    def kill(self) -> None:
        """End it as a power cut does."""
        self._end(signal.SIGKILL, 10)

    def _end(self, how: signal.Signals, within_s: float) -> int:
        process, self.process = self.process, None
        if process is None:
            return 0
        process.send_signal(how)
        try:
            return process.wait(within_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise RuntimeError(f"the server did not end within {within_s:g} s of {how.name}\n{self.tail()}") from None

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.output().splitlines()[-lines:])

    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def client(self, *, key: str | None = None, timeout_s: float = 120) -> httpx.Client:
        """With the administrator's key unless another is given; an empty one sends none."""
        chosen = self.key if key is None else key
        headers = {"Authorization": f"Bearer {chosen}"} if chosen else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=timeout_s, trust_env=False, verify=self.verify)

    def sign_in_link(self) -> str:
        """The one-time link that the start has printed."""
        found: list[str] = re.findall(r"https?://[^\s\"]+/signin\?token=[^\s\"]+", self.output())
        if not found:
            raise RuntimeError(f"no sign-in link was printed\n{self.tail()}")
        return found[-1]

    def finished_job(self, client: httpx.Client, job_id: str, within_s: float = 300) -> dict[str, Any]:
        """The job once it has succeeded, failed or was cancelled."""

        def finished() -> dict[str, Any]:
            answer = client.get(f"/api/v1/jobs/{job_id}")
            answer.raise_for_status()
            job: dict[str, Any] = answer.json()
            return job if job["state"] in ("succeeded", "failed", "cancelled") else {}

        return wait_until(finished, within_s=within_s, what=f"job {job_id}")

    def ingest(
        self, client: httpx.Client, collection: str, files: Mapping[str, bytes], *, create: bool = True, within_s: float = 300
    ) -> dict[str, Any]:
        """Upload files into a collection, made first where asked, and wait for the job; the finished job."""
        if create:
            client.post("/api/v1/rag/collections", json={"name": collection}).raise_for_status()
        parts = [("files", (name, data)) for name, data in files.items()]
        answer = client.post(f"/api/v1/rag/collections/{collection}/documents", files=parts)
        if answer.status_code != 202:
            raise RuntimeError(f"{answer.status_code}: {answer.text[:500]}")
        return self.finished_job(client, answer.json()["job_id"], within_s)


@contextmanager
def running(directory: Path, **settings: str) -> Iterator[Running]:
    """A ready platform for the block, ended after it."""
    with running_program(Running.program, directory, **settings) as platform:
        yield platform


@contextmanager
def running_program(program: tuple[str, ...], directory: Path, **settings: str) -> Iterator[Running]:
    """The same of another program that serves the platform; see `Running.program`."""
    platform = Running(directory, **settings)
    platform.program = program
    try:
        yield platform.start()
    finally:
        if platform.process is not None:
            platform.stop()
