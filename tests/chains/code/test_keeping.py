import pytest

from chains.code.keeping import lost, made_up, rewritten


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
    assert lost(source, code, told=None) is None


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
    assert gone in str(lost(source, code, told=None))


@pytest.mark.parametrize(
    ("source", "code", "gone"),
    [
        (
            "def read(p):\n    return open(p).read()\n",
            "def read_file(p):\n    with open(p) as f:\n        return f.read()",
            "`read`",
        ),
        ("int add(int a, int b) { return a + b }", "int add = (int)((a + b) * 2);\nint f(int a) { return a; }", "`add`"),
        ("const f = (a) => { return a }", "const g = (a) => { return a; }; g(f);", "`f`"),
    ],
)
def test_definitions_stay_also_where_the_caller_says_what_is_wrong(source: str, code: str, gone: str) -> None:
    assert gone in str(lost(source, code, told="the file is never closed"))


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("function f(a) { return a }", "const f = (a) => { return a; };"),
        ("int add(int a, int b) { return a + b }", "static int add(int a, int b) { return a + b; }"),
        ("if (a) { f(); }\nfor (x of y) { g(x) }", "if (a) f();\nfor (x of y) { g(x); }"),
    ],
)
def test_a_definition_may_be_written_in_another_way(source: str, code: str) -> None:
    assert lost(source, code, told=None) is None


def test_whoever_says_what_to_change_may_have_other_names_and_words_but_still_a_program() -> None:
    assert lost("def add(a, b):\n    print('x')", "def sum(a, b):\n    print('y')", told="rename it to sum, and say y") is None
    assert lost("def add(a, b):\n    total = a + b\n    return total", "x = 1", told="merge the lines")


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ("def read(p):\n    return open_file(p)\n", "line 2: undefined name 'open_file'"),
        (
            "def read(p):\n    return p\ndef other(): pass\ndef other(): pass\n",
            "line 4: redefinition of unused 'other' from line 3",
        ),
        ("def read(p):\n    return helper(p)\n", None),
        ("def read(p):\n    with open(p) as f:\n        return f.read()\n", None),
    ],
)
def test_a_repair_uses_nothing_that_nobody_has_defined(code: str, wrong: str | None) -> None:
    assert made_up("def read(p):\n    f = open(p)\n    return helper(f.read())\n", code) == wrong


@pytest.mark.parametrize(
    ("source", "code", "another"),
    [
        ("def add(a, b)\n    return a + b", "def add(a, b):\n    return a + b", False),
        ("pritn('x'", "print('x')", False),
        (
            "def mean(xs):\n    total = 0\n    for x in xs:\n    total += x\n    return total / len(xs)",
            "def mean(xs):\n    return sum(x for x in xs if isinstance(x, (int, float))) / len(xs)",
            True,
        ),
        ("a = 1\n" * 400, "a = 1\n" * 399 + "a == 1", False),
        ("a = 1\n" * 400, "b += 2\n" * 400, True),
    ],
)
def test_a_repair_keeps_most_of_the_program(source: str, code: str, another: bool) -> None:
    assert bool(rewritten(source, code)) is another
