"""What a caller may set on a model call, and what a request needs of a model. Nothing else passes to a provider."""

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import BaseMessage, SystemMessage

from core.errors import UnsupportedFeature
from providers.base import OPENAI_PARAMETERS, ModelFacts
from providers.form_by_tool import by_tool
from providers.grammars import rules_of

ALLOWED = frozenset({"temperature", "max_tokens", "seed", "tools", "tool_choice", "response_format"}) | OPENAI_PARAMETERS
#: LangChain adds these for its own tracing; they say nothing to a provider.
_OF_LANGCHAIN = frozenset({"ls_structured_output_format", "stream"})
_TOOLING = frozenset({"tools", "tool_choice", "parallel_tool_calls"})
#: What asks for nothing, by parameter: it is what a model does without it. Many clients always send it.
_NEUTRAL: dict[str, Any] = {
    "top_p": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "logprobs": False,
    "logit_bias": {},
    "parallel_tool_calls": True,
    "reasoning_effort": "none",
}


def allowed(given: dict[str, Any], stop: list[str] | None) -> dict[str, Any]:
    """The parameters that go to the provider; those that are None are left out.

    Raises:
        UnsupportedFeature: a parameter that is not on the allow-list.
    """
    for name in given:
        if name not in ALLOWED and name not in _OF_LANGCHAIN:
            raise UnsupportedFeature(f"The parameter {name!r} cannot be set.", param=name)
    parameters = {name: value for name, value in given.items() if name in ALLOWED and value is not None}
    if not parameters.get("tools"):
        parameters = {name: value for name, value in parameters.items() if name not in _TOOLING}
    if stop:
        parameters["stop"] = stop
    return parameters


def missing(facts: ModelFacts, parameters: dict[str, Any], messages: Sequence[BaseMessage]) -> UnsupportedFeature | None:
    """What this request asks for and a model with these facts has not; None where it can serve it."""
    parameters = _without_idle_tools(facts, parameters)
    if "tools" in parameters and not facts.tools:
        return UnsupportedFeature("The model cannot call tools.", param="tools")
    if not facts.strict_tools and any(tool.get("function", {}).get("strict") for tool in parameters.get("tools") or ()):
        return UnsupportedFeature("The model cannot be held to the schemas of its tools (strict).", param="tools")
    format_type = (parameters.get("response_format") or {}).get("type", "text")
    if format_type != "text" and not facts.structured_output and not by_tool(facts, parameters):
        return UnsupportedFeature("The model cannot keep to a response format.", param="response_format")
    if facts.schema_rules is not None and rules_of(parameters) > facts.schema_rules:
        param = "response_format" if format_type != "text" else "tools"
        return UnsupportedFeature("The schema is larger than the model can be held to.", code="schema_too_large", param=param)
    if lacking := _unknown(facts, parameters) - _asking_for_nothing(parameters):
        name = min(lacking)
        return UnsupportedFeature(f"The model does not take the parameter {name!r}.", param=name)
    if not facts.images and any(_has_image(message) for message in messages):
        return UnsupportedFeature("The model cannot see images.", param="messages")
    return None


def fitted(facts: ModelFacts, parameters: dict[str, Any]) -> dict[str, Any]:
    """The parameters without those that a model with these facts does not take and can do without: its `temperature`, where it
    samples in one way alone, tools that it must not call, and what asks for nothing."""
    parameters = _without_idle_tools(facts, parameters)
    left_out = _unknown(facts, parameters) & _asking_for_nothing(parameters)
    if not facts.temperature and parameters.get("reasoning_effort") != "none":
        left_out |= {"temperature"}
    return {name: value for name, value in parameters.items() if name not in left_out}


def _without_idle_tools(facts: ModelFacts, parameters: dict[str, Any]) -> dict[str, Any]:
    """Without the tools, where the model can call none and the caller wants none to be called."""
    if facts.tools or parameters.get("tool_choice") != "none":
        return parameters
    return {name: value for name, value in parameters.items() if name not in _TOOLING}


def _unknown(facts: ModelFacts, parameters: dict[str, Any]) -> set[str]:
    return set(parameters.keys() & OPENAI_PARAMETERS) - facts.parameters


def _asking_for_nothing(parameters: dict[str, Any]) -> set[str]:
    return {name for name, neutral in _NEUTRAL.items() if name in parameters and parameters[name] == neutral}


def _has_image(message: BaseMessage) -> bool:
    return isinstance(message.content, list) and any(
        isinstance(block, dict) and block.get("type") in ("image", "image_url", "input_image") for block in message.content
    )


def system_first(messages: list[BaseMessage]) -> list[BaseMessage]:
    """The messages with those of the system before all others."""
    system = [isinstance(message, SystemMessage) for message in messages]
    if system == sorted(system, reverse=True):
        return messages
    return sorted(messages, key=lambda message: not isinstance(message, SystemMessage))
