import pytest

from chains.code.reading import told

READ = [
    ("python", "def is_even(n):\n    return n % 2 == 1", ["Line 1: `def is_even(n)` returns `n % 2 == 1`."]),
    (
        "python",
        "import heapq\ndef f(xs):\n    for x in xs:\n        heapq.heapify(x)\n",
        ["It imports: `import heapq`.", "Line 2: `def f(xs)` loops; calls `heapq.heapify`."],
    ),
    (
        "python",
        "def fact(n):\n    if n = 0:\n        return 1\n    return n * fact(n - 1)\n",
        ["Line 1: `def fact(n)` calls itself; returns `1` or `n * fact(n - 1)`."],
    ),
    ("python", "x = lambda n: n + 1", ["Line 1: `x = lambda n` returns `n + 1`."]),
    ("python", "def f(x):\n    pass", ["Line 1: `def f(x)` calls and returns nothing."]),
    (
        "python",
        "class A(B):\n    def open(self):\n        open(1)\n        raise ValueError('no')",
        ["Line 1: `class A(B)` has `open`.", "Line 2: `def open(self)` calls `open`, `ValueError`; raises `ValueError('no')`."],
    ),
    (
        "python",
        "import os\nos.system(input())",
        ["It imports: `import os`.", "Outside of functions it calls `os.system`, `input`."],
    ),
    (
        "typescript",
        "class S {\n  push(x: T): void { this.items.push(x); }\n}",
        ["Line 1: `class S` has `push`.", "Line 2: `push(x: T): void` calls `this.items.push`."],
    ),
    ("javascript", "const f = (a) => a + 1;", ["Line 1: `f = (a)` returns `a + 1`."]),
    ("rust", "fn add(a: i32) -> i32 { a + 1 }", ["Line 1: `fn add(a: i32) -> i32` returns the value of `a + 1`."]),
    ("go", "package a\nfunc F(a int) int { return a }", ["Line 2: `func F(a int) int` returns `a`."]),
    ("c", "int f(int a) { return a ? 1 : 0; }", ["Line 1: `int f(int a)` returns `a ? 1 : 0`."]),
    ("bash", "f() {\n  ls | wc\n}\nf", ["Line 1: `f()` calls `ls`, `wc`.", "Outside of functions it calls `f`."]),
    (
        "sql",
        "SELECT a FROM b WHERE c > 1 ORDER BY a LIMIT 3;",
        ["It consists of `SELECT a`, `FROM b`, `WHERE c > 1`, `ORDER BY a`, `LIMIT 3`."],
    ),
    ("kotlin", "fun f(a: Int) = a + 1", ["Line 1: `fun f(a: Int) = a + 1` is defined."]),
    ("klingon", "whatever", []),
]


@pytest.mark.parametrize(("language", "code", "said"), READ, ids=[f"{number}" for number in range(len(READ))])
def test_what_the_grammar_shows_is_put_into_words(language: str, code: str, said: list[str]) -> None:
    assert told(code, language) == said


def test_hostile_code_is_bounded() -> None:
    assert len(told("def f(): return 1\n" * 500, "python")) <= 20
    assert told("def f(): return " + "(" * 900 + "1" + ")" * 900, "python")
