"""Why answers end, in the providers' words: as they should, refused by policy, or broken by the provider itself.

Clouds document their words: one that is none of them is no proof of a whole answer. Servers of OpenAI's protocol have words of
their own that nobody lists (TGI's `eos_token`, Together's `eos`): there an unknown one ends an answer, unless it says itself
that something went wrong.
"""

from providers.neutral import ProviderDown, refused

#: In lower case. platform.openai.com/docs/api-reference/chat/object, ai.google.dev/api/generate-content#FinishReason,
#: docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html, docs.anthropic.com/en/api/handling-stop-reasons,
#: November 2026. Anthropic's `pause_turn` ends no answer.
_WHOLE = frozenset(
    {
        *("stop", "length", "tool_calls", "function_call"),
        *("end_turn", "stop_sequence", "tool_use", "max_tokens", "model_context_window_exceeded"),
    }
)
#: What the models' own translation does not know as a refusal already: a gateway passes on the words of others. `sensitive` is
#: Zhipu's.
_REFUSED = frozenset(
    {
        *("content_filter", "content_filtered", "guardrail_intervened", "refusal", "sensitive"),
        *("safety", "recitation", "blocklist", "prohibited_content", "spii", "model_armor"),
    }
)
_DOCUMENTED = frozenset({"openai", "azure", "vertex", "bedrock"})
#: Parts of words that say that something went wrong: vLLM's `abort` and `error`, Mistral's and OpenRouter's `error`, DeepSeek's
#: `insufficient_system_resource`, Zhipu's `network_error`; and those of the clouds, which a gateway may pass on.
_WRONG = ("abort", "cancel", "error", "fail", "insufficient", "interrupt", "malformed", "missing", "timeout", "unexpected")
#: Ollama's, for a request that only loaded a model or removed it from memory; the clouds' for what has no better word.
_EMPTY = frozenset({"load", "unload", "other", "pause_turn", "language", "too_many_tool_calls"})


def judge(reason: str, provider: str) -> None:
    """Nothing, where an answer that ends so is whole, or as long as it may be. `provider` is its name in the settings.

    Raises:
        ContentRefused: by the provider's policy; a part of an answer is no success.
        ProviderDown: the provider calls it broken, or ends it for a reason that it does not document.
    """
    word = reason.lower()
    if word in _WHOLE:
        return
    if word in _REFUSED:
        raise refused([word])
    documented = provider.partition(":")[0] in _DOCUMENTED
    if documented or word in _EMPTY or any(part in word for part in _WRONG):
        raise ProviderDown("The answer did not end as one that is whole.")
