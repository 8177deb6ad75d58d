"""Workers in processes of their own beside a server without one, started again whenever they die."""

import random
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from infra.running import ROOT, Running, end_with_parent

#: Seconds between two looks at who has died.
_LOOK_S = 0.2


class Workers:
    """`count` of them for the block, with the server's environment. `died` is called after each death; `deaths` counts all."""

    def __init__(self, platform: Running, count: int, *, died: Callable[[], None]) -> None:
        self._environment = platform.environment()
        self._log: Path = platform.directory / "workers.log"
        self._count, self._died, self._ending = count, died, threading.Event()
        self._lock = threading.Lock()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._keeping = threading.Thread(target=self._keep, name="workers", daemon=True)
        self.deaths = 0

    def __enter__(self) -> "Workers":
        self._processes = [self._start() for _ in range(self._count)]
        self._keeping.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._keeping.join()
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def kill(self) -> None:
        """One of them, by chance, as a power cut does."""
        with self._lock:
            random.choice(self._processes).kill()  # noqa: S311 - chance, no secret

    def output(self) -> str:
        """What they have logged."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def _start(self) -> "subprocess.Popen[bytes]":
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "jobs.worker"],
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=end_with_parent if sys.platform == "linux" else None,
            )

    def _keep(self) -> None:
        while not self._ending.wait(_LOOK_S):
            with self._lock:
                for place, process in enumerate(self._processes):
                    if process.poll() is not None:
                        self._died()
                        self.deaths += 1
                        self._processes[place] = self._start()
