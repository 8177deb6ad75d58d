"""What the running platform logs: one line a request by whichever door, three streams, here and at a collector."""

import fcntl
import gzip
import hashlib
import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from infra.running import ROOT, Running, running, wait_until
from tests.fakes.openai import OpenAIFake
from tests.fakes.wire import Fault, Reply

SECRET = "a word that only the prompt has: xylograph"
_HI = [{"role": "user", "content": SECRET}]
_CONFIG = """
[[models]]
alias = "default"
[[models.deployments]]
provider = "openai_compatible:bad"
model = "worse"
[[models.deployments]]
provider = "openai_compatible:good"
model = "better"
price = {{ input_usd_per_million = "1", output_usd_per_million = "2" }}
[[models]]
alias = "broken"
[[models.deployments]]
provider = "openai_compatible:bad"
model = "worse"
[[models]]
alias = "slow"
[[models.deployments]]
provider = "openai_compatible:slow"
model = "slow"
[providers."openai_compatible:good"]
base_url = "{good}"
[providers."openai_compatible:bad"]
base_url = "{bad}"
[providers."openai_compatible:slow"]
base_url = "{slow}"
"""

Line = dict[str, Any]


class Collector:
    """An OTLP collector on loopback. While it is `away` it answers 503."""

    def __init__(self) -> None:
        self.records: list[tuple[str, dict[str, Any], Any]] = []
        self.services: set[str] = set()
        self.away = False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if not outer.away:
                    outer.take(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
                self.send_response(400 if outer.away else 200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1/logs"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, body: bytes) -> None:
        for resource in ExportLogsServiceRequest.FromString(body).resource_logs:
            self.services |= {each.value.string_value for each in resource.resource.attributes if each.key == "service.name"}
            for record in [record for scope in resource.scope_logs for record in scope.log_records]:
                told = {each.key: _value(each.value) for each in record.attributes}
                self.records.append((record.event_name, told, record))


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "kvlist_value":
        return {each.key: _value(each.value) for each in value.kvlist_value.values}
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind) if kind else None


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    started = Collector()
    yield started
    started.server.shutdown()
    started.server.server_close()


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("logged")
    with OpenAIFake() as good, OpenAIFake() as bad, OpenAIFake() as slow:
        good.always(Reply(input_tokens=12, output_tokens=5))
        bad.always(Fault.SERVER)
        slow.always(Reply(text="word " * 200, between_s=0.05))
        urls = {"good": good.base_url, "bad": bad.base_url, "slow": slow.base_url}
        (directory / "platform.toml").write_text(_CONFIG.format(**urls))
        with running(
            directory,
            GENAI_CONFIG=str(directory / "platform.toml"),
            GENAI_HANDBOOK="false",
            GENAI_LOCAL__WARM="false",
            OTEL_LOGS_EXPORTER="otlp",
            OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=collector.url,
            OTEL_BLRP_SCHEDULE_DELAY="200",
        ) as started:
            yield started


def lines(platform: Running) -> list[Line]:
    """All lines; the few at the start that are for a person go to standard error."""
    found = []
    for line in platform.output().splitlines():
        with suppress(ValueError):
            found.append(json.loads(line))
    return found


def drawn(name: str) -> str:
    """A request's identifier, the same for the same name: what is given is taken only where it looks drawn by lot."""
    return f"req_{hashlib.sha256(name.encode()).hexdigest()[:24]}"


def of(platform: Running, name: str) -> Line:
    """The one line of a request."""
    request_id = drawn(name)

    def told() -> list[Line]:
        return [each for each in lines(platform) if each["event"] == "request.finished" and each["request_id"] == request_id]

    (line,) = wait_until(told, within_s=90, what=f"the line of {name}")
    return line


def ask(client: httpx.Client, path: str, body: Any, name: str) -> httpx.Response:
    return client.post(path, json=body, headers={"x-request-id": drawn(name)})


DOORS: dict[str, tuple[str, Any, bool]] = {
    "rest": ("/api/v1/chat", {"messages": _HI, "session_id": "s-1"}, False),
    "sse": ("/api/v1/chat", {"messages": _HI, "stream": True}, True),
    "invoke": ("/api/v1/chat/invoke", {"input": {"messages": _HI}}, False),
    "stream": ("/api/v1/chat/stream", {"input": {"messages": _HI}}, True),
    "openai": ("/v1/chat/completions", {"messages": _HI, "model": "default"}, False),
    "openai-stream": ("/v1/chat/completions", {"messages": _HI, "model": "default", "stream": True}, True),
}


@pytest.mark.parametrize("door", list(DOORS))
def test_a_request_s_line_says_who_asked_what_answered_and_what_it_took(platform: Running, door: str) -> None:
    path, body, streamed = DOORS[door]
    with platform.client() as client:
        answer = ask(client, path, body, f"line-{door}")
    assert answer.status_code == 200
    line = of(platform, f"line-{door}")
    expected = {
        "stream": "application",
        "method": "POST",
        "route": path,
        "status": 200,
        "tenant": "default",
        "principal": "key_administrator",
        "key_id": "key_administrator",
        "capability": "chat",
        "alias": "default",
        "provider": "openai_compatible:good",
        "model": "better",
        "input_tokens": 12,
        "output_tokens": 5,
        "cost_usd": "0.000022",
        "bytes_out": len(answer.content),
        "bytes_in": int(answer.request.headers["content-length"]),
    }
    assert {name: line.get(name) for name in expected} == expected
    assert line["attempts"] >= 1
    assert line["ms"] >= line["overhead_ms"] >= 0
    assert ("first_ms" in line) == streamed
    assert "session_id" not in line, "callers choose it, and may put anything there; the ledger has it beside the request's id"
    assert "disconnected" not in line


def test_a_batch_is_one_line_with_all_of_its_calls(platform: Running) -> None:
    with platform.client() as client:
        body = {"inputs": [{"messages": _HI}, {"messages": _HI}]}
        assert ask(client, "/api/v1/chat/batch", body, "line-batch").status_code == 200
    line = of(platform, "line-batch")
    assert (line["input_tokens"], line["cost_usd"], line["alias"]) == (24, "0.000044", "default")


def test_an_error_s_line_has_its_code_and_the_calls_in_vain(platform: Running) -> None:
    with platform.client() as client:
        status = ask(client, "/api/v1/chat", {"messages": _HI, "model": "broken"}, "line-broken").status_code
        assert ask(client, "/api/v1/nothing", {}, "line-nothing").status_code == 404
    line, missing = of(platform, "line-broken"), of(platform, "line-nothing")
    assert (line["status"], line["error"], line["alias"]) == (status, "provider_failed", "broken")
    assert all(name.startswith("openai_compatible:bad/worse: ") for name in line["failed"])
    assert (missing["status"], missing["error"], missing.get("route")) == (404, "not_found", None)


def test_a_caller_who_leaves_is_told(platform: Running) -> None:
    with platform.client() as client:
        body, headers = {"messages": _HI, "model": "slow", "stream": True}, {"x-request-id": drawn("line-left")}
        with client.stream("POST", "/api/v1/chat", json=body, headers=headers) as answer:
            next(answer.iter_lines())
    line = of(platform, "line-left")
    assert (line["disconnected"], line["alias"]) == (True, "slow")


def test_a_request_that_starts_a_job_names_it_and_so_do_the_job_s_lines(platform: Running) -> None:
    with platform.client() as client:
        client.post("/api/v1/rag/collections", json={"name": "ships"}).raise_for_status()
        documents = {"documents": [{"name": "a.md", "text": "The pump runs."}]}
        answer = ask(client, "/api/v1/rag/collections/ships/documents", documents, "line-job")
        job = platform.finished_job(client, answer.json()["job_id"])
    line = of(platform, "line-job")
    assert (line["route"], line["job_id"]) == ("/api/v1/rag/collections/{name}/documents", job["id"])
    assert line["path"] == "/api/v1/rag/collections/ships/documents"


def test_refusals_are_the_stream_security_and_acts_the_stream_audit(platform: Running) -> None:
    with platform.client(key="gk_" + "x" * 40) as stranger:
        assert stranger.get("/api/v1/models").status_code == 401
    with platform.client(key="") as nobody:
        nobody.post("/signin", data={"email": "a@example.test", "password": "not the password"})
    with platform.client() as client:
        made = client.post("/api/v1/keys", json={"name": "n", "role": "user"}).raise_for_status().json()
    with platform.client(key=made["key"]) as user:
        assert user.get("/api/v1/users").status_code == 403

    def told() -> bool:
        by_stream = {(line["stream"], line["event"]) for line in lines(platform)}
        wanted = {("security", name) for name in ("credential.refused", "signin.failed", "scope.denied")}
        acts = {line["audit"]["event.action"] for line in lines(platform) if line["stream"] == "audit"}
        return by_stream >= wanted and acts >= {"key.created", "scope.denied", "signin.failed"}

    wait_until(told, within_s=90, what="lines of all streams")
    assert {line["stream"] for line in lines(platform)} == {"application", "audit", "security"}
    assert all({"timestamp", "level", "event"} <= line.keys() for line in lines(platform))
    assert made["key"] not in platform.output()


def test_a_collector_is_sent_the_same_lines(platform: Running, collector: Collector) -> None:
    with platform.client() as client:
        ask(client, "/api/v1/chat", {"messages": _HI}, "line-sent")

    def sent() -> list[tuple[dict[str, Any], Any]]:
        found = list(collector.records)
        wanted = ("request.finished", drawn("line-sent"))
        return [(told, record) for event, told, record in found if (event, told.get("request_id")) == wanted]

    ((told, record),) = wait_until(sent, within_s=90, what="the line at the collector")
    line = of(platform, "line-sent")
    for name in ("stream", "route", "status", "tenant", "principal", "alias", "model", "cost_usd", "ms", "attempts"):
        assert told[name] == line[name], name
    assert (record.severity_text, record.body.string_value) == ("INFO", "request.finished")
    assert collector.services == {"genai-platform"}
    audited = [told["audit"] for _, told, _ in collector.records if told["stream"] == "audit"]
    assert "settings.started" in [each["event.action"] for each in audited]
    assert SECRET not in platform.output() + str(collector.records)


def test_a_collector_that_is_away_is_told_once_and_holds_nobody(platform: Running, collector: Collector) -> None:
    def states() -> list[str]:
        return [line["event"] for line in lines(platform) if line["event"].startswith("otlp.")]

    collector.away = True
    with platform.client() as client:
        for number in range(3):
            assert ask(client, "/api/v1/chat", {"messages": _HI}, f"line-away-{number}").status_code == 200
            wait_until(lambda: states() == ["otlp.unreachable"], within_s=90, what="otlp.unreachable")
        collector.away = False
        ask(client, "/api/v1/chat", {"messages": _HI}, "line-back")
    wait_until(lambda: states() == ["otlp.unreachable", "otlp.reached_again"], within_s=90, what="otlp.reached_again")


def test_a_terminal_gets_colours(tmp_path: Path) -> None:
    """By a process that ends by itself: a start without its database."""
    started = Running(tmp_path, GENAI_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none", GENAI_LOG__FORMAT="auto")
    own, terminal = pty.openpty()
    command = [sys.executable, "langserve_app.py"]
    process = subprocess.Popen(command, cwd=ROOT, env=started.environment(), stdout=terminal, stderr=terminal)
    os.close(terminal)
    shown = b""
    with suppress(OSError):  # EIO: the other end is closed
        while piece := os.read(own, 65_536):
            shown += piece
    os.close(own)
    assert process.wait(60) == 1
    (line,) = [line for line in shown.decode().splitlines() if "start.failed" in line]
    assert "\x1b[" in line
    assert "{" not in line


def test_a_reader_who_stands_still_holds_no_request(tmp_path: Path) -> None:
    """Standard output is a small pipe that nobody reads."""
    started = Running(tmp_path, GENAI_HANDBOOK="false", GENAI_LOCAL__WARM="false")
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    with (tmp_path / "errors").open("wb") as errors:
        command = [sys.executable, "langserve_app.py"]
        started.process = subprocess.Popen(command, cwd=ROOT, env=started.environment(), stdout=writing, stderr=errors)
    os.close(writing)
    try:
        started.wait_for("/api/v1/health/ready")
        with started.client(timeout_s=20) as client:
            for _ in range(30):
                client.get("/api/v1/models").raise_for_status()
            wait_until(lambda: "log.blocked" in (tmp_path / "errors").read_text(), within_s=90, what="log.blocked")
            data = b""
            while b"log.resumed" not in data or not data.endswith(b"\n"):
                data += os.read(reading, 4096)
        told = [json.loads(line) for line in data.decode().splitlines()]
        asked = [line for line in told if line["event"] == "request.finished" and line["path"] == "/api/v1/models"]
        assert len(asked) == 30
        assert (tmp_path / "errors").read_text().count("log.blocked") == 1
    finally:
        started.stop()
        os.close(reading)
