import pytest

from chains.code.prose import code_lines, is_prose


@pytest.mark.parametrize(
    ("text", "is_code"),
    [
        ("def max_profit(items):", True),
        ("max_profit = 0", True),
        ("return max_profit", True),
        ("for (int i = 0; i < 3; i++) {", True),
        ("b may be zero", False),
        ("`total = a / b` divides by zero", False),
        ("unused", False),
        ("", False),
    ],
)
def test_code_is_told_from_words(text: str, is_code: bool) -> None:
    assert code_lines([text], "java") == [is_code]


@pytest.mark.parametrize(
    ("text", "prose"),
    [
        ("not code at all, just a sentence about cats.", True),
        ("Bitte schreibe mir einen Brief an Herrn Müller, danke!", True),
        ("x + y", False),
        ("DISPLAY 'HI'", False),
        ("MOVE A TO B. ADD 1 TO C. STOP RUN.", False),
        ("(defun f (x) x)", False),
        ("one two three four = five", False),
    ],
)
def test_prose_is_told_from_code(text: str, prose: bool) -> None:
    assert is_prose(text) is prose
