import pytest

from chains.code.keeping import lost


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("def add(a, b)\n    return a + b", "def add(a, b):\n    return a + b"),
        ("pritn('x'", "print('x')"),
        ("def f(a)\n    retrun a", "def f(a):\n    return a"),
        ("console.log('x'", "console.log('x');"),
        ("", "x = 1"),
    ],
)
def test_a_repair_is_the_program_that_it_repairs(source: str, code: str) -> None:
    assert lost(source, code, told=False) is None


@pytest.mark.parametrize(
    ("source", "code", "gone"),
    [
        ("console.log('x'", "console.log(this);", "what it says"),
        ("console.log('x'", "console.log(this.x); // undefined", "what it says"),
        ("def add(a, b)\n    return a + b", "def sum(a, b):\n    return a + b", "`add`"),
        ("total = price * amount\nprint(total", "print()", "a part of the program"),
    ],
)
def test_what_is_gone_from_a_program_is_told(source: str, code: str, gone: str) -> None:
    assert gone in str(lost(source, code, told=False))


def test_whoever_says_what_to_change_may_have_other_names_and_words_but_still_a_program() -> None:
    assert lost("def add(a, b):\n    print('x')", "def sum(a, b):\n    print('y')", told=True) is None
    assert lost("def add(a, b):\n    total = a + b\n    return total", "x = 1", told=True)
