import pytest

from chains.code.mending import mended


@pytest.mark.parametrize(
    ("language", "code", "whole"),
    [
        ("python", "def add(a, b)\n    return a + b", "def add(a, b):\n    return a + b"),
        ("python", "for i in range(3)  # thrice\n    print(i)", "for i in range(3):  # thrice\n    print(i)"),
        ("python", "x = [1, 2, 3\nprint(sum(x))", "x = [1, 2, 3]\nprint(sum(x))"),
        ("python", "if (a == 3:\n    print(a", "if (a == 3):\n    print(a)"),
        ("python", "print('hello)", "print('hello')"),
        ("python", "if x = 3:\n    pass", "if x == 3:\n    pass"),
        ("python", "print 'x'", "print('x')"),
        ("c", "int add(int a, int b) { return a + b }", "int add(int a, int b) { return a + b; }"),
        ("java", "class A { int f() { return 1 } }", "class A { int f() { return 1; } }"),
        ("go", "package main\nfunc f() int { return 1", "package main\nfunc f() int { return 1}"),
        ("javascript", "console.log('x'", "console.log('x')"),
        ("javascript", "function f(a { return a; }", "function f(a) { return a; }"),
        ("javascript", "const a = [1, 2;\nconst b = 'x;\n", "const a = [1, 2];\nconst b = 'x';"),
        ("python", "print 'x', 1  # said", "print('x', 1)  # said"),
        ("python", 'def f(a):\n    return f"Hi {a"', 'def f(a):\n    return f"Hi {a}"'),
        ("python", "x = {'a': [1, 2}", "x = {'a': [1, 2]}"),
        ("python", "x = f(1))", "x = f(1)"),
        ("python", "x = [\n    1,\n    2\n\ny = 1", "x = [\n    1,\n    2\n]\n\ny = 1"),
        (
            "java",
            "class A {\n  int f() {\n    int x = 1\n    return x;\n  }\n}",
            "class A { int f() { int x = 1; return x; } }",
        ),
        ("rust", "fn f() {\n    let v = vec![1;\n    g(v);\n}", "fn f() { let v = vec![1]; g(v); }"),
        ("go", "package a\nfunc f()\n{\n\tif x\n\t{\n\t}\n}", "package a\nfunc f() {\n\tif x {\n\t}\n}"),
        ("json", '{"a": 1, "b": [1, 2}', '{"a": 1, "b": [1, 2]}'),
        ("json", '{"a": [1, 2,], "b": 3,}', '{"a": [1, 2], "b": 3}'),
        ("sql", "SELECT name, FROM users", "SELECT name FROM users"),
        ("c", "int f() {\nfor (;;) {\ng();\nreturn 0;\n}\n", "int f() {\nfor (;;) {\ng();\nreturn 0;\n}\n}"),
    ],
)
def test_what_the_parser_misses_is_put_in(language: str, code: str, whole: str) -> None:
    assert (mended(code, language) or "").split() == whole.split()


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python", "x = 1"),
        ("python", ""),
        ("python", "def f(a):\n    retrun a b c"),
        ("python", "a b c d"),
        ("javascript", "let = = 3 function"),
        ("nobody's", "x ("),
    ],
)
def test_what_lacks_nothing_or_more_than_marks_is_left_alone(language: str, code: str) -> None:
    assert mended(code, language) is None
