"""The tier of service that an answer was given in, as its provider names it: prices differ by it."""

import re
from typing import Any

from langchain_core.outputs import ChatGeneration

#: In an answer's or a chunk's `generation_info`; whoever accounts for the call takes it out.
TIER = "tier"
#: Names of the tier that the list's plain prices are of. OpenAI, Azure, Anthropic, Groq, Bedrock and Vertex AI, November 2026.
_STANDARD = frozenset({"", "auto", "default", "standard", "on_demand", "traffic_type_unspecified"})
#: Vertex AI's names of tiers that others have, too.
_LIKE_OTHERS = {"on_demand_flex": "flex", "on_demand_priority": "priority", "provisioned_throughput": "provisioned"}
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,15}")
#: Stands for a name that is none.
OTHER = "other"


def tier_of(told: Any) -> str | None:
    """The tier by a name of ours, None for the standard one and where none is told."""
    if told is None:
        return None
    if not isinstance(told, str):
        return OTHER
    name = told.casefold()
    if name in _STANDARD:
        return None
    name = _LIKE_OTHERS.get(name, name)
    return name if _NAME.fullmatch(name) else OTHER


def mark(generation: ChatGeneration, told: Any) -> None:
    """Note the tier that the provider has told with it."""
    if (tier := tier_of(told)) is not None:
        generation.generation_info = {**(generation.generation_info or {}), TIER: tier}
