"""GrowthBook's published cases (growthbook-python, tests/cases.json, MIT, 2025), and that assignment is even."""

from collections import Counter
from collections.abc import Sequence

import pytest

from providers.buckets import bucket, bucket_ranges, choose_variant, equal_weights, is_in_namespace

HASHES = [
    ("", "a", 1, 0.22),
    ("", "b", 1, 0.077),
    ("b", "a", 1, 0.946),
    ("ef", "d", 1, 0.652),
    ("asdf", "8952klfjas09ujk", 1, 0.549),
    ("", "123", 1, 0.011),
    ("", '___)((*":&', 1, 0.563),
    ("seed", "a", 2, 0.0505),
    ("seed", "b", 2, 0.2696),
    ("foo", "ab", 2, 0.2575),
    ("foo", "def", 2, 0.2019),
    ("89123klj", "8952klfjas09ujkasdf", 2, 0.124),
    ("90850943850283058242805", "123", 2, 0.7516),
    ("()**(%$##$%#$#", '___)((*":&', 2, 0.0128),
    ("abc", "def", 99, None),
]
HALVES = [(0, 0.5), (0.5, 1)]
RANGES = {
    "normal 50/50": ((2, 1, None), HALVES),
    "reduced coverage": ((2, 0.5, None), [(0, 0.25), (0.5, 0.75)]),
    "zero coverage": ((2, 0, None), [(0, 0), (0.5, 0.5)]),
    "4 variations": ((4, 1, None), [(0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1)]),
    "uneven weights": ((2, 1, [0.4, 0.6]), [(0, 0.4), (0.4, 1)]),
    "uneven weights, 3 variations": ((3, 1, [0.2, 0.3, 0.5]), [(0, 0.2), (0.2, 0.5), (0.5, 1)]),
    "uneven weights, reduced coverage": ((3, 0.2, [0.2, 0.3, 0.5]), [(0, 0.04), (0.2, 0.26), (0.5, 0.6)]),
    "negative coverage": ((2, -0.2, None), [(0, 0), (0.5, 0.5)]),
    "coverage above 1": ((2, 1.5, None), HALVES),
    "weights sum below 1": ((2, 1, [0.4, 0.1]), HALVES),
    "weights sum above 1": ((2, 1, [0.7, 0.6]), HALVES),
    "weights of another number": ((4, 1, [0.4, 0.4, 0.2]), [(0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1)]),
    "weights sum almost 1": ((2, 1, [0.4, 0.5999]), [(0, 0.4), (0.4, 0.9999)]),
}
REDUCED = [(0, 0.25), (0.5, 0.75)]
CHOICES: list[tuple[float, Sequence[tuple[float, float]], int]] = [
    (0.2, HALVES, 0),
    (0.4, HALVES, 0),
    (0.6, HALVES, 1),
    (0.8, HALVES, 1),
    (0, HALVES, 0),
    (0.5, HALVES, 1),
    (0.2, REDUCED, 0),
    (0.4, REDUCED, -1),
    (0.6, REDUCED, 1),
    (0.8, REDUCED, -1),
    (0.25, REDUCED, -1),
    (0.5, REDUCED, 1),
    (0.5, [(0, 0.5), (0.5, 0.5), (0.5, 1)], 2),
]
#: By user: which of (namespace1, namespace2) it is in from 0 to .4; it is in the rest, from .4 to 1, otherwise.
NAMESPACES = {"1": (False, False), "2": (False, False), "3": (False, True), "4": (False, True)}


@pytest.mark.parametrize(("seed", "value", "version", "expected"), HASHES)
def test_values_hash_as_published(seed: str, value: str, version: int, expected: float | None) -> None:
    assert bucket(seed, value, version) == expected


@pytest.mark.parametrize("name", RANGES)
def test_ranges_are_as_published(name: str) -> None:
    given, expected = RANGES[name]
    assert [tuple(round(edge, 6) for edge in each) for each in bucket_ranges(*given)] == expected


@pytest.mark.parametrize(("number", "ranges", "expected"), CHOICES)
def test_variants_are_chosen_as_published(number: float, ranges: Sequence[tuple[float, float]], expected: int) -> None:
    assert choose_variant(number, ranges) == expected


@pytest.mark.parametrize("user", NAMESPACES)
def test_namespaces_hold_as_published(user: str) -> None:
    for name, first in zip(("namespace1", "namespace2"), NAMESPACES[user], strict=True):
        assert is_in_namespace(user, name, 0, 0.4) is first
        assert is_in_namespace(user, name, 0.4, 1) is not first


@pytest.mark.parametrize("number", [-1, 0, 1, 2, 3, 4])
def test_equal_weights_are_as_published(number: int) -> None:
    assert equal_weights(number) == pytest.approx([1 / number] * number if number > 0 else [])


def test_units_fall_evenly_and_apart_from_another_seed() -> None:
    ranges = bucket_ranges(4, 1, None)
    pairs = Counter(
        (choose_variant(bucket("one", unit) or 0, ranges), choose_variant(bucket("two", unit) or 0, ranges))
        for unit in (f"usr_{number}" for number in range(32_000))
    )
    chi2 = sum((pairs[a, b] - 2000) ** 2 / 2000 for a in range(4) for b in range(4))
    assert chi2 < 30.58, "15 degrees of freedom, alpha = .01"
