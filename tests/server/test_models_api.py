"""The models' routes over a real server and real Models; providers are fakes at the wire."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from core.settings import Settings
from providers.models import Models
from server.cli.app import app as command_line
from server.routes import models as routes
from tests.fakes.openai import MODEL, OpenAIFake
from tests.fakes.wire import Fault
from tests.server.serving import platform, served

SECRET = "sk-very-secret"


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[OpenAIFake, OpenAIFake]]:
    with OpenAIFake() as first, OpenAIFake() as second:
        yield first, second


@pytest.fixture
def fakes(running: tuple[OpenAIFake, OpenAIFake]) -> tuple[OpenAIFake, OpenAIFake]:
    for fake in running:
        fake.clear()
    return running


@pytest.fixture
def models(settings: Settings, fakes: tuple[OpenAIFake, OpenAIFake]) -> Iterator[Models]:
    sees = {"provider": "openai", "model": MODEL, "requests_per_minute": 600}
    dear = {"provider": "openai", "model": "gpt-4o"}
    own = {
        "provider": "openai_compatible:rack",
        "model": "llama",
        "context_tokens": 1000,
        "price": {"input_usd_per_million": 0.01, "output_usd_per_million": 0.02},
    }
    unknown = {"provider": "openai_compatible:rack", "model": "mystery"}
    made = Models(
        Settings.load(
            data_dir=settings.data_dir,
            models=[
                {"alias": "default", "deployments": [sees, own, unknown]},
                {"alias": "cheap", "strategy": "cost", "deployments": [dear, sees, own]},
                {"alias": "hourly", "deployments": [own | {"model": "by-the-hour", "price": {"per_hour_usd": "0.5"}}]},
                {"alias": "shared", "strategy": "weighted", "deployments": [sees | {"weight": 1}, dear | {"weight": 3}]},
                {"alias": "fast", "strategy": "latency", "deployments": [dear, sees]},
            ],
            providers={
                "openai": {"base_url": fakes[0].base_url, "api_key": SECRET},
                "openai_compatible:rack": {"base_url": fakes[1].base_url},
            },
            breaker={"failures": 1},
            retries={"attempts": 3},
        )
    )
    yield made
    asyncio.run(made.close())


@pytest.fixture
def client(settings: Settings, models: Models) -> Iterator[httpx.Client]:
    app = platform(settings, models=models)
    app.include_router(routes.router)
    with served(app) as url, httpx.Client(base_url=url, timeout=30) as client:
        yield client


def deployments(answer: httpx.Response, alias: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = next(row["deployments"] for row in answer.json()["results"] if row["alias"] == alias)
    return found


def compared(client: httpx.Client, alias: str | None = None, **asked: Any) -> list[dict[str, Any]]:
    answer = client.post("/api/v1/models/compare", json=({"model": alias} if alias else {}) | asked)
    assert answer.status_code == 200, answer.text
    return deployments(answer, alias or "default")


def chosen(rows: list[dict[str, Any]]) -> list[str]:
    return [row["model"] for row in rows if row["chosen"]]


def test_the_list_tells_facts_prices_limits_and_health_and_no_address_or_secret(
    client: httpx.Client, fakes: tuple[OpenAIFake, OpenAIFake]
) -> None:
    answer = client.get("/api/v1/models")
    aliases = {row["alias"]: row for row in answer.json()["results"]}
    assert set(aliases) == {"default", "cheap", "hourly", "shared", "fast", "embeddings"}
    assert (aliases["cheap"]["strategy"], aliases["embeddings"]["kind"]) == ("cost", "embeddings")
    mini, llama, mystery = aliases["default"]["deployments"]
    assert (mini["provider"], mini["model"], mini["state"]) == ("openai", MODEL, mini["state"])
    assert mini["facts"] | {"images": True, "tools": True, "context_tokens": 128_000} == mini["facts"]
    assert (mini["price"]["basis"], mini["price"]["input_usd_per_million"]) == ("exact", 0.15)
    assert (mini["price"]["output_usd_per_million"], mini["price"]["cached_usd_per_million"]) == (0.6, 0.075)
    assert mini["limits"] == {"requests_per_minute": 600, "tokens_per_minute": None, "concurrent": None}
    assert (llama["price"]["source"], llama["price"]["input_usd_per_million"]) == ("settings", 0.01)
    assert (mystery["price"]["basis"], mystery["price"]["input_usd_per_million"]) == ("unpriced", None)
    assert aliases["embeddings"]["deployments"][0]["price"]["input_usd_per_million"] == 0
    health = mini["health"]
    assert (health["breaker"], health["in_flight"], health["first_token_s"], health["probe"]) == ("closed", 0, None, None)
    for fake in fakes:
        assert fake.url not in answer.text
        assert str(fake.url.rpartition(":")[2]) not in answer.text
        assert not fake.sent, "nobody was called for it"
    assert SECRET not in answer.text


def test_health_follows_what_calls_and_probes_have_found(
    client: httpx.Client, models: Models, fakes: tuple[OpenAIFake, OpenAIFake]
) -> None:
    fakes[0].always(Fault.UNAVAILABLE)

    async def call() -> None:
        await models.chat("default").ainvoke("Hi")
        rack = next(route for alias, route in models.catalogue() if alias.alias == "default").deployments[2]
        await models.prober.probe(rack)

    asyncio.run(call())
    mini, llama, mystery = client.get("/api/v1/models/default").json()["deployments"]
    assert (mini["health"]["breaker"], mini["health"]["last_error"]) == ("open", "server_error")
    assert llama["health"]["breaker"] == "closed"
    assert llama["health"]["answer_s"] > 0
    assert (mystery["health"]["probe"]["ok"], mystery["health"]["probe"]["error"]) == (False, "model_missing")
    assert chosen(compared(client, "default", input_tokens=10)) == ["llama"], "the first is left alone"


def test_a_problem_is_told_without_the_servers_address(settings: Settings, unused_tcp_port: int) -> None:
    local = Settings.load(data_dir=settings.data_dir, local={"chat_model": f"http://127.0.0.1:{unused_tcp_port}/v1"})
    models = Models(local)
    asyncio.run(models.warm(local=True))
    app = platform(settings, models=models)
    app.include_router(routes.router)
    with served(app) as url:
        answer = httpx.get(f"{url}/api/v1/models/default")
    assert answer.json()["deployments"][0]["state"] == "failed"
    assert str(unused_tcp_port) not in answer.text
    asyncio.run(models.close())


def test_pages_and_single_models(client: httpx.Client) -> None:
    seen, cursor = [], None
    while True:
        page = client.get("/api/v1/models", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        seen += [row["alias"] for row in page["results"]]
        if not (cursor := page["next_cursor"]):
            break
    assert seen == ["cheap", "default", "embeddings", "fast", "hourly", "shared"]
    assert client.get("/api/v1/models/cheap").json()["alias"] == "cheap"
    assert client.get("/api/v1/models/none").json()["error"]["code"] == "model_not_found"


def test_a_comparison_tells_who_is_able_and_what_it_would_cost(
    client: httpx.Client, fakes: tuple[OpenAIFake, OpenAIFake]
) -> None:
    mini, llama, mystery = compared(client, "default", input_tokens=2000, max_tokens=100)
    assert (mini["able"], mini["chosen"], mini["price"]) == (True, True, "exact")
    assert mini["cost_usd"] == pytest.approx((2000 * 0.15 + 100 * 0.6) / 1e6)
    assert (llama["able"], llama["chosen"]) == (False, False)
    assert "1000" in llama["reason"]
    assert llama["cost_usd"] == pytest.approx((2000 * 0.01 + 100 * 0.02) / 1e6)
    assert (mystery["able"], mystery["cost_usd"], mystery["price"]) == (True, None, "unpriced")
    assert mini["first_token_s"] is None
    assert not any(fake.sent for fake in fakes), "nobody is called"


def test_by_the_hour_a_cost_is_told_once_answers_were_measured(client: httpx.Client, models: Models) -> None:
    (shown,) = client.get("/api/v1/models/hourly").json()["deployments"]
    assert (shown["price"]["per_hour_usd"], shown["price"]["input_usd_per_million"]) == (0.5, None)
    assert (shown["price"]["basis"], shown["price"]["source"]) == ("exact", "settings")
    (before,) = compared(client, "hourly", input_tokens=10, max_tokens=100)
    assert (before["able"], before["cost_usd"], before["price"]) == (True, None, "exact")
    route = next(route for alias, route in models.catalogue() if alias.alias == "hourly")
    route.deployments[0].standing.token_s.add(0.02, 1.0)
    (after,) = compared(client, "hourly", input_tokens=10, max_tokens=100)
    assert after["cost_usd"] == pytest.approx(0.5 * 100 * 0.02 / 3600)


def test_a_comparison_of_messages_counts_them_and_sees_what_they_need(client: httpx.Client) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    asked = {"messages": [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, picture]}]}
    mini, llama, _ = compared(client, "default", **asked)
    assert mini["able"]
    assert mini["input_tokens"] > 700
    assert not llama["able"]
    assert "images" in llama["reason"]
    short = {"messages": [{"role": "user", "content": "Hi"}]}
    assert compared(client, "default", **short)[0]["input_tokens"] < 20


def test_each_strategy_says_whom_it_would_choose(client: httpx.Client) -> None:
    assert chosen(compared(client, "cheap", input_tokens=100)) == ["llama"]
    assert chosen(compared(client, "cheap", input_tokens=5000)) == [MODEL], "the cheapest of those that are able"
    assert chosen(compared(client, "shared", input_tokens=100)) == ["gpt-4o"], "the likeliest"
    once, again = (compared(client, "fast", input_tokens=100) for _ in range(2))
    assert chosen(once) == chosen(again) == ["gpt-4o"], "asking changes nothing"


def test_without_an_alias_all_chat_aliases_are_compared(client: httpx.Client) -> None:
    answer = client.post("/api/v1/models/compare", json={"input_tokens": 10})
    assert [row["alias"] for row in answer.json()["results"]] == ["default", "cheap", "hourly", "shared", "fast"]


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ({}, 422, "invalid_request"),
        ({"input_tokens": 0}, 422, "invalid_request"),
        ({"input_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}, 422, "invalid_request"),
        ({"messages": [{"role": "king", "content": "Hi"}]}, 422, "invalid_request"),
        ({"input_tokens": 5, "base_url": "http://x"}, 422, "invalid_request"),
        ({"input_tokens": 5, "model": "embeddings"}, 404, "model_not_found"),
        ({"input_tokens": 5, "model": "none"}, 404, "model_not_found"),
    ],
)
def test_what_is_no_comparison_is_refused(client: httpx.Client, asked: dict[str, Any], status: int, code: str) -> None:
    answer = client.post("/api/v1/models/compare", content=json.dumps(asked), headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_the_command_line_shows_them_as_a_table(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    shown = CliRunner().invoke(command_line, ["--url", str(client.base_url), "--key", "any", "models"])
    assert shown.exit_code == 0, shown.output
    lines = {words[0]: line for line in shown.stdout.splitlines() if (words := line.split())}
    assert "openai/gpt-4o-mini" in lines["default"]
    assert "0.15 / 0.6" in lines["default"]
    assert "unpriced" in lines["openai_compatible:rack/mystery"]
    assert "0.01 / 0.02" in lines["openai_compatible:rack/llama"]
    one = CliRunner().invoke(command_line, ["--url", str(client.base_url), "--key", "any", "models", "cheap"])
    assert "cheap (cost)" in one.stdout
    assert "shared" not in one.stdout
