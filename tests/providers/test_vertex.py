"""Vertex AI through Google's and Anthropic's real SDKs against a loopback Vertex AI over REST: Gemini, Claude, embeddings."""

import base64
import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from langchain_core.exceptions import (
    ModelAuthenticationError,
    ModelNotFoundError,
)
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from PIL import Image
from pydantic import BaseModel

from core.errors import ContentRefused, InvalidRequest, UnsupportedFeature
from core.settings import ProviderSettings, Settings, Timeouts
from providers.collecting import finish_reason
from providers.vertex import VertexProvider
from tests.fakes.vertex import TOKEN, VertexFake
from tests.fakes.wire import Fault, Reply
from tests.providers.contract import ProviderContract, ask

GEMINI, CLAUDE = "gemini-2.5-flash", "claude-sonnet-4-5@20250929"
TIMEOUTS = Timeouts(connect=2, first_token=5, between_tokens=5, total=5)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def fake() -> Iterator[VertexFake]:
    with VertexFake() as running:
        yield running


@pytest.fixture(scope="module")
def shared(fake: VertexFake) -> VertexProvider:
    return make(base_url=fake.url, api_key="token-1", project="p1")


@pytest.fixture
async def provider(shared: VertexProvider, fake: VertexFake) -> Any:
    """One provider for all tests, since its clients are slow to make; the connections end with the test's loop."""
    fake.clear()
    yield shared
    await shared._connections().close()
    await shared._clients._transport.aclose()


@pytest.fixture(params=[GEMINI, CLAUDE])
def model(request: pytest.FixtureRequest, provider: VertexProvider) -> BaseChatModel:
    return provider.chat(request.param, TIMEOUTS)


@pytest.fixture
def gemini(provider: VertexProvider) -> BaseChatModel:
    return provider.chat(GEMINI, TIMEOUTS)


@pytest.fixture
def claude(provider: VertexProvider) -> BaseChatModel:
    return provider.chat(CLAUDE, TIMEOUTS)


def make(**options: Any) -> VertexProvider:
    settings = Settings(providers={"vertex": ProviderSettings(region="europe-west4", **options)})
    return VertexProvider("vertex", settings, settings.providers["vertex"])


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return city


def png() -> str:
    """A real image: the SDK looks into it."""
    data = BytesIO()
    Image.new("RGB", (1, 1)).save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


class Weather(BaseModel):
    """A reading."""

    city: str
    degrees: int


SCHEMA = {"type": "json_schema", "json_schema": {"name": "w", "schema": Weather.model_json_schema()}}


async def test_a_whole_answer_comes_with_its_usage(model: BaseChatModel, fake: VertexFake) -> None:
    answer = await model.ainvoke(
        [SystemMessage("Be kind."), HumanMessage("Hi")], temperature=0.5, max_tokens=9, stop=["END"], seed=1
    )
    assert answer.content == Reply().text
    assert answer.usage_metadata is not None
    assert (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"]) == (12, 5)
    assert fake.last.headers["authorization"] == "Bearer token-1"
    assert "/projects/p1/locations/europe-west4/publishers/" in fake.last.path


async def test_gemini_gets_the_callers_parameters(gemini: BaseChatModel, fake: VertexFake) -> None:
    await gemini.ainvoke([SystemMessage("Be kind."), HumanMessage("Hi")], temperature=0.5, max_tokens=9, stop=["END"], seed=1)
    config = fake.last.body["generationConfig"]
    assert config["temperature"] == 0.5
    assert (config["maxOutputTokens"], config["stopSequences"], config["seed"]) == (9, ["END"], 1)
    assert fake.last.body["systemInstruction"]["parts"] == [{"text": "Be kind."}]


async def test_claude_gets_the_callers_parameters(claude: BaseChatModel, fake: VertexFake) -> None:
    await claude.ainvoke([SystemMessage("Be kind."), HumanMessage("Hi")], temperature=0.5, max_tokens=9, stop=["END"], seed=1)
    body = fake.last.body
    assert (body["temperature"], body["max_tokens"], body["stop_sequences"]) == (0.5, 9, ["END"])
    assert "seed" not in body


async def test_a_chunk_may_be_long(gemini: BaseChatModel, fake: VertexFake) -> None:
    fake.then(Reply(text="x" * 400_000))
    assert "".join([str(chunk.content) async for chunk in gemini.astream("Hi")]) == "x" * 400_000


async def test_only_the_last_chunk_has_a_reason_for_the_end(gemini: BaseChatModel, fake: VertexFake) -> None:
    reasons = [finish_reason(chunk) async for chunk in gemini._astream([HumanMessage("Hi")])]  # type: ignore[attr-defined]
    assert reasons == [None] * (len(reasons) - 1) + ["STOP"]
    reasons = [finish_reason(chunk) for chunk in gemini._stream([HumanMessage("Hi")])]
    assert reasons == [None] * (len(reasons) - 1) + ["STOP"]


async def test_a_reason_for_the_end_that_the_sdk_does_not_know_is_one(gemini: BaseChatModel, fake: VertexFake) -> None:
    fake.then(Reply(finish="OF_NEXT_YEAR"), Reply(finish="IMAGE_SAFETY"))
    assert (await ask(gemini, "astream")).text == Reply().text
    with pytest.raises(ContentRefused):
        await ask(gemini, "astream")


def comparable(message: BaseMessage) -> dict[str, Any]:
    return {name: value for name, value in message.model_dump().items() if name != "id"}


@pytest.mark.parametrize(
    "reply",
    [Reply(), Reply(text="", calls=[("weather", {"city": "Oslo"})]), Reply(text="Grüße 🌍 {}\n"), Reply(finish="MAX_TOKENS")],
)
async def test_our_way_over_the_wire_gives_what_the_sdks_own_gives(
    reply: Reply, gemini: BaseChatModel, fake: VertexFake
) -> None:
    bound = gemini.bind_tools([weather])
    image = {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64," + png()},
    }
    prompt = [SystemMessage("Be kind."), HumanMessage([{"type": "text", "text": "What?"}, image])]
    fake.then(reply, reply, reply, reply)
    ours, theirs = await bound.ainvoke(prompt, temperature=0.3), bound.invoke(prompt, temperature=0.3)
    sent = [request.body for request in fake.sent]
    streams = [
        [comparable(chunk) async for chunk in bound.astream(prompt)],
        [comparable(chunk) for chunk in bound.stream(prompt)],
    ]
    for message in (ours, theirs, *streams[0], *streams[1]):
        for call in (message if isinstance(message, dict) else message.__dict__).get("tool_calls") or ():
            call["id"] = None  # Gemini names no call; LangChain makes a name up
    drop = {"additional_kwargs", "tool_call_chunks"} if reply.calls else set()
    for left, right in [(comparable(ours), comparable(theirs)), *zip(*streams, strict=True)]:
        assert {k: v for k, v in left.items() if k not in drop} == {k: v for k, v in right.items() if k not in drop}
    assert normal(sent[0]) == normal(sent[1])


def normal(body: Any) -> Any:
    """A request without what REST may leave out or write in two ways."""
    if isinstance(body, dict):
        return {name: normal(value) for name, value in body.items() if name not in ("model", "type")}
    return [normal(value) for value in body] if isinstance(body, list) else body


@pytest.mark.parametrize(
    ("choice", "mode", "claudes"),
    [
        ("required", "ANY", {"type": "any"}),
        ("auto", "AUTO", {"type": "auto"}),
        ("none", "NONE", {"type": "none"}),
        ({"type": "function", "function": {"name": "weather"}}, "ANY", {"type": "tool", "name": "weather"}),
    ],
)
async def test_tools_and_a_choice_in_openais_form_are_understood(
    choice: Any, mode: str, claudes: dict[str, str], gemini: BaseChatModel, claude: BaseChatModel, fake: VertexFake
) -> None:
    function = {
        "name": "weather",
        "description": "It.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    }
    options = {"tools": [{"type": "function", "function": function}], "tool_choice": choice}
    await gemini.bind(**options).ainvoke("Hi")
    assert fake.last.body["toolConfig"]["functionCallingConfig"]["mode"] == mode
    assert fake.last.body["tools"][0]["functionDeclarations"][0]["name"] == "weather"
    await claude.bind(**options).ainvoke("Hi")
    assert fake.last.body["tool_choice"] == claudes
    assert fake.last.body["tools"][0]["name"] == "weather"


@pytest.mark.parametrize("choice", [None, "required", {"type": "function", "function": {"name": "now"}}])
async def test_a_tool_needs_no_description(choice: Any, model: BaseChatModel, fake: VertexFake) -> None:
    function = {"name": "now", "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}}}
    options = {"tools": [{"type": "function", "function": function}]} | ({"tool_choice": choice} if choice else {})
    await model.bind(**options).ainvoke("Hi")
    assert [chunk async for chunk in model.bind(**options).astream("Hi")]
    assert all("now" in json.dumps(sent.body["tools"]) for sent in fake.sent)
    assert len(fake.sent) == 2


async def test_what_else_a_caller_may_set_reaches_the_model(
    gemini: BaseChatModel, claude: BaseChatModel, provider: VertexProvider, fake: VertexFake
) -> None:
    asked = {"top_p": 0.5, "presence_penalty": 0.2, "frequency_penalty": 0.3}
    assert provider.facts(GEMINI).parameters == asked.keys()
    await gemini.bind(**asked).ainvoke("Hi")
    sent = fake.last.body["generationConfig"]
    assert (sent["topP"], sent["presencePenalty"], sent["frequencyPenalty"]) == (0.5, 0.2, 0.3)
    assert provider.facts(CLAUDE).parameters == {"top_p"}
    await claude.bind(top_p=0.5).ainvoke("Hi")
    assert fake.last.body["top_p"] == 0.5
    await claude.bind(top_p=0.5, temperature=1.5).ainvoke("Hi")  # of both it takes one, and that up to 1
    assert (fake.last.body["temperature"], "top_p" in fake.last.body) == (1, False)


async def test_a_tools_result_in_several_texts_is_one(gemini: BaseChatModel, fake: VertexFake) -> None:
    call = AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": "1"}])
    parts: list[Any] = [{"type": "text", "text": "twenty "}, {"type": "text", "text": "degrees"}]
    await gemini.ainvoke([HumanMessage("Hi"), call, ToolMessage(parts, tool_call_id="1")])
    assert "twenty degrees" in json.dumps(fake.last.body["contents"][-1])


async def test_calls_that_come_back_unsigned_are_marked_for_models_that_want_them_signed(
    provider: VertexProvider, fake: VertexFake
) -> None:
    calls = [{"name": "f", "args": {}, "id": "1"}, {"name": "g", "args": {}, "id": "2"}]
    history = [HumanMessage("Hi"), AIMessage("", tool_calls=calls), ToolMessage("20", tool_call_id="1")]
    for name, marked in (("gemini-3.1-pro-preview", True), ("gemini-2.5-flash", False)):
        await provider.chat(name, TIMEOUTS).ainvoke(history)
        first, second = fake.last.body["contents"][1]["parts"]
        assert ("thoughtSignature" in first, "thoughtSignature" in second) == (marked, False)
        if marked:
            assert base64.b64decode(first["thoughtSignature"]) == base64.urlsafe_b64decode("skip_thought_signature_validator")


async def test_instructions_alone_are_asked_with_a_turn_that_says_nothing(model: BaseChatModel, fake: VertexFake) -> None:
    for history in ([SystemMessage("Say hello.")], [SystemMessage("Say hello."), HumanMessage(" ")]):
        await model.ainvoke(history)
        (turn,) = fake.last.body.get("contents") or fake.last.body["messages"]
        assert (turn["role"], '"."' in json.dumps(turn)) == ("user", True)


async def test_an_image_of_a_format_that_claude_does_not_read_is_another_deployments(
    claude: BaseChatModel, fake: VertexFake
) -> None:
    before = len(fake.sent)
    image = {"type": "image_url", "image_url": {"url": f"data:image/bmp;base64,{png()}"}}
    with pytest.raises(UnsupportedFeature):
        await claude.ainvoke([HumanMessage([{"type": "text", "text": "What?"}, image])])
    assert len(fake.sent) == before


async def test_a_response_format_is_geminis_schema_and_refused_for_claude(
    gemini: BaseChatModel, claude: BaseChatModel, fake: VertexFake
) -> None:
    await gemini.ainvoke("Oslo?", response_format=SCHEMA)
    config = fake.last.body["generationConfig"]
    assert config["responseMimeType"] == "application/json"
    assert set(config["responseSchema"]["properties"]) == {"city", "degrees"}
    await gemini.ainvoke("Oslo?", response_format={"type": "json_object"})
    assert fake.last.body["generationConfig"]["responseMimeType"] == "application/json"
    with pytest.raises(UnsupportedFeature):
        await claude.ainvoke("Oslo?", response_format=SCHEMA)


async def test_an_image_is_sent_as_bytes_and_never_fetched(model: BaseChatModel, fake: VertexFake) -> None:
    data = png()
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
    await model.ainvoke([HumanMessage([{"type": "text", "text": "What?"}, image])])
    assert data in json.dumps(fake.last.body)
    before = len(fake.sent)
    for address in (f"{fake.url}/secret", "gs://bucket/secret.png", "file:///etc/passwd"):
        with pytest.raises(InvalidRequest):
            await model.ainvoke([HumanMessage([{"type": "image_url", "image_url": {"url": address}}])])
    assert len(fake.sent) == before


async def test_the_reason_of_a_refusal_reaches_the_caller(gemini: BaseChatModel, fake: VertexFake) -> None:
    for fault, reason in ((Fault.REFUSED, "prohibited_content"), (Fault.BLOCKED, "safety")):
        fake.then(fault)
        with pytest.raises(ContentRefused, match=reason):
            await gemini.ainvoke("Hi")


@pytest.mark.parametrize(("name", "calls"), [("text-embedding-005", 1), ("gemini-embedding-001", 2)])
async def test_embeddings_of_documents_and_a_query(name: str, calls: int, provider: VertexProvider, fake: VertexFake) -> None:
    embeddings = provider.embeddings(name, TIMEOUTS)
    assert [vector[0] for vector in await embeddings.aembed_documents(["a", "bbb"])] == [1.0, 3.0]
    assert len(fake.sent) == calls
    assert await embeddings.aembed_query("bb") == [2.0] * 8


async def test_many_documents_are_sent_in_batches_that_vertex_takes(provider: VertexProvider, fake: VertexFake) -> None:
    embeddings = provider.embeddings("text-embedding-005", TIMEOUTS)
    assert len(await embeddings.aembed_documents(["x" * 1000] * 50)) == 50
    assert [len(sent.body["instances"]) for sent in fake.sent] == [20, 20, 10]


@pytest.mark.parametrize("name", [GEMINI, CLAUDE])
async def test_a_probe_counts_tokens_and_tells_what_is_wrong(name: str, provider: VertexProvider, fake: VertexFake) -> None:
    await provider.probe(name)
    assert fake.last.path.endswith(("countTokens", "count-tokens:rawPredict"))
    fake.then(Fault.MISSING)
    with pytest.raises(ModelNotFoundError):
        await provider.probe(name)


async def test_googles_own_credentials_and_variables_work(
    fake: VertexFake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    account = {"type": "service_account", "client_email": "a@p2.iam", "private_key": pem, "token_uri": f"{fake.url}/token"}
    (tmp_path / "account.json").write_text(json.dumps(account | {"project_id": "p2", "private_key_id": "1", "client_id": "1"}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "account.json"))
    monkeypatch.setenv("GOOGLE_CLOUD_LOCATION", "us-east5")
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    fake.clear()
    provider = VertexProvider("vertex", Settings(), ProviderSettings(base_url=fake.url, extra_headers={"x-team": "a"}))
    for name in (GEMINI, CLAUDE):
        await provider.chat(name, TIMEOUTS).ainvoke("Hi")
        assert fake.last.headers["authorization"] == f"Bearer {TOKEN}"
        assert fake.last.headers["x-team"] == "a"
        assert "/projects/p2/locations/us-east5/" in fake.last.path
    assert [sent.path for sent in fake.sent].count("/token") == 1
    await provider.close()


def test_a_provider_without_a_project_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    with pytest.raises(ModelAuthenticationError, match="has no project"):
        make(api_key="token-1").chat(GEMINI, TIMEOUTS)


class TestGemini(ProviderContract):
    cloud = "vertex"
    raw_synchronous_streams = True


class TestClaudeOnVertex(ProviderContract):
    cloud = "vertex-claude"
