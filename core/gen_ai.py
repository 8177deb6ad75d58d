"""The names that OpenTelemetry's semantic conventions for generative AI have for what the platform does.

The current ones are those of the package opentelemetry-semantic-conventions 0.66b2 (2026), the previous ones those before
semantic conventions 1.37 (2025).
"""

from typing import Literal

Names = Literal["current", "previous", "both"]

#: How the conventions call the providers, by the names of ours: now, and before. Others keep their name.
_PROVIDERS = {
    "azure": ("azure.ai.openai", "az.ai.openai"),
    "bedrock": ("aws.bedrock", "aws.bedrock"),
    "vertex": ("gcp.vertex_ai", "vertex_ai"),
}


def provider_attributes(provider: str, names: Names) -> dict[str, str]:
    """The attributes that tell a provider (`azure`, `openai_compatible:vllm`)."""
    kind = provider.partition(":")[0]
    now, before = _PROVIDERS.get(kind, (kind, kind))
    told = {"gen_ai.provider.name": now} if names != "previous" else {}
    return told | ({"gen_ai.system": before} if names != "current" else {})


def operation(capability: str, *, embeds: bool) -> str:
    """What a call of a provider does."""
    if embeds:
        return "embeddings"
    return "text_completion" if capability == "completion" else "chat"
