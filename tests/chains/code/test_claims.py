import pytest

from chains.code.claims import borne_out

EVEN = "def is_even(n):\n    return n % 2 == 1"


@pytest.mark.parametrize(
    "said",
    [
        "It is defined as a lambda function.",
        "It uses integer division (`//`) on `n`.",
        "It returns `True` if the remainder is 0.",
        "It calls `helper` with the number.",
        "It calls max_profit on the number.",
        "It takes the number and calls itself recursively.",
        "This JavaScript function takes a number.",
        "It takes two parameters, both numbers.",
        "It loops over the numbers that are given.",
        "This code can be optimized with a cache.",
        "The class `is_even` takes a number.",
        "`return n % 2 == 0` is what it does.",
        "Here is a breakdown of it:",
        "```python\nprint(is_even(10))  # False\n```",
    ],
)
def test_what_the_code_does_not_bear_out_is_left_out(said: str) -> None:
    assert borne_out(f"It takes a number `n`. {said}\n{said}", EVEN, "python", recursive=False) == "It takes a number `n`."


@pytest.mark.parametrize(
    "said",
    [
        "This Python function takes a number and returns whether `n % 2` is 1.",
        "- It takes `n` and returns a comparison.\n- The function `is_even` returns a truth value.",
    ],
)
def test_what_the_code_bears_out_stays(said: str) -> None:
    assert borne_out(said, EVEN, "python", recursive=False) == said


def test_what_calls_itself_may_be_called_recursive() -> None:
    said = "The function is recursive in its last line."
    assert borne_out(said, "def f(n):\n    return f(n - 1)", "python", recursive=True) == said


def test_the_code_given_back_explains_nothing() -> None:
    assert borne_out("return n % 2 == 1", EVEN, "python", recursive=False) == ""


def test_the_same_is_said_once() -> None:
    assert borne_out("It takes a number.\n- It takes a number.", EVEN, "python", recursive=False) == "It takes a number."


def test_as_many_arguments_as_there_are_may_be_told() -> None:
    code = "class A:\n    def add(self, a, b):\n        return a + b"
    assert borne_out("It takes two arguments.", code, "python", recursive=False) == "It takes two arguments."
    assert borne_out("It takes three arguments.", code, "python", recursive=False) == ""
