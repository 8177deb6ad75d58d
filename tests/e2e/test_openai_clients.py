"""What speaks to OpenAI works unchanged against the platform: the official client, LangChain's, and Node's by what it sends.

The platform runs for real; behind it stands a loopback provider that speaks OpenAI's protocol.
"""

import base64
from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx
import openai
import pytest
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

from infra.running import Running, running
from tests.fakes.openai import DIMENSIONS, OpenAIFake
from tests.fakes.wire import Break, Fault, Reply

CONFIG = """
handbook = false
[local]
warm = false
[[models]]
alias = "default"
[[models.deployments]]
provider = "openai_compatible:fake"
model = "gpt-4o-mini"
images = true
[[models]]
alias = "vectors"
kind = "embeddings"
[[models.deployments]]
provider = "openai_compatible:fake"
model = "text-embedding-3-small"
[retries]
attempts = 1
[providers."openai_compatible:fake"]
base_url = "{url}"
api_key = "x"
"""
#: Aliases that are left with an open breaker or a rate that is used up: each test of a failure has one of its own.
ILL = """
[[models]]
alias = "ill-{number}"
[[models.deployments]]
provider = "openai_compatible:fake"
model = "ill-{number}"
"""
HELLO: list[Any] = [{"role": "user", "content": "Hello?"}]
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a place.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # a PNG of one pixel


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenAIFake]:
    with OpenAIFake() as fake:
        yield fake


@pytest.fixture(autouse=True)
def _fresh(provider: OpenAIFake) -> None:
    provider.clear()


@pytest.fixture(scope="module")
def door(provider: OpenAIFake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("door")
    config = directory / "genai.toml"
    ill = "".join(ILL.format(number=number) for number in range(16))
    config.write_text(CONFIG.format(url=provider.base_url) + ill)
    with running(directory, GENAI_CONFIG=str(config)) as started:
        yield started


@pytest.fixture(scope="module")
def numbers() -> Iterator[int]:
    return count()


@pytest.fixture
def ill(numbers: Iterator[int]) -> str:
    """An alias that no other test has."""
    return f"ill-{next(numbers)}"


@pytest.fixture
def client(door: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{door.url}/v1", api_key=door.key, max_retries=0) as opened:
        yield opened


def test_a_chat_completion_comes_with_its_usage_and_request_id(client: openai.OpenAI) -> None:
    answer = client.chat.completions.with_raw_response.create(model="default", messages=HELLO)
    parsed = answer.parse()
    (choice,) = parsed.choices
    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", Reply().text, "stop")
    assert parsed.usage is not None
    assert (parsed.usage.prompt_tokens, parsed.usage.completion_tokens, parsed.usage.total_tokens) == (12, 5, 17)
    assert (parsed.object, parsed.model) == ("chat.completion", "default")
    assert answer.headers["x-genai-model"] == "gpt-4o-mini"
    assert answer.headers["x-request-id"] == parsed._request_id


def test_a_stream_adds_up_to_the_answer_and_ends_with_its_usage(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(model="default", messages=HELLO, stream=True, stream_options={"include_usage": True})
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == Reply().text
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-2:] == [None, "stop"]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 17
    assert len({chunk.id for chunk in chunks}) == 1


def test_the_clients_own_stream_helper_gathers_tool_calls(client: openai.OpenAI, provider: OpenAIFake) -> None:
    provider.then(Reply("", calls=[("weather", {"place": "Bern"}), ("weather", {"place": "Basel"})]))
    with client.chat.completions.stream(model="default", messages=HELLO, tools=[TOOL]) as stream:
        for _ in stream:
            pass
        (choice,) = stream.get_final_completion().choices
    assert choice.finish_reason == "tool_calls"
    calls: Any = choice.message.tool_calls
    assert [call.function.arguments for call in calls] == ['{"place": "Bern"}', '{"place": "Basel"}']
    assert len({call.id for call in calls}) == 2


def test_a_tool_is_called_and_its_result_taken_back(client: openai.OpenAI, provider: OpenAIFake) -> None:
    provider.then(Reply("", calls=[("weather", {"place": "Bern"})]), Reply("Sunny."))
    asked = client.chat.completions.create(
        model="default", messages=HELLO, tools=[TOOL], tool_choice="required", parallel_tool_calls=False
    )
    message = asked.choices[0].message
    calls: Any = message.tool_calls
    (call,) = calls
    assert (message.content, call.function.name, call.function.arguments) == (None, "weather", '{"place":"Bern"}')
    assert provider.last.body["parallel_tool_calls"] is False
    again: list[Any] = [*HELLO, message, {"role": "tool", "tool_call_id": call.id, "content": "22 degrees"}]
    said = client.chat.completions.create(model="default", messages=again, tools=[TOOL])
    assert said.choices[0].message.content == "Sunny."
    assert [message["role"] for message in provider.last.body["messages"]] == ["user", "assistant", "tool"]


class Place(BaseModel):
    name: str
    people: int


def test_a_structured_answer_is_parsed_into_its_class(client: openai.OpenAI, provider: OpenAIFake) -> None:
    provider.then(Reply('{"name": "Bern", "people": 134000}'))
    answer = client.chat.completions.parse(model="default", messages=HELLO, response_format=Place)
    assert answer.choices[0].message.parsed == Place(name="Bern", people=134_000)
    assert provider.last.body["response_format"]["json_schema"]["strict"] is True


def test_an_image_reaches_the_provider(client: openai.OpenAI, provider: OpenAIFake) -> None:
    url = f"data:image/png;base64,{PIXEL}"
    content: Any = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}]
    client.chat.completions.create(model="default", messages=[{"role": "user", "content": content}])
    assert provider.last.body["messages"][0]["content"][1]["image_url"]["url"] == url


def test_sampling_parameters_reach_the_provider(client: openai.OpenAI, provider: OpenAIFake) -> None:
    asked: dict[str, Any] = {
        "temperature": 0.5,
        "top_p": 0.9,
        "presence_penalty": 0.1,
        "frequency_penalty": -0.1,
        "seed": 7,
        "stop": ["\n"],
        "logit_bias": {"50256": -100},
        "reasoning_effort": "low",
    }
    client.chat.completions.create(
        model="default", messages=HELLO, max_completion_tokens=9, user="me", metadata={"team": "a"}, store=False, **asked
    )
    sent = provider.last.body
    assert {name: sent[name] for name in asked} == asked
    assert sent["max_tokens"] == 9
    assert not {"user", "metadata", "store"} & sent.keys()


def test_log_probabilities_come_whole_and_streamed(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "default", "messages": HELLO, "logprobs": True, "top_logprobs": 2}
    whole = client.chat.completions.create(**asked)
    assert whole.choices[0].logprobs is not None
    tokens = whole.choices[0].logprobs.content or []
    assert [each.token for each in tokens] == Reply().text.split(" ")
    assert len(tokens[0].top_logprobs) == 2
    streamed = [
        each.token
        for chunk in client.chat.completions.create(stream=True, **asked)
        for choice in chunk.choices
        for each in (choice.logprobs.content or [] if choice.logprobs else [])
    ]
    assert streamed == [each.token for each in tokens]


@pytest.mark.parametrize("stream", [False, True])
def test_several_answers_to_one_request_have_their_numbers(client: openai.OpenAI, provider: OpenAIFake, stream: bool) -> None:
    provider.then(Reply("one"), Reply("two"), Reply("three"))
    asked: dict[str, Any] = {"model": "default", "messages": HELLO, "n": 3, "seed": 5}
    texts: dict[int, str] = {}
    if stream:
        for chunk in client.chat.completions.create(stream=True, **asked):
            for choice in chunk.choices:
                texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
    else:
        answer = client.chat.completions.create(**asked)
        texts = {choice.index: choice.message.content or "" for choice in answer.choices}
        assert answer.usage is not None
        assert answer.usage.total_tokens == 51
    assert sorted(texts) == [0, 1, 2]
    assert sorted(texts.values()) == ["one", "three", "two"]
    assert sorted(sent.body["seed"] for sent in provider.asked) == [5, 6, 7]


def test_completions_continue_texts(client: openai.OpenAI, provider: OpenAIFake) -> None:
    provider.then(Reply(" one"), Reply(" two", finish="length"))
    answer = client.completions.create(model="default", prompt=["First", "Second"], max_tokens=5, echo=True)
    assert sorted(choice.text for choice in answer.choices) in (["First one", "Second two"], ["First two", "Second one"])
    assert sorted(choice.finish_reason for choice in answer.choices) == ["length", "stop"]
    pieces = client.completions.create(model="default", prompt="Once", stream=True)
    assert "".join(chunk.choices[0].text for chunk in pieces) == Reply().text


def test_embeddings_come_in_the_clients_own_encoding(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="vectors", input=["abc", "abcdef"])  # it asks for base64
    assert [each.embedding for each in answer.data] == [[3.0] * DIMENSIONS, [6.0] * DIMENSIONS]
    assert answer.usage.prompt_tokens == 3
    plain = client.embeddings.create(model="vectors", input="abc", encoding_format="float", dimensions=4)
    assert plain.data[0].embedding == [0.5] * 4


def test_models_are_listed_and_shown(client: openai.OpenAI) -> None:
    assert {"default", "vectors"} <= {model.id for model in client.models.list()}
    assert client.models.retrieve("default").object == "model"


@pytest.mark.parametrize(
    ("step", "raised", "code"),
    [
        (Fault.TOO_LONG, openai.BadRequestError, "context_length_exceeded"),
        (Fault.REFUSED, openai.BadRequestError, "content_filter"),
        (Fault.INVALID, openai.BadRequestError, "provider_rejected_request"),
        (Fault.RATE_BARE, openai.RateLimitError, "rate_limit_exceeded"),
        (Fault.CREDENTIAL, openai.InternalServerError, "provider_failed"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_providers_refusal_is_the_clients_own_exception(
    client: openai.OpenAI,
    provider: OpenAIFake,
    ill: str,
    step: Fault,
    raised: type[openai.APIStatusError],
    code: str,
    stream: bool,
) -> None:
    provider.always(step)
    with pytest.raises(raised) as caught:
        client.chat.completions.create(model=ill, messages=HELLO, stream=stream)
    assert caught.value.code == code
    assert caught.value.request_id


def test_a_wrong_key_model_or_field_is_the_clients_own_exception(door: Running, client: openai.OpenAI) -> None:
    with (
        openai.OpenAI(base_url=f"{door.url}/v1", api_key="wrong", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError) as unknown,
    ):
        stranger.models.list()
    assert unknown.value.code == "invalid_api_key"
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="nobody", messages=HELLO)
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as strange:
        client.chat.completions.create(model="default", messages=HELLO, extra_body={"base_url": "http://elsewhere"})
    assert (strange.value.code, strange.value.param) == ("unknown_parameter", "base_url")


def test_a_plain_users_key_may_embed(door: Running) -> None:
    with door.client() as administrator:
        made = administrator.post("/api/v1/keys", json={"name": "someone", "role": "user"}).json()
    with openai.OpenAI(base_url=f"{door.url}/v1", api_key=made["key"], max_retries=0) as user:
        assert user.embeddings.create(model="vectors", input="a").data


def test_a_stream_that_is_cut_raises_instead_of_ending(client: openai.OpenAI, provider: OpenAIFake, ill: str) -> None:
    provider.always(Break(Fault.LATE_ERROR, 3))
    stream = client.chat.completions.create(model=ill, messages=HELLO, stream=True)
    got: list[str] = []
    with pytest.raises(openai.APIError) as caught:
        got.extend(chunk.choices[0].delta.content or "" for chunk in stream)
    assert "".join(got) == "Hello from "
    assert caught.value.code == "stream_interrupted"


def at(door: Running) -> dict[str, Any]:
    return {"base_url": f"{door.url}/v1", "api_key": door.key}


def test_langchains_chat_model_works_whole_streamed_with_tools_and_structured(door: Running, provider: OpenAIFake) -> None:
    model = ChatOpenAI(model="default", max_retries=0, stream_usage=True, **at(door))
    whole = model.invoke("Hello?")
    assert whole.text == Reply().text
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["total_tokens"] == 17
    added: Any = None
    for chunk in model.stream([HumanMessage("Hello?")]):
        added = chunk if added is None else added + chunk
    assert (added.text, added.usage_metadata["total_tokens"]) == (Reply().text, 17)
    provider.then(Reply("", calls=[("weather", {"place": "Bern"})]), Reply('{"name": "Bern", "people": 1}'))
    assert model.bind_tools([TOOL]).invoke("Weather?").tool_calls[0]["args"] == {"place": "Bern"}
    assert model.with_structured_output(Place).invoke("Bern?") == Place(name="Bern", people=1)


def test_langchains_embeddings_work_with_their_tokens(door: Running, provider: OpenAIFake) -> None:
    """By default it sends tokens of cl100k_base instead of texts. Its encoder downloads its tables, so here they are given."""
    tokens = [[15339, 1917], [15339]]  # "hello world", "hello"
    answer = httpx.post(
        f"{door.url}/v1/embeddings",
        headers={"authorization": f"Bearer {door.key}"},
        json={"model": "vectors", "input": tokens, "encoding_format": "base64"},
        trust_env=False,
    ).json()
    assert provider.last.body["input"] == ["hello world", "hello"]
    assert len(base64.b64decode(answer["data"][0]["embedding"])) == 4 * DIMENSIONS
    plain = OpenAIEmbeddings(model="vectors", check_embedding_ctx_length=False, **at(door))
    assert plain.embed_query("abc") == [3.0] * DIMENSIONS
