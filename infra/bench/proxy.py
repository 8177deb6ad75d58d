"""A HAProxy before several servers: health-checked, each request to the server with the fewest, by turns among equals."""

import csv
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from infra.running import ROOT, Running, end_with_parent, free_port, wait_until

#: Seconds that HAProxy needs, at most, to see that a server is not ready.
NOTICED_S = 1.0
_CONFIGURATION = """\
global
    maxconn 8000
    stats socket {place}/admin.sock level admin
defaults
    mode http
    timeout connect 5s
    timeout client 180s
    timeout server 180s
    # without it a check that takes longer than the time between two has failed
    timeout check 10s
    # a connection that the server closes while a request is on its way would lose it: each request has its own
    option http-server-close
    option redispatch
    retries 3
frontend door
    bind 127.0.0.1:{port}
    default_backend platform
backend platform
    balance {balance}
    option httpchk GET /api/v1/health/ready
    default-server check inter 250ms fastinter 100ms fall 1 rise 1
{servers}
"""


class Missing(RuntimeError):
    """There is no HAProxy here; the message says how to get one."""


def haproxy_path() -> str:
    """Where it is.

    Raises:
        Missing
    """
    found = subprocess.run(["sh", "infra/setup/find-haproxy"], cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        raise Missing(found.stderr.strip())
    return found.stdout.strip()


class Proxy:
    """A running one. `url` is its address."""

    def __init__(self, place: Path, port: int, pid: int) -> None:
        self.pid = pid
        self._socket = str(place / "admin.sock")
        self.url = f"http://127.0.0.1:{port}"

    def states(self) -> dict[str, str]:
        """`UP` or `DOWN`, by server."""
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(self._socket)
            asking.sendall(b"show stat\n")
            told = b"".join(iter(lambda: asking.recv(65536), b"")).decode()
        rows = csv.DictReader(told.lstrip("# ").splitlines())
        return {row["svname"]: row["status"].split()[0] for row in rows if row["pxname"] == "platform"}

    def wait_for(self, number: int, state: str) -> None:
        """Until it sees the server so."""
        wait_until(lambda: self.states()[f"server{number}"] == state, within_s=90, what=f"server {number} {state}")


@contextmanager
def proxy(servers: Sequence[Running], *, balance: str = "leastconn") -> Iterator[Proxy]:
    """One before servers that are ready, for the block.

    Raises:
        Missing
    """
    program = haproxy_path()
    place = Path(tempfile.mkdtemp(prefix="genai-proxy-"))  # a socket's path is short
    port = free_port()
    lines = "\n".join(f"    server server{number} 127.0.0.1:{server.port}" for number, server in enumerate(servers))
    (place / "haproxy.cfg").write_text(_CONFIGURATION.format(place=place, port=port, balance=balance, servers=lines))
    with (place / "log").open("ab") as log:
        process = subprocess.Popen(
            [program, "-db", "-f", str(place / "haproxy.cfg")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=end_with_parent,
        )
    try:
        started = Proxy(place, port, process.pid)
        wait_until(lambda: (place / "admin.sock").exists() or process.poll() is not None, within_s=20, what="HAProxy")
        if process.poll() is not None:
            raise RuntimeError((place / "log").read_text())
        for number in range(len(servers)):
            started.wait_for(number, "UP")
        yield started
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(place, ignore_errors=True)
