import sys

import pytest

from evals.metrics.code_tests import CodeTests, code_of
from tests.evals.metrics.outcomes import outcome

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="locks are Linux's")

RIGHT = "Here it is:\n```python\ndef add(a, b):\n    return a + b\n```\nIt adds."
FUNCTIONS = "def test_two():\n    assert add(1, 1) == 2\n\ndef test_three():\n    assert add(1, 1) == 3\n"
CASE = "import unittest\nclass T(unittest.TestCase):\n    def test_it(self):\n        self.assertEqual(add(1, 1), 2)\n"


@pytest.mark.parametrize(
    ("output", "tests", "value", "why"),
    [
        (RIGHT, "assert add(1, 2) == 3", 1, None),
        (RIGHT, "assert add(1, 2) == 4", 0, "failed"),
        (RIGHT, CASE, 1, None),
        (RIGHT, "def check(candidate):\n    assert candidate(2, 3) == 5\n", 1, None),
        ("def add(a, b): return", "assert add(1, 2) == 3", 0, "failed"),
        ("no code at all!", "assert True", 0, "failed"),
        ("import sys\nsys.exit(0)", "assert False", 0, "failed"),
        ("import os\nos._exit(0)", "assert False", 0, "crash"),
    ],
)
async def test_code_passes_all_of_its_tests_or_does_not(output, tests, value, why):
    found = await CodeTests().score(outcome(output, tests, labels={"entry_point": "add"}))
    assert (found.value, found.why) == (value, why)


async def test_a_part_of_the_tests_may_count():
    found = await CodeTests(partial=True).score(outcome(RIGHT, FUNCTIONS))
    assert (found.value, found.details["passed"], found.details["tests"]) == (0.5, 1, 2)
    assert found.details["failures"][0] == {"test": "test_three", "passed": False, "error": "AssertionError", "message": ""}
    assert (await CodeTests().score(outcome(RIGHT, FUNCTIONS))).value == 0


async def test_code_that_never_ends_does_not_pass():
    found = await CodeTests(timeout_s=0.3).score(outcome("while True: pass", "assert True"))
    assert (found.value, found.why) == (0, "timeout")


async def test_tests_and_what_goes_before_may_be_labels():
    labels = {"tests": "assert twice(2) == 4", "prompt": "def twice(x):"}
    metric = CodeTests(tests="tests", before="prompt")
    assert (await metric.score(outcome("    return 2 * x", labels=labels))).value == 1


async def test_without_tests_nothing_is_measured():
    assert (await CodeTests().score(outcome(RIGHT))).why == "no_tests"
    assert (await CodeTests(tests="tests").score(outcome(RIGHT, "assert True"))).why == "no_tests"


async def test_where_nothing_can_be_locked_up_nothing_is_measured(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert (await CodeTests().score(outcome(RIGHT, "assert True"))).why == "cannot_be_locked"


def test_the_code_of_an_answer_is_its_blocks():
    assert code_of("```py\na\n```\nand\n```\nb\n```") == "a\n\n\nb\n"
    assert code_of("a = 1") == "a = 1"
