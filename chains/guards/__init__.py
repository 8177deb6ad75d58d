"""Guards: runnables that read a text and say whether it may pass. Each is found by name in this table."""

from core.plugins import PluginTable

GUARDS = PluginTable(
    "guards",
    {
        "prompt_injection": "chains.guards.prompt_injection:PromptInjection",
        "topics": "chains.guards.topics:Topics",
        "patterns": "chains.guards.patterns:Patterns",
        "moderation": "chains.guards.moderation:Moderation",
        "json_schema": "chains.guards.json_schema:JSONSchema",
    },
)
