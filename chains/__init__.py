"""The capabilities: runnables and their prompts. Each is a `ChainSpec`, found by name in this table."""

from core.plugins import PluginTable

CHAINS = PluginTable(
    "chains",
    {
        "chat": "chains.chat:SPEC",
        "completion": "chains.completion:SPEC",
        "code/generate": "chains.code.generate:SPEC",
        "code/explain": "chains.code.explain:SPEC",
        "code/review": "chains.code.review:SPEC",
        "code/fix": "chains.code.fix:SPEC",
        "code/tests": "chains.code.tests:SPEC",
        "code/translate": "chains.code.translate:SPEC",
        "rag": "chains.rag:SPEC",
        "multimodal": "chains.multimodal:SPEC",
        "pii": "chains.pii:SPEC",
    },
)
