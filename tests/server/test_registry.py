"""The registry through its routes: versions made, refused, deployed and taken back, in another process as well."""

import tomllib
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from typer.testing import CliRunner

from core import ledger
from server.cli.app import app as command_line
from tests.fakes.openai import MODEL
from tests.fakes.wire import Fault
from tests.server.switchable import Here, code, until

REGISTRY = "/api/v1/models/registry"
HERE = {"provider": "openai", "model": MODEL}
THERE = {"provider": "openai_compatible:there", "model": "llama"}
LOCAL = {"provider": "local", "model": "bundled"}
_NUMBERS = count(1)


@pytest.fixture
def alias(here: Here) -> str:
    """An alias of the registry's own, whose version 1 is live."""
    name = f"registered/{next(_NUMBERS)}"
    make(here, name, [HERE])
    deploy(here, name, 1)
    return name


class Recorded:
    """A ledger in memory."""

    def __init__(self) -> None:
        self.entries: list[Any] = []

    def record(self, entry: Any) -> None:
        self.entries.append(entry)

    async def settled(self) -> None:
        """All of it is kept."""


def make(here: Here, alias: str, deployments: list[dict[str, Any]], **more: Any) -> int:
    body = {"deployments": deployments, **more}
    answer = here.call("POST", f"{REGISTRY}/{alias}/versions", json=body)
    assert answer.status_code == 201, answer.text
    number: int = answer.json()["number"]
    return number


def deploy(here: Here, alias: str, version: int, **more: Any) -> dict[str, Any]:
    answer = here.call("POST", f"{REGISTRY}/{alias}/deploy", json={"version": version, **more})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def number(here: Here, alias: str, **more: Any) -> int:
    """The version that answers; 0 while a process does not know the alias."""
    answer = here.chat(model=alias, **more)
    assert answer.status_code in (200, 404), answer.text
    return int(answer.headers.get("x-genai-version", "0").partition("-")[0])


def test_a_version_is_live_in_every_process_and_so_is_the_one_before_after_a_rollback(here: Here, alias: str) -> None:
    assert make(here, alias, [THERE], reason="Cheaper.") == 2
    assert number(here, alias) == 1
    assert deploy(here, alias, 2)["past"] == [1]
    answer = here.chat(model=alias)
    assert (answer.json()["provider"], answer.headers["x-genai-version"][:2]) == ("openai_compatible:there", "2-")
    until(lambda: number(here, alias, client=here.elsewhere) == 2)
    back = here.call("POST", f"{REGISTRY}/{alias}/rollback", json={"reason": "It answers in French."})
    assert (back.json()["live"], back.json()["past"]) == (1, [])
    assert number(here, alias) == 1
    until(lambda: number(here, alias, client=here.elsewhere) == 1)
    states = [each["state"] for each in here.call("GET", f"{REGISTRY}/{alias}/versions").json()["results"]]
    assert states == ["retired", "live"]
    again = here.call("POST", f"{REGISTRY}/{alias}/rollback", json={})
    assert code(again) == (409, "nothing_to_roll_back")
    assert code(here.call("POST", f"{REGISTRY}/{alias}/deploy", json={"version": 1})) == (409, "already_live")
    assert code(here.call("POST", f"{REGISTRY}/{alias}/deploy", json={"version": 9})) == (404, "version_not_found")


def test_models_are_listed_as_they_are_live_and_usage_knows_the_version(here: Here, alias: str) -> None:
    deploy(here, alias, make(here, alias, [THERE]))
    shown = here.call("GET", f"/api/v1/models/{alias}").json()
    assert shown["deployments"][0]["model"] == "llama"
    version = here.call("GET", f"{REGISTRY}/{alias}/versions/2").json()
    assert shown["version"] == version["label"] == here.chat(model=alias).headers["x-genai-version"]


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"deployments": [{"provider": "nobody", "model": "x"}]}, "invalid_version"),
        ({"deployments": [{"provider": "openai_compatible:unknown", "model": "x"}]}, "invalid_version"),
        ({"deployments": [{"provider": "local", "model": "http://192.0.2.1/v1#x"}]}, "invalid_version"),
        ({"deployments": [{"provider": "local", "model": "/etc/hosts.gguf"}]}, "invalid_version"),
        ({"deployments": [HERE], "prompts": {"no.txt": 1}}, "invalid_version"),
        ({"deployments": [HERE], "prompts": {"rag.txt": 7}}, "invalid_version"),
        ({"deployments": [HERE], "guards": [{"guard": "nobody"}]}, "invalid_guard"),
        ({"deployments": [HERE], "kind": "rerank"}, "kind_differs"),
        ({"deployments": [HERE], "kind": "rerank", "parameters": {"seed": 1}}, "invalid_version"),
        ({"deployments": [LOCAL], "parameters": {"reasoning_effort": "high"}}, "invalid_version"),
    ],
    ids=["provider", "unconfigured", "address", "file", "prompt", "prompt version", "guard", "kind", "parameters", "not taken"],
)
def test_what_could_not_work_is_refused_where_it_is_made(here: Here, alias: str, wrong: Any, error: str) -> None:
    assert code(here.call("POST", f"{REGISTRY}/{alias}/versions", json=wrong)) == (422, error)
    assert len(here.call("GET", f"{REGISTRY}/{alias}/versions").json()["results"]) == 1


def test_a_version_that_needs_a_part_which_is_left_out_is_refused_by_its_name(
    here: Here, alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.parts.find_spec", lambda module: None if module == "langchain_google_vertexai" else module)
    wrong = {"deployments": [{"provider": "vertex", "model": "gemini-2.5-pro"}]}
    answer = here.call("POST", f"{REGISTRY}/{alias}/versions", json=wrong)
    assert code(answer) == (422, "invalid_version")
    assert "this installation is without its part vertex." in answer.json()["error"]["message"]


def test_a_credential_is_no_part_of_a_version(here: Here, alias: str) -> None:
    answer = here.call("POST", f"{REGISTRY}/{alias}/versions", json={"deployments": [HERE | {"api_key": "sk-x"}]})
    assert answer.status_code == 422


def test_parameters_of_a_version_hold_where_the_caller_says_none(here: Here, alias: str) -> None:
    deploy(here, alias, make(here, alias, [HERE], parameters={"temperature": 0.3, "max_tokens": 77}))
    here.chat(model=alias, temperature=1.5)
    sent = here.first.asked[-1].body
    assert (sent["temperature"], sent.get("max_tokens") or sent.get("max_completion_tokens")) == (1.5, 77)


def test_guards_of_a_version_stand_before_it_for_every_tenant(here: Here, alias: str) -> None:
    guard = {"guard": "patterns", "options": {"deny": {"greeting": "Hello"}}}
    deploy(here, alias, make(here, alias, [HERE], guards=[guard]))
    for tenant in ("default", "acme"):
        assert code(here.chat(model=alias, tenant=tenant)) == (422, "guard_blocked")
    assert here.chat(model="default").status_code == 200


def test_what_ran_at_a_time_is_known(here: Here, alias: str) -> None:
    before = datetime.now(UTC)
    deploy(here, alias, make(here, alias, [THERE], reason="Tried."), reason="Approved.")
    events = here.call("GET", f"{REGISTRY}/{alias}/history").json()["results"]
    assert [each["act"] for each in events] == ["deployed", "created", "deployed", "created"]
    assert (events[0]["reason"], events[0]["live"], events[0]["version"]) == ("Approved.", 2, 2)

    def at(moment: datetime) -> Any:
        return here.call("GET", f"{REGISTRY}/{alias}/history", params={"at": moment.isoformat()}).json()["results"]

    assert [each["live"] for each in at(before)] == [1]
    assert [each["live"] for each in at(datetime.now(UTC))] == [2]
    assert at(before - timedelta(days=1)) == []
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    for wrong in ("2026-01-01T00:00:00", "0001-01-01T00:00:00+14:00", tomorrow):
        refused = here.call("GET", f"{REGISTRY}/{alias}/history", params={"at": wrong})
        assert code(refused) == (422, "invalid_request")


def test_two_versions_are_compared_field_by_field(here: Here, alias: str) -> None:
    make(here, alias, [HERE, THERE], parameters={"seed": 4})
    told = here.call("GET", f"{REGISTRY}/{alias}/diff", params={"before": 1, "after": 2}).json()["differences"]
    assert {each["field"]: each["after"] for each in told} == {"deployments.1": THERE, "parameters": {"seed": 4}}


def test_a_price_that_is_written_otherwise_is_no_other_version(here: Here, alias: str) -> None:
    def price(amount: str) -> list[dict[str, Any]]:
        return [HERE | {"price": [{"input_usd_per_million": amount, "output_usd_per_million": "1", "tiers": {"flex": "0.50"}}]}]

    deploy(here, alias, make(here, alias, price("10.0")))
    text = here.call("GET", f"{REGISTRY}.toml").text
    assert '"10.0"' in text
    again = text.replace('"10.0"', '"1E+1"').replace('"0.50"', "0.5")
    assert here.call("POST", f"{REGISTRY}.toml", json={"toml": again}).json() == {"results": []}
    assert make(here, alias, price("10")) == 3
    assert here.call("GET", f"{REGISTRY}/{alias}/diff", params={"before": 2, "after": 3}).json()["differences"] == []
    make(here, alias, price("100"))
    (told,) = here.call("GET", f"{REGISTRY}/{alias}/diff", params={"before": 2, "after": 4}).json()["differences"]
    assert (told["before"], told["after"]) == ("10", "100")


def test_what_is_exported_is_imported_as_it_is(here: Here, alias: str) -> None:
    text = here.call("GET", f"{REGISTRY}.toml").text
    assert here.call("POST", f"{REGISTRY}.toml", json={"toml": text}).json() == {"results": []}
    changed = f'[[models]]\nalias = "{alias}"\n[[models.deployments]]\nprovider = "openai_compatible:there"\nmodel = "llama"\n'
    draft = here.call("POST", f"{REGISTRY}.toml", json={"toml": changed, "deploy": False}).json()["results"]
    assert [(each["number"], each["state"], each["source"]) for each in draft] == [(2, "draft", "import")]
    again = here.call("POST", f"{REGISTRY}.toml", json={"toml": changed, "deploy": False})
    assert again.json() == {"results": []}, "the same draft waits already"
    here.call("POST", f"{REGISTRY}.toml", json={"toml": changed}).raise_for_status()
    assert number(here, alias) == 3


def test_an_export_has_the_pinned_prompts_and_an_import_knows_them_by_their_text(here: Here, alias: str) -> None:
    texts = ["First of $question in $sources", "Then of $question in $sources"]
    for text in texts:
        here.call("POST", "/api/v1/prompts/rag_judge.txt/versions", json={"text": text}).raise_for_status()
    deploy(here, alias, make(here, alias, [HERE], prompts={"rag_judge.txt": 2}))
    exported = here.call("GET", f"{REGISTRY}.toml").text
    assert {"name": "rag_judge.txt", "version": 2, "text": texts[1]} in tomllib.loads(exported)["prompts"]
    assert here.call("POST", f"{REGISTRY}.toml", json={"toml": exported}).json() == {"results": []}
    models = f'deployments = [{{provider = "openai", model = "{MODEL}"}}]\n'
    body = f'[[models]]\nalias = "{alias}"\nprompts = {{"rag_judge.txt" = 7}}\n{models}'
    assert code(here.call("POST", f"{REGISTRY}.toml", json={"toml": body})) == (422, "invalid_version")
    elsewhere = '[[prompts]]\nname = "rag_judge.txt"\nversion = 7\ntext = "{}"\n' + body.replace("{", "{{").replace("}", "}}")
    for text, expected in ((texts[0], 1), ("New of $question in $sources", 3)):
        made = here.call("POST", f"{REGISTRY}.toml", json={"toml": elsewhere.format(text)}).json()["results"]
        assert [each["content"]["prompts"] for each in made] == [{"rag_judge.txt": expected}]
    assert code(here.call("POST", f"{REGISTRY}.toml", json={"toml": elsewhere.format("of nothing")})) == (422, "invalid_prompt")
    assert "prompts" not in tomllib.loads(here.call("GET", f"{REGISTRY}.toml", tenant="acme").text)


def test_a_guard_whose_schema_holds_null_is_exported_and_imported_as_it_is(here: Here, alias: str) -> None:
    schema = {"type": "object", "properties": {"a": {"default": None, "enum": ["x", None]}}}
    deploy(here, alias, make(here, alias, [HERE], guards=[{"guard": "json_schema", "options": {"schema": schema}}]))
    exported = here.call("GET", f"{REGISTRY}.toml")
    assert exported.status_code == 200
    assert here.call("POST", f"{REGISTRY}.toml", json={"toml": exported.text}).json() == {"results": []}


@pytest.mark.parametrize(
    "text", ["not = [toml", "secret_key = 'x'", "models = 3", "[[models]]\nalias='a'\n[[models]]\nalias='a'"],
    ids=["no toml", "other settings", "no tables", "twice"],
)  # fmt: skip
def test_what_is_no_toml_of_models_is_refused(here: Here, text: str) -> None:
    assert code(here.call("POST", f"{REGISTRY}.toml", json={"toml": text})) == (422, "invalid_toml")


def test_others_than_the_operator_change_nothing_and_see_no_reasons(here: Here, alias: str) -> None:
    for path, body in (
        (f"{alias}/versions", {"deployments": [THERE]}),
        (f"{alias}/deploy", {"version": 1}),
        (f"{alias}/rollback", {}),
        (f"{alias}/versions/1/approve", {"evaluation": "run"}),
    ):
        answer = here.call("POST", f"{REGISTRY}/{path}", tenant="acme", json=body)
        assert code(answer) == (403, "operators_only"), path
    toml = here.call("POST", f"{REGISTRY}.toml", tenant="acme", json={"toml": "models = []"})
    assert code(toml) == (403, "operators_only")
    make(here, alias, [THERE], reason="A word among us.")
    for path in (f"{alias}/versions", f"{alias}/history"):
        seen = here.call("GET", f"{REGISTRY}/{path}", tenant="acme")
        assert seen.status_code == 200
        assert "A word among us" not in seen.text
    assert code(here.call("GET", "/api/v1/prompts", tenant="acme")) == (403, "operators_only")


def test_a_canary_is_given_its_share_and_taken_back(here: Here, alias: str) -> None:
    make(here, alias, [THERE])
    told = deploy(here, alias, 2, canary={"steps": [{"weight": 99.9999}]})
    assert (told["live"], told["candidate"], told["share"]) == (1, 2, pytest.approx(0.999999))
    assert number(here, alias) == 2
    assert here.call("POST", f"{REGISTRY}/{alias}/rollback", json={}).json()["candidate"] is None
    assert number(here, alias) == 1
    low = deploy(here, alias, 2, canary={"steps": [{"weight": 0.0001}, {"weight": 50}]})
    assert (low["share"], number(here, alias)) == (pytest.approx(0.000001), 1)
    assert deploy(here, alias, 2)["live"] == 2


def test_every_request_of_a_canary_is_on_record_by_its_version_however_it_ends(here: Here, alias: str) -> None:
    """Also one that no provider was asked for, or whose answer was withheld; none that is not compared with another."""
    recorded = Recorded()
    ledger.connect(cast("Any", recorded))
    try:
        here.chat(model=alias)
        guard = {"guard": "patterns", "on": ["inputs"], "options": {"deny": {"greeting": "Hello"}}}
        make(here, alias, [HERE], guards=[guard])
        deploy(here, alias, 2, canary={"steps": [{"weight": 99.9999}]})
        assert code(here.chat(model=alias)) == (422, "guard_blocked")
        here.chat(model=alias, messages=[{"role": "user", "content": "Good day"}])
        here.first.then(Fault.INVALID)
        refused = here.chat(model=alias, messages=[{"role": "user", "content": "Good evening"}])
        assert code(refused) == (422, "provider_rejected_request")
        here.call("POST", f"{REGISTRY}/{alias}/rollback", json={})
        here.chat(model=alias)
    finally:
        ledger.connect(None)
    ended = [each for each in recorded.entries if isinstance(each, ledger.Outcome) and each.alias == alias]
    assert [(each.status, each.http_status, each.version[:2]) for each in ended] == [
        ("guard_blocked", 422, "2-"),
        ("ok", 200, "2-"),
        ("provider_rejected_request", 422, "2-"),
    ]
    assert [each.latency_ms is None for each in ended] == [True, False, False]
    assert len([each for each in recorded.entries if isinstance(each, ledger.Entry) and each.alias == alias]) == 4


def test_one_goes_back_to_what_was_live_and_to_nothing_that_never_was(here: Here, alias: str) -> None:
    deploy(here, alias, make(here, alias, [THERE]))
    make(here, alias, [HERE], parameters={"seed": 1})

    def back(to: int | None) -> httpx.Response:
        return here.call("POST", f"{REGISTRY}/{alias}/rollback", json={} if to is None else {"to": to})

    assert code(back(3)) == (409, "never_live")
    deploy(here, alias, 3, canary={"steps": [{"weight": 5}]})
    assert code(back(3)) == (409, "never_live")
    began = back(None).json()["step_since"]
    assert back(1).json()["past"] == []
    again = back(2).json()
    assert (again["live"], again["past"]) == (2, [1])  # retired since, and the next rollback leads to where this one began
    assert again["step_since"] > began
    assert back(None).json()["live"] == 1


def test_a_canary_by_score_begins_with_an_evaluation(here: Here, alias: str) -> None:
    make(here, alias, [THERE])
    canary = {"steps": [{"weight": 5}], "rules": {"min_score": 0.8}}
    refused = here.call("POST", f"{REGISTRY}/{alias}/deploy", json={"version": 2, "canary": canary})
    assert code(refused) == (422, "not_approved")
    approved = here.call("POST", f"{REGISTRY}/{alias}/versions/2/approve", json={"evaluation": "run_7", "score": 0.9})
    assert (approved.json()["state"], approved.json()["evaluation"]) == ("candidate", "run_7")
    assert deploy(here, alias, 2, canary=canary)["candidate"] == 2


def test_a_prompt_is_versioned_and_goes_back_to_what_is_built_in(here: Here) -> None:
    prompts = "/api/v1/prompts"
    shown = {each["name"]: each for each in here.call("GET", prompts).json()["results"]}["rag_hyde.txt"]
    assert (shown["live"], shown["places"]) == (0, ["question"])
    wrong = here.call("POST", f"{prompts}/rag_hyde.txt/versions", json={"text": "Answer $query"})
    assert code(wrong) == (422, "invalid_prompt")
    made = here.call("POST", f"{prompts}/rag_hyde.txt/versions", json={"text": "Write a passage on: $question"})
    assert (made.status_code, made.json()["number"]) == (201, 1)
    deployed = here.call("POST", f"{prompts}/rag_hyde.txt/deploy", json={"version": 1})
    assert deployed.json()["live"] == 1
    listed = here.call("GET", f"{prompts}/rag_hyde.txt/versions").json()["results"]
    assert [(each["number"], each["state"]) for each in listed] == [(1, "live"), (0, "retired")]
    assert here.call("POST", f"{prompts}/rag_hyde.txt/rollback", json={}).json()["live"] == 0
    assert code(here.call("POST", f"{prompts}/rag_hyde.txt/rollback", json={})) == (409, "nothing_to_roll_back")
    acts = [each["act"] for each in here.call("GET", f"{prompts}/rag_hyde.txt/history").json()["results"]]
    assert acts == ["rolled_back", "deployed", "created"]
    assert code(here.call("GET", f"{prompts}/none.txt/versions")) == (404, "prompt_not_found")


def test_prompts_that_are_deployed_and_taken_back_are_in_the_history_of_who_is_asked_with_them(here: Here, alias: str) -> None:
    prompts, name = "/api/v1/prompts", "rag_rewrite.txt"
    text = next(each for each in here.call("GET", f"{prompts}/{name}/versions").json()["results"] if each["number"] == 0)[
        "text"
    ]
    number = here.call("POST", f"{prompts}/{name}/versions", json={"text": f"{text}\nBe brief."}).json()["number"]
    pinning = f"{alias}/pinning"
    make(here, pinning, [HERE], prompts={name: 0})
    deploy(here, pinning, 1)
    here.call("POST", f"{prompts}/{name}/deploy", json={"version": number, "reason": "Shorter."})
    between = datetime.now(UTC).isoformat()
    here.call("POST", f"{prompts}/{name}/rollback", json={})

    def told(of: str, **params: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = here.call("GET", f"{REGISTRY}/{of}/history", params=params).json()["results"]
        return found

    back, deployed, *_ = told(alias)
    assert [(each["act"], each["prompt"], each["version"]) for each in (back, deployed)] == [
        ("prompt_rolled_back", name, 0),
        ("prompt_deployed", name, number),
    ]
    assert (deployed["live"], deployed["reason"], deployed["prompts"][name]) == (1, "Shorter.", number)
    assert [(each["live"], each["prompts"][name]) for each in told(alias, at=between)] == [(1, number)]
    assert name not in back["prompts"]
    assert {each["prompt"] for each in told(pinning)} == {None}


def test_the_command_line_deploys_takes_back_and_carries_the_toml(here: Here, alias: str, tmp_path: Path) -> None:
    def run(*words: str) -> str:
        done = CliRunner().invoke(command_line, ["--url", str(here.client.base_url), "--key", "any", "registry", *words])
        assert done.exit_code == 0, done.output
        # the server is in this process, and writes its log there as well
        return "\n".join(line for line in done.stdout.splitlines() if "request.finished" not in line)

    make(here, alias, [THERE])
    run("deploy", alias, "2", "--reason", "Approved.")
    assert number(here, alias) == 2
    run("rollback", alias)
    assert number(here, alias) == 1
    assert "rolled_back" in run("history", alias)
    assert "deployments.0.model" in run("diff", alias, "1", "2")
    assert "retired" in run("versions", alias)
    assert alias in run("list")
    file = tmp_path / "models.toml"
    file.write_text(run("export"))
    run("import", str(file))
    assert len(here.call("GET", f"{REGISTRY}/{alias}/versions").json()["results"]) == 2
