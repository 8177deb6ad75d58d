"""Experiments over HTTP, with two processes and two versions of an alias: begun, filled with feedback, judged, promoted."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from core import ledger
from core.database import Database
from core.settings import Settings
from providers.registry.seeding import seed
from server.routes import experiments, feedback, registry
from tests.fakes.openai import MODEL, OpenAIFake
from tests.server.switchable import code, process, until

EXPERIMENTS, FEEDBACK = "/api/v1/experiments", "/api/v1/feedback"
NEW = "openai_compatible:there"


class Platform:
    """Two processes; requests are a user's."""

    def __init__(self, *clients: httpx.Client) -> None:
        self.here, self.elsewhere = clients

    def chat(self, user: str, client: httpx.Client | None = None) -> dict[str, Any]:
        body = {"messages": [{"role": "user", "content": "Hello"}]}
        answer = (client or self.here).post("/api/v1/chat", json=body, headers={"x-user": user})
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def judge(self, user: str, request_id: str, rating: str) -> httpx.Response:
        body = {"request_id": request_id, "rating": rating}
        return self.elsewhere.post(FEEDBACK, json=body, headers={"x-user": user})

    def ask(self, method: str, path: str, **options: Any) -> Any:
        answer = self.here.request(method, path, **options)
        assert answer.is_success, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def platform(
    tmp_path_factory: pytest.TempPathFactory, valkey_url: str, with_schema: Callable[[Settings], Settings]
) -> Iterator[Platform]:
    with ExitStack() as stack:
        first, second = stack.enter_context(OpenAIFake()), stack.enter_context(OpenAIFake())
        settings = Settings.load(
            data_dir=Path(tmp_path_factory.mktemp("experiments")),
            models=[{"alias": "default", "deployments": [{"provider": "openai", "model": MODEL}]}],
            providers={
                "openai": {"base_url": first.base_url, "api_key": "sk-configured"},
                NEW: {"base_url": second.base_url},
            },
        )
        with_schema(settings)
        asyncio.run(_seeded(settings))
        book = ledger.Ledger(settings)
        stack.callback(book.close)
        ledger.connect(book)
        stack.callback(ledger.connect, None)
        modules = (experiments, feedback, registry)
        clients = [stack.enter_context(process(settings, valkey_url, modules))[0] for _ in range(2)]
        yield Platform(*clients)


async def _seeded(settings: Settings) -> None:
    database = Database(settings)
    await seed(database, settings.aliases)
    await database.close()


def test_the_better_of_two_versions_is_found_and_goes_live_everywhere(platform: Platform) -> None:
    version = {"deployments": [{"provider": NEW, "model": "llama"}], "reason": "It may be better."}
    assert platform.ask("POST", "/api/v1/models/registry/default/versions", json=version)["number"] == 2
    new = {"name": "two", "alias": "default", "variants": [{"name": "control"}, {"name": "new", "version": 2}]}
    assert platform.ask("POST", EXPERIMENTS, json=new)["state"] == "draft"
    assert platform.chat("usr_0")["provider"] == "openai"
    begun = platform.ask("POST", f"{EXPERIMENTS}/two/start")
    assert begun["definition"]["variants"][0]["version"] == 1

    users = [f"usr_{number}" for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        answers = dict(zip(users, pool.map(platform.chat, users), strict=True))
        given = {user: answer["provider"] for user, answer in answers.items()}
        assert set(given.values()) == {"openai", NEW}
        treated = next(user for user in users if given[user] == NEW)
        until(lambda: platform.chat(treated, platform.elsewhere)["provider"] == NEW)
        assert {user: platform.chat(user, platform.elsewhere)["provider"] for user in users[:20]} == {
            user: given[user] for user in users[:20]
        }

        def judge(numbered: tuple[int, str]) -> int:
            number, user = numbered
            liked = number % 10 < (9 if given[user] == NEW else 3)
            return platform.judge(user, answers[user]["request_id"], "up" if liked else "down").status_code

        assert set(pool.map(judge, enumerate(users))) == {200}

    results = platform.ask("GET", f"{EXPERIMENTS}/two/results")
    assert sum(each["units"] for each in results["variants"]) == 200
    assert (results["winner"], results["metrics"][0]["comparisons"][0]["verdict"]) == ("new", "better")
    assert results["sample_ratio"]["mismatch"] is False

    ended = platform.ask("POST", f"{EXPERIMENTS}/two/conclude", json={"winner": "new", "promote": True})
    assert (ended["state"], ended["promoted"], ended["winner"]) == ("concluded", 2, "new")
    for client in (platform.here, platform.elsewhere):
        until(lambda client=client: all(platform.chat(user, client)["provider"] == NEW for user in users[:6]))  # type: ignore[misc]
    assert platform.ask("GET", f"{EXPERIMENTS}/two/results")["variants"][0]["units"] < 200


def test_what_is_deployed_meanwhile_changes_nothing_for_who_is_in_it(platform: Platform) -> None:
    live = platform.ask("GET", "/api/v1/models/registry/default")["live"]
    other = 1 if live == 2 else 2
    variants = [{"name": "control"}, {"name": "other", "version": other}]
    platform.ask("POST", EXPERIMENTS, json={"name": "pinned", "alias": "default", "variants": variants})
    before = platform.chat("usr_0")["provider"]
    platform.ask("POST", f"{EXPERIMENTS}/pinned/start")
    users = [f"usr_{number}" for number in range(12)]
    given = {user: platform.chat(user)["provider"] for user in users}
    assert len(set(given.values())) == 2
    platform.ask("POST", "/api/v1/models/registry/default/deploy", json={"version": other})  # which retires the control
    assert {user: platform.chat(user)["provider"] for user in users} == given
    platform.ask("POST", f"{EXPERIMENTS}/pinned/stop")
    after = {platform.chat(user)["provider"] for user in users}
    assert len(after) == 1
    assert after != {before}


def test_a_rollback_holds_for_who_is_in_an_experiment(platform: Platform) -> None:
    live = platform.ask("GET", "/api/v1/models/registry/default")["live"]
    other = 1 if live == 2 else 2
    variants = [{"name": "control"}, {"name": "other", "version": other}]
    platform.ask("POST", EXPERIMENTS, json={"name": "held", "alias": "default", "variants": variants})
    platform.ask("POST", f"{EXPERIMENTS}/held/start")
    users = [f"usr_{number}" for number in range(12)]
    assert len({platform.chat(user)["provider"] for user in users}) == 2
    platform.ask("POST", "/api/v1/models/registry/default/rollback", json={"to": other})
    assert len({platform.chat(user)["provider"] for user in users}) == 1
    until(lambda: len({platform.chat(user, platform.elsewhere)["provider"] for user in users}) == 1)
    ended = platform.ask("GET", f"{EXPERIMENTS}/held")
    assert (ended["state"], ended["end_reason"], ended["winner"]) == ("stopped", "rolled_back", None)


def test_an_operator_sees_and_stops_another_tenants(platform: Platform) -> None:
    acme = {"headers": {"x-tenant": "acme"}}
    live = platform.ask("GET", "/api/v1/models/registry/default")["live"]
    variants = [{"name": "control", "version": live}, {"name": "same", "version": live}]
    platform.ask("POST", EXPERIMENTS, json={"name": "theirs", "alias": "default", "variants": variants}, **acme)
    platform.ask("POST", f"{EXPERIMENTS}/theirs/start", **acme)
    seen = platform.ask("GET", EXPERIMENTS, params={"all_tenants": True})["results"]
    assert ("acme", "theirs", "running") in {(each["tenant"], each["name"], each["state"]) for each in seen}
    assert "theirs" not in {each["name"] for each in platform.ask("GET", EXPERIMENTS)["results"]}
    assert platform.here.get(EXPERIMENTS, params={"all_tenants": True}, **acme).status_code == 403
    assert platform.here.post(f"{EXPERIMENTS}/pinned/stop", params={"tenant": "default"}, **acme).status_code == 403
    platform.ask("POST", f"{EXPERIMENTS}/theirs/stop", params={"tenant": "acme"})
    assert platform.ask("GET", f"{EXPERIMENTS}/theirs", **acme)["state"] == "stopped"


def test_feedback_is_for_requests_of_ones_own(platform: Platform) -> None:
    request_id = platform.chat("usr_a")["request_id"]
    assert platform.judge("usr_a", request_id, "up").json()["score"] == 1.0
    assert platform.judge("usr_a", request_id, "down").json()["score"] == 0.0
    assert len(platform.ask("GET", FEEDBACK, params={"request_id": request_id})["results"]) == 1
    body = {"request_id": request_id, "rating": "up"}
    assert code(platform.here.post(FEEDBACK, json=body, headers={"x-tenant": "acme"})) == (404, "request_not_found")
    for wrong in ({"rating": "fine"}, {"score": 1.5}, {}, {"rating": "up", "score": 1}, {"scores": {"Not A Name": 1}}):
        assert platform.here.post(FEEDBACK, json={"request_id": request_id, **wrong}).status_code == 422
    assert platform.here.delete(f"{FEEDBACK}/{request_id}", headers={"x-user": "usr_a"}).status_code == 204
    assert code(platform.here.delete(f"{FEEDBACK}/{request_id}", headers={"x-user": "usr_a"}))[1] == "feedback_not_found"


def test_one_that_is_stopped_gives_everybody_the_live_version_again(platform: Platform) -> None:
    live = platform.ask("GET", "/api/v1/models/registry/default")["live"]
    other = 1 if live == 2 else 2
    variants = [{"name": "control", "weight": 0.001}, {"name": "other", "version": other, "weight": 999}]
    platform.ask("POST", EXPERIMENTS, json={"name": "stopped", "alias": "default", "variants": variants})
    before = platform.chat("usr_s")["provider"]
    platform.ask("POST", f"{EXPERIMENTS}/stopped/start")
    assert platform.chat("usr_s")["provider"] != before
    assert platform.ask("POST", f"{EXPERIMENTS}/stopped/stop")["end_reason"] == "stopped"
    assert platform.chat("usr_s")["provider"] == before
    assert code(platform.here.post(f"{EXPERIMENTS}/stopped/stop")) == (409, "experiment_not_running")
    assert code(platform.here.post(f"{EXPERIMENTS}/stopped/start")) == (409, "experiment_started")
    assert code(platform.here.get(f"{EXPERIMENTS}/none")) == (404, "experiment_not_found")
    assert platform.here.delete(f"{EXPERIMENTS}/stopped").status_code == 204
