"""Credentials kept at run time: what the provider is called with, by whom, and what is never shown."""

from typing import Any

import httpx

from tests.fakes.openai import MODEL
from tests.fakes.wire import Fault, Reply
from tests.server.switchable import Here, code, events, until

PATH = "/api/v1/provider-credentials"
OURS, NEW = "sk-canary-ours-" + "x" * 30, "sk-canary-new-" + "y" * 30


def add(here: Here, key: str = OURS, *, tenant: str = "acme", provider: str = "openai", **more: Any) -> dict[str, Any]:
    body = {"provider": provider, "name": "ours", "secrets": {"api_key": key}, **more}
    answer = here.call("POST", PATH, tenant=tenant, json=body)
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    return told


def used(here: Here, *, tenant: str = "acme", client: httpx.Client | None = None, model: str = "only") -> str:
    """The key that a call of the tenant arrives with."""
    answer = here.chat(model=model, tenant=tenant, client=client)
    assert answer.status_code == 200, answer.text
    fake = here.first if model == "only" else here.second
    return fake.last.headers["authorization"].removeprefix("Bearer ")


def test_a_tenants_own_is_what_its_calls_are_made_with_and_nobody_elses(here: Here) -> None:
    assert used(here) == "sk-configured"
    told = add(here)
    assert (told["in_use"], told["everywhere"], told["hint"]) == (
        True,
        False,
        OURS[:7] + "…" if "hint" not in told else told["hint"],
    )
    assert used(here) == OURS
    assert used(here, tenant="globex") == "sk-configured"
    assert here.call("DELETE", f"{PATH}/{told['id']}", tenant="acme").status_code == 204
    assert used(here) == "sk-configured"


def test_another_process_takes_up_what_is_added_rotated_and_removed(here: Here) -> None:
    told = add(here)
    until(lambda: used(here, client=here.elsewhere) == OURS)
    here.call("PUT", f"{PATH}/{told['id']}/secrets", tenant="acme", json={"secrets": {"api_key": NEW}})
    until(lambda: used(here, client=here.elsewhere) == NEW)
    here.call("DELETE", f"{PATH}/{told['id']}", tenant="acme")
    until(lambda: used(here, client=here.elsewhere) == "sk-configured")


def test_a_call_that_goes_on_ends_with_the_old_one(here: Here) -> None:
    told = add(here)
    here.first.then(Reply("one two three four five six", between_s=0.1))
    body = {"messages": [{"role": "user", "content": "x"}], "model": "only", "stream": True}
    with here.client.stream("POST", "/api/v1/chat", json=body, headers={"x-tenant": "acme"}) as answer:
        stream = events(answer.iter_lines())
        next(stream)
        assert here.call("DELETE", f"{PATH}/{told['id']}", tenant="acme").status_code == 204
        assert [name for name, _ in stream][-1] == "done"


def test_one_tenants_bad_key_opens_no_breaker_of_another(here: Here) -> None:
    add(here)
    here.first.always(Fault.CREDENTIAL)
    for _ in range(6):
        assert here.chat(model="only", tenant="acme").status_code == 502
    here.first.always()
    told = {tenant: breaker(here, tenant) for tenant in ("acme", "globex")}
    assert told == {"acme": "open", "globex": "closed"}
    assert used(here, tenant="globex") == "sk-configured"


def breaker(here: Here, tenant: str) -> str:
    shown = here.call("GET", "/api/v1/models/only", tenant=tenant).json()
    return str(shown["deployments"][0]["health"]["breaker"])


def test_the_operators_for_everybody_is_called_with_by_whoever_has_none(here: Here) -> None:
    add(here, tenant="default", key=NEW, everywhere=True)
    add(here)
    assert (used(here), used(here, tenant="globex"), used(here, tenant="default")) == (OURS, NEW, NEW)
    refused = here.call(
        "POST", PATH, tenant="acme", json={"provider": "openai", "name": "x", "secrets": {"api_key": OURS}, "everywhere": True}
    )
    assert code(refused) == (403, "forbidden")


def test_a_provider_without_a_configured_credential_is_called_with_kept_ones_alone(here: Here) -> None:
    assert code(here.chat(model="bare", tenant="acme")) == (503, "no_credential")
    add(here, provider="openai_compatible:bare")
    assert used(here, model="bare") == OURS
    assert code(here.chat(model="bare", tenant="globex")) == (503, "no_credential")


def test_the_newest_of_several_is_in_use(here: Here) -> None:
    first, second = add(here), add(here, key=NEW)
    listed = here.call("GET", PATH, tenant="acme").json()["results"]
    assert [(each["id"], each["in_use"]) for each in listed] == [(second["id"], True), (first["id"], False)]
    assert used(here) == NEW
    here.call("DELETE", f"{PATH}/{second['id']}", tenant="acme")
    assert used(here) == OURS


def test_a_test_says_what_came_back(here: Here) -> None:
    told = add(here)
    for fault, said in (
        (None, ""),
        (Fault.CREDENTIAL, "authentication"),
        (Fault.SERVER, "server_error"),
        (Fault.RATE, "rate_limited"),
    ):
        here.first.always(*([fault] if fault else []))
        result = here.call("POST", f"{PATH}/{told['id']}/test", tenant="acme").json()
        assert (result["ok"], result["code"], result["model"]) == (fault is None, said, MODEL)
        assert "sk-" not in result["message"]
        assert here.first.last.headers["authorization"] == f"Bearer {OURS}"
        shown = here.call("GET", f"{PATH}/{told['id']}", tenant="acme").json()
        assert shown["test_code"] == said
    assert code(here.call("POST", f"{PATH}/{told['id']}/test", tenant="acme", params={"model": "../x"})) == (
        422,
        "nothing_to_try",
    )
    assert here.call("POST", f"{PATH}/{told['id']}/test", tenant="globex").status_code == 404


def test_one_is_tried_before_it_is_kept(here: Here) -> None:
    body = {"provider": "openai", "secrets": {"api_key": NEW}}
    assert here.call("POST", f"{PATH}/test", tenant="acme", json=body).json()["ok"] is True
    assert here.first.last.headers["authorization"] == f"Bearer {NEW}"
    here.first.always(Fault.CREDENTIAL)
    assert here.call("POST", f"{PATH}/test", tenant="acme", json=body).json()["code"] == "authentication"
    assert here.call("GET", PATH, tenant="acme").json() == {"results": [], "next_cursor": None}
    body["options"] = {"base_url": "http://127.0.0.1:1/v1"}
    assert code(here.call("POST", f"{PATH}/test", tenant="acme", json=body)) == (403, "forbidden")
    assert here.call("POST", f"{PATH}/test", json=body).json()["code"] == "connection"


def test_with_overlap_the_old_one_goes_on_until_the_new_one_has_proved_itself(here: Here) -> None:
    told = add(here)
    rotated = here.call(
        "PUT", f"{PATH}/{told['id']}/secrets", tenant="acme", json={"secrets": {"api_key": NEW}, "overlap": True}
    )
    assert rotated.json()["pending_hint"] is not None
    assert used(here) == OURS
    here.first.always(Fault.CREDENTIAL)
    assert here.call("POST", f"{PATH}/{told['id']}/test", tenant="acme").json()["took_place"] is False
    here.first.always()
    assert used(here) == OURS
    assert here.call("POST", f"{PATH}/{told['id']}/test", tenant="acme").json()["took_place"] is True
    assert here.first.last.headers["authorization"] == f"Bearer {NEW}"
    assert used(here) == NEW
    shown = here.call("GET", f"{PATH}/{told['id']}", tenant="acme").json()
    assert (shown["pending_hint"], shown["test_code"]) == (None, "")


def test_no_answer_holds_a_secret(here: Here) -> None:
    told = add(here)
    here.call("PUT", f"{PATH}/{told['id']}/secrets", tenant="acme", json={"secrets": {"api_key": NEW}, "overlap": True})
    seen = [here.call("GET", path, tenant="acme").text for path in (PATH, f"{PATH}/{told['id']}")]
    wrong = {"provider": "openai", "name": "x", "secrets": {"api_key": OURS, "password": NEW}}
    seen.append(here.call("POST", PATH, tenant="acme", json=wrong).text)
    wrong = {"provider": "openai", "name": "x", "secrets": {"access_key_id": OURS}}
    seen.append(here.call("POST", PATH, tenant="acme", json=wrong).text)
    assert not [text for text in seen if OURS in text or NEW in text or "canary-ours-x" in text]
    assert code(here.call("POST", PATH, tenant="acme", json={**wrong, "provider": "local"})) == (422, "unknown_provider")


def test_another_tenant_reaches_none_of_it(here: Here) -> None:
    told = add(here)
    for method, path, body in (
        ("GET", "", None),
        ("DELETE", "", None),
        ("PUT", "/secrets", {"secrets": {"api_key": NEW}}),
        ("POST", "/test", None),
    ):
        answer = here.call(method, f"{PATH}/{told['id']}{path}", tenant="globex", json=body)
        assert code(answer) == (404, "credential_not_found")
    assert used(here) == OURS


def test_an_address_that_every_call_would_be_refused_for_is_refused_at_once(here: Here) -> None:
    for address, refused in (
        ("http://10.0.0.9/v1", True),
        ("http://gateway.example/v1", True),
        ("http://127.0.0.1:1/v1", False),
    ):
        body = {"provider": "openai", "name": "x", "secrets": {"api_key": OURS}, "options": {"base_url": address}}
        for path, made in ((PATH, 201), (f"{PATH}/test", 200)):
            sent = body if path == PATH else {name: value for name, value in body.items() if name != "name"}
            answer = here.call("POST", path, tenant="default", json=sent)
            if refused:
                assert code(answer) == (422, "invalid_credential")
                assert "beyond this machine" in answer.text
            else:
                assert answer.status_code == made
