"""Which reasons for the end make an answer a whole one."""

import pytest

from core.errors import ContentRefused
from providers.endings import judge
from providers.neutral import ProviderDown


@pytest.mark.parametrize(
    ("provider", "reason"),
    [
        ("openai", "stop"),
        ("azure", "length"),
        ("openai", "tool_calls"),
        ("vertex", "STOP"),
        ("vertex", "MAX_TOKENS"),
        ("vertex", "end_turn"),
        ("bedrock", "stop_sequence"),
        ("bedrock", "tool_use"),
        ("bedrock", "model_context_window_exceeded"),
        ("openai_compatible", "eos_token"),
        ("openai_compatible:tgi", "banana"),
        ("local", "stop"),
    ],
)
def test_an_answer_that_ends_so_is_whole(provider: str, reason: str) -> None:
    judge(reason, provider)


@pytest.mark.parametrize(
    ("provider", "reason"),
    [
        ("openai", "banana"),
        ("azure", "error"),
        ("vertex", "OTHER"),
        ("vertex", "MALFORMED_FUNCTION_CALL"),
        ("vertex", "UNEXPECTED_TOOL_CALL"),
        ("vertex", "LANGUAGE"),
        ("vertex", "OF_NEXT_YEAR"),
        ("vertex", "pause_turn"),
        ("bedrock", "malformed_model_output"),
        ("bedrock", "malformed_tool_use"),
        ("openai_compatible:vllm", "abort"),
        ("openai_compatible:vllm", "error"),
        ("openai_compatible:deepseek", "insufficient_system_resource"),
        ("openai_compatible:zhipu", "network_error"),
        ("openai_compatible:ollama", "load"),
        ("openai_compatible:gateway", "MALFORMED_FUNCTION_CALL"),
    ],
)
def test_one_that_ends_so_is_broken(provider: str, reason: str) -> None:
    with pytest.raises(ProviderDown):
        judge(reason, provider)


@pytest.mark.parametrize("reason", ["content_filter", "SAFETY", "refusal", "guardrail_intervened", "sensitive"])
def test_one_that_policy_ended_is_refused(reason: str) -> None:
    with pytest.raises(ContentRefused, match=reason.lower()):
        judge(reason, "openai_compatible:gateway")
