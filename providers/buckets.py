"""Where a value falls in an experiment: GrowthBook's hashing and bucketing, so that its SDKs put the same units into the same
variants (https://docs.growthbook.io/lib/build-your-own, 2025). Its published cases are in the tests."""

from collections.abc import Sequence

Range = tuple[float, float]

_OFFSET, _PRIME, _32_BITS = 0x811C9DC5, 0x01000193, 0xFFFFFFFF
#: How far from 1 weights may add up.
_SLACK = 0.01


def fnv1a32(text: str) -> int:
    """FNV-1a in 32 bits, over the characters of a text."""
    number = _OFFSET
    for character in text:
        number = (number ^ ord(character)) * _PRIME & _32_BITS
    return number


def bucket(seed: str, value: str, version: int = 2) -> float | None:
    """From 0 up to 1, evenly, in steps of a ten thousandth (version 1: a thousandth, and seeds are not independent); None for a
    version that does not exist."""
    if version == 2:
        return fnv1a32(str(fnv1a32(seed + value))) % 10_000 / 10_000
    if version == 1:
        return fnv1a32(value + seed) % 1000 / 1000
    return None


def equal_weights(variants: int) -> list[float]:
    """The same share for each."""
    return [1 / variants] * variants if variants > 0 else []


def bucket_ranges(variants: int, coverage: float, weights: Sequence[float] | None) -> list[Range]:
    """The stretch of each variant, of which only the first `coverage` is used. Weights that do not fit are equal ones."""
    coverage = min(1.0, max(0.0, coverage))
    if weights is None or len(weights) != variants or abs(sum(weights) - 1) > _SLACK:
        weights = equal_weights(variants)
    ranges, begin = [], 0.0
    for weight in weights:
        ranges.append((begin, begin + coverage * weight))
        begin += weight
    return ranges


def is_in(number: float, stretch: Range) -> bool:
    """Whether it falls in a stretch, whose end is none of it."""
    return stretch[0] <= number < stretch[1]


def choose_variant(number: float, ranges: Sequence[Range]) -> int:
    """The variant whose stretch it falls in; -1 where it falls in none."""
    return next((place for place, stretch in enumerate(ranges) if is_in(number, stretch)), -1)


def is_in_namespace(value: str, name: str, begin: float, end: float) -> bool:
    """Whether it falls in this stretch of a namespace: experiments with stretches apart exclude each other."""
    number = bucket(f"__{name}", value, 1)
    return number is not None and is_in(number, (begin, end))
