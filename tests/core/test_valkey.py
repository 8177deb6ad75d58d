"""The embedded Valkey: started, adopted, restarted, and gone with its owner."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from redis import Redis, RedisError

from core.settings import Settings
from core.valkey import EmbeddedValkey

OWNER = """
import sys
from pathlib import Path
from core.settings import Settings
from core.valkey import EmbeddedValkey
url = EmbeddedValkey(Settings.load(data_dir=Path(sys.argv[1]))).start()
print(f"\\n{url}", flush=True)
sys.stdin.read()
"""


def eventually(holds: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "the condition did not come to hold"
        time.sleep(0.02)


def server_pid(url: str) -> int:
    with Redis.from_url(url) as client:
        return int(client.info("server")["process_id"])


@pytest.fixture
def valkey(settings: Settings) -> Iterator[EmbeddedValkey]:
    server = EmbeddedValkey(settings)
    yield server
    server.close()


def test_data_outlives_a_restart(valkey: EmbeddedValkey) -> None:
    with Redis.from_url(valkey.start()) as client:
        client.set("kept", "yes")
    valkey.close()
    with Redis.from_url(valkey.start()) as client:
        assert client.get("kept") == b"yes"


def test_nothing_listens_on_tcp(valkey: EmbeddedValkey) -> None:
    process = psutil.Process(server_pid(valkey.start()))
    assert process.net_connections(kind="inet") == []


def test_a_second_starter_adopts_the_server_and_leaves_it_running(settings: Settings, valkey: EmbeddedValkey) -> None:
    url = valkey.start()
    second = EmbeddedValkey(settings)
    assert second.start() == url
    assert not second.owned
    second.close()
    assert server_pid(url) > 0


def test_starters_at_once_share_one_server(settings: Settings) -> None:
    starters = [EmbeddedValkey(settings) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        urls = set(pool.map(EmbeddedValkey.start, starters))
    try:
        assert len(urls) == 1
        assert sum(starter.owned for starter in starters) == 1
    finally:
        for starter in starters:
            starter.close()


def test_a_killed_server_is_started_again_on_the_same_socket(valkey: EmbeddedValkey) -> None:
    url = valkey.start()
    killed = server_pid(url)
    psutil.Process(killed).kill()

    def answers() -> bool:
        with Redis.from_url(url) as client:
            try:
                return client.info("server")["process_id"] != killed
            except RedisError:
                return False

    eventually(answers)


def test_the_server_goes_with_a_killed_owner_and_the_next_one_finds_its_data(
    settings: Settings, valkey: EmbeddedValkey
) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(settings.data_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    url = next(line.strip() for line in owner.stdout if line.startswith("unix://"))
    with Redis.from_url(url) as client:
        client.set("kept", "yes")
    pid = server_pid(url)
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    eventually(lambda: not psutil.pid_exists(pid))
    with Redis.from_url(valkey.start()) as client:
        assert client.get("kept") == b"yes"


def test_a_long_data_directory_gets_a_private_socket_elsewhere_and_remembers_it(tmp_path: Path) -> None:
    settings = Settings.load(data_dir=tmp_path / ("d" * 60) / ("e" * 60))
    first, second = EmbeddedValkey(settings), EmbeddedValkey(settings)
    try:
        url = first.start()
        socket = Path(url.removeprefix("unix://"))
        assert len(str(socket)) < 100
        assert socket.parent.stat().st_mode & 0o777 == 0o700
        assert second.start() == url
    finally:
        first.close()
        second.close()
        socket.parent.rmdir()


def test_a_damaged_file_is_put_aside_rather_than_stopping_the_platform(settings: Settings, valkey: EmbeddedValkey) -> None:
    with Redis.from_url(valkey.start()) as client:
        client.set("lost", "yes")
    valkey.close()
    (log_file,) = settings.path("valkey", "appendonlydir").glob("*.incr.aof")
    log_file.write_bytes(b"this is no append-only file\r\n" * 10)
    with Redis.from_url(valkey.start()) as client:
        assert client.get("lost") is None
    assert len(list(settings.path("valkey").glob("damaged-*"))) == 1
