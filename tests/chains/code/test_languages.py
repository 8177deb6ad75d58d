import pytest

from chains.code.languages import detect
from tests.chains.code.test_syntax import GOOD


@pytest.mark.parametrize("language", [name for name in GOOD if name != "php"])
def test_code_shows_its_language(language: str) -> None:
    assert detect(GOOD[language]) in {language, "cpp" if language == "c" else language}


def test_prose_shows_none() -> None:
    assert detect("The quick brown fox jumps over the lazy dog.") is None
