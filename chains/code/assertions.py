"""Whether code tests anything, as far as can be seen without running it."""

import ast
import re
import warnings

#: How the usual frameworks of a language write what must hold.
_ASSERTING = {
    "javascript": r"\bexpect\s*\(|\bassert\b",
    "typescript": r"\bexpect\s*\(|\bassert\b",
    "java": r"\bassert\w*\b|\bverify\s*\(",
    "kotlin": r"\bassert\w*\b|\bshould\w*\b",
    "go": r"\bt\.(Error|Errorf|Fatal|Fatalf|Fail|FailNow)\(|\b(assert|require)\.",
    "rust": r"\b(debug_)?assert(_eq|_ne)?!|#\[should_panic",
    "csharp": r"\bAssert\b|\.Should\w*\(",
    "ruby": r"\b(assert|refute)\w*\b|\bexpect\b|\.(must|wont)_",
    "php": r"\bassert\w*\b|\bexpect\w*\(",
    "cpp": r"\b(EXPECT|ASSERT)_\w+|\bassert\s*\(|\b(REQUIRE|CHECK)\s*\(",
    "c": r"\bassert\w*\s*\(|\bTEST_ASSERT",
}


def missing_tests(source: str, language: str, code: str) -> str | None:
    """Why code is no test of the source, in a few words; None where it seems to be one, or where the language is not known."""
    if _bare(code) == _bare(source):
        return "this is the code itself, not tests of it"
    if not _asserts(code, language):
        return "nothing is asserted, so these are no tests"
    return None


def _bare(code: str) -> str:
    return "".join(code.split())


def _asserts(code: str, language: str) -> bool:
    if language == "python":
        return _python_asserts(code)
    pattern = _ASSERTING.get(language)
    return pattern is None or bool(re.search(pattern, code))


def _python_asserts(code: str) -> bool:
    """Whether there is an `assert`, or a call of `assertEqual`, `pytest.raises` and their like, or a doctest."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name.startswith(("assert", "raises", "fail")):
                return True
    return ">>> " in code
