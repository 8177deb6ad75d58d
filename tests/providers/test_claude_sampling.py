"""Claude is told to sample within its own bounds."""

from typing import Any

import pytest

from providers.claude_sampling import sampled

NEW, OLD = "us.anthropic.claude-haiku-4-5-20251001-v1:0", "anthropic.claude-3-5-haiku-20241022-v1:0"


@pytest.mark.parametrize(
    ("model", "asked", "sent"),
    [
        (NEW, {"temperature": 1.7, "max_tokens": 3}, {"temperature": 1, "max_tokens": 3}),
        (NEW, {"temperature": 0.3, "top_p": 0.5}, {"temperature": 0.3}),
        (NEW, {"top_p": 0.5}, {"top_p": 0.5}),
        (NEW, {"top_p": 1.0}, {}),
        (OLD, {"temperature": 0.3, "top_p": 0.5}, {"temperature": 0.3, "top_p": 0.5}),
        (OLD, {"temperature": 0.3, "top_p": 1}, {"temperature": 0.3}),
        ("claude-sonnet-4@20250514", {"temperature": 0, "top_p": 0.5}, {"temperature": 0, "top_p": 0.5}),
    ],
)
def test_what_claude_is_sent(model: str, asked: dict[str, Any], sent: dict[str, Any]) -> None:
    assert sampled(model, asked) == sent
