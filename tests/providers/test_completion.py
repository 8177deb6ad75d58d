"""Raw texts over servers that continue none, or not as OpenAI does."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiohttp import web

from core.alerts import AlertKind, alerts
from core.context import RequestContext
from core.errors import PlatformError
from core.settings import Settings
from providers.completion import INSTRUCTION
from providers.models import Models
from tests.fakes.openai import OpenAIFake
from tests.fakes.scenarios import ANSWER
from tests.fakes.wire import Break, Fault, Raw, Reply, Sent, Step

WHOLE = Reply().text
REFUSALS = {
    "no-path": Raw(b"404 page not found", 404, "text/plain"),
    "no-method": Raw(b"", 405, "text/plain"),
    "not-implemented": Raw(b'{"error": "not implemented"}', 501),
    "a-chat-model": Raw(
        b'{"error": {"message": "This is a chat model and not supported in the v1/completions endpoint.", "code": null}}', 404
    ),
    "no-completion-model": Raw(b'{"error": {"message": "m is not a completion model.", "code": "invalid"}}', 400),
}


class ChatsAlone(OpenAIFake):
    """Answers chats as ever, and raw texts with `refusal`; None: it continues them."""

    refusal: Raw | None = None

    def _prefilled(self, step: Any, body: Any) -> Any:
        if isinstance(body, dict) and "prompt" in body and self.refusal is not None:
            self._script.appendleft(step)
            return self.refusal
        return super()._prefilled(step, body)

    async def respond(self, request: web.Request, sent: Sent, step: Step) -> web.StreamResponse:
        if isinstance(step, Raw):
            return web.Response(status=step.status, body=step.body, content_type=step.content_type)
        return await super().respond(request, sent, step)

    @property
    def paths(self) -> list[str]:
        return [sent.path.removeprefix("/v1/") for sent in self.sent]


@pytest.fixture(scope="module")
def fakes() -> Iterator[tuple[ChatsAlone, ChatsAlone]]:
    with ChatsAlone() as first, ChatsAlone() as second:
        yield first, second


@pytest.fixture
def first(fakes: tuple[ChatsAlone, ChatsAlone]) -> ChatsAlone:
    for fake in fakes:
        fake.clear()
        fake.refusal, fake.continues = None, False
    return fakes[0]


@pytest.fixture
def second(fakes: tuple[ChatsAlone, ChatsAlone], first: ChatsAlone) -> ChatsAlone:
    return fakes[1]


@pytest.fixture(params=["direct", "sdk"])
async def models(
    request: pytest.FixtureRequest, settings: Settings, fakes: tuple[ChatsAlone, ChatsAlone], first: ChatsAlone
) -> AsyncIterator[Models]:
    alerts()._seen.clear()
    deployments: list[dict[str, Any]] = [{"provider": f"openai_compatible:{name}", "model": "m"} for name in ("a", "b")]
    addresses = zip(("a", "b"), fakes, strict=True)
    made = Models(
        Settings.load(
            data_dir=settings.data_dir,
            models=[
                {"alias": "default", "deployments": deployments[:1]},
                {"alias": "two", "deployments": [deployments[0], deployments[1] | {"prefill": True}]},
            ],
            providers={
                f"openai_compatible:{name}": {"base_url": fake.base_url, "transport": request.param} for name, fake in addresses
            },
            retries={"pause_s": 0.01},
        )
    )
    await made.warm(local=False)
    yield made
    await made.close()


async def continued(models: Models, alias: str = "default") -> tuple[str, str | None]:
    pieces: list[str] = []
    try:
        async for piece in models.completion(alias).astream({"prompt": "Once"}):
            pieces.append(piece)  # noqa: PERF401 - what came before an error is kept
    except PlatformError as error:
        return "".join(pieces), error.code
    return "".join(pieces), None


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS.keys())
async def test_a_server_without_the_endpoint_is_asked_in_a_chat_and_counts_as_well(
    models: Models, first: ChatsAlone, request_context: RequestContext, refusal: Raw
) -> None:
    first.refusal = refusal
    for _ in range(6):
        assert await continued(models) == (WHOLE, None)
    assert first.paths == ["completions", *["chat/completions"] * 6], "it is not asked again"
    assert first.last.body["messages"][0]["content"] == INSTRUCTION
    standing = models.health()[0]["deployments"][0]
    assert (standing["breaker"], standing["failures"]) == ("closed", 0)
    assert request_context.attempts == 6
    assert AlertKind.MODEL_MISSING not in {key[0] for key in alerts()._seen}


async def test_a_model_that_is_missing_is_so_by_its_chat_too(models: Models, first: ChatsAlone) -> None:
    first.refusal = REFUSALS["no-path"]
    first.always(Fault.MISSING)
    assert await continued(models) == ("", "provider_failed")
    first.refusal = None
    first.always(Reply())
    assert await continued(models) == (WHOLE, None)
    assert first.last.path == "/v1/completions", "what was not there is asked again"


def events(*choices: dict[str, Any]) -> Raw:
    made = [{"id": "c", "object": "x", "created": 1, "model": "m", "choices": [{"index": 0, **each}]} for each in choices]
    usage = {"id": "c", "choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}}
    lines = [f"data: {json.dumps(event)}\n\n" for event in [*made, usage]] + ["data: [DONE]\n\n"]
    return Raw("".join(lines).encode(), content_type="text/event-stream")


@pytest.mark.parametrize(
    ("told", "text", "code"),
    [
        (
            [{"delta": {"role": "assistant"}}, {"delta": {"content": "a b"}}, {"delta": {}, "finish_reason": "stop"}],
            "a b",
            None,
        ),
        ([{"text": "a b"}, {"finish_reason": "stop"}], "a b", None),
        ([{"text": "a b"}, {"text": None, "finish_reason": "stop"}], "a b", None),
        ([{"finish_reason": "stop"}], "", "provider_failed"),
        ([{"token": "a"}, {"token": "b", "finish_reason": "stop"}], "", "provider_failed"),
        ([{"text": 5}, {"text": "", "finish_reason": "stop"}], "", "provider_failed"),
        ([{"delta": {"content": ["a"]}}, {"delta": {}, "finish_reason": "stop"}], "", "provider_failed"),
    ],
)
async def test_events_of_another_form_are_read_or_no_success(
    models: Models, first: ChatsAlone, told: list[dict[str, Any]], text: str, code: str | None
) -> None:
    first.always(events(*told))
    assert await continued(models) == (text, code)


@pytest.mark.parametrize("goes_on", [True, False])
async def test_a_cut_text_is_taken_up_in_a_chat_by_a_model_that_was_asked_whether_it_goes_on(
    models: Models, first: ChatsAlone, second: ChatsAlone, goes_on: bool
) -> None:
    second.refusal, second.continues = REFUSALS["no-path"], goes_on
    for _ in range(2):
        first.then(Break(Fault.CUT, 3, ANSWER))
        second.always(ANSWER if goes_on else Reply(text="Something else, which has nothing of what was said."))
        text, code = await continued(models, "two")
        if goes_on:
            assert (text, code) == (ANSWER.text, None)
        else:
            assert (ANSWER.text.startswith(text), bool(text), code) == (True, True, "stream_interrupted")
    assert len(second.sent) - len(second.asked) == 1, "the question in the chat"


async def test_a_cut_text_is_taken_up_by_one_that_is_found_to_continue_texts(
    models: Models, first: ChatsAlone, second: ChatsAlone
) -> None:
    for _ in range(2):
        first.then(Break(Fault.CUT, 3, Reply(text="one two three four five")))
        second.then(*[Reply(text=" and the rest")] * (2 if not second.sent else 1))
        text, code = await continued(models, "two")
        assert (text, code) == ("one two three and the rest", None)
    assert second.paths == ["completions"] * 3, "the first time it is asked whether it does"
