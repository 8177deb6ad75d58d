"""What Gemini says that a call used, in full: LangChain reads neither what the tokens are of, nor those of tools' results."""

from collections.abc import Mapping
from typing import Any

from langchain_core.outputs import ChatGeneration

from providers.usage import Running, is_count

#: Kinds of tokens with prices of their own, by LangChain's names for them.
_KINDS = {"AUDIO": "audio", "IMAGE": "image"}


class GeminiRunning(Running):
    """Of one stream. `said` is the `usageMetadata` of the chunk at hand, as it came."""

    __slots__ = ("said",)

    def __init__(self) -> None:
        super().__init__()
        self.said: Any = None


def with_thoughts(generation: ChatGeneration) -> None:
    """Count thoughts as output, which they cost as, and as LangChain has it: Google's count of candidates is without them."""
    message: Any = generation.message
    if (usage := message.usage_metadata) and (thoughts := (usage.get("output_token_details") or {}).get("reasoning")):
        message.usage_metadata = usage | {"output_tokens": usage["output_tokens"] + thoughts}


def complete(generation: ChatGeneration, said: Any) -> None:
    """Have the usage tell all that `said` does, an answer's or a chunk's `usageMetadata`. What tools gave is input: Google's
    count of the prompt is without that."""
    message: Any = generation.message
    usage = message.usage_metadata
    if not usage or not isinstance(said, Mapping):
        return
    given, made = dict(usage.get("input_token_details") or {}), dict(usage.get("output_token_details") or {})
    from_tools = said.get("toolUsePromptTokenCount")
    if is_count(from_tools):
        usage = usage | {"input_tokens": usage["input_tokens"] + from_tools}
    for kind, count in (*_by_kind(said.get("promptTokensDetails")), *_by_kind(said.get("toolUsePromptTokensDetails"))):
        given[kind] = given.get(kind, 0) + count
    given |= {f"cached_{kind}": count for kind, count in _by_kind(said.get("cacheTokensDetails"))}
    made |= dict(_by_kind(said.get("candidatesTokensDetails")))
    details = {"input_token_details": given, "output_token_details": made}
    message.usage_metadata = usage | {name: parts for name, parts in details.items() if parts}


def _by_kind(details: Any) -> list[tuple[str, int]]:
    """Tokens by kind, of `[{"modality", "tokenCount"}]`; text is what is left."""
    if not isinstance(details, list):
        return []
    named = [(each.get("modality"), each.get("tokenCount")) for each in details if isinstance(each, Mapping)]
    return [(_KINDS[kind], count) for kind, count in named if kind in _KINDS and is_count(count)]
