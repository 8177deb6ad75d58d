"""Budgets and usage over REST: made, held to through every door and in another process, summed to the last token."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from core import ledger
from core.budgets import Standing
from core.database import utc_now
from core.ledger import Ledger
from core.tables import Budget
from server.routes.budgets import BudgetStanding
from tests.fakes.wire import Reply
from tests.server.switchable import Here, code, events, until

BUDGETS = "/api/v1/budgets"
REPLY = Reply()
SPENT = REPLY.input_tokens + REPLY.output_tokens


@pytest.fixture
def here(switched: Here) -> Iterator[Here]:
    book = Ledger(switched.database._settings)
    ledger.connect(book)
    switched.clear()
    yield switched
    for tenant in ("default", "acme"):
        for budget in switched.call("GET", BUDGETS, tenant=tenant).json()["results"]:
            switched.call("DELETE", f"{BUDGETS}/{budget['id']}", tenant=tenant)
    ledger.connect(None)
    book.close()


def make(here: Here, *, tenant: str = "default", **told: Any) -> dict[str, Any]:
    answer = here.call("POST", BUDGETS, tenant=tenant, json={"window": "month", **told})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def standing(here: Here, budget: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = here.call("GET", f"{BUDGETS}/{budget['id']}").json()
    return found


def test_a_budget_is_made_shown_changed_and_removed(here: Here) -> None:
    made = make(here, name="team", limit_usd=12.5, scope={"alias": "default"})
    assert (made["limit_usd"], made["limit_tokens"], made["mode"], made["window"]) == (12.5, None, "hard", "month")
    assert made["scope"] == {"tenant": "default", "team": None, "user": None, "key": None, "alias": "default"}
    shown = standing(here, made)
    assert (shown["spent"], shown["reserved"], shown["remaining"]) == (0, 0, 12.5)
    assert shown["since"] < shown["resets_at"]
    changed = here.call("PATCH", f"{BUDGETS}/{made['id']}", json={"limit_usd": 20, "name": "other"}).json()
    assert (changed["limit_usd"], changed["name"]) == (20, "other")
    assert [each["id"] for each in here.call("GET", BUDGETS).json()["results"]] == [made["id"]]
    assert here.call("DELETE", f"{BUDGETS}/{made['id']}").status_code == 204
    assert code(here.call("GET", f"{BUDGETS}/{made['id']}")) == (404, "budget_not_found")


def test_what_nobody_knows_of_a_budget_while_redis_is_away_is_null() -> None:
    row, began = Budget(tenant="acme", window="month", limit_tokens=100, created_by="usr_0"), utc_now()
    away = BudgetStanding.at(row, Standing(Decimal(30), None, False, began, None))
    assert (away.spent, away.reserved, away.remaining, away.counted) == (30, None, None, False)
    there = BudgetStanding.at(row, Standing(Decimal(30), Decimal(20), True, began, None))
    assert (there.spent, there.reserved, there.remaining, there.counted) == (30, 20, 50, True)


def test_another_tenant_s_budget_is_not_there(here: Here) -> None:
    made = make(here, limit_tokens=5)
    for method, body in (("GET", None), ("PATCH", {"limit_tokens": 9}), ("DELETE", None)):
        answer = here.call(method, f"{BUDGETS}/{made['id']}", tenant="acme", **({"json": body} if body else {}))
        assert code(answer) == (404, "budget_not_found")
    assert here.chat(tenant="acme").status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"limit_usd": 1, "limit_tokens": 1},
        {"limit_usd": 0},
        {"limit_usd": -1},
        {"limit_tokens": 1, "window": "year"},
        {"limit_tokens": True},
        {"limit_tokens": 1, "mode": "degrade"},
        {"limit_tokens": 1, "degrade_to": "only"},
        {"limit_tokens": 1, "mode": "degrade", "degrade_to": "no-such-alias"},
        {"limit_tokens": 1, "scope": {"alias": "no-such-alias"}},
        {"limit_tokens": 1, "scope": {"user": "usr_nobody"}},
        {"limit_tokens": 1, "scope": {"team": "team_nobody"}},
        {"limit_tokens": 1, "scope": {"key": "key_nobody"}},
        {"limit_tokens": 1, "scope": {"colour": "red"}},
        {"limit_tokens": 1, "mode": "gentle"},
    ],
    ids=str,
)
def test_what_makes_no_budget_is_refused(here: Here, wrong: dict[str, Any]) -> None:
    answer = here.call("POST", BUDGETS, json={"window": "month", **wrong})
    assert code(answer)[0] == 422, answer.text
    assert here.call("GET", BUDGETS).json()["results"] == []


@pytest.mark.parametrize(
    ("scope", "degrade_to", "refusal"),
    [
        ({}, "embeddings", "degrade_to_unfit"),
        ({"alias": "embeddings"}, "only", "degrade_to_unfit"),
        ({"alias": "only"}, "only", "degrade_to_unfit"),
        ({"alias": "only"}, "default", "degrade_to_circle"),
        ({"alias": "only", "user": "usr_nobody"}, "default", "unknown_subject"),
    ],
    ids=range(5),
)
def test_a_budget_degrades_to_another_chat_model_alone(
    here: Here, scope: dict[str, str], degrade_to: str, refusal: str
) -> None:
    make(here, limit_tokens=1, scope={"alias": "default"}, mode="degrade", degrade_to="only")
    body = {"limit_tokens": 1, "window": "month", "scope": scope, "mode": "degrade", "degrade_to": degrade_to}
    answer = here.call("POST", BUDGETS, json=body)
    assert code(answer) == (422, refusal), answer.text
    assert len(here.call("GET", BUDGETS).json()["results"]) == 1


def test_every_door_refuses_before_the_first_byte_and_calls_nobody(here: Here) -> None:
    make(here, limit_tokens=20)
    said = {"model": "default", "messages": [{"role": "user", "content": "x"}], "max_tokens": 50}
    refused = [
        here.chat(max_tokens=50),
        here.chat(max_tokens=50, stream=True),
        here.call("POST", "/api/v1/chat/invoke", json={"input": {"messages": said["messages"], "max_tokens": 50}}),
        here.call("POST", "/api/v1/completion", json={"prompt": "x", "max_tokens": 50}),
    ]
    assert [code(answer) for answer in refused] == [(402, "budget_exceeded")] * 4
    assert "retry-after" not in refused[0].headers, "it has no room in any month"
    for stream in (False, True):
        answer = here.client.post("/v1/chat/completions", json={**said, "stream": stream})
        assert (answer.status_code, answer.json()["error"]["type"]) == (402, "insufficient_quota")
    assert here.first.asked == []
    assert here.second.asked == []


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("door", ["chat/completions", "completions"])
def test_of_several_answers_none_is_begun_without_room_for_all(here: Here, door: str, stream: bool) -> None:
    said = {"prompt": "x"} if door == "completions" else {"messages": [{"role": "user", "content": "x"}]}
    body = {"model": "only", "max_tokens": 100, "stream": stream, **said}
    made = make(here, limit_tokens=350, scope={"alias": "only"})
    answer = here.client.post(f"/v1/{door}", json=body | {"n": 5})
    assert (answer.status_code, answer.json()["error"]["code"]) == (402, "budget_exceeded")
    assert here.first.asked == []
    until(lambda: standing(here, made)["reserved"] == 0)
    before = standing(here, made)["spent"]
    assert here.client.post(f"/v1/{door}", json=body | {"n": 2}).status_code == 200
    until(lambda: standing(here, made)["reserved"] == 0)
    assert standing(here, made)["spent"] == before + 2 * SPENT


def test_another_process_holds_to_it_within_a_second_and_counts_the_same(here: Here) -> None:
    made = make(here, limit_tokens=10, scope={"alias": "only"})
    until(lambda: here.chat(client=here.elsewhere, model="only", max_tokens=100).status_code == 402)
    before = standing(here, made)["spent"]
    here.call("PATCH", f"{BUDGETS}/{made['id']}", json={"limit_tokens": before + 60})
    until(lambda: here.chat(client=here.elsewhere, model="only", max_tokens=5).status_code == 200)
    until(lambda: standing(here, made)["spent"] == before + SPENT)
    assert here.chat(model="only", max_tokens=5).status_code == 200
    until(lambda: standing(here, made)["spent"] == before + 2 * SPENT)
    assert here.chat(model="only", max_tokens=50).status_code == 402


def test_the_cheaper_alias_is_told(here: Here) -> None:
    make(here, limit_tokens=1, scope={"alias": "default"}, mode="degrade", degrade_to="only")
    answer = here.chat()
    assert answer.status_code == 200
    assert answer.headers["x-genai-degraded-to"] == "only"
    messages = [{"role": "user", "content": "Hello"}]
    streams: dict[str, dict[str, Any]] = {
        "/v1/chat/completions": {"messages": messages, "stream": True},
        "/v1/completions": {"model": "default", "prompt": "Hello", "stream": True},
        "/api/v1/chat": {"messages": messages, "stream": True},
        "/api/v1/chat/stream": {"input": {"messages": messages}},
        "/api/v1/chat/stream_events": {"input": {"messages": messages}},
    }
    for path, body in streams.items():
        with here.client.stream("POST", path, json={"model": "default"} | body if path.startswith("/v1") else body) as streamed:
            assert (path, streamed.headers.get("x-genai-degraded-to")) == (path, "only")


def test_usage_has_a_call_as_soon_as_its_answer(here: Here) -> None:
    def used(**query: Any) -> list[dict[str, Any]]:
        answer: httpx.Response = here.call("GET", "/api/v1/usage", params=query)
        assert answer.status_code == 200, answer.text
        results: list[dict[str, Any]] = answer.json()["results"]
        return results

    before = used()[0]
    headers = {"x-tenant": "default", "x-genai-tags": "team=search"}
    body = {"messages": [{"role": "user", "content": "Hello"}]}
    here.client.post("/api/v1/chat", json=body, headers=headers)
    with here.client.stream("POST", "/api/v1/chat", json=body | {"stream": True}, headers=headers) as streamed:
        assert [name for name, _ in events(streamed.iter_lines())][-1] == "done"
    after = used()[0]
    assert after["attempts"] - before["attempts"] == 2
    assert after["input_tokens"] - before["input_tokens"] == 2 * REPLY.input_tokens
    assert after["output_tokens"] - before["output_tokens"] == 2 * REPLY.output_tokens
    assert after["cost_usd"] > before["cost_usd"]
    (search,) = [line for line in used(group_by="tag:team,capability") if line["tag:team"] == "search"]
    assert (search["capability"], search["requests"], search["failed"]) == ("chat", 2, 0)
    assert code(here.call("GET", "/api/v1/usage", params={"group_by": "colour"})) == (422, "invalid_dimension")
    assert code(here.call("GET", "/api/v1/usage", params={"from": "0001-01-01T00:00:00+23:59"})) == (422, "invalid_request")
