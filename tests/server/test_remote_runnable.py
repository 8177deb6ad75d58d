"""What RemoteRunnable gives, in a process of its own, beside what the same runnable gives here."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.settings import Settings
from server.langserve_routes import register
from tests.chains.fakes import ScriptedModels
from tests.server.capabilities import PASSAGE_CANARY, PROMPT_CANARY, built
from tests.server.serving import platform, served

FUNCTION = "def add(a, b):\n    return a + b\n"
INPUTS: dict[str, Any] = {
    "chat": {"messages": [{"role": "user", "content": "hello there"}], "temperature": 0.5},
    "completion": {"prompt": "Once upon"},
    "code/generate": {"instruction": "add two numbers"},
    "code/explain": {"code": FUNCTION},
    "code/review": {"code": FUNCTION},
    "code/fix": {"code": FUNCTION},
    "code/tests": {"code": FUNCTION},
    "code/translate": {"code": FUNCTION, "target_language": "javascript"},
    "rag": {"question": "which port?"},
}


@pytest.fixture(scope="module")
def got(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the other process printed."""
    settings = Settings.load(data_dir=tmp_path_factory.mktemp("data"))
    app = platform(settings)
    register(app, built(settings, ScriptedModels()))
    with served(app) as url:
        caller = Path(__file__).parent / "remote_calls.py"
        done = subprocess.run(
            [sys.executable, str(caller), url],
            input=json.dumps(INPUTS),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    settings = Settings.load(data_dir=tmp_path_factory.mktemp("data"))
    return {name: root for name, (_, root) in built(settings, ScriptedModels()).items()}


def plain(value: Any) -> Any:
    return {"class": type(value).__name__, **value.model_dump(exclude={"id"})} if hasattr(value, "model_dump") else value


def added(chunks: list[Any]) -> Any:
    total = chunks[0]
    for chunk in chunks[1:]:
        total = total + chunk
    return total


@pytest.mark.parametrize("name", INPUTS)
async def test_every_way_of_calling_gives_what_the_local_runnable_gives(got: Any, roots: Any, name: str) -> None:
    ways, root = got["ways"][name], roots[name]
    whole = plain(await root.ainvoke(INPUTS[name]))
    assert ways["invoke"] == ways["ainvoke"] == whole
    assert ways["batch"] == ways["abatch"] == [whole, whole]
    chunks = [chunk async for chunk in root.astream(INPUTS[name])]
    assert ways["chunks"] == [plain(chunk) for chunk in chunks]
    assert ways["stream"] == ways["astream"] == plain(added(chunks))
    assert len(chunks) > 1


@pytest.mark.parametrize("name", INPUTS)
async def test_events_are_the_roots_alone(got: Any, roots: Any, name: str) -> None:
    ways = got["ways"][name]
    local = [event async for event in roots[name].astream_events(INPUTS[name], version="v2")]
    assert ways["events"] == [event["event"] for event in local]
    assert ways["event_names"] == [name]
    assert ways["last_event"] == plain(local[-1]["data"]["output"])


@pytest.mark.parametrize("canary", [PROMPT_CANARY, PASSAGE_CANARY, "You write", "You explain", "You review"])
def test_no_event_shows_a_prompt_or_a_passage(got: Any, canary: str) -> None:
    assert canary not in "".join(ways["everything"] for ways in got["ways"].values())


def test_chat_gives_a_message_with_its_usage(got: Any) -> None:
    assert got["ways"]["chat"]["invoke"]["class"] == "AIMessage"
    assert got["ways"]["chat"]["invoke"]["usage_metadata"]["total_tokens"] == 6
    assert got["ways"]["chat"]["stream"]["class"] == "AIMessageChunk"
    assert got["ways"]["chat"]["stream"]["usage_metadata"]["total_tokens"] == 6


def test_a_prompt_template_can_be_piped_into_chat(got: Any) -> None:
    assert [answer["content"] for answer in got["prompted"]] == ["You said: Say hi"] * 2


def test_a_refusal_keeps_its_status_and_code_streamed_or_not(got: Any) -> None:
    assert got["busy"] == {"status": 429, "code": "queue_full"}
    assert got["busy_stream"] == [[], {"status": 429}]
    assert got["wrong"] == {"status": 422, "code": "invalid_request"}


def test_an_error_in_the_middle_of_a_stream_keeps_its_status_and_code(got: Any) -> None:
    chunks, error = got["cut_stream"]
    assert [chunk["content"] for chunk in chunks] == ["You"]
    assert error == {"status": 502, "code": "provider_failed"}
    assert got["cut_events"] == {"status": 502, "code": "provider_failed"}


def test_a_batch_gives_errors_in_their_places_to_who_asks_for_them(got: Any) -> None:
    assert got["batch"][0]["content"] == "You said: hello"
    assert got["batch"][1:] == [{"error": "queue_full"}, {"error": "invalid_request"}]


def test_a_batch_fails_as_a_whole_to_who_does_not(got: Any) -> None:
    assert got["batch_as_it_is"] == [{"status": 422, "code": "invalid_request"}] * 3


def test_a_batch_over_the_cap_is_refused(got: Any) -> None:
    assert got["too_many"] == {"status": 413, "code": "batch_too_large"}
