"""A platform whose every connection is TLS: its callers', its database's, its broker's and its provider's, by one authority."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from sqlalchemy import make_url

import infra.postgresql
from core.settings import Settings
from core.valkey import EmbeddedValkey
from infra.running import Running, wait_until
from tests.authority import Authority, Issued, serial_at, tls_in_front
from tests.fakes.openai import OpenAIFake
from tests.fakes.wire import Reply, Sent, Step

WORDS = "One two three four five six."
CONFIG = """
[[models]]
alias = "default"
[[models.deployments]]
provider = "openai_compatible:cloud"
model = "m"
[providers."openai_compatible:cloud"]
base_url = "https://localhost:{port}/v1"
"""


class Gated(OpenAIFake):
    """Says the first words of a stream, and the rest once its gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    async def respond(self, request: web.Request, sent: Sent, step: Step) -> web.StreamResponse:
        if self.is_aside(sent):
            return self.aside(sent)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        events = self.streamed(Reply(WORDS), sent.body)
        for number, each in enumerate(events):
            if number == 3:
                await asyncio.to_thread(self.gate.wait, 60)
            await response.write(f"data: {json.dumps(each)}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        return response


@dataclass
class Encrypted:
    platform: Running
    authority: Authority
    issued: Issued
    fake: Gated


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory, postgresql: Any) -> Iterator[Encrypted]:
    directory = tmp_path_factory.mktemp("encrypted")
    authority = Authority(directory / "authority")
    issued, inner = authority.issue("server"), authority.issue("inner")
    with ExitStack() as stack:
        valkey = EmbeddedValkey(Settings.load(data_dir=directory / "broker"))
        stack.callback(valkey.close)
        broker_socket = urlsplit(valkey.start()).path
        broker = stack.enter_context(tls_in_front(inner, partial(asyncio.open_unix_connection, broker_socket)))
        url = make_url(infra.postgresql.database_of_platform(postgresql, "transport"))
        database_socket = f"{url.query['host']}/.s.PGSQL.{url.port or 5432}"
        behind = partial(asyncio.open_unix_connection, database_socket)
        database = stack.enter_context(tls_in_front(inner, behind, postgresql=True))
        fake = stack.enter_context(Gated())
        where = urlsplit(fake.url)
        cloud = stack.enter_context(tls_in_front(inner, partial(asyncio.open_connection, where.hostname, where.port)))
        config = directory / "genai.toml"
        config.write_text(CONFIG.format(port=cloud))
        platform = Running(
            directory / "platform",
            GENAI_CONFIG=str(config),
            GENAI_HANDBOOK="false",
            GENAI_LOCAL__WARM="false",
            GENAI_DATABASE_URL=f"postgresql://genai@localhost:{database}/transport?sslmode=verify-full",
            GENAI_REDIS_URL=f"rediss://localhost:{broker}/0",
            GENAI_TLS__CERTIFICATE_FILE=str(issued.certificate_file),
            GENAI_TLS__KEY_FILE=str(issued.key_file),
            GENAI_TLS__CA_FILE=str(authority.file),
            GENAI_TLS__RELOAD_S="3600",
        )
        stack.callback(platform.stop)
        yield Encrypted(platform.start(), authority, issued, fake)


def _renew(encrypted: Encrypted, serial: int) -> None:
    """Tell the server to look, and wait until a new connection is shown this certificate."""
    assert encrypted.platform.process is not None
    encrypted.platform.process.send_signal(signal.SIGHUP)
    context = encrypted.authority.client()
    wait_until(lambda: serial_at(encrypted.platform.port, context) == serial, within_s=90, what="the certificate")


def test_a_renewed_certificate_is_shown_to_new_connections_while_a_stream_goes_on(encrypted: Encrypted) -> None:
    platform = encrypted.platform
    body = {"messages": [{"role": "user", "content": "Count."}], "stream": True}
    with platform.client() as client, client.stream("POST", "/api/v1/chat", json=body) as answer:
        lines = answer.iter_lines()
        first = next(line for line in lines if "One" in line)
        renewed = encrypted.authority.issue("server", key=rsa.generate_private_key(65537, 2048))
        _renew(encrypted, renewed.serial)
        assert serial_at(platform.port, encrypted.authority.client(), "127.0.0.1") == renewed.serial  # who names no server
        encrypted.fake.gate.set()
        said = [first, *lines]
    events = [json.loads(line.removeprefix("data: ")) for line in said if line.startswith("data: ")]
    assert "".join(each.get("text", "") for each in events) == WORDS
    assert "event: done" in said


def test_a_broken_renewal_is_an_alert_and_the_former_certificate_stays(encrypted: Encrypted) -> None:
    platform, context = encrypted.platform, encrypted.authority.client()
    good = encrypted.authority.issue("server")
    _renew(encrypted, good.serial)
    good.certificate_file.write_bytes(encrypted.authority.issue("other").certificate_file.read_bytes())
    assert platform.process is not None
    platform.process.send_signal(signal.SIGHUP)

    def alerts() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in platform.output().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("kind") == "certificate_unusable"]

    (raised,) = wait_until(alerts, within_s=90, what="the alert")
    assert (raised["event"], raised["level"], int(raised["serving"], 16)) == ("alert.raised", "error", good.serial)
    assert "GENAI_TLS__KEY_FILE" in raised["reason"]
    assert serial_at(platform.port, context) == good.serial
    _renew(encrypted, encrypted.authority.issue("server").serial)
    assert wait_until(lambda: alerts()[1:], within_s=90, what="the recovery")[0]["event"] == "alert.recovered"


def test_what_people_and_programs_are_told_is_https(encrypted: Encrypted) -> None:
    platform = encrypted.platform
    assert f"GenAI Platform  https://127.0.0.1:{platform.port}" in platform.output()
    with platform.client(key="") as client:
        signed_in = client.get(platform.sign_in_link(), headers={"host": "genai.example"})
        assert signed_in.status_code == 303
        assert "; Secure" in signed_in.headers["set-cookie"]
        assert signed_in.headers["strict-transport-security"] == "max-age=31536000"
        assert "strict-transport-security" not in client.get("/signin").headers  # every port of a machine is one host


def test_the_command_line_speaks_tls_and_says_what_it_does_not_trust(encrypted: Encrypted) -> None:
    platform = encrypted.platform
    genai = [str(Path(sys.executable).with_name("genai")), "models"]
    own = platform.environment() | {"GENAI_API_KEY": platform.key}
    listed = subprocess.run(genai, env=own, capture_output=True, text=True, check=False)
    assert (listed.returncode, "openai_compatible:cloud" in listed.stdout) == (0, True), listed.stderr
    stranger = {name: value for name, value in own.items() if name != "GENAI_TLS__CA_FILE"}
    refused = subprocess.run(genai, env=stranger, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "certificate_not_trusted" in refused.stderr


@pytest.mark.parametrize("service", ["database", "broker"])
def test_a_server_whose_authority_is_not_trusted_is_not_spoken_to(encrypted: Encrypted, service: str) -> None:
    environment = {name: value for name, value in encrypted.platform.environment().items() if name != "GENAI_TLS__CA_FILE"}
    asked = subprocess.run([sys.executable, "-c", ASK, service], env=environment, capture_output=True, text=True, check=False)
    assert "certificate verify failed" in asked.stdout, asked.stderr
    environment["GENAI_TLS__CA_FILE"] = str(encrypted.authority.file)
    asked = subprocess.run([sys.executable, "-c", ASK, service], env=environment, capture_output=True, text=True, check=False)
    assert asked.stdout.strip() == "answers", asked.stderr


ASK = """
import asyncio, sys
from core.database import is_made
from core.queue import redis_client
from core.redis_clients import RedisClients
from core.settings import Settings
settings = Settings.load()

async def ask():
    await RedisClients(settings.redis_url).get().ping()

try:
    if sys.argv[1] == "database":
        is_made(settings)
    else:
        redis_client(settings.redis_url).ping()
        asyncio.run(ask())
    print("answers")
except Exception as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"GENAI_TLS__CERTIFICATE_FILE": "none.crt", "GENAI_TLS__KEY_FILE": "none.key"}, "GENAI_TLS__CERTIFICATE_FILE"),
        ({"GENAI_HOST": "0.0.0.0"}, "GENAI_HOST"),
        ({"GENAI_TLS__CA_FILE": "none.pem"}, "GENAI_TLS__CA_FILE"),
        ({"GENAI_REDIS_URL": "redis://redis.internal"}, "GENAI_REDIS_URL"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_start_that_would_not_be_protected_names_the_setting_and_makes_nothing(
    settings: dict[str, str], named: str, tmp_path: Path
) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GENAI_")}
    data = tmp_path / "data"
    ended = subprocess.run(
        [sys.executable, "langserve_app.py"],
        env=inherited | {"GENAI_PORT": "0", "GENAI_DATA_DIR": str(data)} | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout, named in ended.stderr) == (2, "", True)
    assert not data.exists()
