"""Azure OpenAI through the real SDK against a loopback Azure: key and Entra ID, answers, streams, tools, every error."""

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from langchain_core.exceptions import (
    ModelAuthenticationError,
    ModelNotFoundError,
)
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from core.errors import ContentRefused
from core.settings import ProviderSettings, Settings, Timeouts
from providers.azure import AzureProvider
from tests.fakes.azure import TOKEN, AzureFake
from tests.fakes.wire import Fault, Reply
from tests.providers.contract import ProviderContract

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


async def test_the_filters_category_reaches_the_caller(model: BaseChatModel, fake: AzureFake) -> None:
    for fault in (Fault.REFUSED, Fault.BLOCKED):
        fake.then(fault)
        with pytest.raises(ContentRefused, match="policy: violence"):
            await model.ainvoke("Hi")


async def test_embeddings_of_documents_and_a_query(provider: AzureProvider, fake: AzureFake) -> None:
    embeddings = provider.embeddings("our-embeddings#text-embedding-3-small", TIMEOUTS)
    assert [vector[0] for vector in await embeddings.aembed_documents(["a", "bbb"])] == [1.0, 3.0]
    assert await embeddings.aembed_query("bb") == [2.0] * 8
    assert embeddings.embed_query("bb") == [2.0] * 8
    assert fake.last.path == "/openai/deployments/our-embeddings/embeddings"


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


class TestAzure(ProviderContract):
    cloud = "azure"
    structured_by_tool = False


class TestAzureOverTheSDK(ProviderContract):
    cloud = "azure"
    settings: ClassVar[dict[str, Any]] = {"transport": "sdk"}
    structured_by_tool = False
