"""Rate limits over REST: made, held to through every door, told in the standard headers."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from core.settings import Settings
from tests.fakes.wire import Reply
from tests.server.switchable import Here, code, switchable
from tests.server.test_kill_switches import until

LIMITS = "/api/v1/rate-limits"
REPLY = Reply()


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, valkey_url: str, with_schema: Callable[[Settings], Settings]
) -> Iterator[Here]:
    with switchable(tmp_path_factory.mktemp("data"), valkey_url, with_schema) as here:
        yield here


@pytest.fixture
def here(running: Here) -> Iterator[Here]:
    running.clear()
    yield running
    for tenant in ("default", "acme"):
        for limit in running.call("GET", LIMITS, tenant=tenant).json()["results"]:
            running.call("DELETE", f"{LIMITS}/{limit['id']}", tenant=tenant)


def make(here: Here, *, tenant: str = "default", **told: Any) -> dict[str, Any]:
    answer = here.call("POST", LIMITS, tenant=tenant, json=told)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def test_a_rate_limit_is_made_shown_changed_and_removed(here: Here) -> None:
    made = make(here, name="keys", each="key", requests=60, scope={"alias": "default"})
    assert (made["requests"], made["tokens"], made["concurrent"], made["window"], made["each"]) == (60, None, None, "1m", "key")
    changed = here.call("PATCH", f"{LIMITS}/{made['id']}", json={"requests": None, "concurrent": 3, "name": "other"}).json()
    assert (changed["requests"], changed["concurrent"], changed["name"]) == (None, 3, "other")
    assert code(here.call("PATCH", f"{LIMITS}/{made['id']}", json={"concurrent": None})) == (422, "invalid_request")
    assert here.call("GET", f"{LIMITS}/{made['id']}").json() == changed
    assert [each["id"] for each in here.call("GET", LIMITS).json()["results"]] == [made["id"]]
    assert here.call("DELETE", f"{LIMITS}/{made['id']}").status_code == 204
    assert code(here.call("GET", f"{LIMITS}/{made['id']}")) == (404, "rate_limit_not_found")


def test_another_tenant_s_rate_limit_is_not_there(here: Here) -> None:
    made = make(here, requests=1)
    for method, body in (("GET", None), ("PATCH", {"requests": 9}), ("DELETE", None)):
        answer = here.call(method, f"{LIMITS}/{made['id']}", tenant="acme", **({"json": body} if body else {}))
        assert code(answer) == (404, "rate_limit_not_found")
    assert [here.chat(tenant="acme").status_code for _ in range(2)] == [200, 200]


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"requests": 0},
        {"requests": 1.5},
        {"requests": True},
        {"requests": 1, "window": "5s"},
        {"requests": 1, "window": "2d"},
        {"requests": 1, "window": "month"},
        {"requests": 1, "each": "team"},
        {"requests": 1, "scope": {"alias": "no-such-alias"}},
        {"requests": 1, "scope": {"user": "usr_nobody"}},
        {"requests": 1, "scope": {"team": "team_nobody"}},
        {"requests": 1, "scope": {"key": "key_nobody"}},
        {"requests": 1, "colour": "red"},
    ],
    ids=str,
)
def test_what_makes_no_rate_limit_is_refused(here: Here, wrong: dict[str, Any]) -> None:
    answer = here.call("POST", LIMITS, json=wrong)
    assert code(answer)[0] == 422, answer.text
    assert here.call("GET", LIMITS).json()["results"] == []


def test_every_door_refuses_before_the_first_byte_calls_nobody_and_says_when_to_come_back(here: Here) -> None:
    make(here, requests=1, window="1h")
    assert here.chat().status_code == 200
    here.clear()
    said = [{"role": "user", "content": "x"}]
    refused = [
        here.chat(),
        here.chat(stream=True),
        here.call("POST", "/api/v1/chat/invoke", json={"input": {"messages": said}}),
        here.call("POST", "/api/v1/completion", json={"prompt": "x"}),
    ]
    assert [code(answer) for answer in refused] == [(429, "rate_limited")] * 4
    for answer in refused:
        assert 0 < int(answer.headers["retry-after"]) <= 3_700
        assert answer.headers["ratelimit-policy"] == '"requests";q=1;w=3600'
        assert answer.headers["ratelimit"] == f'"requests";r=0;t={answer.headers["retry-after"]}'
    for stream in (False, True):
        answer = here.client.post("/v1/chat/completions", json={"model": "default", "messages": said, "stream": stream})
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        assert answer.headers["x-ratelimit-remaining-requests"] == "0"
    assert here.first.asked == []
    assert here.second.asked == []


def test_an_answer_and_a_stream_tell_what_is_left(here: Here) -> None:
    make(here, requests=5, tokens=100_000, concurrent=7)
    whole = here.chat()
    assert whole.headers["ratelimit-policy"] == (
        '"requests";q=5;w=60, "tokens";q=100000;qu="tokens";w=60, "concurrent";q=7;qu="concurrent-requests"'
    )
    assert whole.headers["ratelimit"].startswith('"requests";r=4;t=60, "tokens";r=')
    assert here.chat(stream=True).headers["ratelimit"].startswith('"requests";r=3;t=60, ')


def test_tokens_are_corrected_by_what_was_used_and_another_process_counts_the_same(here: Here) -> None:
    spent = REPLY.input_tokens + REPLY.output_tokens
    make(here, tokens=10_000, scope={"alias": "only"})
    until(lambda: "ratelimit" in here.chat(client=here.elsewhere, model="only", max_tokens=5).headers)

    def left() -> int:
        answer = here.chat(model="only", max_tokens=5)
        return int(answer.headers["x-ratelimit-remaining-tokens"])

    until(lambda: left() - left() == spent)  # once what was asked before either has been settled


def test_asking_for_more_than_a_window_has_is_told_at_once(here: Here) -> None:
    make(here, tokens=50)
    answer = here.chat(max_tokens=100)
    assert code(answer) == (429, "request_over_rate_limit")
    assert "retry-after" not in answer.headers
    assert here.chat().status_code == 200
