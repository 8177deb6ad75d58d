import pytest

from chains.code.languages import canonical, detect, known
from tests.chains.code.test_syntax import GOOD


@pytest.mark.parametrize(
    ("said", "meant"),
    [("py", "python"), ("C++", "cpp"), (" JS ", "javascript"), ("Golang", "go"), ("C#", "csharp"), ("Rust", "rust")],
)
def test_a_language_is_known_by_what_people_call_it(said: str, meant: str) -> None:
    assert canonical(said) == meant
    assert meant in known()


def test_a_language_that_nobody_knows_keeps_its_name() -> None:
    assert canonical("Brainfuck") == "brainfuck"


@pytest.mark.parametrize("language", [name for name in GOOD if name != "php"])
def test_code_shows_its_language(language: str) -> None:
    assert detect(GOOD[language]) in {language, "cpp" if language == "c" else language}


def test_prose_shows_none() -> None:
    assert detect("The quick brown fox jumps over the lazy dog.") is None
