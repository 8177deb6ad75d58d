import pytest

from chains.code.references import unused

USED = [
    ("python", "def add(a, b):\n    return a + b", "def test_add():\n    assert add(1, 2) == 3"),
    ("python", "class C:\n    def add(self): pass", "def test():\n    assert C().add() is None"),
    ("javascript", "const add = (a) => a", "test('f', () => { expect(add(1)).toBe(2) })"),
    ("typescript", "export const add = (a: number) => a", "test('f', () => { expect(add(1)).toBe(1) })"),
    ("rust", "fn add(a: i32) -> i32 { a }", "#[test] fn f() { assert_eq!(add(1), 1); }"),
    (
        "go",
        "package a\nfunc Add(a int) int { return a }",
        "package a\nfunc TestF(t *testing.T) { if Add(1) != 2 { t.Fail() } }",
    ),
    ("java", "class A { static int add(int a) { return a; } }", "class T { @Test void t() { assertEquals(1, A.add(1)); } }"),
    ("c", "int *add(int a) { return a; }", "void t() { assert(add(1) == 1); }"),
    ("ruby", "def add(a)\n  a\nend", "class T < Minitest::Test\n  def test_a\n    assert_equal 1, add(1)\n  end\nend"),
    (
        "php",
        "function add($a) { return $a; }",
        "class T extends TestCase { function testA() { $this->assertEquals(1, add(1)); } }",
    ),
]


@pytest.mark.parametrize(("language", "source", "code"), USED, ids=[f"{number}" for number in range(len(USED))])
def test_code_that_calls_what_is_defined_uses_it_and_other_names_do_not(language: str, source: str, code: str) -> None:
    assert unused(source, code, language) == []
    elsewhere = code.replace("add", "sum").replace("Add", "Sum").replace("C()", "D()").replace("A.", "B.")
    assert unused(source, elsewhere, language)


@pytest.mark.parametrize(
    "code",
    [
        "from sums import add\n\ndef test_add():\n    assert 1 + 2 == 3",
        "def add(a, b):\n    return a + b\n\nassert 1 + 2 == 3",
        "def add(a, b):\n    return a + b\n\nassert add(1, 2) == 3",
        "def test():\n    def add(a, b):\n        return a + b\n    assert add(1, 2) == 3",
        "# add(1, 2)\nassert 'add' == 'add'",
    ],
)
def test_to_import_define_or_mention_is_not_to_use(code: str) -> None:
    assert unused("def add(a, b):\n    return a + b", code, "python") == ["add"]


def test_what_defines_nothing_or_has_no_grammar_is_not_judged() -> None:
    assert unused("x = 1", "assert True", "python") is None
    assert unused("fun add(a: Int) = a", "nothing", "klingon") is None
