from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from core.principals import Scope
from core.redaction.analyser import Analyser
from core.settings import Settings
from server.langserve_routes import register
from server.routes import pii
from tests.chains.fakes import ScriptedModels
from tests.server.capabilities import built
from tests.server.serving import EVERYBODY, platform, served

TEXT = "😀 Please call Maria Schmidt at +49 30 901820."
MOST = 1000


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    settings = Settings.load(data_dir=tmp_path_factory.mktemp("data"), privacy={"max_characters": MOST})
    app = platform(settings, analyser=Analyser())
    register(app, built(settings, ScriptedModels(), only=("pii",)))
    app.include_router(pii.router)
    with served(app) as url, httpx.Client(base_url=f"{url}/api/v1", timeout=30) as caller:
        yield caller


def post(client: httpx.Client, path: str, **body: Any) -> Any:
    response = client.post(f"/pii{path}", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def test_detect_gives_one_result_a_text_with_offsets_in_characters(client: httpx.Client) -> None:
    results = post(client, "/detect", texts=[TEXT, "nothing here", ""])["results"]
    assert [len(each["entities"]) for each in results] == [2, 0, 0]
    person, phone = results[0]["entities"]
    assert set(person) == {"type", "start", "end", "score"}
    assert (person["type"], TEXT[person["start"] : person["end"]]) == ("PERSON", "Maria Schmidt")
    assert (phone["type"], TEXT[phone["start"] : phone["end"]]) == ("PHONE_NUMBER", "+49 30 901820")


def test_detect_takes_a_single_text_and_only_the_types_that_are_asked_for(client: httpx.Client) -> None:
    [result] = post(client, "/detect", text=TEXT, types=["PHONE_NUMBER"])["results"]
    assert [one["type"] for one in result["entities"]] == ["PHONE_NUMBER"]


def test_redact_puts_types_in_the_places(client: httpx.Client) -> None:
    answer = post(client, "/redact", text=TEXT)
    assert answer["mapping"] is None
    assert answer["results"][0]["text"] == "😀 Please call <PERSON> at <PHONE_NUMBER>."
    assert [one["replacement"] for one in answer["results"][0]["entities"]] == ["<PERSON>", "<PHONE_NUMBER>"]


def test_pseudonyms_are_kept_from_call_to_call_and_lead_back(client: httpx.Client) -> None:
    first = post(client, "/redact", text=TEXT, mode="pseudonymise")
    assert first["results"][0]["text"] == "😀 Please call <PERSON_1> at <PHONE_NUMBER_1>."
    more = ["Maria Schmidt lives in Portugal."]
    second = post(client, "/redact", texts=more, mode="pseudonymise", mapping=first["mapping"])
    assert second["results"][0]["text"] == "<PERSON_1> lives in <LOCATION_1>."
    back = post(client, "/restore", text="I called <PERSON_1> in <LOCATION_1>.", mapping=second["mapping"])
    assert back == {"results": [{"text": "I called Maria Schmidt in Portugal."}]}


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/detect", {}, 422, "invalid_request"),
        ("/detect", {"text": "a", "texts": ["a"]}, 422, "invalid_request"),
        ("/detect", {"texts": []}, 422, "invalid_request"),
        ("/detect", {"texts": ["a"] * 1001}, 422, "invalid_request"),
        ("/detect", {"text": 5}, 422, "invalid_request"),
        ("/detect", {"text": "a", "types": ["SHOE_SIZE"]}, 422, "invalid_request"),
        ("/detect", {"text": "a", "kinds": []}, 422, "invalid_request"),
        ("/detect", {"texts": ["a" * MOST, "b"]}, 413, "text_too_large"),
        ("/redact", {"text": "a" * (MOST + 1)}, 413, "text_too_large"),
        ("/redact", {"text": "a", "mode": "detect"}, 422, "invalid_request"),
        ("/redact", {"text": "a", "mapping": {"x": "y"}}, 422, "invalid_request"),
        ("/restore", {"text": "a"}, 422, "invalid_request"),
        ("", {"text": "a" * (MOST + 1)}, 413, "text_too_large"),
        ("/invoke", {"input": {"text": "a", "mapping": {"x": "y"}}}, 422, "invalid_request"),
    ],
)
def test_what_cannot_be_done_is_refused(client: httpx.Client, path: str, body: Any, status: int, code: str) -> None:
    response = client.post(f"/pii{path}", json=body)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


def test_the_runnable_answers_as_the_routes_do(client: httpx.Client) -> None:
    flat = post(client, "", text=TEXT, mode="pseudonymise")
    assert flat["output"] == "😀 Please call <PERSON_1> at <PHONE_NUMBER_1>."
    assert flat["mapping"] == {"<PERSON_1>": "Maria Schmidt", "<PHONE_NUMBER_1>": "+49 30 901820"}
    assert flat["model"] is None
    invoked = post(client, "/invoke", input={"text": TEXT, "mode": "detect"})["output"]
    assert invoked["output"] == TEXT
    assert invoked["entities"] == post(client, "/detect", text=TEXT)["results"][0]["entities"]
    batch = post(client, "/batch", inputs=[{"text": TEXT}, {"text": "nothing here"}])["output"]
    assert [one["output"] for one in batch] == ["😀 Please call <PERSON> at <PHONE_NUMBER>.", "nothing here"]


def test_a_key_without_the_scope_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = Settings.load(data_dir=tmp_path_factory.mktemp("data"))
    nobody = replace(EVERYBODY, scopes=EVERYBODY.scopes - {Scope.PII_READ})
    app = platform(settings, principal=nobody, analyser=Analyser())
    register(app, built(settings, ScriptedModels(), only=("pii",)))
    app.include_router(pii.router)
    bodies = {
        "detect": {"text": "a"},
        "redact": {"text": "a"},
        "restore": {"text": "a", "mapping": {}},
        "invoke": {"input": {"text": "a"}},
    }
    with served(app) as url:
        answers = {path: httpx.post(f"{url}/api/v1/pii/{path}", json=body).status_code for path, body in bodies.items()}
    assert set(answers.values()) == {403}
