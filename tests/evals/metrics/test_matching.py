import pytest

from evals.metrics.matching import ExactMatch, Regex, TokenF1
from tests.evals.metrics.outcomes import outcome


@pytest.mark.parametrize(
    ("output", "expected", "options", "value"),
    [
        (" Paris\n", "Paris", {}, 1),
        ("paris", "Paris", {}, 0),
        ("The Paris!", "paris", {"normalise": True}, 1),
        ("Paris", ["Lutetia", "Paris"], {}, 1),
        ("42", 42, {}, 1),
        ('{"a": 1}', {"a": 1}, {}, 1),
        ("cafe\u0301", "caf\u00e9", {}, 1),
        ("", "", {}, 1),
    ],
)
async def test_an_exact_match_is_one_of_the_references(output, expected, options, value):
    assert (await ExactMatch(**options).score(outcome(output, expected))).value == value


@pytest.mark.parametrize(
    ("output", "expected", "value"),
    [
        ("the cat sat", "a cat sat down", 0.8),
        ("Cat.", "cat", 1),
        ("dog", "cat", 0),
        ("", "cat", 0),
        ("the", "a", 1),  # nothing is left of either, as in SQuAD 2.0 for questions without an answer
        ("cat cat", "cat", 2 / 3),
        ("x", ["y", "x y"], 2 / 3),
    ],
)
async def test_f1_is_squads(output, expected, value):
    assert (await TokenF1().score(outcome(output, expected))).value == pytest.approx(value)


@pytest.mark.parametrize(
    ("options", "output", "value"),
    [
        ({"pattern": r"\b\d{4}\b"}, "in 1998", 1),
        ({"pattern": r"\d{4}", "whole": True}, "in 1998", 0),
        ({"pattern": r"\d{4}", "whole": True}, " 1998\n", 1),
        ({"pattern": "PARIS", "ignore_case": True}, "Paris", 1),
        ({"pattern": "sorry", "absent": True}, "I am sorry", 0),
        ({"pattern": "sorry", "absent": True}, "Paris", 1),
    ],
)
async def test_a_pattern_is_found_or_is_absent(options, output, value):
    assert (await Regex(**options).score(outcome(output))).value == value


async def test_the_pattern_may_be_the_examples_own():
    assert (await Regex().score(outcome("in 1998", r"19\d\d"))).value == 1
    assert (await Regex().score(outcome("in 1998", r"19(\d"))).why == "invalid_pattern"
    assert (await Regex().score(outcome("in 1998"))).why == "no_reference"


def test_a_pattern_that_re2_cannot_use_is_refused_when_the_run_is_made():
    with pytest.raises(ValueError, match="pattern"):
        Regex(pattern=r"(a)\1")


@pytest.mark.parametrize("metric", [ExactMatch, TokenF1])
async def test_without_a_reference_nothing_is_measured(metric):
    assert (await metric().score(outcome("said"))).why == "no_reference"
    assert (await metric().score(outcome("", "x", error="provider_failed"))).why == "provider_failed"
