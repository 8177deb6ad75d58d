"""Two servers and two workers without a shared disk, asked by turns: each knows what the other was told."""

import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Final

import httpx

from infra.bench import gateway
from infra.bench.cluster import Cluster
from infra.bench.overspending import USED
from infra.running import wait_until

#: A breaker that is open stays so for as long as this takes.
SETTINGS: Final = {"GENAI_BREAKER__PROBE_S": "300"}
_COLLECTION: Final = "/api/v1/rag/collections/apart"
_PASSWORD: Final = "a lighthouse counts every ship"  # noqa: S105 - of a person who exists here alone
#: Seconds until a server knows what another was told, at most.
_KNOWN_S: Final = 60.0


def apart(it: Cluster, *, room: int) -> dict[str, float]:
    """Sign in, upload, follow jobs, chat in sessions, search words, meet limits and budgets (`room` requests each), open a
    breaker and roll a model back, each on one server, and see it on the other.

    Raises:
        AssertionError: a server does not know.
    """
    found: dict[str, float] = {"sign_ins": _sign_in(it)}
    found |= {"documents": _documents(it), "turns": _session(it)}
    found |= {"admitted": _rate_limit(it, room), "paid": _budget(it, room)}
    found |= {"calls_of_broken": _breaker(it), "switched_s": _rollback(it)}
    return found


@contextmanager
def _clients(it: Cluster, key: str | None = None) -> Iterator[list[httpx.Client]]:
    """One to each server, with the administrator's key where no other is given."""
    with ExitStack() as stack:
        yield [stack.enter_context(server.client(key=key)) for server in it.servers]


def _sign_in(it: Cluster) -> int:
    """Who has signed in at one server is signed in at all, and has signed out of all."""
    with _clients(it) as admins:
        person = {"name": "Grace", "email": "grace@example.test", "role": "admin", "password": _PASSWORD}
        admins[0].post("/api/v1/users", json=person).raise_for_status()
    with _clients(it, key="") as browsers:
        for first, second in itertools.permutations(browsers[:2]):
            form = {"email": person["email"], "password": _PASSWORD}
            answer = first.post("/signin", data=form, headers={"origin": str(first.base_url).rstrip("/")})
            assert answer.status_code == 303, answer.text[-300:]
            for browser in (first, second):
                browser.cookies.update(first.cookies)
                assert browser.get("/api/v1/auth/sessions").status_code == 200
            out = second.post("/signout", headers={"origin": str(second.base_url).rstrip("/")})
            assert out.status_code == 303, out.text[-300:]
            first.cookies.set("genai_session", answer.cookies["genai_session"], domain=first.base_url.host)
            wait_until(partial(_is_signed_out, first), within_s=_KNOWN_S, what="out")
            for browser in (first, second):
                browser.cookies.clear()
    return 2


def _is_signed_out(browser: httpx.Client) -> bool:
    return browser.get("/api/v1/auth/sessions").status_code == 401


def _documents(it: Cluster) -> int:
    """What is uploaded at one is read by a worker on another disk, followed, found by its words and got back at each."""
    with _clients(it) as clients:
        clients[0].post("/api/v1/rag/collections", json={"name": "apart"}).raise_for_status()
        texts = {f"{number}.md": f"Winch {number} is painted vermilion{number}." for number in range(2 * len(clients))}
        for (name, text), (at, client) in zip(texts.items(), itertools.cycle(enumerate(clients)), strict=False):
            parts = [("files", (name, text.encode()))]
            job = client.post(f"{_COLLECTION}/documents", files=parts).raise_for_status().json()["job_id"]
            there = clients[(at + 1) % len(clients)]
            assert _followed(there, job)["state"] == "succeeded"
        for client in clients:
            rows = client.get(f"{_COLLECTION}/documents").raise_for_status().json()["results"]
            assert {row["name"] for row in rows} == texts.keys()
            for row in rows:
                original = client.get(f"{_COLLECTION}/documents/{row['id']}/original").raise_for_status()
                assert original.text == texts[row["name"]]
            for number, name in enumerate(texts):
                asked = {"query": f"vermilion{number}", "mode": "lexical"}
                wait_until(partial(_found, client, asked), within_s=_KNOWN_S, what=f"{asked} in the words")
                assert _found(client, asked) == [name]
    return len(texts)


def _found(client: httpx.Client, asked: dict[str, Any]) -> list[str]:
    found = client.post(f"{_COLLECTION}/search", json=asked).raise_for_status().json()["results"]
    return [one["document"] for one in found]


def _followed(client: httpx.Client, job: str) -> dict[str, Any]:
    """The job, as its events tell it at its end."""
    with client.stream("GET", f"/api/v1/jobs/{job}/events") as events:
        assert events.status_code == 200, events.read()
        *_, last = [line for line in events.iter_lines() if line.startswith("data: ")]
    told: dict[str, Any] = json.loads(last.removeprefix("data: "))
    return told


def _session(it: Cluster) -> int:
    """A conversation goes on at whichever server is asked."""
    with _clients(it) as clients:
        said: list[str] = []
        for turn, client in zip(range(3 * len(clients)), itertools.cycle(clients), strict=False):
            body = {"model": "echo", "session_id": "apart", "messages": [{"role": "user", "content": f"word{turn}"}]}
            output = client.post("/api/v1/chat", json=body).raise_for_status().json()["output"]
            assert all(word in output for word in said), (turn, output)
            said.append(f"word{turn}")
        kept = [client.get("/api/v1/sessions/apart").raise_for_status().json()["messages"] for client in clients]
    assert all(each == kept[0] and len(each) == 2 * len(said) for each in kept), [len(each) for each in kept]
    return len(said)


def _key(it: Cluster, path: str, about: Callable[[str], dict[str, Any]]) -> str:
    """A new key under what `about` says of its identifier, which every server knows by then."""
    with it.servers[0].client() as client:
        made = client.post("/api/v1/keys", json={"name": path, "role": "user"}).raise_for_status().json()
        client.post(path, json=about(made["id"])).raise_for_status()
    time.sleep(2)
    return str(made["key"])


def _chats(client: httpx.Client, model: str = "mock", **more: Any) -> httpx.Response:
    return client.post("/api/v1/chat", json={"model": model, "messages": [{"role": "user", "content": "Say hello"}], **more})


def _rate_limit(it: Cluster, room: int) -> int:
    """So many requests in a window are so many over all servers."""
    rule = {"requests": room, "window": "1h"}
    key = _key(it, "/api/v1/rate-limits", lambda identifier: {"scope": {"key": identifier}, **rule})
    seen = _by_turns(it, key, 2 * room)
    assert (seen[200], seen[429]) == (room, room), seen
    return seen[200]


def _budget(it: Cluster, room: int) -> int:
    """What one server's requests spend the others' cannot."""
    rule = {"limit_tokens": room * USED, "window": "month"}
    key = _key(it, "/api/v1/budgets", lambda identifier: {"scope": {"key": identifier}, **rule})
    seen = _by_turns(it, key, 2 * room, max_tokens=1)
    assert seen[200] == room, seen
    assert seen[402] == room, seen
    return seen[200]


def _by_turns(it: Cluster, key: str, requests: int, **more: Any) -> Counter[int]:
    with _clients(it, key) as clients:
        return Counter(
            _chats(client, **more).status_code for client, _ in zip(itertools.cycle(clients), range(requests), strict=False)
        )


def _breaker(it: Cluster) -> int:
    """What fails before one server is left alone by the others. How often it was called at all."""
    before = gateway.served(it.provider)["calls"]
    with _clients(it) as clients:
        asked = 0
        while _attempts(clients[0]) > 1:
            asked += 1
            assert asked < 50, "no breaker opens"
        wait_until(lambda: all(_attempts(client) == 1 for client in clients), within_s=_KNOWN_S, what="open at each")
        whole = 0
        for client, _ in zip(itertools.cycle(clients), range(10), strict=False):
            whole += 1
            assert _attempts(client) == 1
    failed = gateway.served(it.provider)["calls"] - before
    return failed - whole


def _attempts(client: httpx.Client) -> int:
    answer = _chats(client, "broken").raise_for_status()
    return int(answer.headers["x-genai-attempts"])


def _rollback(it: Cluster) -> float:
    """A version that one server deploys and another takes back. Seconds until all have gone back."""
    registry = "/api/v1/models/registry/mock"
    with _clients(it) as clients:
        new = {"deployments": [{"provider": "openai_compatible:mock", "model": "mock-20ms"}], "reason": "To be taken back."}
        number = clients[0].post(f"{registry}/versions", json=new).raise_for_status().json()["number"]
        clients[0].post(f"{registry}/deploy", json={"version": number}).raise_for_status()
        wait_until(lambda: {_model(client) for client in clients} == {"mock-20ms"}, within_s=_KNOWN_S, what="deployed")
        clients[-1].post(f"{registry}/rollback", json={}).raise_for_status()
        back = time.monotonic()
        wait_until(lambda: {_model(client) for client in clients} == {"mock"}, within_s=_KNOWN_S, what="rolled back")
        return time.monotonic() - back


def _model(client: httpx.Client) -> str:
    return _chats(client).raise_for_status().headers["x-genai-model"]
