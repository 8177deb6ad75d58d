"""Whether an installation does its main job, by its public API: `GENAI_API_KEY=… python -m infra.smoke URL`.

Health, access by key and in a browser's way, chat whole and streamed, an upload with its job's events, search by meaning and by
words, an answer with its citation, metrics. What it makes it deletes again. It takes a provider for real models as well as the
bundled one or the mock provider: the answer is not judged, but that it cites what was uploaded is. 1 at the first failure.
"""

import argparse
import os
import secrets
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from infra.events import events

#: What is uploaded. The mock provider answers with its sentence.
SENTENCE = "The lighthouse keeper counts each passing ship twice, once at dusk and once again at dawn."
QUESTION = "How often does the lighthouse keeper count each passing ship?"
METRICS = ("genai_requests_total", "genai_provider_attempts_total")


class SmokeFailed(Exception):
    """A step did not find what it must; the message says what it found."""


def _expect(condition: object, found: str) -> None:
    if not condition:
        raise SmokeFailed(found)


def _told(answer: httpx.Response, status: int = 200) -> Any:
    _expect(answer.status_code == status, f"{answer.request.url.path}: {answer.status_code}: {answer.text[:300]}")
    return answer.json() if answer.content else None


class Smoke:
    """The steps against one address. `within_s` is what one step may take: a bundled model on a small machine is slow."""

    def __init__(self, client: httpx.Client, *, within_s: float, metrics: httpx.Client | None = None) -> None:
        self._client = client
        self._within_s = within_s
        self._metrics = metrics
        self.collection = f"smoke-{secrets.token_hex(4)}"

    def steps(self) -> list[tuple[str, Callable[[], None]]]:
        """Name and step, in the order in which they build on each other."""
        known = [
            ("ready", self.ready),
            ("a key is asked for", self.refuses),
            ("the key signs in", self.signs_in),
            ("chat", self.chats),
            ("chat, streamed", self.streams),
            ("upload, with its job's events", self.uploads),
            ("search", self.searches),
            ("an answer with its citation", self.cites),
        ]
        return [*known, ("metrics", self.counts)] if self._metrics is not None else known

    def ready(self) -> None:
        until = time.monotonic() + self._within_s
        found = "no answer"
        while time.monotonic() < until:
            try:
                answer = self._client.get("/api/v1/health/ready")
            except httpx.TransportError as error:
                found = str(error)
            else:
                if answer.status_code == 200:
                    _told(self._client.get("/api/v1/health/live"))
                    return
                found = answer.text[:300]
            time.sleep(0.5)
        raise SmokeFailed(f"not ready within {self._within_s:g} s: {found}")

    def refuses(self) -> None:
        answer = self._client.get("/api/v1/models", headers={"Authorization": ""})
        _expect(answer.status_code == 401, f"without a key: {answer.status_code}")

    def signs_in(self) -> None:
        me = _told(self._client.get("/api/v1/auth/me"))
        _expect(me, "nobody")
        key = self._client.headers["authorization"].removeprefix("Bearer ")
        answer = self._client.post("/signin", data={"key": key}, headers={"Authorization": ""})
        _expect(answer.status_code == 303 and answer.cookies, f"/signin: {answer.status_code}")
        self._client.cookies.clear()

    def chats(self) -> None:
        body = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 16}
        answer = _told(self._client.post("/api/v1/chat", json=body))
        _expect(answer["output"] and answer["usage"], f"no output: {answer}")

    def streams(self) -> None:
        body = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 16, "stream": True}
        with self._client.stream("POST", "/api/v1/chat", json=body) as answer:
            _expect(answer.status_code == 200, f"status {answer.status_code}")
            names = [name for name, _ in events(answer)]
        _expect("token" in names and names[-1] == "done", f"events: {names[-3:]}")

    def uploads(self) -> None:
        _told(self._client.post("/api/v1/rag/collections", json={"name": self.collection}), 201)
        files = [("files", ("lighthouse.md", f"# The lighthouse\n\n{SENTENCE}\n".encode()))]
        job = _told(self._client.post(f"/api/v1/rag/collections/{self.collection}/documents", files=files), 202)
        with self._client.stream("GET", f"/api/v1/jobs/{job['job_id']}/events") as answer:
            _expect(answer.status_code == 200, f"events of the job: {answer.status_code}")
            told = [data for _, data in events(answer) if isinstance(data, dict) and "state" in data]
        state = _told(self._client.get(f"/api/v1/jobs/{job['job_id']}"))
        _expect(state["state"] == "succeeded", f"job: {state}")
        _expect(told and told[-1]["state"] == "succeeded", f"its events: {told[-1:]}")

    def searches(self) -> None:
        for mode in ("hybrid", "dense", "lexical"):
            body = {"query": "lighthouse ship", "mode": mode}
            found = _told(self._client.post(f"/api/v1/rag/collections/{self.collection}/search", json=body))["results"]
            _expect(found and found[0]["document"] == "lighthouse.md", f"{mode}: {found[:1]}")

    def cites(self) -> None:
        answer = _told(self._client.post("/api/v1/rag", json={"question": QUESTION, "collection": self.collection}))
        cited = [citation["document"] for citation in answer["citations"]]
        _expect(cited[:1] == ["lighthouse.md"], f"citations {cited} of {answer['output'][:200]!r}")

    def counts(self) -> None:
        assert self._metrics is not None
        answer = self._metrics.get("/metrics")
        _expect(answer.status_code == 200, f"/metrics: {answer.status_code}")
        missing = [name for name in METRICS if f"\n{name}{{" not in answer.text]
        _expect(not missing, f"not counted: {missing}")

    def leave(self) -> None:
        """Delete what the steps have made."""
        self._client.delete(f"/api/v1/rag/collections/{self.collection}")

    def run(self) -> bool:
        """All steps, each told on a line; whether all went well."""
        try:
            for name, step in self.steps():
                began = time.monotonic()
                try:
                    step()
                except (SmokeFailed, httpx.HTTPError, KeyError, ValueError) as error:
                    sys.stdout.write(f"FAILED  {name}: {type(error).__name__}: {error}\n")
                    return False
                sys.stdout.write(f"ok      {name}  {time.monotonic() - began:.1f} s\n")
                sys.stdout.flush()
            return True
        finally:
            self.leave()


def smoke(url: str, key: str, *, metrics_token: str | None, within_s: float, ca_file: Path | None = None) -> bool:
    """Run the steps against an address; whether all went well. Metrics are asked for where their token is given."""
    verify = ssl.create_default_context(cafile=ca_file)

    def client(token: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=url.rstrip("/"), headers=headers, timeout=within_s, verify=verify)

    with client(key) as ours, client(metrics_token or "") as scraper:
        return Smoke(ours, within_s=within_s, metrics=scraper if metrics_token else None).run()


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m infra.smoke", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--key-file", type=Path, help="file with the key, where GENAI_API_KEY is not set")
    parser.add_argument(
        "--metrics-token-file", type=Path, help="file with the token of /metrics; without it they are not asked"
    )
    parser.add_argument("--ca-file", type=Path, help="authority of the installation's certificate")
    parser.add_argument("--within-s", type=float, default=120, help="seconds that one step may take")
    options = parser.parse_args()
    key = options.key_file.read_text().strip() if options.key_file else os.environ.get("GENAI_API_KEY", "")
    if not key:
        parser.error("it needs a key: GENAI_API_KEY, or --key-file")
    token = options.metrics_token_file.read_text().strip() if options.metrics_token_file else None
    return 0 if smoke(options.url, key, metrics_token=token, within_s=options.within_s, ca_file=options.ca_file) else 1


if __name__ == "__main__":
    sys.exit(main())
