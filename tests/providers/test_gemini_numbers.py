"""Whole numbers in Gemini's tool arguments are whole, streamed or not."""

import json
from typing import Any

import pytest

from core.settings import Settings
from providers.gemini_numbers import whole_numbers
from providers.models import Models
from tests.fakes.clouds import CLOUDS, installation
from tests.fakes.wire import Reply

GIVEN = {"a": 1, "b": 1.5, "c": [2, {"d": -3}], "e": True, "f": "1.0", "g": None, "h": 0}
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]


def typed(arguments: dict[str, Any]) -> str:
    """The arguments with their types: 1.0 is equal to 1."""
    return json.dumps(arguments, sort_keys=True)


async def test_a_call_has_whole_numbers_wherever_it_is_read(settings: Settings) -> None:
    with CLOUDS["vertex"].start() as fake:
        models = Models(Settings.load(data_dir=settings.data_dir, **installation({"vertex": fake})))
        await models.warm(local=False)
        fake.always(Reply("", calls=[("add", GIVEN)]))
        model = models.chat()
        whole = await model.ainvoke("Hi", tools=TOOLS)
        chunks: list[Any] = [chunk async for chunk in model.astream("Hi", tools=TOOLS)]
        streamed = sum(chunks[1:], chunks[0])
        provider: Any = model.deployments[0].chat()
        for answer in (whole, streamed, await provider.ainvoke("Hi"), await provider.bind_tools(TOOLS).ainvoke("Hi")):
            assert typed(answer.tool_calls[0]["args"]) == typed(GIVEN)
            assert typed(json.loads(answer.additional_kwargs["function_call"]["arguments"])) == typed(GIVEN)
        assert typed(json.loads(streamed.tool_call_chunks[0]["args"])) == typed(GIVEN)
        await models.close()


@pytest.mark.parametrize("number", [1e300, float(2**54), float("inf"), 0.1])
def test_what_is_no_whole_number_for_certain_stays(number: float) -> None:
    assert isinstance(whole_numbers(number), float)
