"""Bedrock through the real boto3 against a loopback Bedrock: answers, streams, tools, images, embeddings, every error."""

import asyncio
import base64
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.exceptions import (
    ModelAPIError,
    ModelAuthenticationError,
)
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from core.errors import InvalidRequest, UnsupportedFeature
from core.settings import ProviderSettings, Settings, Timeouts
from providers.bedrock import BedrockProvider
from tests.fakes.bedrock import BedrockFake
from tests.fakes.wire import Fault, Reply
from tests.providers.contract import ProviderContract

CLAUDE = "anthropic.claude-3-5-haiku-20241022-v1:0"
TIMEOUTS = Timeouts(connect=2, first_token=5, between_tokens=5, total=5)


@pytest.fixture(scope="module")
def fake() -> Iterator[BedrockFake]:
    with BedrockFake() as running:
        yield running


@pytest.fixture(scope="module")
def provider(fake: BedrockFake) -> BedrockProvider:
    return make(base_url=fake.url, access_key_id="AKIDTEST", secret_access_key="secret")


@pytest.fixture
def model(provider: BedrockProvider, fake: BedrockFake) -> BaseChatModel:
    fake.clear()
    return provider.chat(CLAUDE, TIMEOUTS)


def make(**options: Any) -> BedrockProvider:
    settings = Settings(providers={"bedrock": ProviderSettings(region="eu-west-1", **options)})
    return BedrockProvider("bedrock", settings, settings.providers["bedrock"])


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return city


class Weather(BaseModel):
    """A reading."""

    city: str
    degrees: int


async def test_a_whole_answer_comes_with_its_usage(model: BaseChatModel, fake: BedrockFake) -> None:
    answer = await model.ainvoke(
        [SystemMessage("Be kind."), HumanMessage("Hi")], temperature=0.5, max_tokens=9, stop=["END"], seed=1
    )
    assert answer.content == Reply().text
    assert answer.usage_metadata is not None
    assert (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"]) == (12, 5)
    sent = fake.last.body
    assert sent["system"] == [{"text": "Be kind."}]
    assert sent["inferenceConfig"] == {"temperature": 0.5, "maxTokens": 9, "stopSequences": ["END"]}
    assert fake.last.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDTEST/")


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("required", {"any": {}}),
        ("auto", {"auto": {}}),
        ("weather", {"tool": {"name": "weather"}}),
        ({"type": "function", "function": {"name": "weather"}}, {"tool": {"name": "weather"}}),
    ],
)
async def test_a_tool_choice_in_openais_form_is_understood(
    choice: Any, sent: dict[str, Any], model: BaseChatModel, fake: BedrockFake
) -> None:
    tools = model.bind_tools([weather]).kwargs["tools"]  # type: ignore[attr-defined]
    await model.bind(tools=tools, tool_choice=choice).ainvoke("Hi")
    assert fake.last.body["toolConfig"]["toolChoice"] == sent


async def test_what_else_a_caller_may_set_reaches_the_model(
    model: BaseChatModel, provider: BedrockProvider, fake: BedrockFake
) -> None:
    assert provider.facts(CLAUDE).parameters == {"top_p"}
    await model.bind(top_p=0.5).ainvoke("Hi")
    assert fake.last.body["inferenceConfig"] == {"topP": 0.5}


async def test_a_response_format_becomes_bedrocks_own(model: BaseChatModel, fake: BedrockFake) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "w", "schema": Weather.model_json_schema()}}
    await model.ainvoke("Oslo?", response_format=schema)
    assert fake.last.body["outputConfig"]["textFormat"]["type"] == "json_schema"
    with pytest.raises(UnsupportedFeature):
        await model.ainvoke("Oslo?", response_format={"type": "json_object"})


async def test_an_image_is_sent_as_bytes_and_never_as_an_address(model: BaseChatModel, fake: BedrockFake) -> None:
    data = base64.b64encode(b"png").decode()
    for image in (
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
        {"type": "image", "base64": data, "mime_type": "image/png"},
    ):
        await model.ainvoke([HumanMessage([{"type": "text", "text": "What?"}, image])])
        assert fake.last.body["messages"][0]["content"][1] == {"image": {"format": "png", "source": {"bytes": data}}}
    before = len(fake.sent)
    with pytest.raises(UnsupportedFeature):  # another deployment may read it
        await model.ainvoke([HumanMessage([{"type": "image_url", "image_url": {"url": f"data:image/bmp;base64,{data}"}}])])
    with pytest.raises(InvalidRequest):
        await model.ainvoke([HumanMessage([{"type": "image_url", "image_url": {"url": "http://169.254.169.254/"}}])])
    assert len(fake.sent) == before


async def test_leaving_a_stalled_stream_frees_its_thread_at_once(fake: BedrockFake) -> None:
    fake.clear()
    fake.then(Fault.STALLED)
    provider = make(base_url=fake.url, access_key_id="AKIDTEST", secret_access_key="secret", connections=1)
    stream = provider.chat(CLAUDE, TIMEOUTS).astream("Hi")
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    async with asyncio.timeout(TIMEOUTS.first_token / 2):
        answer = await provider.chat(CLAUDE, TIMEOUTS).ainvoke("Hi")
    assert answer.content == Reply().text
    await provider.close()


@pytest.mark.parametrize("name", ["amazon.titan-embed-text-v2:0", "cohere.embed-english-v3"])
async def test_embeddings_of_documents_and_a_query(name: str, provider: BedrockProvider, fake: BedrockFake) -> None:
    embeddings = provider.embeddings(name, TIMEOUTS)
    assert [vector[0] for vector in await embeddings.aembed_documents(["a", "bbb"])] == [1.0, 3.0]
    assert (await embeddings.aembed_query("bb"))[0] == 2.0
    assert embeddings.embed_query("bb") == [2.0] * 8


async def test_a_probe_asks_for_nothing_and_tells_a_model_that_is_served(provider: BedrockProvider, fake: BedrockFake) -> None:
    fake.clear()
    await provider.probe(CLAUDE)
    assert fake.last.body.get("messages", []) == []
    for fault, kind in ((Fault.CREDENTIAL, ModelAuthenticationError), (Fault.SERVER, ModelAPIError)):
        fake.then(fault)
        with pytest.raises(kind):
            await provider.probe(CLAUDE)


async def test_a_role_is_assumed_with_the_keys(fake: BedrockFake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", fake.url)
    fake.clear()
    provider = make(base_url=fake.url, access_key_id="AKIDTEST", secret_access_key="s", role="arn:aws:iam::1:role/genai")
    await provider.chat(CLAUDE, TIMEOUTS).ainvoke("Hi")
    assert "Credential=AKIDTEST/" in fake.sent[0].headers["authorization"]
    assert "Credential=ASIAROLE/" in fake.last.headers["authorization"]
    assert fake.last.headers["x-amz-security-token"] == "role-token"
    await provider.close()


async def test_a_profile_and_awss_own_variables_work(fake: BedrockFake, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "config").write_text("[profile work]\naws_access_key_id = AKIDPROFILE\naws_secret_access_key = s\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDVARIABLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    for options, expected in (
        ({"profile": "work"}, "Credential=AKIDPROFILE/"),
        ({}, "Credential=AKIDVARIABLE/"),
    ):
        provider = make(base_url=fake.url, extra_headers={"x-team": "a"}, **options)
        await provider.chat(CLAUDE, TIMEOUTS).ainvoke("Hi")
        assert expected in fake.last.headers["authorization"]
        assert fake.last.headers["x-team"] == "a"
        await provider.close()


@pytest.mark.parametrize("options", [{"api_key": "bedrock-key"}, {}])
async def test_an_api_key_is_never_sent_without_tls(
    options: dict[str, str], fake: BedrockFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.clear()
    if not options:
        monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "bedrock-key")
    with pytest.raises(ModelAuthenticationError, match="Bearer authorization requires an HTTPS endpoint"):
        await make(base_url=fake.url, **options).chat(CLAUDE, TIMEOUTS).ainvoke("Hi")
    assert fake.sent == []


def test_a_provider_without_a_region_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(ModelAuthenticationError, match="region"):
        BedrockProvider("bedrock", Settings(), ProviderSettings()).chat(CLAUDE, TIMEOUTS)


class TestBedrock(ProviderContract):
    cloud = "bedrock"
