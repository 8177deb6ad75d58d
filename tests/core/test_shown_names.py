"""Names are told, secrets that were put in their place are not."""

import secrets

import pytest

from core.shown_names import HIDDEN, shown


@pytest.mark.parametrize(
    "name", ["max_tokens", "messages", "$ref", "x-genai-tags", "topP", "OPENAI_KEY", 0, 17, "v2", "file.name"]
)
def test_names_are_shown(name: object) -> None:
    assert shown(name) == str(name)


@pytest.mark.parametrize(
    "name",
    [
        "sk-proj-" + "abcdefghijklmnopqrstuvwx",
        "AKIA" + "IOSFODNNZEXAMPLE",
        "gk_" + "abcdefghijklmnopqrstuvwx",
        "Xk3mPq9RtLwZ",
        "correct horse battery staple",
        "jane.roe@example.com",
        "a" * 41,
        "",
        "p4ss!",
        "ключ",
    ],
)
def test_what_may_be_a_secret_is_not_shown(name: str) -> None:
    assert shown(name) == HIDDEN


def test_what_is_drawn_by_lot_is_not_shown() -> None:
    for _ in range(50):
        assert shown(f"canary{secrets.token_hex(20)}") == HIDDEN
        assert shown(f"x_{secrets.token_hex(16)}") == HIDDEN
