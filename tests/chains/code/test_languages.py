import pytest

from chains.code.languages import detect
from tests.chains.code.test_syntax import GOOD


@pytest.mark.parametrize("language", [name for name in GOOD if name != "php"])
def test_code_shows_its_language(language: str) -> None:
    assert detect(GOOD[language]) in {language, "cpp" if language == "c" else language}


def test_prose_shows_none() -> None:
    assert detect("The quick brown fox jumps over the lazy dog.") is None


@pytest.mark.parametrize(
    ("code", "language"),
    [
        ('{"a": 1, "b": [1, 2]}', "json"),
        ('{"a": 1, "b": [1, 2}', "json"),
        ('[{"a": 1}, {"a": 2}]', "json"),
        ("{'a': None}", "python"),
        ('def hello(name)\n  puts "Hello #{name}"\n', "ruby"),
        ('if [ "$1" = "x" ]; then\n  echo yes\n', "bash"),
        ("print 'hello'", "python"),
        ("try:\n    x = int(input())\nprint(x)\n", "python"),
        ("x = f(1))", "python"),
    ],
)
def test_code_that_lacks_a_little_shows_its_language(code: str, language: str) -> None:
    assert detect(code) == language
