import pytest

from chains.code.closing import closed
from chains.code.mending import mended

LACKING = [
    ("c", "int f() {\n    for (;;) {\n        g();\n    return 0;\n}\n", "    }", 3),
    ("c", "int f()\n{\n    while (1)\n    {\n        g();\n    return 0;\n}\n", "    }", 5),
    ("java", "class A {\n  void f() {\n    if (x) {\n      g();\n    } else {\n      h();\n  }\n}\n", "    }", 6),
    ("javascript", 'function f() {\n  if (a) {\n    b("}");\n  return 1;\n}\n\nfunction g() {\n  return 2;\n}\n', "  }", 3),
    ("go", "package a\n\nfunc f() {\n\tif x {\n\t\tg()\n\n\th()\n}\n", "\t}", 5),
    ("rust", "fn main() {\n    if true {\n        f();\n    g();\n}\n", "    }", 3),
    ("python", "x = {\n    'a': 1,\n\nprint(x)\n", "}", 2),
    ("ruby", "def f(x)\n  if x\n    1\n  else\n    2\n  end\n\nputs f(3)\n", "end", 6),
    ("ruby", "class A\n  def g\n    [1].each do |y|\n      puts y\n  end\nend\n", "    end", 4),
    ("bash", "for f in *; do\n  if [ -d $f ]; then\n    echo $f\n  else\n    echo no\ndone\n", "  fi", 5),
    ("bash", "while read x\ndo\n  echo $x\n", "done", 3),
    ("lua", "function f(x)\n  if x then\n    return 1\n  return 2\nend\n", "  end", 3),
]


@pytest.mark.parametrize(("language", "code", "lacked", "row"), LACKING, ids=[f"{number}" for number in range(len(LACKING))])
def test_a_block_ends_where_the_indentation_goes_back(language: str, code: str, lacked: str, row: int) -> None:
    lines = code.splitlines()
    assert (mended(code, language) or "").splitlines() == [*lines[:row], lacked, *lines[row:]]


def test_a_brace_that_lacks_before_a_bracket_goes_in_front_of_it() -> None:
    assert closed("on(() => {\n  f();\n);\n", "javascript") == "on(() => {\n  f();\n});\n"


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("c", "int f() {\nfor (;;) {\ng();\nreturn 0;\n}\n"),
        ("c", "switch (x) {\ncase 1:\n    f();\ndefault:\n    g();\n}\n"),
        ("javascript", "function f(a {\n  return a;\n}\nf();\n"),
        ("ruby", "def twice(x) = 2 * x\n\nputs 'end' if true\n"),
        ("python", "x = (1,\n     2\ny = 3\n"),
    ],
)
def test_what_lacks_nothing_or_has_no_telling_indentation_is_left_alone(language: str, code: str) -> None:
    assert closed(code, language) is None
