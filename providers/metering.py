"""What a model call used and what it cost."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import structlog
from langchain_core.messages import BaseMessage

from core.alerts import AlertKind, raise_alert
from core.context import Usage
from providers.prices import FREE, Basis, Charge, Price, Tokens
from providers.tokens import Counter, count_messages

__all__ = ["FREE", "charge_of", "tokens_of", "usage_of"]

log = structlog.get_logger()


def usage_of(metadata: Any, messages: Sequence[BaseMessage], output: str, count: Counter) -> Usage:
    """The tokens that the provider reported; where it reported none, an estimate that says so."""
    if metadata:
        return Usage(input_tokens=metadata["input_tokens"], output_tokens=metadata["output_tokens"])
    return Usage(input_tokens=count_messages(messages, count), output_tokens=count(output), estimated=True)


def tokens_of(usage: Usage, metadata: Any = None, tier: str | None = None) -> Tokens:
    """Tokens by class. `metadata` is LangChain's usage metadata, whose cached and other tokens have prices of their own."""
    return Tokens.of({"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens} | (metadata or {}), tier)


def charge_of(
    provider: str, model: str, tokens: Tokens, *, price: Price | None = None, seconds: Decimal | None = None
) -> Charge:
    """What a call costs and how sure that is. A call that has no price raises an alert, and so does one that another price
    stands in for: of another provider, the standard tier, or text.

    `price` is the deployment's; without it the list price of `model` counts. `seconds` that it took, for one that goes by time.
    """
    charge = (price or Price(provider, model)).charge(tokens, seconds=seconds)
    if charge.usd is None:
        log.debug("price.unknown", provider=provider, model=model)
        raise_alert(AlertKind.UNPRICED_MODEL, key=f"{provider}/{model}", provider=provider, model=model)
    elif charge.basis is Basis.FALLBACK:
        tier = {} if tokens.tier is None else {"tier": tokens.tier}
        key = "/".join((provider, model, *tier.values()))
        raise_alert(AlertKind.FALLBACK_PRICE, key=key, provider=provider, model=model, **tier)
    return charge
