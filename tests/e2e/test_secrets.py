"""Secrets planted in every field that takes one: none is seen in a log, an error, a list, a dump or the help, however
it fails."""

import base64
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from infra.bench.canaries import forms_of
from infra.bench.canaries import planted as planted_everywhere
from infra.running import ROOT, Running
from langserve_app import main

pytestmark = pytest.mark.one_database

CANARY = f"canary{secrets.token_hex(20)}"
OTHER = secrets.token_hex(20)
CONFIG = """
handbook = false
[local]
warm = false
[[models]]
alias = "default"
[[models.deployments]]
provider = "openai"
model = "gpt-4o-mini"
[[models]]
alias = "azure"
[[models.deployments]]
provider = "azure"
model = "ours#gpt-4o"
[[models]]
alias = "bedrock"
[[models.deployments]]
provider = "bedrock"
model = "anthropic.claude-sonnet-4-5-20250929-v1:0"
[providers.openai]
base_url = "{url}/v1"
api_key = "{canary}"
extra_headers = {{ x-gateway = "{canary}" }}
[providers.azure]
base_url = "{url}"
api_key = "{canary}"
[providers.bedrock]
base_url = "{url}"
region = "eu-west-1"
access_key_id = "{canary}"
secret_access_key = "{canary}"
session_token = "{canary}"
"""


class _Echo(BaseHTTPRequestHandler):
    """A provider that refuses a key, and in doing so repeats it."""

    def _refuse(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        told = f"Incorrect API key provided: {dict(self.headers)}"
        body = json.dumps({"error": {"message": told, "code": "invalid_api_key"}, "message": told}).encode()
        self.send_response(401)
        self.send_header("content-type", "application/json")
        self.send_header("x-amzn-errortype", "UnrecognizedClientException")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _refuse  # noqa: N815 - the standard library's names

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def planted(provider: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings whose every secret is the canary."""
    file = tmp_path_factory.mktemp("secrets") / "genai.toml"
    file.write_text(CONFIG.format(url=provider, canary=CANARY))
    return {
        "GENAI_CONFIG": str(file),
        "GENAI_ADMIN_KEY": CANARY,
        "GENAI_SECRET_KEY": CANARY,
        "GENAI_ENCRYPTION__KEY": CANARY,
        "GENAI_ENCRYPTION__PREVIOUS_KEYS": json.dumps([f"setting:{CANARY}"]),
        "GENAI_REDIS_URL": f"redis://user:{CANARY}@127.0.0.1:1/0",
        "GENAI_PROBES__UNHEALTHY_S": "0.2",
        "VAULT_TOKEN": CANARY,
        "AWS_SECRET_ACCESS_KEY": CANARY,
    }


def ran(directory: Path, settings: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GENAI_")}
    environment = inherited | {"GENAI_DATA_DIR": str(directory / "data"), "GENAI_PORT": "0"} | settings
    command = [sys.executable, "langserve_app.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100, check=False)


@pytest.mark.parametrize(
    ("variable", "value", "form"),
    [
        ("GENAI_DATABASE_URL", f"postgresql://user:{CANARY}@127.0.0.1:1/genai", "json"),
        ("GENAI_DATABASE_URL", f"postgresql://user:{CANARY}@127.0.0.1:1/genai", "pretty"),
        ("GENAI_ENCRYPTION__SOURCE", "vault_transit", "json"),
    ],
    ids=["database refuses", "database refuses in a terminal", "key service refuses"],
)
def test_a_start_that_fails_half_way_shows_no_secret(
    variable: str, value: str, form: str, planted: dict[str, str], tmp_path: Path
) -> None:
    more = {"GENAI_ENCRYPTION__KEY_ID": "ours", "VAULT_ADDR": "http://127.0.0.1:1", "GENAI_LOG__FORMAT": form}
    done = ran(tmp_path, planted | more | {variable: value})
    assert done.returncode == 1
    assert "could not start" in done.stderr
    assert CANARY not in done.stdout + done.stderr


@pytest.fixture
def refused(
    planted: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """All that a start with these settings says, which ends with the refusal of a setting."""

    def start(**settings: str) -> str:
        for name, value in (planted | {"GENAI_DATA_DIR": str(tmp_path / "data")} | settings).items():
            monkeypatch.setenv(name, value)
        assert main([]) == 2
        said = capsys.readouterr()
        return said.out + said.err

    return start


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("GENAI_DATABASE_URL", f"postgresql://user:{CANARY}@127.0.0.1:port/genai"),
        ("GENAI_DATABASE_URL", f"postgresql://user:@{CANARY}@127.0.0.1/genai"),
        ("GENAI_DATABASE_URL", CANARY),
        ("GENAI_REDIS_URL", f"redis://:{CANARY}/x@127.0.0.1:1/0"),
        ("GENAI_REDIS_URL", f"redis://:a@{CANARY}@127.0.0.1:1/0"),
        ("GENAI_REDIS_URL", CANARY),
        ("GENAI_FILES_URL", f"nothing://user:{CANARY}@bucket"),
        ("GENAI_ENCRYPTION__KEY", CANARY[:30]),
        ("GENAI_SECRET_KEY", CANARY[:30]),
        ("GENAI_ENCRYPTION__PREVIOUS_KEYS", CANARY),
        ("GENAI_PROVIDERS", f'{{"openai": {{"api_key": "{CANARY}"'),
        ("GENAI_PROVIDERS", f'{{"openai": {{"api_key": ["{CANARY}"]}}}}'),
        ("GENAI_PROVIDERS", f'{{"openai": {{"apikey": "{CANARY}"}}}}'),
        ("GENAI_ADMIN_KEY", "vault:secret/data/genai#admin"),
        ("GENAI_ADMIN_KEY", "aws:genai#admin"),
    ],
    ids=range(15),  # the values are drawn anew in each process
)
def test_a_setting_that_cannot_be_used_is_told_without_its_value(
    variable: str, value: str, refused: Callable[..., str]
) -> None:
    more = {"VAULT_ADDR": "http://127.0.0.1:1", "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_REGION": "eu-west-1"}
    told = refused(**more, AWS_ACCESS_KEY_ID=CANARY, **{variable: value})
    assert variable.partition("__")[0] in told
    assert CANARY[:30] not in told


@pytest.mark.parametrize("line", ['api_key = "{}', "api_key = {}", '[providers.openai]\napi_key = "{}"\napi_key = "{}"'])
def test_a_file_with_a_mistake_is_told_without_its_lines(line: str, refused: Callable[..., str], tmp_path: Path) -> None:
    file = tmp_path / "genai.toml"
    file.write_text(line.format(CANARY, CANARY) if line.count("{}") == 2 else line.format(CANARY))
    assert CANARY not in refused(GENAI_CONFIG=str(file))


def test_the_help_shows_no_secret_that_is_configured(planted: dict[str, str], tmp_path: Path) -> None:
    done = ran(tmp_path, planted, "--help")
    assert "GENAI_ENCRYPTION__KEY" in done.stdout
    assert CANARY not in done.stdout + done.stderr


def test_a_platform_whose_parts_all_fail_shows_no_secret(planted: dict[str, str], tmp_path: Path) -> None:
    """Providers that refuse the key and repeat it, a Redis that is away, callers with wrong credentials."""
    platform = Running(tmp_path, **{name: value for name, value in planted.items() if name != "GENAI_ADMIN_KEY"})
    platform.key = CANARY
    seen: list[Any] = []
    try:
        platform.start()
        with platform.client(key=CANARY) as client:
            said = {"messages": [{"role": "user", "content": "hello"}]}
            for model in ("default", "azure", "bedrock"):
                bodies = [said | {"model": model, "stream": stream} for stream in (False, True)]
                seen += [client.post("/api/v1/chat", json=body) for body in bodies]
                seen.append(client.post("/v1/chat/completions", json=said | {"model": model}))
            seen.append(client.post("/api/v1/chat/invoke", json={"input": said}))
            seen.append(client.post("/api/v1/rag/collections", json={"name": "papers"}))
            note = {"documents": [{"name": "a.md", "text": "The pump runs."}]}
            seen.append(client.post("/api/v1/rag/collections/papers/documents", json=note))
            paths = ("/api/v1/health", "/api/v1/models", "/api/v1/keys", "/api/v1/jobs", "/openapi.json", "/", "/metrics")
            seen += [client.get(path) for path in paths]
        for wrong in (f"gk_{CANARY}", f"{CANARY}{OTHER}", f"Basic {CANARY}"):
            with platform.client(key=wrong) as stranger:
                stranger.cookies.set("genai_session", CANARY)
                seen.append(stranger.get("/api/v1/models"))
        assert platform.stop() == 0
    finally:
        if platform.process is not None:
            platform.stop()
    assert {401, 502} <= {answer.status_code for answer in seen}
    told = [f"{answer.status_code} {answer.headers} {answer.text}" for answer in seen]
    assert [text[:300] for text in told if CANARY in text] == []
    assert [line[:300] for line in platform.output().splitlines() if CANARY in line] == []
    kept = [file for file in (tmp_path / "data").rglob("*") if file.is_file() and CANARY.encode() in file.read_bytes()]
    assert kept == []


def test_a_secret_is_found_within_what_is_packed_in_base64() -> None:
    for before in ("", "u", "user:", "Basic!"):
        packed = base64.b64encode(f"{before}{CANARY}@host".encode())
        assert any(form in packed for form in forms_of(CANARY)), before
        assert not any(form in packed for form in forms_of(OTHER)), before


def test_no_fault_of_any_part_shows_a_secret_of_any_field(tmp_path: Path) -> None:
    """A secret of its own in each field; providers that fail in every way, a database that loses its tables, a kill."""
    assert planted_everywhere(tmp_path)["places"] > 100
