import pytest

from chains.code.mending import mended

LOST = [
    (
        "def mean(xs):\n    total = 0\n    for x in xs:\n    total += x\n    return total / len(xs)",
        "def mean(xs):\n    total = 0\n    for x in xs:\n        total += x\n    return total / len(xs)",
    ),
    ("while True:\nprint('x')", "while True:\n    print('x')"),
    ("i = 0\nwhile i < 9:\nprint(i)\ni += 1\nprint('end')", "i = 0\nwhile i < 9:\n    print(i)\n    i += 1\nprint('end')"),
    ("def f(a):\nb = a + 1\nreturn b\n\nprint(f(1))", "def f(a):\n    b = a + 1\n    return b\n\nprint(f(1))"),
    ("def f():\nprint(1)\nprint(2)\n\nf()", "def f():\n    print(1)\n    print(2)\n\nf()"),
    ("for i in x:\nfor j in i:\nprint(j)\nprint('end')", "for i in x:\n    for j in i:\n        print(j)\nprint('end')"),
    (
        "class A:\ndef f(self):\n    return 1\ndef g(self):\n    return 2\nprint(A())",
        "class A:\n    def f(self):\n        return 1\n    def g(self):\n        return 2\nprint(A())",
    ),
    (
        "def rank(n):\nif n > 90:\nreturn 'A'\nelif n > 80:\nreturn 'B'\nelse:\nreturn 'C'",
        "def rank(n):\n    if n > 90:\n        return 'A'\n    elif n > 80:\n        return 'B'\n    else:\n        return 'C'",
    ),
    ("def f(n):\n\tif n:\n\treturn 1\n\treturn 2", "def f(n):\n\tif n:\n\t\treturn 1\n\treturn 2"),
    ("if x:\n    y = 1\n      z = 2\nprint(y)", "if x:\n    y = 1\n    z = 2\nprint(y)"),
    ("def f(x):\n    if x:\n        return 1\n   return 2", "def f(x):\n    if x:\n        return 1\n    return 2"),
    ("if x:\n    y = 1\n\tz = 2", "if x:\n    y = 1\n    z = 2"),
]


@pytest.mark.parametrize(("code", "whole"), LOST, ids=[f"{number}" for number in range(len(LOST))])
def test_lost_indentation_is_given_back(code: str, whole: str) -> None:
    assert mended(code, "python") == whole
