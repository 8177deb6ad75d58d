"""Azure OpenAI through the real SDK against a loopback Azure: key and Entra ID, answers, streams, tools, every error."""

import asyncio
import base64
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.exceptions import (
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
)
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from core.errors import ContentRefused, ContextLengthExceeded
from core.settings import ProviderSettings, Settings, Timeouts
from providers.azure import AzureProvider
from tests.fakes.azure import TOKEN, AzureFake
from tests.fakes.wire import RETRY_AFTER_S, Fault, Reply

DEPLOYMENT = "our-chat#gpt-4o"
TIMEOUTS = Timeouts(connect=2, first_token=5, between_tokens=5, total=5)


@pytest.fixture(scope="module")
def fake() -> Iterator[AzureFake]:
    with AzureFake() as running:
        yield running


@pytest.fixture(scope="module")
def shared(fake: AzureFake) -> AzureProvider:
    return make(base_url=fake.url, api_key="azure-key")


@pytest.fixture
async def provider(shared: AzureProvider, fake: AzureFake) -> Any:
    """One provider for all tests, since its clients are slow to make; the connections end with the test's loop."""
    fake.clear()
    yield shared
    await shared._connections().close()
    await shared._clients._transport.aclose()


@pytest.fixture
def model(provider: AzureProvider) -> BaseChatModel:
    return provider.chat(DEPLOYMENT, TIMEOUTS)


def make(**options: Any) -> AzureProvider:
    return AzureProvider("azure", Settings(), ProviderSettings(**options))


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return city


class Weather(BaseModel):
    """A reading."""

    city: str
    degrees: int


async def test_a_whole_answer_comes_with_its_usage(model: BaseChatModel, fake: AzureFake) -> None:
    prompt = [SystemMessage("Be kind."), HumanMessage("Hi")]
    answer = await model.ainvoke(prompt, temperature=0.5, max_tokens=9, stop=["END"], seed=1)
    assert answer.content == Reply().text
    assert answer.usage_metadata is not None
    assert (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"]) == (12, 5)
    sent = fake.last.body
    assert (sent["temperature"], sent["max_completion_tokens"], sent["stop"], sent["seed"]) == (0.5, 9, ["END"], 1)
    assert fake.last.headers["api-key"] == "azure-key"
    assert fake.last.path == "/openai/deployments/our-chat/chat/completions"
    assert fake.last.query["api-version"] == "2024-10-21"


async def test_a_stream_comes_in_pieces_and_ends_with_its_usage(model: BaseChatModel) -> None:
    chunks = [chunk async for chunk in model.astream("Hi")]
    assert [chunk.content for chunk in chunks if chunk.content] == Reply().pieces
    total = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    assert total.usage_metadata is not None
    assert (total.usage_metadata["input_tokens"], total.usage_metadata["output_tokens"]) == (12, 5)


def test_synchronous_calls_give_the_same(model: BaseChatModel) -> None:
    assert model.invoke("Hi").content == Reply().text
    assert "".join(str(chunk.content) for chunk in model.stream("Hi")) == Reply().text


def test_one_model_serves_several_event_loops(provider: AzureProvider, fake: AzureFake) -> None:
    model = provider.chat(DEPLOYMENT, TIMEOUTS)
    for _ in range(3):
        assert asyncio.run(model.ainvoke("Hi")).content == Reply().text


@pytest.mark.parametrize("streamed", [False, True])
async def test_tools_are_called(streamed: bool, model: BaseChatModel, fake: AzureFake) -> None:
    fake.then(Reply(text="", calls=[("weather", {"city": "Oslo"})]))
    bound = model.bind_tools([weather], tool_choice="required")
    answer: Any = None
    if streamed:
        async for chunk in bound.astream("Oslo?"):
            answer = chunk if answer is None else answer + chunk
    else:
        answer = await bound.ainvoke("Oslo?")
    assert [(call["name"], call["args"]) for call in answer.tool_calls] == [("weather", {"city": "Oslo"})]
    assert fake.last.body["tool_choice"] == "required"


async def test_a_tool_result_goes_back_to_the_model(model: BaseChatModel, fake: AzureFake) -> None:
    call = {"name": "weather", "args": {"city": "Oslo"}, "id": "t1"}
    messages = [HumanMessage("Oslo?"), AIMessage("", tool_calls=[call]), ToolMessage("3 degrees", tool_call_id="t1")]
    await model.bind_tools([weather]).ainvoke(messages)
    assert fake.last.body["messages"][-1] == {"role": "tool", "content": "3 degrees", "tool_call_id": "t1"}


async def test_structured_output_is_parsed(model: BaseChatModel, fake: AzureFake) -> None:
    fake.then(Reply(text='{"city": "Oslo", "degrees": 3}'))
    assert await model.with_structured_output(Weather).ainvoke("Oslo?") == Weather(city="Oslo", degrees=3)
    assert fake.last.body["response_format"]["type"] == "json_schema"


async def test_an_image_is_sent_inline(model: BaseChatModel, fake: AzureFake) -> None:
    data = base64.b64encode(b"png").decode()
    image = {"type": "image", "base64": data, "mime_type": "image/png"}
    await model.ainvoke([HumanMessage([{"type": "text", "text": "What?"}, image])])
    assert fake.last.body["messages"][0]["content"][1]["image_url"]["url"] == f"data:image/png;base64,{data}"


ERRORS = [
    (Fault.RATE, ModelRateLimitError, True),
    (Fault.RATE_BARE, ModelRateLimitError, True),
    (Fault.SERVER, ModelAPIError, True),
    (Fault.UNAVAILABLE, ModelAPIError, True),
    (Fault.CREDENTIAL, ModelAuthenticationError, False),
    (Fault.FORBIDDEN, ModelPermissionDeniedError, False),
    (Fault.MISSING, ModelNotFoundError, False),
    (Fault.INVALID, ModelInvalidRequestError, False),
    (Fault.RESET, ModelConnectionError, True),
    (Fault.TOO_LONG, ContextLengthExceeded, None),
    (Fault.REFUSED, ContentRefused, None),
    (Fault.BLOCKED, ContentRefused, None),
]


async def call(model: BaseChatModel, way: str) -> None:
    if way == "astream":
        _ = [chunk async for chunk in model.astream("Hi")]
    elif way == "ainvoke":
        await model.ainvoke("Hi")
    else:
        _ = list(model.stream("Hi")) if way == "stream" else model.invoke("Hi")


@pytest.mark.parametrize("way", ["ainvoke", "astream", "invoke", "stream"])
@pytest.mark.parametrize(("fault", "kind", "retryable"), ERRORS)
async def test_a_fault_becomes_the_neutral_error_after_one_attempt(
    fault: Fault, kind: type[Exception], retryable: bool | None, way: str, model: BaseChatModel, fake: AzureFake
) -> None:
    fake.then(fault)
    with pytest.raises(kind) as caught:
        await call(model, way)
    assert len(fake.sent) == 1
    assert getattr(caught.value, "is_retryable", None) is retryable
    if fault in (Fault.RATE, Fault.RATE_BARE):
        assert caught.value.retry_after_s == (RETRY_AFTER_S if fault is Fault.RATE else None)  # type: ignore[attr-defined]


async def test_the_filters_category_reaches_the_caller(model: BaseChatModel, fake: AzureFake) -> None:
    for fault in (Fault.REFUSED, Fault.BLOCKED):
        fake.then(fault)
        with pytest.raises(ContentRefused, match="policy: violence"):
            await model.ainvoke("Hi")


@pytest.mark.parametrize("way", ["astream", "stream"])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.CUT, ModelConnectionError),
        (Fault.UNTERMINATED, ModelConnectionError),
        (Fault.MALFORMED, ModelConnectionError),
        (Fault.LATE_ERROR, ModelAPIError),
    ],
)
async def test_a_broken_stream_never_ends_as_success(
    fault: Fault, kind: type[Exception], way: str, model: BaseChatModel, fake: AzureFake
) -> None:
    fake.then(fault)
    with pytest.raises(kind) as caught:
        await call(model, way)
    assert caught.value.is_retryable  # type: ignore[attr-defined]


@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.STALLED])
async def test_a_silent_provider_is_left_at_its_limit(fault: Fault, provider: AzureProvider, fake: AzureFake) -> None:
    fake.then(fault)
    model = provider.chat(DEPLOYMENT, Timeouts(connect=1, first_token=0.3, between_tokens=0.3, total=0.3))
    with pytest.raises(ModelTimeoutError):
        await call(model, "astream")


async def test_embeddings_of_documents_and_a_query(provider: AzureProvider, fake: AzureFake) -> None:
    embeddings = provider.embeddings("our-embeddings#text-embedding-3-small", TIMEOUTS)
    assert [vector[0] for vector in await embeddings.aembed_documents(["a", "bbb"])] == [1.0, 3.0]
    assert await embeddings.aembed_query("bb") == [2.0] * 8
    assert embeddings.embed_query("bb") == [2.0] * 8
    assert fake.last.path == "/openai/deployments/our-embeddings/embeddings"


@pytest.mark.parametrize(
    ("fault", "kind", "retryable"), [case for case in ERRORS if case[0] in (Fault.RATE, Fault.SERVER, Fault.RESET)]
)
async def test_embeddings_raise_the_same_errors(
    fault: Fault, kind: type[Exception], retryable: bool, provider: AzureProvider, fake: AzureFake
) -> None:
    fake.then(fault)
    with pytest.raises(kind):
        await provider.embeddings("our-embeddings", TIMEOUTS).aembed_query("Hi")
    assert len(fake.sent) == 1


async def test_a_probe_asks_for_nothing_and_tells_what_is_wrong(provider: AzureProvider, fake: AzureFake) -> None:
    await provider.probe(DEPLOYMENT)
    assert fake.last.body["messages"] == []
    for fault, kind in ((Fault.MISSING, ModelNotFoundError), (Fault.CREDENTIAL, ModelAuthenticationError)):
        fake.then(fault)
        with pytest.raises(kind):
            await provider.probe(DEPLOYMENT)


async def test_entra_id_gives_the_token_where_no_key_is_set(fake: AzureFake, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.clear()
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{fake.url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "secret")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", fake.url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another-cloud")
    monkeypatch.setenv("OPENAI_API_VERSION", "2025-04-01-preview")
    provider = make(extra_headers={"x-team": "a"})
    for _ in range(2):
        await provider.chat(DEPLOYMENT, TIMEOUTS).ainvoke("Hi")
    assert fake.last.headers["authorization"] == f"Bearer {TOKEN}"
    assert "api-key" not in fake.last.headers
    assert fake.last.headers["x-team"] == "a"
    assert fake.last.query["api-version"] == "2025-04-01-preview"
    assert [sent.path for sent in fake.sent].count("/msi/token") == 1
    await provider.close()


async def test_the_usual_variables_work_and_settings_win(fake: AzureFake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", fake.url)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "usual")
    for options, expected in (({}, "usual"), ({"api_key": "ours"}, "ours")):
        provider = make(**options)
        await provider.chat(DEPLOYMENT, TIMEOUTS).ainvoke("Hi")
        assert fake.last.headers["api-key"] == expected
        await provider.close()


def test_a_provider_without_an_address_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_OPENAI_ENDPOINT", raising=False)
    with pytest.raises(ModelAuthenticationError, match="has no address"):
        make(api_key="k").chat(DEPLOYMENT, TIMEOUTS)
