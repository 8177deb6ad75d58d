import pytest

from chains.code.testing import mismatch, without_doubles

STACK = "export class Stack<T> {\n  push(x: T): void {}\n  get size(): number { return 1; }\n}\n"
ACCOUNT = "class Account:\n    def withdraw(self, x):\n        self.balance -= x\n"


@pytest.mark.parametrize(
    ("language", "source", "code", "left"),
    [
        ("python", "def f(a):\n    return a", "def f(a):\n    return 1\n\nassert f(1) == 1", "assert f(1) == 1"),
        ("python", "def f(a)\n    return a", "def f(a):\n    return 1\n\nassert f(1) == 1", "assert f(1) == 1"),
        ("python", "def f(a):\n    return a", "f = lambda a: a\nassert f(1) == 1", "assert f(1) == 1"),
        ("python", "class A: pass", "@dataclass\nclass A:\n    x: int\n\nassert A()", "assert A()"),
        ("javascript", "const f = (a) => a;", "const f = (a) => 1;\ntest('f', () => { f(1) })", "test('f', () => { f(1) })"),
        ("typescript", STACK, STACK + "new Stack();", "new Stack();"),
        (
            "go",
            "package a\nfunc F() {}",
            "package a\n\nfunc F() {}\n\nfunc TestF() { F() }",
            "package a\n\n\n\nfunc TestF() { F() }",
        ),
        ("java", "class A { }", "class A { }\nclass T { void t() { new A(); } }", "class T { void t() { new A(); } }"),
    ],
)
def test_what_tests_define_again_is_taken_out(language: str, source: str, code: str, left: str) -> None:
    text, names = without_doubles(source, code, language)
    assert text.split() == left.split()
    assert len(names) == 1


@pytest.mark.parametrize(
    ("language", "source", "code"),
    [
        ("python", "def f(a):\n    return a", "class Fake:\n    def f(self): pass\n\nassert f(1)"),
        ("klingon", "def f(a)", "def f(a)"),
        ("python", "x = 1", "def f(): pass"),
    ],
)
def test_other_definitions_stay(language: str, source: str, code: str) -> None:
    assert without_doubles(source, code, language) == (code, [])


WRONG = [
    ("python", ACCOUNT, "with Account() as account:\n    account.withdraw(1)", "`Account` has no `__enter__`"),
    ("python", ACCOUNT, "a = Account()\nassert a.deposit(1) is None", "line 2: `deposit` is not in `Account`"),
    ("python", ACCOUNT, "assert Account().deposit(1) is None", "line 1: `deposit` is not in `Account`"),
    ("python", "def f(a, b=1):\n    return a", "assert f() == 1", "line 1: `f` takes 1 to 2 arguments, not 0"),
    ("python", "def f(a):\n    return a", "assert g(f(1)) == 1", "line 1: `g` is nowhere defined"),
    ("python", "def f(a):\n    return a", "from m import f, g\nassert f(1) == g", "`g` is not in the code"),
    (
        "typescript",
        STACK,
        "import { Stack } from 'typescript';",
        "`Stack` is imported from 'typescript', which is not the code",
    ),
    ("typescript", STACK, "import { Stack, Impl } from './stack';", "`Impl` is not in the code"),
    (
        "typescript",
        STACK,
        "const s = new Stack<number>();\nexpect(s.getSize()).toBe(1);",
        "line 2: `getSize` is not in `Stack`",
    ),
]


@pytest.mark.parametrize(("language", "source", "code", "said"), WRONG, ids=[f"{number}" for number in range(len(WRONG))])
def test_what_the_code_has_not_is_told(language: str, source: str, code: str, said: str) -> None:
    assert said in str(mismatch(source, code, language))


@pytest.mark.parametrize(
    ("language", "source", "code"),
    [
        ("python", ACCOUNT, "a = Account()\na.withdraw(1)\nassert a.balance == 1"),
        ("python", "class A(B):\n    pass", "assert A().anything() == 1"),
        ("python", "def f(a):\n    return a", "import pytest\nwith pytest.raises(TypeError):\n    f()"),
        ("python", "def f(*a, b=1):\n    return a", "assert f(1, 2, 3, b=2)"),
        ("python", "def f(a):\n    return a", "args = [1]\nassert f(*args) == 1\nassert f(a=1) == 1"),
        ("python", "def f(a)\n    return a", "assert f(1) == 1"),
        ("typescript", STACK, "import { Stack } from './stack';\nconst s = new Stack();\nexpect(s.size).toBe(1);"),
        ("javascript", "class A extends B {}", "const a = new A();\na.anything();"),
        ("go", "func F() {}", "whatever"),
    ],
)
def test_what_the_code_has_is_left_alone(language: str, source: str, code: str) -> None:
    assert mismatch(source, code, language) is None


def test_tests_that_use_pytest_import_it() -> None:
    code = "def test():\n    with pytest.raises(TypeError):\n        f()"
    assert without_doubles("def f(a): pass", code, "python") == (f"import pytest\n\n{code}", [])
    assert without_doubles("def f(a): pass", f"import pytest\n{code}", "python") == (f"import pytest\n{code}", [])
