"""Facts of the clouds' well-known models: context windows by genai-prices, abilities by the families of `facts.toml`."""

import re
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any

from providers.base import OPENAI_PARAMETERS, ModelFacts

_FAMILIES = Path(__file__).with_name("facts.toml")
#: Our providers by the names that genai-prices has for them.
_PRICED_AS = {"azure": "azure", "bedrock": "aws", "openai": "openai", "vertex": "google"}
#: What of a caller's wishes reaches the provider through LangChain's package for it; the tests hold each at the wire.
_PARAMETERS = {
    "azure": OPENAI_PARAMETERS,
    "openai": OPENAI_PARAMETERS,
    "bedrock": frozenset({"top_p"}),
    "vertex": frozenset({"top_p", "presence_penalty", "frequency_penalty"}),
}
#: OpenAI's models read them where they stand; langchain-aws gathers them, langchain-google-vertexai wants them at the start.
_SYSTEM_ANYWHERE = frozenset({"openai", "azure"})
#: Those to which OpenAI's `strict` of a tool gets.
_STRICT = frozenset({"openai", "azure"})
#: What a model does not take that samples in one way alone, beside `temperature`.
_OF_SAMPLING = frozenset({"top_p", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "logit_bias"})


@lru_cache(maxsize=1024)
def facts_of(provider: str, model: str) -> ModelFacts:
    """What is known of a model; of one that nothing is known of, nothing is claimed.

    The first call loads the price tables, which takes up to a second.
    """
    name = model.lower()
    known: dict[str, Any] = next((facts for pattern, facts in _families() if pattern.search(name)), {})
    window = _priced_window(provider, name)
    said = known | ({"context_tokens": window} if window else {})
    strict = provider in _STRICT and bool(known.get("structured_output"))
    fixed = any(pattern.search(name) for pattern in _fixed_sampling())
    return ModelFacts(
        **said,
        strict_tools=strict,
        system_anywhere=provider in _SYSTEM_ANYWHERE,
        temperature=not fixed,
        parameters=_PARAMETERS[provider] - (_OF_SAMPLING if fixed else frozenset()),
    )


def _priced_window(provider: str, model: str) -> int | None:
    """The context window by genai-prices, None where it knows none."""
    from genai_prices.data_snapshot import get_snapshot

    try:
        _, known = get_snapshot().find_provider_model(model, None, _PRICED_AS.get(provider), None)
    except LookupError:
        return None
    return known.context_window


@lru_cache(maxsize=1)
def _families() -> tuple[tuple[re.Pattern[str], dict[str, Any]], ...]:
    return tuple((re.compile(family["pattern"]), _without_pattern(family)) for family in _table()["family"])


@lru_cache(maxsize=1)
def _fixed_sampling() -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern) for pattern in _table()["fixed_sampling"])


def _without_pattern(family: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in family.items() if name != "pattern"}


@lru_cache(maxsize=1)
def _table() -> dict[str, Any]:
    return tomllib.loads(_FAMILIES.read_text(encoding="utf-8"))
