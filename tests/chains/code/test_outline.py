import pytest

from chains.code.outline import MAX_DEFINITIONS, outline


@pytest.mark.parametrize(
    ("language", "code", "signatures"),
    [
        ("python", "class A:\n    async def f(self):\n        pass\n\nx = 1\n", ["class A", "async def f(self)"]),
        ("javascript", "function f(a) {\n}\nclass B {\n  g() {}\n}\n", ["function f(a)", "class B", "g() {}"]),
        ("java", "class A {\n  int add(int a) { return a; }\n}\n", ["class A", "int add(int a) { return a; }"]),
        ("go", "package main\n\nfunc add(a int) int {\n\treturn a\n}\n", ["func add(a int) int"]),
        ("rust", "struct S {}\nfn f() -> i32 { 1 }\n", ["struct S {}", "fn f() -> i32 { 1 }"]),
        ("c", "int add(int a) {\n  return a;\n}\n", ["int add(int a)"]),
        ("brainfuck", "++", []),
    ],
)
def test_code_tells_what_it_defines(language: str, code: str, signatures: list[str]) -> None:
    assert [one.signature for one in outline(code, language)] == signatures


def test_an_outline_is_bounded_and_deep_code_harms_nothing() -> None:
    assert len(outline("def f(): pass\n" * 500, "python")) == MAX_DEFINITIONS
    assert outline("[" * 50_000, "javascript") == []
