"""The page of providers: credentials and kill switches by forms that work without a script."""

import re
from typing import Any

import httpx

from tests.fakes.wire import Fault
from tests.server.switchable import Here

PAGE = "/admin/providers"
KEY, OTHER = "sk-canary-page-" + "x" * 30, "sk-canary-next-" + "y" * 30


def send(here: Here, path: str = PAGE, *, tenant: str = "acme", **form: Any) -> httpx.Response:
    return here.call("POST", path, tenant=tenant, data=form)


def added(here: Here) -> str:
    answer = send(here, act="add", provider="openai", label="<Ours>", api_key=KEY, test="yes")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{PAGE}?done=add")
    [path] = re.findall(r'href="(/admin/providers/cred_\w+)"', here.call("GET", PAGE, tenant="acme").text)
    return str(path)


def test_a_credential_is_added_tested_rotated_and_removed(here: Here) -> None:
    path = added(here)
    page = here.call("GET", path, tenant="acme").text
    assert "&lt;Ours&gt;" in page
    assert "takes the credential" in send(here, path, act="test").text
    here.first.always(Fault.CREDENTIAL)
    refused = send(here, path, act="rotate", api_key=OTHER, overlap="yes").text
    assert "refuses the credential" in refused
    assert "old one stays in use" in refused
    here.first.always()
    assert "The new one is in use now" in send(here, path, act="test").text
    here.chat(model="only", tenant="acme")
    assert here.first.last.headers["authorization"] == f"Bearer {OTHER}"
    assert send(here, path, act="rotate", api_key=KEY).headers["location"] == f"{path}?done=rotate"
    pages = [here.call("GET", each, tenant="acme").text for each in (PAGE, path)]
    assert not [text for text in (*pages, refused) if KEY in text or OTHER in text]
    assert send(here, path, act="remove").headers["location"] == f"{PAGE}?done=remove"
    assert here.call("GET", path, tenant="acme").status_code == 404


def test_one_that_fails_its_test_is_not_added_and_not_shown_again(here: Here) -> None:
    here.first.always(Fault.CREDENTIAL)
    refused = send(here, act="add", provider="openai", label="Ours", api_key=KEY, test="yes")
    assert (refused.status_code, "Nothing was added." in refused.text, KEY in refused.text) == (422, True, False)
    assert 'value="Ours"' in refused.text
    assert here.call("GET", "/api/v1/provider-credentials", tenant="acme").json() == {"results": [], "next_cursor": None}
    assert send(here, act="add", provider="openai", label="Ours", api_key=KEY).status_code == 303


def test_something_is_switched_off_and_on_again(here: Here) -> None:
    sent = send(here, act="kill", kind="model", name="only", reason="<leaks>")
    assert sent.headers["location"] == f"{PAGE}?done=kill"
    assert "&lt;leaks&gt;" in here.call("GET", PAGE, tenant="acme").text
    assert here.chat(model="only", tenant="acme").status_code == 403
    assert here.chat(model="only", tenant="globex").status_code == 200
    assert send(here, act="lift", kind="model", of="only", reach="tenant").status_code == 303
    assert here.chat(model="only", tenant="acme").status_code == 200


def test_the_operators_is_seen_and_not_lifted_by_a_tenant(here: Here) -> None:
    send(here, tenant="default", act="kill", kind="provider", name="openai", reason="outage", reach="everywhere")
    page = here.call("GET", PAGE, tenant="acme").text
    assert ("outage" in page, "Switch on" in page) == (True, False)
    assert send(here, act="lift", kind="provider", of="openai", reach="everywhere").status_code == 403
    assert "Switch on" in here.call("GET", PAGE).text


def test_what_is_wrong_is_said_on_the_page(here: Here) -> None:
    for form, status, said in (
        ({"act": "kill", "kind": "model", "name": "onyl", "reason": "x"}, 404, "no model of that name"),
        ({"act": "kill", "kind": "model", "name": "only", "reason": ""}, 422, "reason"),
        ({"act": "kill", "kind": "x", "name": "only", "reason": "x"}, 422, "Say what is switched off"),
        ({"act": "add", "provider": "openai", "label": "x"}, 422, "A credential"),
        ({"act": "add", "provider": "openai", "label": "x", "api_key": KEY, "base_url": "http://10.0.0.1"}, 403, "operator"),
        ({"act": "other"}, 422, "does not say what to do"),
    ):
        answer = send(here, **form)
        assert (answer.status_code, said in answer.text) == (status, True), (form, answer.text)
