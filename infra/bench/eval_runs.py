"""An eval run that is killed: what its provider was asked, what the ledger has, and what the run says of it."""

import json
import math
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from infra.running import running, wait_until

#: Examples that are in flight at once: what a kill can interrupt.
AT_ONCE = 8
#: Seconds that the provider takes: long enough for calls to be in flight when the platform is killed.
ANSWER_S = 0.05
_USED = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


class CountingProvider(ThreadingHTTPServer):
    """Speaks as much of OpenAI's protocol as a chat needs, and counts how often it was asked what, as soon as it is asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.asked: Counter[str] = Counter()
        self.counting = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Not told."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        question = body["messages"][-1]["content"]
        assert isinstance(self.server, CountingProvider)
        with self.server.counting:
            self.server.asked[question] += 1
        time.sleep(ANSWER_S)
        self._streamed(question) if body.get("stream") else self._whole(question)

    def _whole(self, question: str) -> None:
        message = {"role": "assistant", "content": f"answer to {question}"}
        told = _head("chat.completion") | {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        self._send("application/json", json.dumps(told | {"usage": _USED}).encode())

    def _streamed(self, question: str) -> None:
        head = _head("chat.completion.chunk")
        delta = {"role": "assistant", "content": f"answer to {question}"}
        chunks = [
            head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
            head | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
            head | {"choices": [], "usage": _USED},
        ]
        events = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
        self._send("text/event-stream", f"{events}data: [DONE]\n\n".encode())

    def _send(self, kind: str, content: bytes) -> None:
        try:
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            self.close_connection = True  # who had asked was killed


@contextmanager
def counting_provider() -> Iterator[CountingProvider]:
    """One that listens on a free port."""
    with CountingProvider() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


def killed(place: Path, *, examples: int, kills: tuple[float, ...]) -> dict[str, float]:
    """Kill a platform when each of these shares of a run is done. Raises AssertionError: an example was paid for twice, or is
    not accounted for."""
    began = time.perf_counter()
    with counting_provider() as provider:
        model = {
            "alias": "default",
            "deployments": [
                {
                    "provider": "openai_compatible:counting",
                    "model": "counting",
                    "price": {"input_usd_per_million": 1, "output_usd_per_million": 1},
                }
            ],
        }
        providers = {"openai_compatible:counting": {"base_url": provider.url, "api_key": "sk-none"}}
        settings = {"GENAI_MODELS": json.dumps([model]), "GENAI_PROVIDERS": json.dumps(providers), "GENAI_HANDBOOK": "false"}
        with running(place, **settings) as platform, platform.client() as client:
            run = _begun(client, examples)
            for share in kills:
                wait_until(
                    lambda share=share: _done(client, run) >= examples * share,  # type: ignore[misc]
                    within_s=600,
                    what=f"{share:.0%} of the examples",
                )
                platform.kill()
                platform.start()
            platform.finished_job(client, run["job_id"], within_s=900)
            figures = _checked(client, run["id"], provider, examples, kills=len(kills))
    return figures | {"kills": len(kills), "seconds": time.perf_counter() - began}


def _begun(client: httpx.Client, examples: int) -> dict[str, Any]:
    rows = [{"id": f"ex-{number}", "input": {"text": f"question {number}"}} for number in range(1, examples + 1)]
    content = "\n".join(map(json.dumps, rows))
    dataset = {"name": "questions", "format": "jsonl", "content": content}
    client.post("/api/v1/evals/datasets", json=dataset).raise_for_status()
    suite = {
        "name": "killed",
        "dataset": "questions",
        "metrics": [{"name": "regex", "options": {"pattern": "answer to question"}}],
        "run": {"concurrency": AT_ONCE},
    }
    made: dict[str, Any] = client.post("/api/v1/evals/runs", json={"definition": json.dumps(suite)}).raise_for_status().json()
    return made


def _done(client: httpx.Client, run: dict[str, Any]) -> int:
    answer = client.get(f"/api/v1/evals/runs/{run['id']}").raise_for_status()
    return int(answer.json()["progress"]["done"])


def _checked(client: httpx.Client, run_id: str, provider: CountingProvider, examples: int, *, kills: int) -> dict[str, float]:
    run = client.get(f"/api/v1/evals/runs/{run_id}").raise_for_status().json()
    assert (run["state"], run["failed"], run["scored"] + run["interrupted"]) == ("succeeded", 0, examples), run
    results = _all(client, f"/api/v1/evals/runs/{run_id}/results")
    ended = {row["example"]: row["state"] for row in results}
    assert len(ended) == len(results) == examples
    twice = {question: count for question, count in provider.asked.items() if count > 1}
    assert not twice, f"asked more than once: {twice}"
    scored = [row["number"] for row in results if row["state"] == "scored"]
    assert all(provider.asked[f"question {number}"] == 1 for number in scored)
    assert run["interrupted"] <= AT_ONCE * kills, run
    booked = Counter(row["request_id"] for row in _all(client, "/api/v1/usage/entries"))
    assert max(booked.values()) == 1, booked.most_common(3)
    assert all(booked[f"{run_id}-{number}"] == 1 for number in scored)
    cost = math.fsum(row["cost_usd"] for row in results if row["cost_usd"] is not None)
    assert math.isclose(run["spent_usd"], cost), (run["spent_usd"], cost)
    return {
        "examples": examples,
        "scored": run["scored"],
        "interrupted": run["interrupted"],
        "asked_of_the_provider": sum(provider.asked.values()),
        "asked_twice": len(twice),
        "in_the_ledger": sum(booked.values()),
    }


def _all(client: httpx.Client, path: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    params: dict[str, Any] = {"limit": 100}
    while True:
        told = client.get(path, params=params).raise_for_status().json()
        rows += told["results"]
        if told["next_cursor"] is None:
            return rows
        params["cursor"] = told["next_cursor"]


def _head(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-counting", "object": kind, "created": 1_700_000_000, "model": "counting"}
