"""Half a character in an answer is an answer that cannot be read: another deployment is asked."""

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.exceptions import ModelConnectionError
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from core.settings import Settings
from providers.models import Models
from providers.received import Received
from tests.fakes.clouds import CLOUDS, installation
from tests.fakes.wire import Fake, Reply

HALF = "\ud83d"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def fakes() -> Iterator[dict[str, Fake]]:
    with CLOUDS["bedrock"].start() as first, CLOUDS["openai"].start() as second:
        yield {"bedrock": first, "openai": second}


@pytest.mark.parametrize("whole", [True, False])
async def test_half_a_character_takes_a_request_to_the_next_deployment(
    whole: bool, settings: Settings, fakes: dict[str, Fake]
) -> None:
    for fake in fakes.values():
        fake.clear()
    models = Models(Settings.load(data_dir=settings.data_dir, **installation(fakes)))
    await models.warm(local=False)
    fakes["bedrock"].then(Reply(f"{HALF} Hello"))
    model = models.chat()
    text = (await model.ainvoke("Hi")).text if whole else "".join([chunk.text async for chunk in model.astream("Hi")])
    assert text == Reply().text
    assert [len(fake.asked) for fake in fakes.values()] == [1, 1]
    await models.close()


@pytest.mark.parametrize(
    "message",
    [
        {"content": HALF},
        {"content": "", "tool_calls": [{"name": "f", "args": {"a": HALF}, "id": "1"}]},
        {"content": "", "invalid_tool_calls": [{"name": "f", "args": HALF, "id": "1", "error": None}]},
    ],
)
def test_it_is_found_wherever_an_answer_has_text(message: dict[str, Any]) -> None:
    with pytest.raises(ModelConnectionError):
        Received("bedrock").take(ChatResult(generations=[ChatGeneration(message=AIMessage(**message))]))


def test_it_is_found_in_pieces_of_calls_and_whole_characters_are_not() -> None:
    piece = {"name": "f", "args": HALF, "id": "1", "index": 0, "type": "tool_call_chunk"}
    with pytest.raises(ModelConnectionError):
        Received("bedrock").note(ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=[piece])))
    received = Received("bedrock")
    received.note(ChatGenerationChunk(message=AIMessageChunk(content="\U0001f600 \u00e9")))
    assert received.text == "\U0001f600 \u00e9"
