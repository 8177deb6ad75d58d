"""What a model does not take and can do without is left out, and keeps no deployment from being asked."""

from typing import Any

import pytest

from core.settings import Settings
from providers.base import OPENAI_PARAMETERS, ModelFacts
from providers.facts import facts_of
from providers.models import Models
from providers.parameters import fitted, missing
from tests.fakes.openai import OpenAIFake

NEUTRAL: dict[str, Any] = {
    "top_p": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0,
    "logit_bias": {},
    "parallel_tool_calls": True,
    "reasoning_effort": "none",
}


@pytest.mark.parametrize(
    ("provider", "model"), [("bedrock", "amazon.nova-lite-v1:0"), ("vertex", "gemini-2.5-flash"), ("azure", "o4-mini")]
)
def test_what_asks_for_nothing_is_no_reason_to_pass_over_a_model(provider: str, model: str) -> None:
    facts = facts_of(provider, model)
    assert missing(facts, NEUTRAL, []) is None
    assert fitted(facts, NEUTRAL).keys() == NEUTRAL.keys() & facts.parameters


@pytest.mark.parametrize("name", sorted(NEUTRAL))
def test_what_asks_for_something_is(name: str) -> None:
    asked: dict[str, Any] = {"logit_bias": {"7": 5.0}, "parallel_tool_calls": False, "reasoning_effort": "low"}
    lacking = missing(ModelFacts(), {name: asked.get(name, 0.5)}, [])
    assert lacking is not None
    assert lacking.param == name


_TOOLS = {"tools": [{"type": "function", "function": {"name": "look", "strict": True}}], "parallel_tool_calls": False}


def test_tools_that_must_not_be_called_are_left_out_for_a_model_that_can_call_none() -> None:
    asked = _TOOLS | {"tool_choice": "none", "temperature": 0.5}
    assert missing(ModelFacts(), asked, []) is None
    assert fitted(ModelFacts(), asked) == {"temperature": 0.5}
    able = ModelFacts(tools=True, strict_tools=True, parameters=OPENAI_PARAMETERS)
    assert fitted(able, asked) == asked


@pytest.mark.parametrize("choice", [{}, {"tool_choice": "auto"}, {"tool_choice": "required"}])
def test_tools_that_may_be_called_are_not(choice: dict[str, str]) -> None:
    lacking = missing(ModelFacts(), _TOOLS | choice, [])
    assert lacking is not None
    assert lacking.param == "tools"


def test_a_model_that_takes_it_gets_what_asks_for_nothing() -> None:
    assert fitted(ModelFacts(parameters=OPENAI_PARAMETERS), NEUTRAL) == NEUTRAL


@pytest.mark.parametrize(("model", "sent"), [("o3-mini", None), ("gpt-5", None), ("gpt-4o-mini", 0)])
async def test_a_model_without_a_temperature_goes_without(model: str, sent: float | None, settings: Settings) -> None:
    with OpenAIFake() as fake:
        models = Models(
            Settings.load(
                data_dir=settings.data_dir,
                models=[{"alias": "default", "deployments": [{"provider": "openai", "model": model}]}],
                providers={"openai": {"base_url": fake.base_url, "api_key": "sk-secret"}},
            )
        )
        await models.chat().bind(temperature=0, max_tokens=9).ainvoke("Hi")
        assert fake.asked[-1].body.get("temperature") == sent
        await models.close()


def test_a_reasoning_model_that_does_not_reason_has_a_temperature() -> None:
    given = {"temperature": 0.5, "reasoning_effort": "none"}
    assert fitted(ModelFacts(temperature=False, parameters=OPENAI_PARAMETERS), given) == given
