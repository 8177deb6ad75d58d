"""Names are told, secrets that were put in their place are not."""

import secrets

import pytest

from core.shown_names import HIDDEN, shown, shown_model


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


@pytest.mark.parametrize("name", ["default", "gpt-4o-mini", "mistral:7b", "org/model-v1.2", "claude-3-5-sonnet-20241022-v2:0"])
def test_names_of_models_are_shown(name: str) -> None:
    assert shown_model(name) == name


@pytest.mark.parametrize(
    "name",
    ["jane.roe@example.com", "+49 170 1234567", "DE89370400440532013000", "Jane Roe", "gk_" + "abcdefghijklmnopqrstuvwx"],
)
def test_what_is_no_name_of_a_model_is_not_shown(name: str) -> None:
    assert shown_model(name) == HIDDEN
