"""Two servers of one platform, each a process of its own, on one PostgreSQL: what one of them takes away the other refuses
within a second, while the Redis that they share does not answer."""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest

import infra.postgresql
from core.settings import Settings
from core.valkey import EmbeddedValkey
from infra.running import Running
from infra.shared_store import shared_store
from tests.fakes.openai import MODEL, OpenAIFake

#: What is promised, and how long to wait for it at all.
WITHIN_S, AT_ALL_S = 1.0, 20.0
ATTEMPTS = 3
#: What is asked once everything is refused.
LATER = "Is anybody there?"


@dataclass
class Two:
    """Clients of the servers, with the administrator's key; the provider counts what reaches it."""

    here: httpx.Client
    there: httpx.Client
    provider: OpenAIFake


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Two]:
    url = infra.postgresql.database_of_platform(request.getfixturevalue("postgresql"), "two_servers")
    valkey = EmbeddedValkey(Settings.load(data_dir=tmp_path_factory.mktemp("valkey")))
    with OpenAIFake() as provider:
        alias = {"alias": "default", "deployments": [{"provider": "openai", "model": MODEL}]}
        settings = {
            "GENAI_DATABASE_URL": url,
            "GENAI_REDIS_URL": valkey.start(),
            "GENAI_SECRET_KEY": secrets.token_urlsafe(32),
            "GENAI_ENCRYPTION__KEY": secrets.token_urlsafe(32),
            "GENAI_ADMIN_KEY": secrets.token_urlsafe(32),
            "GENAI_HANDBOOK": "false",
            "GENAI_LOCAL__WARM": "false",
            "GENAI_MODELS": json.dumps([alias]),
            "GENAI_PROVIDERS": json.dumps({"openai": {"base_url": provider.base_url, "api_key": "sk-secret"}}),
            **shared_store(tmp_path_factory.mktemp("package")),
        }
        servers = [Running(tmp_path_factory.mktemp(name), **settings) for name in ("here", "there")]
        try:
            for server in servers:
                server.start(ready=False)
            for server in servers:
                server.wait_for("/api/v1/health/ready")
            here, there = (server.client(key=settings["GENAI_ADMIN_KEY"]) for server in servers)
            for client in (here, there):
                assert chats(client) == (200, "")
            valkey.close()
            yield Two(here, there, provider)
        finally:
            for server in servers:
                server.stop()
            valkey.close()


def chats(client: httpx.Client, text: str = "Hello") -> tuple[int, str]:
    answer = client.post("/api/v1/chat", json={"messages": [{"role": "user", "content": text}]})
    return answer.status_code, answer.json().get("error", {}).get("code", "")


def reached(two: Two, text: str) -> bool:
    return any(sent.body["messages"][-1]["content"] == text for sent in two.provider.asked)


def seconds_until(refused: Callable[[], bool]) -> float:
    """How long something went on being let through: until the first request that was refused was sent."""
    began = time.monotonic()
    while True:
        sent = time.monotonic() - began
        if refused():
            return sent
        assert sent < AT_ALL_S


def test_a_kill_switch_that_one_server_sets_holds_in_the_other_without_redis(two: Two) -> None:
    took = []
    for _ in range(ATTEMPTS):
        assert chats(two.there) == (200, "")
        two.here.put("/api/v1/kill-switches/provider/openai", json={"reason": "It leaks."}).raise_for_status()
        took.append(seconds_until(lambda: chats(two.there) == (403, "killed")))
        assert [chats(two.there, LATER) for _ in range(3)] == [(403, "killed")] * 3
        assert not reached(two, LATER)
        two.here.delete("/api/v1/kill-switches/provider/openai").raise_for_status()
        seconds_until(lambda: chats(two.there) == (200, ""))
    assert sorted(took)[ATTEMPTS // 2] < WITHIN_S, took


def test_a_key_that_one_server_revokes_is_refused_by_the_other_without_redis(two: Two) -> None:
    took = []
    for number in range(ATTEMPTS):
        made = two.here.post("/api/v1/keys", json={"name": f"for a moment {number}", "role": "user"}).raise_for_status().json()
        with httpx.Client(
            base_url=two.there.base_url, headers={"x-api-key": made["key"]}, timeout=60, trust_env=False
        ) as theirs:
            assert chats(theirs) == (200, "")
            two.here.delete(f"/api/v1/keys/{made['id']}").raise_for_status()
            took.append(seconds_until(lambda client=theirs: chats(client)[0] == 401))  # type: ignore[misc]
            assert chats(theirs, LATER) == (401, "invalid_key")
            assert not reached(two, LATER)
    assert sorted(took)[ATTEMPTS // 2] < WITHIN_S, took
