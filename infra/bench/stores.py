"""A Valkey and a PostgreSQL that are taken away on purpose: frozen, killed, slow, stopped, and back again."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from core import valkey
from infra.bench.mock_provider import HOST, LISTENING
from infra.running import ROOT, free_port, wait_until


@contextmanager
def _delay(behind: int) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """`infra.bench.delay` before a port, in a process of its own: it, and its own port."""
    command = [sys.executable, "-m", "infra.bench.delay", "--behind", str(behind)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith(LISTENING), line
        yield process, int(line.removeprefix(LISTENING))
    finally:
        process.terminate()
        process.wait()


class Valkey:
    """Behind a delay, which is its only address."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._port = free_port()
        self.url = ""

    @contextmanager
    def running(self) -> Iterator["Valkey"]:
        self.start()
        try:
            with _delay(self._port) as (self._door, port):
                self.url = f"redis://127.0.0.1:{port}/0"
                yield self
        finally:
            self.kill()

    def start(self) -> None:
        options = ["--port", str(self._port), "--dir", str(self._place), "--save", "", "--appendonly", "no"]
        command = [str(valkey.valkey_binary()), "--bind", HOST, *options]
        self._place.mkdir(parents=True, exist_ok=True)
        self._process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with Redis(port=self._port, retry=Retry(NoBackoff(), 0)) as client:
            wait_until(lambda: _answers(client), within_s=30, what="Valkey")

    @property
    def pid(self) -> int:
        """Of the server itself."""
        return int(self._process.pid)

    def kill(self) -> None:
        """As a power cut does. Nothing of what it knew is left."""
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        self._process.suspend()

    def resume(self) -> None:
        with suppress(psutil.NoSuchProcess):
            self._process.resume()

    def slow(self) -> None:
        self._door.send_signal(signal.SIGUSR1)

    def fast(self) -> None:
        self._door.send_signal(signal.SIGUSR2)


def _answers(client: Redis) -> bool:
    with suppress(RedisError):
        return bool(client.ping())
    return False


class PostgreSQL:
    """A server of `infra.postgresql`, taken away."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._frozen: list[psutil.Process] = []

    @property
    def pid(self) -> int:
        """Of the process that all others are children of."""
        return int(self._server.get_pid())

    def stop(self) -> None:
        """End it, and whoever is connected."""
        self._server.stop()

    def start(self) -> None:
        self._server.start()
        wait_until(lambda: self._server.get_pid(), within_s=30, what="PostgreSQL")

    def freeze(self) -> None:
        """All of its processes: connections are taken by the kernel, and nobody answers."""
        postmaster = psutil.Process(self._server.get_pid())
        self._frozen = [postmaster, *postmaster.children(recursive=True)]
        for process in self._frozen:
            process.suspend()

    def resume(self) -> None:
        for process in self._frozen:
            with suppress(psutil.NoSuchProcess):
                process.resume()
        self._frozen = []
