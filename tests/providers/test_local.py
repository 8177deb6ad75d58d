"""The real local chat model: SmolLM2 on llama.cpp in its child process."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import pytest_asyncio

from core import context
from core.context import RequestContext
from core.errors import ContextLengthExceeded, DeadlineExceeded, RateLimited, Unavailable, UnsupportedFeature
from core.principals import SYSTEM
from core.settings import LocalSettings, Settings, SettingsError
from providers import local_chat
from providers.local_chat import LlamaServer
from providers.local_weights import Weights, bundled_chat
from providers.models import Models

pytestmark = pytest.mark.asyncio(loop_scope="module")
LONG = "Write a long story about a dragon and a farmer."


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def models(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Models]:
    """One slot and one place in the queue; the child is shared by the tests of this file."""
    data_dir = tmp_path_factory.mktemp("local")
    made = Models(Settings.load(data_dir=data_dir, local={"slots": 1, "queue": 1, "context_tokens": 1024}))
    yield made
    await made.close()


SOURCE = """Quotes:
- Which port does the platform use?: The platform uses port 8000 unless `PORT` sets another one.
- Which port does the platform use?: `HOST` sets the address, 127.0.0.1 by default, which only this machine reaches.
- Which port does the platform use?: `PUBLIC_URL` is the address that people type, where a proxy stands in front."""
QUESTIONS = ("How can I change the port?", "How can I set the port of the platform?", "Which address is it?")


def server_of(models: Models) -> LlamaServer:
    server = models.chat().deployments[0].provider._server("bundled")  # type: ignore[attr-defined] # the child, to harm it
    assert isinstance(server, LlamaServer)
    return server


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - another process's doing
            await asyncio.sleep(0.01)


async def test_answers_a_question(models: Models) -> None:
    answer = await models.chat().ainvoke("What is the capital of Norway? Answer in one sentence.", max_tokens=30)
    assert "Oslo" in answer.text
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] > 0


async def test_streams_what_invoke_answers(models: Models) -> None:
    asked: Any = {"max_tokens": 16, "temperature": 0}
    whole = await models.chat().ainvoke("Name three colours.", **asked)
    pieces = [chunk.text async for chunk in models.chat().astream("Name three colours.", **asked)]
    assert "".join(pieces) == whole.text
    assert len([piece for piece in pieces if piece]) > 5


async def test_a_seed_gives_the_same_answer_whatever_was_asked_before(models: Models) -> None:
    asked: Any = {"max_tokens": 48, "temperature": 0, "seed": 0}
    prompts = [f"{SOURCE}\n\nQuestion: {question}\nAnswer in one short sentence." for question in QUESTIONS]
    answers = [[(await models.chat().ainvoke(prompt, **asked)).text for prompt in prompts] for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]


async def test_costs_nothing_and_says_who_answered(models: Models) -> None:
    with context.serving(RequestContext(request_id="r", principal=SYSTEM)) as request:
        await models.chat().ainvoke("Hi", max_tokens=4)
    assert (request.provider, request.model) == ("local", "SmolLM2-135M-Instruct")
    assert request.attempts >= 1  # a busy machine may cost a second one
    assert request.cost_usd == 0


async def test_stops_where_it_is_told(models: Models) -> None:
    answer = await models.chat().ainvoke("Count: 1, 2, 3, 4, 5, 6, 7, 8", max_tokens=40, stop=[","], temperature=0)
    assert "," not in answer.text


async def test_keeps_to_a_schema(models: Models) -> None:
    schema = {
        "title": "person",
        "description": "A person.",
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    model = models.chat().with_structured_output(schema)
    assert await model.ainvoke("Anna is 31 years old. Give name and age as JSON.") == {"name": "Anna", "age": 31}


async def test_a_prompt_beyond_the_context_is_refused_with_its_size(models: Models) -> None:
    with pytest.raises(ContextLengthExceeded, match="1024"):
        await models.chat().ainvoke("word " * 3000)


async def test_says_what_it_cannot(models: Models) -> None:
    tool = {
        "type": "function",
        "function": {"name": "f", "description": "", "parameters": {"type": "object", "properties": {}}},
    }
    with pytest.raises(UnsupportedFeature):
        await models.chat().ainvoke("Hi", tools=[tool])
    with pytest.raises(UnsupportedFeature):
        await models.completion().ainvoke({"prompt": "def f(", "suffix": "return 1"})


async def test_continues_a_text(models: Models) -> None:
    text = await models.completion().ainvoke({"prompt": "def add(a, b):\n    return", "max_tokens": 12, "temperature": 0})
    assert "a + b" in text


async def test_counts_as_the_model_does(models: Models) -> None:
    prompt = "def f(x1234):\n    return 'Grüße, 世界'  # 🌍  don't"
    answer = await models.chat().ainvoke([("system", "S"), ("human", prompt)], max_tokens=1)
    assert answer.usage_metadata is not None
    framed = f"<|im_start|>system\nS<|im_end|>\n<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
    specials = framed.count("<|im_start|>") + framed.count("<|im_end|>")
    plain = framed.replace("<|im_end|>", "\0").replace("<|im_start|>", "\0").split("\0")
    assert specials + sum(models.count_tokens(part) for part in plain if part) == answer.usage_metadata["input_tokens"]


async def test_refuses_more_than_its_queue_holds_and_tells_when_to_come_back(models: Models) -> None:
    model = models.chat()
    answers = await asyncio.gather(*(model.ainvoke("Hi", max_tokens=24) for _ in range(5)), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, RateLimited)]
    assert len(refused) == 3
    assert {error.code for error in refused} == {"queue_full"}
    assert all(error.retry_after_s and error.retry_after_s >= 1 for error in refused)


async def test_waiting_for_a_slot_counts_against_the_whole_time(models: Models) -> None:
    hurried = models.chat().model_copy(update={"route": replace(models.chat().route, total_s=0.2)})
    async with aclosing(models.chat().astream(LONG, max_tokens=400)) as busy:  # type: ignore[type-var] # a generator
        await anext(busy)
        with pytest.raises(DeadlineExceeded):
            await hurried.ainvoke("Hi")


async def test_a_caller_who_leaves_frees_the_slot(models: Models) -> None:
    for _ in range(3):
        async with aclosing(models.chat().astream(LONG, max_tokens=900)) as stream:  # type: ignore[type-var] # a generator
            async for chunk in stream:
                if chunk.text:
                    break
    assert server_of(models).slots.busy == 0
    assert (await models.chat().ainvoke("Hi", max_tokens=4)).text


async def test_nobody_else_on_the_machine_may_use_it(models: Models) -> None:
    endpoint = await server_of(models).endpoint()
    async with httpx.AsyncClient() as client:
        for path in ("/chat/completions", "/completions", "/models", "/../slots", "/../props"):
            response = await client.post(endpoint.base_url + path, json={"messages": [], "prompt": "x"})
            assert response.status_code in (401, 404), path


async def test_a_killed_child_is_replaced(models: Models) -> None:
    before = server_of(models).pid
    assert before is not None
    os.kill(before, signal.SIGKILL)
    assert (await models.chat().ainvoke("Hi", max_tokens=4)).text
    assert server_of(models).pid not in (None, before)


async def test_an_answer_whose_child_dies_starts_again(models: Models) -> None:
    await server_of(models).endpoint()
    task = asyncio.create_task(models.chat().ainvoke(LONG, max_tokens=20))
    while not server_of(models).slots.busy:  # noqa: ASYNC110 - the slots have no event to wait for
        await asyncio.sleep(0.002)
    pid = server_of(models).pid
    assert pid is not None
    psutil.Process(pid).kill()
    assert (await task).text


async def test_changed_weights_are_not_loaded(tmp_path: Path) -> None:
    bundled = bundled_chat()
    changed = tmp_path / "changed.gguf"
    changed.write_bytes(bundled.path.read_bytes()[:-1] + b"x")
    server = LlamaServer(Weights(bundled.name, changed, bundled.sha256), LocalSettings(), small=True)
    with pytest.raises(Unavailable, match="checksum"):
        await server.endpoint()
    assert server.state().state == "failed"
    await server.close()


@pytest.mark.parametrize("named", ["nowhere.gguf", "/etc/hostname.gguf", "gpt-4o", ""])
async def test_a_model_that_is_none_is_told_at_start(settings: Settings, named: str) -> None:
    with pytest.raises(SettingsError, match="GENAI_LOCAL__CHAT_MODEL"):
        Models(Settings.load(data_dir=settings.data_dir, local={"chat_model": named}))


async def test_a_file_that_is_no_gguf_is_told_at_start(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + b"\xff" * 64)
    with pytest.raises(SettingsError, match=r"model\.gguf"):
        Models(Settings.load(data_dir=settings.data_dir, local={"chat_model": str(path)}))


async def test_takes_any_gguf_file(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "own-model.gguf"
    path.symlink_to(bundled_chat().path)
    models = Models(Settings.load(data_dir=settings.data_dir, local={"chat_model": str(path), "context_tokens": 512}))
    try:
        assert (await models.chat().ainvoke("Hi", max_tokens=4)).response_metadata["model_name"] == "own-model"
        assert json.dumps(models.states()[0]["deployments"][0]["state"]) == '"ready"'
    finally:
        await models.close()


@pytest.mark.parametrize(
    "schema",
    [
        {"enum": ["a" * 10] * 20_000},
        {"type": "object", "properties": {f"p{number}": {"type": "string"} for number in range(1_000)}},
        {"type": "string", "maxLength": 10**9},
        {"type": "array", "items": {"type": "string"}, "minItems": 5_000},
        {"type": "string", "pattern": "^(a{99}){99}$"},
    ],
    ids=["enum", "properties", "length", "items", "pattern"],
)
@pytest.mark.parametrize("use", ["response_format", "tools"])
async def test_a_schema_that_would_keep_the_model_busy_is_refused(models: Models, schema: Any, use: str) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"x": schema}}}}
    asked: Any = {"response_format": form} if use == "response_format" else {"tools": [tool]}
    with pytest.raises(UnsupportedFeature) as refused:
        await models.chat().ainvoke("x", max_tokens=8, **asked)
    if use == "response_format":
        assert (refused.value.code, refused.value.param) == ("schema_too_large", "response_format")


async def test_a_model_that_does_not_come_back_from_what_was_left_is_ended_and_started_again(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    await models.chat().ainvoke("Hi", max_tokens=2)
    server = server_of(models)
    stopped = server.pid
    assert stopped is not None
    monkeypatch.setattr(local_chat, "STUCK_S", 0.5)
    monkeypatch.setattr(local_chat, "SILENT_S", 0.0)
    os.kill(stopped, signal.SIGSTOP)  # as one that works on a single token for minutes
    asking = asyncio.create_task(models.chat().ainvoke("Hi", max_tokens=2))
    await until(lambda: server.slots.busy == 1)
    asking.cancel()
    await until(lambda: server.state().state == "failed")
    await until(lambda: not psutil.pid_exists(stopped) or psutil.Process(stopped).status() == psutil.STATUS_ZOMBIE)
    assert (await models.chat().ainvoke("Hi", max_tokens=2)).text
    assert server.pid != stopped
    assert server.state().state == "ready"


async def test_a_caller_who_leaves_takes_the_model_from_nobody(models: Models) -> None:
    await models.chat().ainvoke("Hi", max_tokens=2)
    server = server_of(models)
    before = server.pid
    async with aclosing(models.chat().astream(LONG, max_tokens=200)) as stream:  # type: ignore[type-var] # a generator
        await anext(stream)
    await until(lambda: server._silent_since is None and not server._watching.locked())
    assert (await models.chat().ainvoke("Hi", max_tokens=2)).text
    assert server.pid == before
