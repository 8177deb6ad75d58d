"""Kill switches through every door: refused, gone past, cut, not given from the cache, told; in another process as well."""

import threading
from typing import Any

import httpx
import pytest

from tests.fakes.openai import MODEL
from tests.fakes.wire import Break, Fault, Reply
from tests.server.switchable import SMALL, Here, code, events, until

KILLS = "/api/v1/kill-switches"
LONG = Reply("one two three four five six seven eight")


def kill(here: Here, what: str, *, tenant: str = "default", **query: Any) -> httpx.Response:
    answer = here.call("PUT", f"{KILLS}/{what}", tenant=tenant, json={"reason": "It leaks."}, params=query)
    assert answer.status_code == 200, answer.text
    return answer


def lift(here: Here, what: str, *, tenant: str = "default") -> None:
    assert here.call("DELETE", f"{KILLS}/{what}", tenant=tenant).status_code == 204


@pytest.mark.parametrize("what", ["model/only", f"model/{MODEL}", f"model/openai/{MODEL}", "provider/openai", "tenant/default"])
def test_what_is_killed_is_refused_until_it_is_lifted(here: Here, what: str) -> None:
    kill(here, what)
    assert code(here.chat(model="only")) == (403, "killed")
    answer = here.client.post("/v1/chat/completions", json={"model": "only", "messages": [{"role": "user", "content": "x"}]})
    assert code(answer) == (403, "killed")
    assert answer.json()["error"]["type"] == "permission_error"
    assert here.first.asked == []
    lift(here, what)
    assert here.chat(model="only").status_code == 200


def test_embeddings_and_completions_are_refused_as_well(here: Here) -> None:
    kill(here, "provider/openai")
    assert code(here.client.post("/v1/embeddings", json={"model": "embeddings", "input": "x"})) == (403, "killed")
    assert code(here.client.post("/v1/completions", json={"model": "only", "prompt": "x"})) == (403, "killed")
    kill(here, f"model/{SMALL}")
    assert here.first.asked == []


def test_failover_goes_past_what_is_killed(here: Here) -> None:
    kill(here, "provider/openai")
    answer = here.chat(model="default")
    assert (answer.status_code, answer.json()["provider"]) == (200, "openai_compatible:there")
    kill(here, "provider/openai_compatible")
    assert code(here.chat(model="default")) == (403, "killed")


def test_a_tenants_own_holds_for_itself(here: Here) -> None:
    assert kill(here, "model/only", tenant="acme").json()["everywhere"] is False
    assert code(here.chat(model="only", tenant="acme")) == (403, "killed")
    assert here.chat(model="only", tenant="globex").status_code == 200
    assert here.call("GET", KILLS, tenant="globex").json() == {"results": [], "next_cursor": None}
    assert code(here.call("PUT", f"{KILLS}/model/only", tenant="acme", json={"reason": "x"}, params={"everywhere": True})) == (
        403,
        "forbidden",
    )
    assert code(here.call("PUT", f"{KILLS}/tenant/globex", tenant="acme", json={"reason": "x"})) == (403, "forbidden")
    kill(here, "tenant/globex")
    assert code(here.chat(model="only", tenant="globex")) == (403, "killed")
    [told] = here.call("GET", KILLS, tenant="globex").json()["results"]
    assert (told["kind"], told["created_by"]) == ("tenant", None)
    assert here.call("GET", KILLS, tenant="acme").json()["results"][0]["kind"] == "model"


def test_a_mistake_in_a_name_is_told(here: Here) -> None:
    for what, said in (
        ("model/onyl", "model_not_found"),
        ("provider/opnai", "provider_not_found"),
        ("tenant/x", "tenant_not_found"),
    ):
        assert code(here.call("PUT", f"{KILLS}/{what}", json={"reason": "x"})) == (404, said)
    assert here.call("PUT", f"{KILLS}/region/x", json={"reason": "x"}).status_code == 422
    assert code(here.call("DELETE", f"{KILLS}/model/only")) == (404, "kill_switch_not_found")


@pytest.mark.parametrize("what", ["model/only", "provider/openai", "tenant/default"])
@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "another process"])
def test_a_running_stream_is_cut_with_a_typed_error(here: Here, what: str, elsewhere: bool) -> None:
    here.first.then(Break(Fault.STALLED, 3, LONG))
    client = here.elsewhere if elsewhere else here.client
    body = {"messages": [{"role": "user", "content": "x"}], "model": "only", "stream": True}
    with client.stream("POST", "/api/v1/chat", json=body) as answer:
        told = events(answer.iter_lines())
        assert next(told)[0] == "token"
        killing = threading.Thread(target=kill, args=(here, what))
        killing.start()
        rest = list(told)
        killing.join()
    assert [name for name, _ in rest if name != "token"] == ["error"]
    assert rest[-1][1]["error"]["code"] == "killed"
    assert here.second.asked == []


def test_a_stream_of_a_killed_model_is_taken_up_by_no_other(here: Here) -> None:
    """What it has begun may be what it was killed for."""
    here.second.continues = True
    here.first.then(Break(Fault.STALLED, 3, LONG))
    body = {"messages": [{"role": "user", "content": "x"}], "model": "default", "stream": True}
    with here.client.stream("POST", "/api/v1/chat", json=body) as answer:
        told = events(answer.iter_lines())
        next(told)
        kill(here, "provider/openai")
        assert list(told)[-1][1]["error"]["code"] == "killed"
    assert here.second.asked == []


def test_an_answer_of_which_nothing_has_come_is_given_by_another(here: Here) -> None:
    here.first.then(Fault.SILENT)
    answers: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: answers.append(here.chat(model="default")))
    asking.start()
    until(lambda: len(here.first.asked) == 1)
    kill(here, "provider/openai")
    asking.join()
    assert (answers[0].status_code, answers[0].json()["provider"]) == (200, "openai_compatible:there")


def test_kept_answers_of_what_is_killed_are_not_given(here: Here) -> None:
    assert here.chat(model="kept").headers["x-genai-cache"] == "miss"
    assert here.chat(model="kept").headers["x-genai-cache"] == "hit"
    kill(here, "provider/openai")
    answer = here.chat(model="kept")
    assert (answer.headers["x-genai-cache"], answer.json()["provider"]) == ("miss", "openai_compatible:there")
    kill(here, "model/kept")
    assert code(here.chat(model="kept")) == (403, "killed")
    lift(here, "model/kept")
    lift(here, "provider/openai")
    assert here.chat(model="kept").headers["x-genai-cache"] == "hit"


def test_another_process_refuses_and_serves_again(here: Here) -> None:
    kill(here, "model/only")
    until(lambda: here.chat(model="only", client=here.elsewhere).status_code == 403)
    lift(here, "model/only")
    until(lambda: here.chat(model="only", client=here.elsewhere).status_code == 200)


def test_lists_of_models_and_health_tell(here: Here) -> None:
    assert here.client.get("/api/v1/health/ready").json() == {"status": "ready"}
    kill(here, "provider/openai")
    listed = {each["id"]: each.get("killed") for each in here.client.get("/v1/models").json()["data"]}
    assert (listed["only"], listed["default"]) == (True, None)
    told = {each["alias"]: each for each in here.client.get("/api/v1/models").json()["results"]}
    assert [each["state"] == "killed" for each in told["default"]["deployments"]] == [True, False]
    assert (told["only"]["killed"], told["default"]["killed"]) == (True, False)
    ready = here.client.get("/api/v1/health/ready")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "kill_switches": 1})
    asked = {"model": "default", "input_tokens": 10}
    reasons = [
        each["reason"] for each in here.client.post("/api/v1/models/compare", json=asked).json()["results"][0]["deployments"]
    ]
    assert reasons == ["It is switched off.", None]
