"""Whole traces as a collector gets them from a running platform: one tree a request, none of whose spans lacks its parent."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from infra.bench.gateway import mock_provider
from infra.running import Running, running, wait_until
from tests.collector import Collector, Sent, Tree, collecting

MESSAGES = {"messages": [{"role": "user", "content": "What does the canary-prompt sing?"}]}
TRACE = "x-genai-trace-id"
ALIASES = """
[[models]]
alias = "default"
deployments = [{{provider = "openai_compatible:good", model = "mock"}}]

[[models]]
alias = "unsteady"
deployments = [
    {{provider = "openai_compatible:bad", model = "mock-failing"}},
    {{provider = "openai_compatible:good", model = "mock"}},
]

[[models]]
alias = "slow"
deployments = [{{provider = "openai_compatible:good", model = "mock-paced"}}]

[[models]]
alias = "broken"
deployments = [{{provider = "openai_compatible:bad", model = "mock-failing"}}]

[providers."openai_compatible:good"]
base_url = "{provider}/v1"
api_key = "sk-canary-provider-key"

[providers."openai_compatible:bad"]
base_url = "{provider}/v1"

[retries]
attempts = 2
"""


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Collector]]:
    directory = tmp_path_factory.mktemp("traced")
    with collecting() as collector, mock_provider() as provider:
        config = Path(directory / "config.toml")
        config.write_text(ALIASES.format(provider=provider), encoding="utf-8")
        settings = {
            "GENAI_CONFIG": str(config),
            "GENAI_LOCAL__THREADS": "1",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20canary-collector-token",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "GENAI_HANDBOOK": "false",
        }
        with running(directory / "data", **settings) as platform:
            yield platform, collector


@pytest.fixture
def client(traced: tuple[Running, Collector]) -> Iterator[httpx.Client]:
    with traced[0].client() as opened:
        yield opened


def has(*names: str) -> Any:
    """Whether these have come, and the edge's span, which ends last."""
    return lambda spans: {*names} <= {span.name for span in spans} and any(span.kind == "SERVER" for span in spans)


def tree_of(traced: tuple[Running, Collector], answer: httpx.Response, *names: str) -> Tree:
    tree = traced[1].whole(answer.headers[TRACE], has(*names))
    assert tree.orphans == [], tree.drawn()
    return tree


def edge(tree: Tree) -> Sent:
    (span,) = [span for span in tree.spans if span.kind == "SERVER"]
    assert not span.parent_id
    return span


def test_a_question_to_documents_by_rest(traced: tuple[Running, Collector], client: httpx.Client) -> None:
    traced[0].ingest(client, "birds", {"wren.txt": b"The wren sings louder than any bird of its size. It weighs nine grams."})
    answer = client.post("/api/v1/rag", json={"question": "How much does the wren weigh?", "collection": "birds"})
    assert answer.status_code == 200
    tree = tree_of(traced, answer, "capability rag", "search", "rerank passages")
    top = edge(tree)
    assert top.name == "POST /api/v1/rag"
    assert top.attributes["http.route"] == "/api/v1/rag"
    assert top.attributes["http.response.status_code"] == 200
    assert (top.attributes["genai.capability"], top.attributes["genai.door"]) == ("rag", "rest")
    for name in ("search words", "embed query", "search vectors"):
        assert tree.above(tree.one(name)) == ["search", "capability rag", top.name], tree.drawn()
    assert tree.one("search").attributes["genai.search.results"] > 0
    assert tree.above(tree.one("rerank passages")) == ["capability rag", top.name]
    assert {"search", "capability rag"} <= {name for span in tree.named("SELECT documents") for name in tree.above(span)}
    assert all(top.began <= span.began and span.ended <= top.ended for span in tree.spans if span.name != "PIPELINE")


def test_the_steps_of_a_search(traced: tuple[Running, Collector], client: httpx.Client) -> None:
    traced[0].ingest(client, "owls", {"owl.txt": b"The owl hunts at night. It turns its head far."})
    steps = {"retrieval": {"feedback": {}, "mmr": {}, "rerank": {"candidates": 2}, "expansion": {}}}
    assert client.patch("/api/v1/rag/collections/owls", json=steps).status_code == 200
    answer = client.post("/api/v1/rag/collections/owls/search", json={"query": "When does the owl hunt?"})
    assert answer.status_code == 200
    tree = tree_of(traced, answer, "search", "search step")
    taken = {span.attributes["genai.search.step"]: span for span in tree.named("search step")}
    assert set(taken) == {"feedback", "rerank", "mmr", "expansion"}
    assert tree.above(taken["feedback"]) == ["search", edge(tree).name]
    skipped = {step["step"]: step["skipped"] for step in answer.json()["steps"]}
    assert {name: span.attributes.get("error.type") for name, span in taken.items()} == skipped


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/chat/stream", {"input": MESSAGES}),
        ("/v1/chat/completions", {"model": "default", "stream": True, **MESSAGES}),
        ("/api/v1/chat", {"stream": True, **MESSAGES}),
    ],
    ids=["langserve", "openai", "rest"],
)
def test_a_stream(traced: tuple[Running, Collector], client: httpx.Client, path: str, body: dict[str, Any]) -> None:
    answer = client.post(path, json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    tree = tree_of(traced, answer, "capability chat", "chat mock")
    top, call = edge(tree), tree.one("chat mock")
    assert top.name == f"POST {path}"
    assert tree.above(call) == ["capability chat", top.name]
    assert call.kind == "CLIENT"
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai_compatible",
        "gen_ai.request.model": "mock",
        "gen_ai.response.model": "mock",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 32,
    }
    assert expected.items() <= call.attributes.items()
    assert call.ended <= top.ended
    # a span for every chunk would be 32 more
    assert len(tree.spans) < 20, tree.drawn()


def test_a_batch_has_a_branch_for_each_input(traced: tuple[Running, Collector], client: httpx.Client) -> None:
    answer = client.post("/api/v1/chat/batch", json={"inputs": [MESSAGES, MESSAGES, MESSAGES]})
    tree = tree_of(traced, answer, "capability chat")
    assert [tree.above(span) for span in tree.named("chat mock")] == [["capability chat", "POST /api/v1/chat/batch"]] * 3
    assert len({span.parent_id for span in tree.named("chat mock")}) == 3


def test_a_failover_is_two_attempts(traced: tuple[Running, Collector], client: httpx.Client) -> None:
    answer = client.post("/api/v1/chat", json={"model": "unsteady", **MESSAGES})
    tree = tree_of(traced, answer, "chat mock", "chat mock-failing")
    failed, well = tree.named("chat mock-failing")[0], tree.one("chat mock")
    assert (failed.failed, failed.attributes["error.type"]) == (True, "server_error")
    assert (well.failed, well.attributes["genai.attempt"]) == (False, 2)
    assert failed.parent_id == well.parent_id
    assert failed.ended <= well.began
    assert not edge(tree).failed


def test_an_error_marks_every_span_up_to_the_edge(traced: tuple[Running, Collector], client: httpx.Client) -> None:
    answer = client.post("/api/v1/chat", json={"model": "broken", **MESSAGES})
    code = answer.json()["error"]["code"]
    assert answer.status_code >= 500
    tree = tree_of(traced, answer, "capability chat")
    for span in (edge(tree), tree.one("capability chat")):
        assert (span.failed, span.attributes["error.type"]) == (True, code), tree.drawn()


def test_a_mistake_of_the_caller_is_no_failure_of_ours(traced: tuple[Running, Collector], client: httpx.Client) -> None:
    answer = client.post("/api/v1/chat?key=canary-query", json={"messages": 3})
    assert answer.status_code == 422
    top = edge(tree_of(traced, answer))
    assert (top.failed, top.attributes["error.type"]) == (False, "invalid_request")


def test_a_caller_who_hangs_up_ends_the_spans(traced: tuple[Running, Collector], client: httpx.Client) -> None:
    with client.stream("POST", "/api/v1/chat/stream", json={"input": {"model": "slow", **MESSAGES}}) as answer:
        pieces = (line for line in answer.iter_lines() if line.startswith("data"))
        assert [next(pieces), next(pieces)]
    tree = tree_of(traced, answer, "capability chat", "chat mock-paced")
    for name in ("chat mock-paced", "capability chat", edge(tree).name):
        span = tree.one(name)
        assert (span.attributes.get("genai.cancelled"), span.failed) == (True, False), (name, span)


def test_documents_that_are_brought_in_join_the_trace(traced: tuple[Running, Collector], client: httpx.Client) -> None:
    client.post("/api/v1/rag/collections", json={"name": "traced"}).raise_for_status()
    parts = [("files", (f"{number}.txt", f"Text {number}.".encode())) for number in range(2)]
    sent = client.post("/api/v1/rag/collections/traced/documents", files=parts)
    assert sent.status_code == 202, sent.text
    job = traced[0].finished_job(client, sent.json()["job_id"])

    def done(spans: list[Sent]) -> bool:
        return has("send ingestion")(spans) and len([span for span in spans if span.name == "process document"]) == 2

    tree = traced[1].whole(sent.headers[TRACE], done)
    assert tree.orphans == [], tree.drawn()
    for span in tree.named("process document"):
        assert span.kind == "CONSUMER"
        assert span.attributes["genai.job.id"] == job["id"]
        assert tree.above(span)[-1] == edge(tree).name
    below = {span.name for span in tree.spans if "process document" in tree.above(span)}
    assert {"SELECT documents", "UPDATE documents"} <= below, below


def test_a_callers_trace_is_linked_and_not_joined(traced: tuple[Running, Collector], client: httpx.Client) -> None:
    theirs = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    answer = client.post("/api/v1/chat", json=MESSAGES, headers={"traceparent": f"00-{theirs[0]}-{theirs[1]}-01"})
    assert answer.headers[TRACE] != theirs[0]
    assert edge(tree_of(traced, answer)).links == [theirs]


def test_the_requests_log_line_names_its_trace(traced: tuple[Running, Collector], client: httpx.Client) -> None:
    answer = client.post("/api/v1/chat", json=MESSAGES)

    def told() -> list[str]:
        lines = [json.loads(line) for line in traced[0].output().splitlines() if line.startswith("{") and line.endswith("}")]
        return [line["trace_id"] for line in lines if line.get("request_id") == answer.headers["x-request-id"]]

    wait_until(told, within_s=90, what="the line, which is written once the answer has left")
    assert told() == [answer.headers[TRACE]]


def test_nothing_that_must_not_be_told_is_in_any_span(traced: tuple[Running, Collector], client: httpx.Client) -> None:
    """After all the others, and after what a stranger may send."""
    host, port = urlsplit(str(client.base_url)).hostname, urlsplit(str(client.base_url)).port
    with socket.create_connection((str(host), int(port or 0))) as raw:
        raw.sendall(
            b"GET /api/v1/canary-path?token=canary-query HTTP/1.1\r\nhost: canary-host\r\nuser-agent: canary-agent\r\n\r\n"
        )
        raw.recv(1000)
    last = client.get(
        "/api/v1/collections?cursor=canary-query", headers={"authorization": "Bearer canary-key", "baggage": "a=canary-b"}
    )
    tree_of(traced, last)
    everything = b"".join(traced[1].bodies)
    key = client.headers["authorization"].removeprefix("Bearer ").encode()
    assert b"canary" not in everything
    assert key not in everything
    assert b"127.0.0.1" not in everything
    assert b"lighthouse" not in everything, "an answer"
