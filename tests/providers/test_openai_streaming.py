"""Servers that do not take what the platform adds to a request, or answer a request for a stream with JSON."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiohttp import web

from core.errors import ContextLengthExceeded, InvalidRequest
from core.settings import Settings
from providers import openai_streaming
from providers.models import Models
from tests.fakes.openai import OpenAIFake
from tests.fakes.wire import Raw, Reply, Sent, Step

UNVERIFIED = (
    "Your organization must be verified to stream this model. If you just verified, it can take up to 15 minutes.",
    "stream",
)
UNKNOWN = ("Unrecognized request argument supplied: stream_options", None)
WHOLE = Reply().text
CALL = Reply("", calls=[("weather", {"city": "Oslo"})])
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


class Picky(OpenAIFake):
    """Refuses requests with the fields in `refuses`."""

    refuses: dict[str, tuple[str, str | None]]

    async def respond(self, request: web.Request, sent: Sent, step: Step) -> web.StreamResponse:
        for field, (message, param) in self.refuses.items():
            if sent.method == "POST" and (sent.body.get(field) or field == "always"):
                error = {"message": message, "type": "invalid_request_error", "param": param, "code": "unsupported_value"}
                return web.json_response({"error": error}, status=400)
        return await super().respond(request, sent, step)


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Picky, OpenAIFake]]:
    with Picky() as picky, OpenAIFake() as other:
        yield picky, other


@pytest.fixture
def picky(running: tuple[Picky, OpenAIFake]) -> Picky:
    running[0].clear()
    running[0].refuses = {}
    return running[0]


@pytest.fixture
def other(running: tuple[Picky, OpenAIFake]) -> OpenAIFake:
    running[1].clear()
    return running[1]


def configured(settings: Settings, picky: Picky, other: OpenAIFake, **more: Any) -> Models:
    here, there = ({"provider": f"openai_compatible:{name}", "model": "m"} for name in ("picky", "other"))
    return Models(
        Settings.load(
            data_dir=settings.data_dir,
            models=[{"alias": "default", "deployments": [here]}, {"alias": "both", "deployments": [here, there]}],
            providers={
                "openai_compatible:picky": {"base_url": picky.base_url, **more},
                "openai_compatible:other": {"base_url": other.base_url},
            },
            timeouts={"first_token": 5, "total": 8},
        )
    )


@pytest.fixture(params=["direct", "sdk"])
async def models(request: pytest.FixtureRequest, settings: Settings, picky: Picky, other: OpenAIFake) -> AsyncIterator[Models]:
    made = configured(settings, picky, other, transport=request.param)
    await made.warm(local=False)
    yield made
    await made.close()


async def ask(model: Any, way: str, **parameters: Any) -> Any:
    if way == "invoke":  # as a stream that is gathered, however fast the server is
        model.deployments[0].standing.token_s.value = None
        return await model.ainvoke("Hi", **parameters)
    chunks = [chunk async for chunk in model.astream("Hi", **parameters)]
    return sum(chunks[1:], chunks[0])


def fields(fake: OpenAIFake) -> list[tuple[bool, bool]]:
    return [(bool(sent.body.get("stream")), "stream_options" in sent.body) for sent in fake.asked]


@pytest.mark.parametrize("way", ["invoke", "stream"])
async def test_what_may_not_be_streamed_is_asked_for_whole_from_then_on(models: Models, picky: Picky, way: str) -> None:
    picky.refuses = {"stream": UNVERIFIED}
    for expected in ([(True, True), (False, False)], [(False, False)]):
        picky.sent.clear()
        answer = await ask(models.chat(), way)
        assert (answer.text, answer.response_metadata["finish_reason"]) == (WHOLE, "stop")
        assert answer.usage_metadata["output_tokens"] == 5
        assert fields(picky) == expected


@pytest.mark.parametrize("way", ["invoke", "stream"])
async def test_a_server_without_stream_options_streams_without_them_from_then_on(
    models: Models, picky: Picky, way: str
) -> None:
    picky.refuses = {"stream_options": UNKNOWN}
    for expected in ([(True, True), (True, False)], [(True, False)]):
        picky.sent.clear()
        assert (await ask(models.chat(), way)).text == WHOLE
        assert fields(picky) == expected


async def test_a_server_that_takes_neither_is_asked_for_the_whole(models: Models, picky: Picky) -> None:
    picky.refuses = {"stream_options": UNKNOWN, "stream": UNVERIFIED}
    picky.always(CALL)
    answer = await ask(models.chat(), "stream", tools=TOOLS)
    assert [(call["name"], call["args"]) for call in answer.tool_calls] == [("weather", {"city": "Oslo"})]
    assert len(picky.asked) == 3


async def test_a_refusal_is_believed_for_an_hour(models: Models, picky: Picky, monkeypatch: pytest.MonkeyPatch) -> None:
    picky.refuses = {"stream": UNVERIFIED}
    monkeypatch.setattr(openai_streaming, "BELIEVED_S", 0.0)
    await ask(models.chat(), "stream")
    picky.refuses = {}
    picky.sent.clear()
    await ask(models.chat(), "stream")
    assert fields(picky) == [(True, True)]


@pytest.mark.parametrize("way", ["invoke", "stream"])
async def test_what_is_refused_however_it_is_sent_goes_to_the_next(
    models: Models, picky: Picky, other: OpenAIFake, way: str
) -> None:
    picky.refuses = {"always": UNVERIFIED}
    other.always(Reply("Here."))
    assert (await ask(models.chat("both"), way)).text == "Here."
    with pytest.raises(InvalidRequest):
        await ask(models.chat(), way)


async def test_what_is_refused_for_its_tools_says_nothing_of_other_requests(models: Models, picky: Picky) -> None:
    picky.refuses = {"stream": ("Tools cannot be streamed.", None)}
    assert (await ask(models.chat(), "stream", tools=TOOLS)).text == WHOLE
    picky.refuses = {}
    picky.sent.clear()
    await ask(models.chat(), "stream")
    assert fields(picky) == [(True, True)]


async def test_a_request_that_is_bad_in_itself_is_told_at_once(models: Models, picky: Picky) -> None:
    picky.refuses = {"stream": ("Invalid value: 'streams of words'.", "messages")}
    with pytest.raises(InvalidRequest):
        await ask(models.chat("both"), "stream")
    assert len(picky.asked) == 1


@pytest.mark.parametrize("transport", ["direct", "sdk"])
@pytest.mark.parametrize("way", ["invoke", "stream"])
async def test_an_operator_leaves_stream_options_out(
    settings: Settings, picky: Picky, other: OpenAIFake, transport: str, way: str
) -> None:
    picky.refuses = {"stream_options": UNKNOWN}
    models = configured(settings, picky, other, transport=transport, stream_options=False)
    await models.warm(local=False)
    assert (await ask(models.chat(), way)).text == WHOLE
    assert fields(picky) == [(True, False)]
    await models.close()


# --- JSON for a stream ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["invoke", "stream"])
@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream"])
async def test_a_whole_answer_to_a_request_for_a_stream_is_the_answer(
    models: Models, picky: Picky, way: str, content_type: str
) -> None:
    for reply in (Reply(), CALL):
        picky.then(Raw(json.dumps(picky.answered(reply, {})).encode(), content_type=content_type))
        answer = await ask(models.chat(), way)
        assert answer.text == reply.text
        assert [(call["name"], call["args"]) for call in answer.tool_calls] == list(reply.calls)
        assert answer.usage_metadata["input_tokens"] == 12
    assert len(picky.asked) == 2


@pytest.mark.parametrize("way", ["invoke", "stream"])
async def test_an_error_with_the_status_of_a_success_keeps_its_meaning(models: Models, picky: Picky, way: str) -> None:
    error = {"message": "This model's maximum context length is 100 tokens.", "code": "context_length_exceeded"}
    picky.then(Raw(json.dumps({"error": error}).encode()))
    with pytest.raises(ContextLengthExceeded):
        await ask(models.chat(), way)
    assert len(picky.asked) == 1


async def test_an_error_with_the_status_of_a_success_keeps_its_meaning_at_once(models: Models, picky: Picky) -> None:
    model: Any = models.chat()
    model.deployments[0].standing.token_s.value = 1e-9
    picky.then(Raw(b'{"error": {"message": "too long", "code": "context_length_exceeded"}}'))
    with pytest.raises(ContextLengthExceeded):
        await model.ainvoke("Hi")
    assert fields(picky) == [(False, False)]


@pytest.mark.parametrize("way", ["invoke", "stream"])
async def test_json_that_is_no_answer_is_the_providers_failure(
    models: Models, picky: Picky, other: OpenAIFake, way: str
) -> None:
    picky.always(Raw(b'{"detail": "busy"}'))
    other.always(Reply("Here."))
    assert (await ask(models.chat("both"), way)).text == "Here."
