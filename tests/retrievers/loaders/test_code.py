import pytest

from retrievers.base import LoadedDocument
from retrievers.loaders.code import code_sections
from retrievers.parsing import load
from retrievers.splitting import split
from tests.retrievers.test_splitting import words

PYTHON = '''"""Books an entry — to the cent."""

import os

# How often.
TIMES = 3


@cached
class Ledger(Base):
    """A ledger."""

    rows: int = 0

    # what is spent
    @property
    def spent(self) -> int:
        def inner():
            return 1

        return inner()

    async def settle(
        self,
        call: str,
    ) -> None: ...


def main():
    pass
'''


def paths(text: str, language: str) -> list[tuple[str, ...]]:
    return [section.heading for section in code_sections(text, language)]


def test_each_definition_is_a_section_with_what_stands_in_front_of_it():
    found = {section.heading: PYTHON[section.start : section.end] for section in code_sections(PYTHON, "python")}
    assert list(found) == [
        (),
        ("class Ledger(Base)",),
        ("class Ledger(Base)", "def spent(self) -> int"),
        ("class Ledger(Base)", "async def settle( self, call: str, ) -> None"),
        ("def main()",),
    ]
    assert found[()].startswith('"""Books')
    assert found[()].rstrip().endswith("TIMES = 3")
    ledger, spent = found["class Ledger(Base)",], found["class Ledger(Base)", "def spent(self) -> int"]
    assert ledger.startswith("@cached")
    assert "rows: int" in ledger
    assert spent.strip().startswith("# what is spent\n    @property")
    assert "def inner" in spent


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        (
            "javascript",
            "// x\nexport class A extends B {\n  m() { return 1 }\n}\nlet n = 3;\nexport const k = (a) => {\n  a\n};\n",
            [("class A extends B",), ("class A extends B", "m()"), (), ("const k = (a) =>",)],
        ),
        (
            "typescript",
            "export interface P { a: number }\nnamespace N { export class C { m(a: string): void {} } }\n",
            [
                ("interface P",),
                ("namespace N",),
                ("namespace N", "class C"),
                ("namespace N", "class C", "m(a: string): void"),
            ],
        ),
        (
            "java",
            "package a;\n/** D */\npublic class A {\n int x;\n /** m */\n public void m() { }\n class I { void z() {} }\n}\n",
            [
                (),
                ("public class A",),
                ("public class A", "public void m()"),
                ("public class A", "class I"),
                ("public class A", "class I", "void z()"),
            ],
        ),
        (
            "go",
            "package a\n// F does\nfunc F(a int) int {\n return 1\n}\ntype T struct { A int }\nfunc (t T) M() {}\n",
            [(), ("func F(a int) int",), ("type T struct { A int }",), ("func (t T) M()",)],
        ),
        (
            "rust",
            "use a;\n/// doc\n#[derive(Debug)]\npub struct S { a: u8 }\nimpl Display for S {\n  fn fmt(&self) -> R { }\n}\n",
            [(), ("pub struct S",), ("impl Display for S",), ("impl Display for S", "fn fmt(&self) -> R")],
        ),
        (
            "c",
            "#include <a.h>\nstruct p { int a; };\nstatic int f(struct p a) {}\n#ifdef X\nvoid h(void) {}\n#endif\n",
            [(), ("struct p",), ("static int f(struct p a)",), (), ("void h(void)",), ()],
        ),
        (
            "cpp",
            "namespace n {\ntemplate <class T>\nclass A : B { public: void m() {} };\nint A::z() { return 1; }\n}\n",
            [
                ("namespace n",),
                ("namespace n", "class A : B"),
                ("namespace n", "class A : B", "void m()"),
                ("namespace n", "int A::z()"),
            ],
        ),
        (
            "csharp",
            "using A;\nnamespace N\n{\n  public class C : D\n  {\n    public void M(int a) { }\n  }\n}\n",
            [
                (),
                ("namespace N",),
                ("namespace N", "public class C : D"),
                ("namespace N", "public class C : D", "public void M(int a)"),
            ],
        ),
        (
            "ruby",
            'require "a"\nmodule M\n  # doc\n  class C < D\n    def m(a)\n      1\n    end\n  end\nend\n',
            [(), ("module M",), ("module M", "class C < D"), ("module M", "class C < D", "def m(a)")],
        ),
        (
            "php",
            "<?php\nclass C extends D { public function m($a) { return 1; } }\nfunction f() {}\n",
            [(), ("class C extends D",), ("class C extends D", "public function m($a)"), ("function f()",)],
        ),
        (
            "kotlin",
            "class A(val x: Int) {\n  fun f(): Int { return 1 }\n}\n",
            [("class A(val x: Int)",), ("class A(val x: Int)", "fun f(): Int { return 1 }")],
        ),
        ("swift", "class A: B {\n  func f() -> Int { return 1 }\n}\n", [("class A: B",), ("class A: B", "func f() -> Int")]),
        ("scala", "object A {\n  def f(x: Int): Int = 1\n}\n", [("object A",), ("object A", "def f(x: Int): Int")]),
        ("lua", "local function f(a)\n return 1\nend\n", [("local function f(a)",)]),
        ("bash", "set -e\nf() {\n echo\n}\n", [(), ("f()",)]),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isalpha() else "",
)
def test_the_definitions_of_each_language_are_told(language: str, text: str, expected: list[tuple[str, ...]]):
    assert paths(text, language) == expected


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("python", PYTHON),
        ("python", "def half(:\n  (((\nclass \ndef whole(): pass\n"),
        ("python", "ü = 'ß'\n\n\ndef é():\n    '''𝄞'''\n"),
        ("javascript", "{" * 20_000),
        ("java", "class A { " * 3_000),
        ("python", "def f(): pass; " * 50),
        ("cobol", "MOVE A TO B."),
        (None, "key = value"),
        ("python", ""),
    ],
    ids=["whole", "errors", "letters", "nested", "classes", "one-line", "unknown", "none", "empty"],
)
def test_sections_cover_the_text_whatever_it_is(language: str | None, text: str):
    sections = code_sections(text, language)
    assert "".join(text[section.start : section.end] for section in sections) == text
    assert {section.kind for section in sections} == {"code"}


def test_a_function_is_a_chunk_of_its_own_and_tiny_ones_share_one():
    body = "\n".join(f"    total = total + fee_{number}" for number in range(8))
    text = f"import os\n\n\ndef fees(total):\n{body}\n\n\ndef taxes(total):\n{body}\n\n\ndef one(): ...\n\n\ndef two(): ...\n"
    document: LoadedDocument = load(text.encode(), "money.py")
    chunks = split(document, document_id="doc_1", name="money.py", revision=1, tokens_of=words, max_tokens=80, overlap=0)
    assert [chunk.text.split("\n", 1)[0] for chunk in chunks] == ["import os", "def taxes(total):"]
    assert "def fees(total)" in chunks[0].text
    assert "def two()" in chunks[1].text
    assert all(text[chunk.start : chunk.end] == chunk.text for chunk in chunks)
