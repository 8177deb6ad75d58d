import pytest

from chains.code.syntax import MAX_PROBLEMS, Problem, problems

GOOD = {
    "python": "def add(a, b):\n    return a + b\n",
    "javascript": "const add = (a, b) => a + b;\n",
    "typescript": "function add(a: number, b: number): number { return a + b; }\n",
    "java": "class A { int add(int a, int b) { return a + b; } }\n",
    "go": "package main\n\nfunc add(a int, b int) int { return a + b }\n",
    "rust": "fn add(a: i32, b: i32) -> i32 { a + b }\n",
    "c": "int add(int a, int b) { return a + b; }\n",
    "cpp": "template <typename T> T add(T a, T b) { return a + b; }\n",
    "csharp": "class A { int Add(int a, int b) => a + b; }\n",
    "ruby": "def add(a, b)\n  a + b\nend\n",
    "php": "function add($a, $b) { return $a + $b; }\n",
    "bash": 'for f in *.txt; do echo "$f"; done\n',
    "sql": "SELECT a, b FROM t WHERE a > 1;\n",
}


@pytest.mark.parametrize("language", GOOD)
def test_code_that_parses_has_no_problem(language: str) -> None:
    assert problems(GOOD[language], language) == []


@pytest.mark.parametrize("language", ["python", "javascript", "typescript", "java", "go", "rust", "c", "cpp", "csharp", "ruby"])
def test_code_that_does_not_parse_says_where(language: str) -> None:
    found = problems(GOOD[language] + "\n\n((( {{{\n", language)
    assert found
    assert all(problem.line >= 1 and problem.message for problem in found)


def test_a_language_without_a_parser_is_not_judged() -> None:
    assert problems("whatever", "brainfuck") is None


def test_no_code_is_a_problem() -> None:
    assert problems(" \n", "python")


@pytest.mark.parametrize(
    ("code", "language"),
    [
        ("(" * 50_000, "python"),
        ("x = " + "-" * 100_000 + "1", "python"),
        ("a\0b", "python"),
        ("{" * 50_000, "javascript"),
        ("[" * 50_000 + "]" * 50_000, "javascript"),
    ],
)
def test_hostile_code_is_judged_and_harms_nothing(code: str, language: str) -> None:
    found = problems(code, language)
    assert found is not None
    assert len(found) <= MAX_PROBLEMS


@pytest.mark.parametrize("language", ["html", "svelte", "astro"])
def test_text_without_an_element_is_no_markup(language: str) -> None:
    assert problems("# A heading\n# and another", language) == [
        Problem(line=1, message=f"there is no element of {language} in it")
    ]
    assert problems("<h1>A heading</h1>", language) == []


def test_go_wants_a_brace_at_the_end_of_its_line() -> None:
    below = "package a\n\nfunc f() {\n\tfor i := 0; i < 3; i++\n\t{\n\t}\n}\n"
    assert [(one.line, "line above" in one.message) for one in problems(below, "go") or []] == [(5, True)]
    assert problems("package a\n\nfunc f() {\n\tif x {\n\t}\n\t{\n\t}\n}\n", "go") == []


def test_a_problem_is_on_a_line_that_the_code_has() -> None:
    assert [one.line for one in problems("if true; then\n  echo yes\n", "bash") or []] == [2]


def test_go_may_end_without_a_line_end() -> None:
    assert problems("package a\ntype S struct { x int }", "go") == []
