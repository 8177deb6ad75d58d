import pytest

from chains.code.findings import Finding, from_parser, from_text, plausible, summary, without_echoes


@pytest.mark.parametrize(
    ("line", "severity", "message"),
    [
        ("3: error: the list may be empty", "error", "the list may be empty"),
        ("- Line 2: this is slow", "warning", "this is slow"),
        ("* **Line 2**: `x` is never used", "warning", "`x` is never used"),
        ("1. Line 4 - info - a name would help", "info", "a name would help"),
        ("L2: [critical] it deletes everything", "error", "it deletes everything"),
    ],
)
def test_a_models_lines_are_findings(line: str, severity: str, message: str) -> None:
    [found], rest = from_text(line, 5)
    assert (found.severity, found.message, found.source) == (severity, message, "model")
    assert rest == ""


def test_a_line_that_the_code_does_not_have_is_no_finding() -> None:
    findings, rest = from_text("9: error: out of the blue\nAll in all it is fine.", 5)
    assert findings == []
    assert rest == "All in all it is fine."


def test_a_line_too_long_to_be_a_finding_is_words() -> None:
    assert from_text("1" * 5000 + ": error: it is long", 5)[0] == []


def test_the_same_finding_counts_once() -> None:
    findings, _ = from_text("1: error: the same\n" * 100, 3)
    assert len(findings) == 1


@pytest.mark.parametrize(
    ("code", "line", "said"),
    [
        ("def f(a=[]):\n    return a", 1, "mutable"),
        ("try:\n    pass\nexcept:\n    pass", 3, "bare"),
        ("def f(x):\n    return x == None", 2, "None"),
        ("eval(input())", 1, "eval"),
        ("x = 1 / 0", 1, "zero"),
        ("def mean(xs):\n    return sum(xs) / len(xs)", 2, "`xs` is empty"),
        ("x = 1\nassert (x, 'always')", 2, "assert"),
        ("return 1", 1, "return"),
        ("def f(:\n    pass", 1, "Syntax"),
    ],
)
async def test_the_parser_sees_certain_faults(code: str, line: int, said: str) -> None:
    findings, _ = await from_parser(code, "python")
    assert any(one.line == line and said.lower() in one.message.lower() and one.source == "parser" for one in findings)


async def test_decent_code_has_no_certain_fault() -> None:
    assert await from_parser("def add(a, b):\n    return a + b\n", "python") == ([], True)


async def test_other_languages_are_judged_by_their_grammar() -> None:
    assert (await from_parser("fn add( -> {", "rust"))[1] is False
    findings, valid = await from_parser("whatever", "brainfuck")
    assert valid is None
    assert [(one.severity, one.message) for one in findings] == [("info", "Syntax: no parser knows this language")]


CODE = "def ratio(a, b):\n    total = a / b\n    return total"


def test_a_line_given_back_is_no_finding() -> None:
    said, _ = from_text("1: def ratio(a, b):\n2: error: `total = a / b`\n3: warning: return total\n2: b may be zero here", 3)
    assert [one.message for one in without_echoes(said, CODE)] == ["b may be zero here"]


async def test_of_a_small_models_findings_those_are_kept_that_can_be() -> None:
    said, _ = from_text(
        "1: error: it divides by zero\n2: error: b may be zero\n"
        "3: warning: `nowhere` is not closed\n3: info: the index is out of bounds",
        3,
    )
    assert [(one.line, one.message) for one in await plausible(said, CODE, "python")] == [(2, "b may be zero")]
    repeated, _ = from_text("1: warning: a name would help\n2: warning: a name would help", 3)
    assert await plausible(repeated, CODE, "python") == []


async def test_a_summary_counts_in_words() -> None:
    findings, _ = await from_parser("import os\nimport re\nx = 1 / 0", "python")
    assert summary(findings) == "Found: 1 error, 2 warnings."
    assert summary([]) == (
        "Nothing was found: the parser's checks found nothing, and the model named nothing that the code bears out. "
        "Nobody has run it."
    )


@pytest.mark.parametrize(
    "message",
    [
        "def min_ratio(a):",
        "min_ratio = 0",
        "return min_ratio",
        "if len(b) == 0 and len(total) > 1:",
        "for (int i = 0; i < 3; i++) {",
        "the list max_items may be empty",
        "it should call checkZero first",
    ],
)
async def test_a_line_of_another_program_is_no_finding(message: str) -> None:
    said = [Finding(line=3, severity="warning", message=message)]
    assert await plausible(said, CODE, "python") == []


@pytest.mark.parametrize("message", ["total may be zero", "the name says nothing", "return value is never checked", "too slow"])
async def test_a_sentence_is_a_finding(message: str) -> None:
    said = [Finding(line=2, severity="warning", message=message)]
    assert await plausible(said, CODE, "python") == said
