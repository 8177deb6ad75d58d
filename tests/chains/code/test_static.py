import pytest

from chains.code.foreign import grammar_faults
from chains.code.static import python_faults


@pytest.mark.parametrize(
    ("code", "line", "said"),
    [
        ("import os\nprint(1)", 1, "'os' imported but unused"),
        ("def f():\n    x = 1\n    return 2", 2, "'x' is assigned to but never used"),
        ("print(nowhere)", 1, "undefined name 'nowhere'"),
        ("def f():\n    return 1\n    print(2)", 3, "never reached"),
        ("def f(list):\n    return list", 1, "hides the built-in"),
        ("def f(path):\n    file = open(path)\n    return file.read()", 2, "never closed"),
        ("def f(path):\n    return open(path).read()", 2, "never closed"),
        ("for x in xs:\n    xs.remove(x)", 2, "while it is looped over"),
        ("for i in range(len(xs) + 1):\n    print(xs[i])", 1, "beyond the end"),
        ("for i in range(len(xs)):\n    print(xs[i + 1])", 2, "beyond the end"),
        ("while True:\n    print(1)", 1, "never ends"),
        ("try:\n    f()\nexcept ValueError:\n    pass", 3, "swallowed"),
        ("cursor.execute(f'select {name}')", 1, "inject"),
        ("run(command, shell=True)", 1, "shell"),
        ("PASSWORD = 'hunter2'", 1, "secret"),
        ("def f(x):\n    if x:\n        return 1", 1, "None on the others"),
        ("x = input()\nprint(x is 'a')", 2, "is"),
    ],
)
def test_what_is_wrong_in_python_is_seen(code: str, line: int, said: str) -> None:
    assert any(fault[0] == line and said.lower() in fault[2].lower() for fault in python_faults(code))


@pytest.mark.parametrize(
    "code",
    [
        "def f(path):\n    with open(path) as file:\n        return file.read()",
        "def f(path):\n    file = open(path)\n    return file",
        "def f(x):\n    if x:\n        return 1\n    else:\n        return 2",
        "def f():\n    yield 1\n",
        "while True:\n    if input() == 'q':\n        break",
        "def f(xs):\n    for x in list(xs):\n        xs.remove(x)",
        "def f(xs):\n    for i in range(len(xs) - 1):\n        print(xs[i + 1])",
        "async def f(session, name):\n    await session.execute('select ?', (name,))",
        "def outer():\n    def inner():\n        return 1\n    print(inner())",
    ],
)
def test_what_is_right_is_left_alone(code: str) -> None:
    assert python_faults(code) == []


@pytest.mark.parametrize(
    ("language", "code", "line", "said"),
    [
        ("javascript", "function f(a) {\n  return a;\n  g();\n}", 3, "never reached"),
        ("javascript", "if (a == 1) {\n  eval(b);\n}", 1, "converts types"),
        ("javascript", "if (a == 1) {\n  eval(b);\n}", 2, "runs whatever"),
        ("javascript", "const { exec } = require('x');\nexec('rm ' + path);", 2, "any command"),
        ("javascript", "cp.execSync(`rm ${path}`);", 1, "any command"),
        ("typescript", "db.query(`SELECT * FROM u WHERE n = '${name}'`);", 1, "inject SQL"),
        ("javascript", "db.query('SELECT * FROM u WHERE n = ' + name);", 1, "inject SQL"),
        ("typescript", "try {\n  f();\n} catch (e) {\n}", 3, "swallowed"),
        ("java", "class A { int f() {\n throw new E();\n int x = 1; g(); } }", 3, "never reached"),
        ("c", "void f(char *s) {\n  char b[9];\n  strcpy(b, s);\n}", 3, "beyond its buffer"),
        ("go", "package a\nfunc f() int {\n  return 1\n  g()\n}", 4, "never reached"),
    ],
)
def test_a_grammar_shows_some_faults(language: str, code: str, line: int, said: str) -> None:
    assert any(fault[0] == line and said in fault[2] for fault in grammar_faults(code, language))


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("javascript", "cp.exec('ls ' + '-l');\n/a/.exec(b + c);\ndb.query('SELECT ?', [name]);"),
        ("javascript", "function f(a) {\n  if (a == null) { return 1; }\n  return 2;\n  // done\n  function g() {}\n}"),
        ("c", "int f(int x) {\n  switch (x) { case 1: return 1; case 2: return 2; }\n  return 3;\n}"),
        ("rust", "fn f(x: i32) -> i32 {\n  if x > 1 { return 1; }\n  2\n}"),
        ("brainfuck", "+++."),
    ],
)
def test_decent_code_of_other_languages_is_left_alone(language: str, code: str) -> None:
    assert grammar_faults(code, language) == []


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("while True:\n  x" + ".a" * 900 + "()\n", "never ends"),
        ("y = 1 / len(" + "a." * 900 + "b)\n", "divides by zero"),
        ("for i in range(len(x" + ".a" * 900 + ") + 1):\n  pass\n", "beyond the end"),
        ("for i in range(len(x)):\n  x[i + (1" + " + 1" * 900 + ")]\n", "beyond the end"),
    ],
)
def test_code_that_is_nested_deep_is_searched_too(code: str, said: str) -> None:
    assert any(said in message for _, _, message in python_faults(code))


@pytest.mark.parametrize("call", ["exit()", "quit(1)", "sys.exit(1)", "os._exit(0)"])
def test_a_loop_that_ends_the_process_ends(call: str) -> None:
    assert not any("never ends" in message for _, _, message in python_faults(f"while True:\n    {call}\n"))


def test_hostile_code_is_bounded() -> None:
    assert len(python_faults("import os\n" * 500)) <= 50
    assert len(grammar_faults("var a;\n" * 500, "javascript")) <= 50
