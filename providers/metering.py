"""What a model call used and what it cost."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import structlog
from langchain_core.messages import BaseMessage

from core.context import Usage
from providers.tokens import Counter, count_messages

log = structlog.get_logger()

#: Providers whose calls cost nothing but the machine's own time.
FREE = frozenset({"local"})
_PRICED_AS = {"azure": "azure", "vertex": "google", "bedrock": "aws", "openai": "openai"}


def usage_of(metadata: Any, messages: Sequence[BaseMessage], output: str, count: Counter) -> Usage:
    """The tokens that the provider reported; where it reported none, an estimate that says so."""
    if metadata:
        return Usage(input_tokens=metadata["input_tokens"], output_tokens=metadata["output_tokens"])
    return Usage(input_tokens=count_messages(messages, count), output_tokens=count(output), estimated=True)


def cost_of(provider: str, model: str, usage: Usage, metadata: Any = None) -> Decimal | None:
    """Dollars by genai-prices' tables; zero for a local model, None where no price is known.

    `metadata` is LangChain's usage metadata, whose cached and reasoning tokens have prices of their own.
    """
    kind = provider.partition(":")[0]
    if kind in FREE:
        return Decimal(0)
    from genai_prices import Usage as PricedUsage
    from genai_prices import calc_price

    details = (metadata or {}).get("input_token_details") or {}
    try:
        price = calc_price(
            PricedUsage(
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                cache_read_tokens=details.get("cache_read") or 0,
                cache_write_tokens=details.get("cache_creation") or 0,
            ),
            model_ref=model,
            provider_id=_PRICED_AS.get(kind),
        )
    except (LookupError, ValueError):
        log.debug("price.unknown", provider=provider, model=model)
        return None
    return Decimal(price.total_price)
