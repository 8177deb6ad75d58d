import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.routing import Route

from core.errors import NotFound
from core.principals import Principal, Scope
from core.settings import Settings
from server.langserve_routes import register
from tests.chains.fakes import ScriptedModels
from tests.server.capabilities import NAMES, PASSAGE_CANARY, PROMPT_CANARY, built
from tests.server.serving import EVERYBODY, platform, served

HELLO = {"messages": [{"role": "user", "content": "hello"}]}
INPUTS: dict[str, Any] = {
    "chat": HELLO,
    "completion": {"prompt": "Once"},
    "code/generate": {"instruction": "add"},
    **{name: {"code": "x = 1"} for name in ("code/explain", "code/review", "code/fix", "code/tests")},
    "code/translate": {"code": "x = 1", "target_language": "go"},
    "rag": {"question": "which?"},
}
LANGSERVE = ("invoke", "batch", "stream", "stream_events", "stream_log")
COOKIE = {"cookie": "genai_session=x"}


class Shown:
    """The collections that a caller sees, by name."""

    names = frozenset({"handbook"})

    async def get(self, _principal: Principal, name: str) -> None:
        if name not in self.names:
            raise NotFound("There is no such collection.", code="collection_not_found")


class Server:
    """A running server, its models, and a client for it."""

    def __init__(self, url: str, models: ScriptedModels) -> None:
        self.url = url
        self.models = models
        self.client = httpx.Client(base_url=f"{url}/api/v1", timeout=30)

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        return self.client.post(path, json=body, headers=headers)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = Settings.load(data_dir=tmp_path_factory.mktemp("data"))
    models = ScriptedModels()
    app = platform(settings, library=SimpleNamespace(collections=Shown()))
    register(app, built(settings, models))
    with served(app) as url:
        yield Server(url, models)


def around(endpoint: str, value: Any) -> Any:
    return {"inputs": [value]} if endpoint == "batch" else {"input": value}


WRONG: dict[str, Any] = {
    "no object": [],
    "a number": 5,
    "null": None,
    "nothing": {},
    "a wrong type": {"messages": 5, "prompt": 5, "instruction": 5, "code": 5, "question": 5},
    "a message that is none": {"messages": [["human", "hi"]], "prompt": ["x"], "instruction": {}, "code": [], "question": [1]},
    "a message of a strange role": {"messages": [{"role": "wizard", "content": "x"}]},
    "a message without content": {"messages": [{"role": "user"}]},
    "an empty list": {"messages": [], "prompt": "", "instruction": "", "code": "", "question": ""},
    "a serialised object": {"messages": [{"lc": 1, "type": "constructor", "id": ["os", "system"], "kwargs": {}}]},
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("endpoint", ["", *LANGSERVE[:4]])
def test_input_that_does_not_fit_is_422_on_every_route(server: Server, endpoint: str, wrong: str) -> None:
    for name in INPUTS:
        path, value = (f"{name}/{endpoint}", around(endpoint, WRONG[wrong])) if endpoint else (name, WRONG[wrong])
        refused = server.client.post(path, content=json.dumps(value), headers={"content-type": "application/json"})
        assert refused.status_code == 422, (path, refused.text)
        assert refused.json()["error"]["code"] == "invalid_request"
        assert refused.json()["error"]["request_id"] == refused.headers["x-request-id"]


@pytest.mark.parametrize("endpoint", ["", *LANGSERVE[:4]])
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"", 400),
        (b'{"input": ' + b"[" * 60_000 + b"]" * 60_000 + b"}", 400),
        (b'{"input": {"messages": [{"role": "user", "content": "\\ud800"}]}}', 400),
        (b'{"input": {"seed": ' + b"9" * 5000 + b"}}", 400),
        (b'{"input": {"seed": ' + b"9" * 30 + b"}}", 422),
        (b"\xff\xfe{}", 400),
        (b'{"input": NaN}', 400),
        (b'"' + b"x" * (5 * 2**20) + b'"', 413),
    ],
)
def test_a_body_that_is_no_decent_json_is_refused_on_every_route(
    server: Server, endpoint: str, body: bytes, status: int
) -> None:
    path = f"chat/{endpoint}" if endpoint else "chat"
    refused = server.client.post(path, content=body, headers={"content-type": "application/json"})
    assert refused.status_code == status, refused.text
    assert set(refused.json()["error"]) >= {"code", "message", "request_id"}


@pytest.mark.parametrize(
    "extra",
    [
        {"config": 5},
        {"config": [5]},
        {"config": {"configurable": {"model": "x"}}},
        {"kwargs": {"stop": "x"}},
    ],
)
def test_nothing_can_be_configured_by_a_caller(server: Server, extra: dict[str, Any]) -> None:
    for endpoint in LANGSERVE[:4]:
        refused = server.post(f"chat/{endpoint}", around(endpoint, HELLO) | extra)
        assert refused.status_code == 422, (endpoint, refused.text)


@pytest.mark.parametrize("inputs", [5, {"a": 1}, None, []])
def test_a_batch_needs_a_list_with_something_in_it(server: Server, inputs: Any) -> None:
    assert server.post("chat/batch", {"inputs": inputs}).status_code == 422


def test_a_batch_names_the_input_that_does_not_fit(server: Server) -> None:
    refused = server.post("chat/batch", {"inputs": [HELLO, {"messages": [{"role": "user"}]}]})
    assert refused.json()["error"]["param"] == "inputs.1.messages.0.content"


def test_a_batch_over_the_cap_is_413(server: Server) -> None:
    refused = server.post("chat/batch", {"inputs": [HELLO] * 51})
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "batch_too_large")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "c/N4XyA/invoke"),
        ("POST", "c/N4XyA/stream"),
        ("GET", "c/N4XyA/input_schema"),
        ("GET", "c/N4XyA/playground/"),
        ("POST", "feedback"),
        ("HEAD", "feedback"),
        ("POST", "token_feedback"),
        ("PUT", "public_trace_link"),
        ("GET", "config_schema"),
    ],
)
def test_what_langserve_would_offer_beside_does_not_exist(server: Server, method: str, path: str) -> None:
    for name in INPUTS:
        assert server.client.request(method, f"{name}/{path}").status_code == 404


@pytest.mark.parametrize("name", INPUTS)
def test_schemas_are_published(server: Server, name: str) -> None:
    assert server.client.get(f"{name}/input_schema").json()["properties"]
    assert server.client.get(f"{name}/output_schema").json()["title"]


def test_the_chat_playground_can_work_with_chats_schemas(server: Server) -> None:
    assert list(server.client.get("chat/input_schema").json()["properties"]) == ["messages"]
    schema = server.client.get("chat/output_schema").json()
    kinds = [schema["$defs"][kind["$ref"].rpartition("/")[2]] for kind in schema["anyOf"] if "$ref" in kind]
    assert any("ai" in kind["properties"]["type"].get("enum", ()) for kind in kinds)


@pytest.mark.parametrize("name", NAMES)
def test_a_capability_whose_scope_a_key_lacks_is_403_on_every_route(tmp_path: Any, name: str) -> None:
    settings = Settings.load(data_dir=tmp_path)
    app = platform(settings, principal=replace(EVERYBODY, scopes=frozenset({Scope.JOBS_READ})))
    register(app, built(settings, ScriptedModels(), only=(name,)))
    routes = [
        (method, route.path)
        for route in app.routes
        if isinstance(route, Route)
        for method in route.methods or ()
        if method != "HEAD"
    ]

    async def ask() -> list[tuple[str, int]]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            paths = [(method, path.replace("{file:path}", "")) for method, path in routes if name in path]
            answers = [await client.request(method, path, json={"input": {}}, headers=COOKIE) for method, path in paths]
            return [(str(answer.url), answer.status_code) for answer in answers if answer.status_code != 307]

    answers = await_(ask())
    assert len(answers) >= 9
    assert {status for _, status in answers} == {403}


def await_(work: Any) -> Any:
    return asyncio.run(work)


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("endpoint", ["", *LANGSERVE])
def test_no_route_shows_a_prompt_or_a_passage(server: Server, name: str, endpoint: str) -> None:
    path, body = (f"{name}/{endpoint}", around(endpoint, INPUTS[name])) if endpoint else (name, INPUTS[name] | {"stream": True})
    shown = server.client.post(path, json=body, headers=COOKIE)
    assert shown.status_code == 200
    prompt = server.models.model.prompts[-1]
    assert PROMPT_CANARY not in shown.text
    assert PASSAGE_CANARY not in shown.text
    for message in prompt[:-1]:
        assert message.text not in shown.text


def test_the_playgrounds_stream_is_for_its_cookie_alone(server: Server) -> None:
    refused = server.post("chat/stream_log", {"input": HELLO})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "playground_only")


def streamed(response: httpx.Response) -> list[tuple[str, Any]]:
    events = []
    for block in response.text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        events.append((fields["event"], json.loads(fields.get("data", "null"))))
    return events


def patched(response: httpx.Response) -> dict[str, Any]:
    """What the page makes of the patches."""
    state: dict[str, Any] = {}
    for _, data in streamed(response)[:-1]:
        for patch in data["ops"]:
            if patch["path"] == "":
                state = patch["value"]
            elif patch["op"] == "replace":
                state[patch["path"].removeprefix("/")] = patch["value"]
            else:
                state["streamed_output"].append(patch["value"])
    return state


def test_the_chat_playground_is_given_the_reply_as_text(server: Server) -> None:
    assert patched(server.post("chat/stream_log", {"input": HELLO}, **COOKIE))["final_output"] == "You said: hello"


def test_a_playground_shows_a_refusal_in_words(server: Server) -> None:
    busy = {"input": {"messages": [{"type": "human", "content": "busy"}]}}
    assert "Every slot is taken." in patched(server.post("chat/stream_log", busy, **COOKIE))["final_output"]
    wrong = patched(server.post("rag/stream_log", {"input": {"question": ""}}, **COOKIE))
    assert "question" in wrong["streamed_output"][0]


def test_a_playground_shows_citations_in_words_and_takes_a_picked_file(server: Server) -> None:
    form = {"input": {"question": "which?", "collection": "handbook", "files": "aGk="}}
    assert "[1] a.md: “text”" in "".join(patched(server.post("rag/stream_log", form, **COOKIE))["streamed_output"])


def test_a_playground_shows_the_parsed_code_in_the_place_of_its_draft(server: Server) -> None:
    server.models.model.answers.append("```python\ndef double(x):\n    return 2 * x\n```\nIt doubles.")
    form = {"input": {"instruction": "a function that doubles", "language": "python"}}
    shown = "".join(patched(server.post("code/generate/stream_log", form, **COOKIE))["streamed_output"])
    assert shown.startswith("code:")
    assert shown.count("def double") == 1
    assert "```" not in shown
    assert "valid: true" in shown


def test_a_playground_names_no_collection_that_is_not_there(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Shown, "names", frozenset())
    page = server.client.get("rag/playground/")
    assert page.status_code == 200
    assert '"collection"' in page.text
    assert '"default": "handbook"' not in page.text


@pytest.mark.parametrize("name", INPUTS)
def test_a_playground_is_served_with_its_form_filled_in(server: Server, name: str) -> None:
    page = server.client.get(f"{name}/playground/")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "/static/playground.js" in page.text
    if name == "rag":
        assert '"default": "handbook"' in page.text
        assert "base64file" in page.text
    elif name != "chat":
        assert '"enum": ["default"]' in page.text
    asset = page.text.split('src="')[1].split('"')[0]
    assert server.client.get(f"{server.url}{asset}").headers["content-type"].startswith("application/javascript")
    assert server.client.get(f"{name}/playground").headers["location"].endswith("/playground/")


@pytest.mark.parametrize(
    "path", ["assets", "nothing.js", "../../server.py", "%2e%2e/%2e%2e/server.py", "assets/../../../client.py"]
)
def test_a_playground_gives_its_own_files_alone(server: Server, path: str) -> None:
    refused = server.client.get(f"chat/playground/{path}")
    assert refused.status_code == 404
    assert refused.json()["error"]["code"] == "not_found"


@pytest.mark.parametrize("path", ["chat", "chat streamed", *(f"chat/{endpoint}" for endpoint in LANGSERVE)])
async def test_hanging_up_cancels_the_model_call_and_is_no_failure(
    tmp_path: Any, capfd: pytest.CaptureFixture[str], path: str
) -> None:
    path, _, streamed_too = path.partition(" ")
    settings = Settings.load(data_dir=tmp_path)
    models = ScriptedModels()
    app = platform(settings)
    register(app, built(settings, models, only=("chat",)))
    wait = {"messages": [{"role": "user", "content": "wait for ever"}]}
    body = wait | {"stream": bool(streamed_too)} if path == "chat" else around(path.partition("/")[2], wait)
    with served(app) as url:
        async with httpx.AsyncClient(base_url=f"{url}/api/v1", timeout=30) as client:
            call = asyncio.create_task(client.post(path, json=body, headers=COOKIE))
            await asyncio.to_thread(models.model.waiting.wait, 10)
            assert not models.model.cancelled.is_set()
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
        assert await asyncio.to_thread(models.model.cancelled.wait, 10)
    shown = "".join(capfd.readouterr())
    assert "request.failed" not in shown
    assert "Traceback" not in shown


def test_plain_rest_streams_tokens_citations_usage_and_the_whole_answer(server: Server) -> None:
    events = streamed(server.post("rag", INPUTS["rag"] | {"stream": True}))
    names = [name for name, _ in events]
    assert names == ["token", "token", "token", "citations", "usage", "done"]
    whole = server.post("rag", INPUTS["rag"]).json()
    assert events[-1][1] | {"request_id": ""} == whole | {"request_id": ""}
    assert "".join(data["text"] for name, data in events if name == "token") == whole["output"]
    assert events[-2][1]["usage"] == whole["usage"]
    assert {"attempts", "overhead_ms", "request_id"} <= set(events[-2][1])
    assert events[-2][1]["cost_usd"] == 0.001


def test_plain_rest_tells_of_an_error_in_the_middle_of_a_stream(server: Server) -> None:
    cut = {"messages": [{"role": "user", "content": "cut"}], "stream": True}
    events = streamed(server.post("chat", cut))
    assert [name for name, _ in events] == ["token", "error"]
    assert events[-1][1]["error"]["code"] == "provider_failed"


def test_a_refusal_comes_before_the_first_byte_of_a_stream(server: Server) -> None:
    busy = {"messages": [{"role": "user", "content": "busy"}]}
    for path, body in (("chat", busy | {"stream": True}), ("chat/stream", {"input": busy})):
        refused = server.post(path, body)
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "2"
        assert refused.json()["error"]["code"] == "queue_full"


@pytest.mark.parametrize("endpoint", ["", *LANGSERVE[:3]])
def test_a_mistake_of_our_own_shows_nothing_of_itself(server: Server, endpoint: str) -> None:
    mistake = {"messages": [{"role": "user", "content": "mistake"}]}
    failed = server.post(f"chat/{endpoint}", around(endpoint, mistake)) if endpoint else server.post("chat", mistake)
    assert failed.status_code == 500
    assert failed.json()["error"]["code"] == "internal_error"
    assert "ZeroDivision" not in failed.text


def test_the_flat_answer_says_who_gave_it(server: Server) -> None:
    answered = server.post("chat", HELLO | {"temperature": 0.1, "max_tokens": 5, "stop": "x", "seed": 3})
    assert answered.json() == {
        "output": "You said: hello",
        "finish_reason": "stop",
        "model": "words-1",
        "provider": "scripted",
        "usage": {"input_tokens": 1, "output_tokens": 3, "total_tokens": 4},
        "cost_usd": 0.001,
        "request_id": answered.headers["x-request-id"],
    }
    assert server.models.model.bound[-1] == {"temperature": 0.1, "max_tokens": 5, "stop": ["x"], "seed": 3}
    assert answered.headers["x-genai-model"] == "words-1"


def test_every_capability_is_in_the_openapi_document(server: Server) -> None:
    document = httpx.get(f"{server.url}/openapi.json").json()
    for name in INPUTS:
        for endpoint in ("", "/invoke", "/batch", "/stream", "/stream_events"):
            assert "post" in document["paths"][f"/api/v1/{name}{endpoint}"]
    chat = document["components"]["schemas"]["ChatRequest"]["properties"]
    assert {"messages", "tools", "response_format", "stream", "session_id"} <= set(chat)
