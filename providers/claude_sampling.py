"""How Claude is told to sample, on Vertex AI and Bedrock: within its own bounds, and in one way where it takes but one."""

import re
from collections.abc import Mapping
from typing import Any

#: Those that take `temperature` and `top_p` together; from 4.1 on a model refuses that.
#: docs.anthropic.com/en/docs/about-claude/models/migrating-to-claude-4, November 2026.
_TAKES_BOTH = re.compile(r"claude-(v2|instant|3|(sonnet|opus)-4(@|-2025|$))")


def is_claude(model: str) -> bool:
    """Whether a name or an ARN is one of Claude's."""
    return "claude" in model


def sampled(model: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """`asked` without a `top_p` that says nothing or stands beside a temperature that counts, and with a temperature of 1 at
    most: OpenAI's goes up to 2."""
    given = dict(asked)
    if given.get("temperature") is not None:
        given["temperature"] = min(given["temperature"], 1)
    if given.get("top_p") == 1 or (given.get("temperature") is not None and not _TAKES_BOTH.search(model)):
        given.pop("top_p", None)
    return given
