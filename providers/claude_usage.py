"""What Claude says that a call used, in full: LangChain reads neither how long what was cached is kept, nor its thinking."""

from typing import Any

from langchain_core.outputs import ChatGeneration

from providers.tiers import mark
from providers.usage import is_count


def complete(generation: ChatGeneration, said: Any) -> None:
    """Have the usage tell all that `said` does, the `usage` of an answer or of an event of a stream, as the SDK has it; and
    note the tier."""
    message: Any = generation.message
    speed = getattr(said, "speed", None)
    mark(generation, getattr(said, "service_tier", None) if speed in (None, "standard") else speed)
    if not (usage := message.usage_metadata):
        return
    given, made = dict(usage.get("input_token_details") or {}), dict(usage.get("output_token_details") or {})
    kept = getattr(said, "cache_creation", None)
    five_minutes, hour = (getattr(kept, f"ephemeral_{time}_input_tokens", None) for time in ("5m", "1h"))
    if is_count(five_minutes) and is_count(hour) and five_minutes + hour == (given.get("cache_creation") or 0):
        given |= {"cache_creation": 0, "ephemeral_5m_input_tokens": five_minutes, "ephemeral_1h_input_tokens": hour}
    thinking = getattr(getattr(said, "output_tokens_details", None), "thinking_tokens", None)
    if is_count(thinking) and usage["output_tokens"]:  # what a stream says at its beginning counts none
        made["reasoning"] = thinking
    details = {"input_token_details": given, "output_token_details": made}
    message.usage_metadata = usage | {name: parts for name, parts in details.items() if parts}
