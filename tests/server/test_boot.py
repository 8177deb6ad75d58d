"""The start as a process: health before everything else, honest failures, a clean end."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from core.database import Database, migrate
from core.errors import Conflict
from core.settings import Settings
from server.security_headers import ALWAYS, page_policy
from server.sole_server import sole_server

ROOT = Path(__file__).parents[2]
KEY = "an-administrator-key-for-the-boot-tests"
Start = Callable[..., "Process"]


class Process:
    """`python langserve_app.py` on a free port."""

    def __init__(self, data: Path, **settings: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GENAI_")}
        environment |= {"GENAI_DATA_DIR": str(data), "GENAI_PORT": "0", "GENAI_HANDBOOK": "false", "GENAI_LOCAL__WARM": "false"}
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "langserve_app.py")],
            env=environment | settings,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def address(self) -> str:
        """The address that it prints first."""
        assert self.process.stderr is not None
        found = re.search(r"http://\S+", self.process.stderr.readline())
        assert found is not None
        return found[0]

    def end(self) -> tuple[str, str]:
        """Ask it to stop; what else it printed."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.communicate(timeout=60)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Process] = []

    def launch(**settings: str) -> Process:
        started.append(Process(tmp_path / "data", **settings))
        return started[-1]

    yield launch
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
            each.process.communicate()


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def until_ready(client: httpx.Client) -> None:
    _until(lambda: client.get("/api/v1/health/ready").status_code == 200)


def test_health_is_live_first_then_the_platform_is_ready_and_ends_cleanly(start: Start) -> None:
    server = start()
    with httpx.Client(base_url=server.address, timeout=30) as client:
        assert client.get("/api/v1/health/live").json() == {"status": "live"}
        early = client.get("/api/v1/health/ready")
        assert early.status_code == 503
        assert {"application", "database"} <= set(early.json()["loading"])
        waiting = client.post("/api/v1/chat", json={})
        assert (waiting.status_code, waiting.json()["error"]["code"]) == (503, "starting")
        assert waiting.headers["retry-after"] == "1"
        page = client.get("/", headers={"accept": "text/html"})
        assert "Starting" in page.text
        assert page.headers["content-security-policy"] == page_policy(page.content)
        for answer in (early, waiting, page):
            assert [name for name, _ in ALWAYS if name.decode() not in answer.headers] == []
        until_ready(client)
        assert client.get("/api/v1/health").json() == {"status": "ready"}
        kept = http.client.HTTPConnection(client.base_url.netloc.decode(), timeout=30)
        for pause in (0, 6):  # a balancer keeps its connections for minutes
            time.sleep(pause)
            kept.request("GET", "/api/v1/health/live")
            assert kept.getresponse().read()
        kept.close()
    logged, printed = server.end()
    assert server.process.returncode == 0
    link = re.search(r"/signin\?token=(\S+)", printed)
    assert link is not None
    assert link[1] not in logged
    assert "gk_" not in printed + logged  # the key is for a terminal's eyes alone
    assert all(json.loads(line)["event"] for line in logged.splitlines())


def test_the_link_is_printed_at_the_first_start_alone(start: Start) -> None:
    for first in (True, False):
        server = start(GENAI_ADMIN_KEY=KEY)
        with httpx.Client(base_url=server.address, timeout=30) as client:
            _until(lambda: "database" not in client.get("/api/v1/health/ready").json().get("loading", ()))
        assert ("token=" in server.end()[1]) is first


def test_a_port_that_is_taken_is_said(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = start(GENAI_PORT=str(taken.getsockname()[1]))
        printed, said = server.process.communicate(timeout=60)
    assert (server.process.returncode, printed) == (1, "")
    (line,) = said.splitlines()
    assert "GENAI_PORT" in line


def test_a_setting_that_cannot_be_used_is_named(start: Start) -> None:
    server = start(GENAI_LOCAL__SLOTS="none")
    _, said = server.process.communicate(timeout=60)
    assert server.process.returncode == 2
    assert "GENAI_LOCAL__SLOTS" in said


ALIAS = '[[models]]\nalias = "big"\n[[models.deployments]]\nprovider = "opneai"\nmodel = "m"\n'


@pytest.mark.parametrize(
    ("given", "file", "says"),
    [
        ({"GENAI_RETRIEVAL__STORE": "quadrant"}, "", ("GENAI_RETRIEVAL__STORE", "'quadrant'", "known are chroma")),
        ({}, ALIAS, ("alias 'big'", "'opneai'", "openai_compatible")),
        ({}, '[providers."opneai:x"]\n', ("providers.'opneai:x'", "openai_compatible")),
        ({"GENAI_FILES_URL": "s3://bucket/x"}, "", ("GENAI_FILES_URL", "pip install s3fs")),
        ({"GENAI_FILES_URL": "file://relative"}, "", ("GENAI_FILES_URL", "absolute")),
        ({"GENAI_FILES_URL": "bucket"}, "", ("GENAI_FILES_URL", "s3://")),
    ],
    ids=["store", "deployment", "provider", "package", "path", "scheme"],
)
def test_a_name_that_nothing_here_bears_is_refused_with_its_setting_before_anything_starts(
    given: dict[str, str], file: str, says: tuple[str, ...], start: Start, tmp_path: Path
) -> None:
    (tmp_path / "genai.toml").write_text(file)
    server = start(GENAI_CONFIG=str(tmp_path / "genai.toml"), **given)
    _, said = server.process.communicate(timeout=60)
    assert server.process.returncode == 2
    assert [part for part in says if part not in said] == []
    assert not (tmp_path / "data").exists()


def test_a_database_that_does_not_answer_ends_the_start_with_its_reason(start: Start) -> None:
    server = start(GENAI_DATABASE_URL="postgresql://nobody:secret-word@127.0.0.1:1/none")
    _, said = server.process.communicate(timeout=90)
    assert server.process.returncode == 1
    assert "could not start" in said
    assert "GENAI_DATABASE_URL" in said
    assert "secret-word" not in said


def test_a_file_store_that_does_not_answer_ends_the_start_with_its_setting(start: Start) -> None:
    server = start(GENAI_FILES_URL="ftp://user:secret-word@127.0.0.1:1/x")
    _, said = server.process.communicate(timeout=90)
    assert server.process.returncode == 1
    assert "GENAI_FILES_URL: ftp:// does not answer" in said
    assert "secret-word" not in said


def test_a_model_file_that_is_not_there_is_refused_before_anything_is_started(start: Start) -> None:
    server = start(GENAI_LOCAL__CHAT_MODEL="/nowhere/model.gguf")
    printed, said = server.process.communicate(timeout=90)
    assert (server.process.returncode, printed) == (2, "")
    assert "GENAI_LOCAL__CHAT_MODEL" in said


async def test_a_second_server_is_refused_a_database_whose_vectors_are_the_first_one_s(
    database: Database, settings: Settings
) -> None:
    settings = settings.model_copy(update={"database_url": database._settings.database_url})
    if database.is_sqlite:
        async with sole_server(settings, database), sole_server(settings, database):
            return  # it lies in the data directory, which is locked itself
    async with sole_server(settings, database):
        with pytest.raises(Conflict, match="embedded store"):
            async with sole_server(settings, database):
                pass
    async with sole_server(settings, database):
        pass


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, httpx.Client]]:
    """A server that is ready, its data directory, and a client without a key."""
    data = tmp_path_factory.mktemp("served")
    server = Process(data, GENAI_ADMIN_KEY=KEY)
    with httpx.Client(base_url=server.address, timeout=30) as client:
        until_ready(client)
        yield data, client
    server.end()


def test_with_a_key_health_tells_how_each_part_stands(served: tuple[Path, httpx.Client]) -> None:
    health = served[1].get("/api/v1/health", headers={"x-api-key": KEY}).json()
    assert (health["database"], health["broker"], health["store"]) == ({"status": "ready"},) * 3
    assert {model["alias"] for model in health["models"]} == {"default", "embeddings"}
    assert served[1].get("/api/v1/health").json() == {"status": "ready"}
    for path in ("/api/v1/health", "/api/v1/health/live", "/api/v1/health/ready"):  # what monitors ask by
        asked = served[1].head(path)
        assert (asked.status_code, asked.content) == (200, b"")


def test_the_front_page_shows_every_capability_with_its_playground(served: tuple[Path, httpx.Client]) -> None:
    page = served[1].get("/", headers={"authorization": f"Bearer {KEY}"})
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    for name in ("chat", "completion", "code/generate", "code/review", "rag", "multimodal"):
        assert f'href="/api/v1/{name}/playground/"' in page.text
        assert served[1].get(f"/api/v1/{name}/playground/", headers={"x-api-key": KEY}).status_code == 200
    assert "RemoteRunnable(" in page.text
    assert "<b>handbook</b>" not in page.text  # this platform was started without it
    assert not re.search(r'(src|href)="(https?:)?//', page.text)


def test_the_api_pages_need_nothing_from_elsewhere(served: tuple[Path, httpx.Client]) -> None:
    key = {"x-api-key": KEY}
    page = served[1].get("/docs", headers=key).text
    needed = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert needed
    assert all(served[1].get(address, headers=key).status_code == 200 for address in needed if address.startswith("/"))
    assert not [address for address in needed if not address.startswith("/")]
    assert served[1].get("/openapi.json", headers=key).json()["openapi"].startswith("3.")


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"\x16\x03\x01 no HTTP\r\n\r\n", 400, "malformed_request"),
        (b"POST /api/v1/chat HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n", 400, "malformed_request"),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "uri_too_long"),
        (b"GET /" + b"a" * 17_000, 414, "uri_too_long"),
        (b"GET / HTTP/1.1\r\n" + b"X-Many: a\r\n" * 10_000 + b"\r\n", 431, "headers_too_large"),
        (b"GET / HTTP/1.1\r\nX-Long: " + b"a" * 1_000_000, 431, "headers_too_large"),
    ],
    ids=["no HTTP", "no length", "long address", "address without end", "many headers", "header without end"],
)
def test_what_is_no_request_yet_is_refused_in_the_error_shape_before_it_has_ended(
    served: tuple[Path, httpx.Client], sent: bytes, status: int, code: str
) -> None:
    address = served[1].base_url
    with socket.create_connection((address.host, address.port), timeout=30) as connection:
        connection.sendall(sent)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        error = json.loads(answer.read())["error"]
    assert (answer.status, error["code"]) == (status, code)
    assert error["request_id"] == answer.headers["x-request-id"]
    assert [name for name, _ in ALWAYS if name.decode() not in answer.headers] == []
    assert served[1].get("/api/v1/health/live").status_code == 200


def test_a_second_server_on_the_same_data_is_refused_in_one_line_before_it_starts_anything(
    served: tuple[Path, httpx.Client],
) -> None:
    data, client = served
    second = Process(data, GENAI_LOCAL__WARM="true")
    printed, said = second.process.communicate(timeout=90)
    assert (second.process.returncode, printed) == (1, "")
    (line,) = said.splitlines()
    assert line.startswith("store_not_shareable: ")
    assert str(client.base_url).rstrip("/") in line
    assert "GENAI_DATA_DIR" in line
    assert client.get("/api/v1/health/ready").status_code == 200


def test_a_server_that_was_killed_leaves_its_data_to_the_next(start: Start) -> None:
    first = start()
    assert first.address
    first.process.kill()
    first.process.wait()
    assert start().address


def link_of(data: Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GENAI_")} | settings
    command = [sys.executable, str(ROOT / "langserve_app.py"), "--sign-in-link", "--data-dir", str(data)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT, env=environment)


def test_no_sign_in_link_is_made_where_there_is_no_platform(tmp_path: Path) -> None:
    missed = link_of(tmp_path / "elsewhere")
    assert (missed.returncode, missed.stdout) == (1, "")
    assert str(tmp_path / "elsewhere") in missed.stderr
    assert "GENAI_DATA_DIR" in missed.stderr
    assert not (tmp_path / "elsewhere").exists()


def test_no_sign_in_link_is_made_under_another_secret_or_for_nobody(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/genai.db"
    migrate(Settings.load(data_dir=tmp_path))
    elsewhere = link_of(tmp_path / "elsewhere", GENAI_DATABASE_URL=database)
    assert elsewhere.returncode == 1
    assert "secret" in elsewhere.stderr
    assert not (tmp_path / "elsewhere" / "secret.key").exists()
    nobody = link_of(tmp_path, GENAI_SECRET_KEY="s" * 32)
    assert (nobody.returncode, nobody.stdout) == (1, "")
    assert "no administrator" in nobody.stderr


def test_a_new_sign_in_link_can_be_had_beside_the_running_server(served: tuple[Path, httpx.Client]) -> None:
    data, client = served
    token = link_of(data).stdout.strip().rpartition("token=")[2]
    assert client.get("/signin", params={"token": token}).status_code == 303
    assert "Sign out" in client.get("/").text
