"""The facts of well-known models, held against the profiles that the partner packages carry."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

from core.settings import ProviderSettings, Settings
from providers.base import OPENAI_PARAMETERS, ModelFacts
from providers.bedrock import BedrockProvider
from providers.facts import facts_of
from providers.vertex import VertexProvider

#: No chat models of ours: pictures, speech, embeddings, and what is reached in other ways (names with a slash).
NOT_OURS = re.compile(r"image|tts|realtime|embedding|nano-banana|daybreak|codestral|mistral-(small|medium)-|/")
#: Where the profiles are wrong or behind, and why.
DIFFERENT = {
    "gpt-3.5-turbo": "it calls tools since 2023",
    "claude-opus-4@20250514": "Claude before 4.5 has no structured output",
    "claude-sonnet-4@20250514": "Claude before 4.5 has no structured output",
    "claude-opus-4-1@20250805": "Claude before 4.5 has no structured output",
    "in.anthropic.claude-haiku-4-5-20251001-v1:0": "the model is the same in every region",
    "in.anthropic.claude-opus-5": "the model is the same in every region",
    "in.anthropic.claude-sonnet-5": "the model is the same in every region",
    "global.xai.grok-4.6": "the model is the same in every region",
    "us.xai.grok-4.6": "the model is the same in every region",
}


def profiles() -> list[tuple[str, str, dict[str, Any]]]:
    """(our provider, model, profile), read from the packages' data files without importing the packages."""
    found = []
    for provider, package in (
        ("openai", "langchain_openai"),
        ("bedrock", "langchain_aws"),
        ("vertex", "langchain_google_vertexai"),
    ):
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.submodule_search_locations is not None
        scope: dict[str, Any] = {}
        exec(Path(spec.submodule_search_locations[0], "data", "_profiles.py").read_text(), scope)
        found += [(provider, model, profile) for model, profile in scope["_PROFILES"].items() if not NOT_OURS.search(model)]
    return found


def test_the_abilities_agree_with_the_partner_packages_profiles() -> None:
    differing = {}
    for provider, model, profile in profiles():
        facts = facts_of(provider, model)
        ours = (facts.images, facts.tools, facts.structured_output)
        theirs = tuple(bool(profile.get(name)) for name in ("image_inputs", "tool_calling", "structured_output"))
        if ours != theirs and model not in DIFFERENT:
            differing[model] = (ours, theirs)
    assert differing == {}


def test_every_profiled_model_has_a_context_window() -> None:
    assert [model for provider, model, _ in profiles() if not facts_of(provider, model).context_tokens] == []


@pytest.mark.parametrize(
    ("provider", "model", "window"),
    [
        ("azure", "gpt-4o-mini", 128_000),
        ("vertex", "gemini-2.5-flash", 1_048_576),
        ("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", 200_000),
        ("bedrock", "amazon.nova-lite-v1:0", 300_000),
        ("bedrock", "anthropic.claude-3-5-haiku-20241022-v1:0", 200_000),
    ],
)
def test_context_windows_come_from_the_price_tables(provider: str, model: str, window: int) -> None:
    assert facts_of(provider, model).context_tokens == window


def test_only_models_that_continue_an_answer_say_so() -> None:
    assert facts_of("bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0").prefill
    assert not facts_of("bedrock", "anthropic.claude-opus-4-6-v1").prefill
    assert not facts_of("vertex", "gemini-2.5-flash").prefill


def test_nothing_is_claimed_of_an_unknown_model() -> None:
    assert facts_of("azure", "our-own-deployment") == ModelFacts(system_anywhere=True, parameters=OPENAI_PARAMETERS)


def test_claude_on_vertex_claims_no_response_format_since_its_class_has_none() -> None:
    facts = VertexProvider("vertex", Settings(), ProviderSettings()).facts("claude-sonnet-4-5@20250929")
    assert (facts.images, facts.tools, facts.structured_output) == (True, True, False)


def test_a_model_named_after_a_hash_gives_the_facts() -> None:
    arn = "arn:aws:bedrock:us-east-1:1:application-inference-profile/x1#anthropic.claude-sonnet-4-5-20250929-v1:0"
    assert BedrockProvider("bedrock", Settings(), ProviderSettings()).facts(arn).tools


def test_which_models_take_a_temperature_agrees_with_the_profiles() -> None:
    differing = [
        model
        for provider, model, profile in profiles()
        if profile.get("temperature") not in (None, facts_of(provider, model).temperature)
    ]
    assert differing == []
    assert not facts_of("azure", "gpt-5-2025-08-07").temperature


def test_a_model_that_samples_in_one_way_alone_takes_nothing_else_of_sampling() -> None:
    assert facts_of("openai", "o4-mini").parameters == {"reasoning_effort", "parallel_tool_calls"}
    assert facts_of("openai", "gpt-4o").parameters == OPENAI_PARAMETERS
