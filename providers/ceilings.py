"""The most that a request can cost: at the dearest class of tokens, and the dearest tier of service, that its price knows.

A provider may write a prompt to its cache, or serve by the tier that its customer has chosen there, without having been asked.
"""

import time
from decimal import Decimal
from functools import lru_cache
from itertools import product

from providers.prices import Price, Tokens

#: Seconds for which it is believed which variant is the dearest: prices change by the day.
_BELIEVED_S = 600
#: How much of a prompt, and of an answer, is of which class.
_PROMPTS = ("input", "cache_write", "cache_write_1h", "input_audio")
_ANSWERS = ("output", "output_audio", "output_image")

Variant = tuple[str, str, str | None]


def ceiling(price: Price, tokens: Tokens, seconds: Decimal | None = None) -> Decimal | None:
    """Dollars, in so many seconds where the price goes by time; None where no price is known. As fast as `Price.charge` once a
    price was seen."""
    variants = _dearest(price, _rounded(tokens.input), _rounded(tokens.output), int(time.time() / _BELIEVED_S))
    charges = [price.charge(_as(tokens, variant), seconds=seconds).usd for variant in variants]
    return None if any(usd is None for usd in charges) else max(usd for usd in charges if usd is not None)


@lru_cache(maxsize=4096)
def _dearest(price: Price, given: int, made: int, _now: int) -> tuple[Variant, ...]:
    """The variants of which one is the dearest: for a prompt alone, for an answer, or for both."""
    found: dict[Variant, None] = {("input", "output", None): None}
    for tokens in (Tokens(given), Tokens(given, made), Tokens(1, made)):
        most = price.charge(tokens).usd
        dearest: Variant | None = None
        for variant in product(_PROMPTS, _ANSWERS, (None, *price.tiers)):
            usd = price.charge(_as(tokens, variant)).usd
            if most is not None and usd is not None and usd > most:
                most, dearest = usd, variant
        if dearest is not None:
            found[dearest] = None
    return tuple(found)


def _as(tokens: Tokens, variant: Variant) -> Tokens:
    prompt, answer, tier = variant
    more = {name: count for name, count in ((prompt, tokens.input), (answer, tokens.output)) if name not in ("input", "output")}
    return Tokens(tokens.input, tokens.output, tier=tier, **more)


def _rounded(tokens: int) -> int:
    """To a power of two: which variant is the dearest changes with length in a few steps only."""
    return 1 << max(0, tokens - 1).bit_length()
