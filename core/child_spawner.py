"""Where child processes are started: one thread that lives as long as this process does.

Linux ties `PR_SET_PDEATHSIG` to the thread that started the child: a thread of a pool that ends would kill it.
"""

import queue
import subprocess
import threading
from concurrent.futures import Future
from functools import lru_cache

from core.settings import child_environment


def spawn(command: list[str], inherited: int) -> "subprocess.Popen[bytes]":
    """Start a process in a session of its own, with one file descriptor of ours and an environment without credentials.

    Raises:
        OSError: it cannot be started.
    """
    return _spawner().spawn(command, inherited)


class _Spawner:
    def __init__(self) -> None:
        self._wanted: queue.SimpleQueue[tuple[list[str], int, Future[subprocess.Popen[bytes]]]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="child-spawner", daemon=True).start()

    def spawn(self, command: list[str], inherited: int) -> "subprocess.Popen[bytes]":
        future: Future[subprocess.Popen[bytes]] = Future()
        self._wanted.put((command, inherited, future))
        return future.result()

    def _run(self) -> None:
        while True:
            command, inherited, future = self._wanted.get()
            try:
                process = subprocess.Popen(  # noqa: S603 - our own interpreter
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=[inherited],
                    env=child_environment(),
                    start_new_session=True,
                )
            except OSError as error:
                future.set_exception(error)
            else:
                future.set_result(process)


@lru_cache(maxsize=1)
def _spawner() -> _Spawner:
    return _Spawner()
