"""Chat and embedding models of every provider, behind aliases with failover. One file a cloud."""

from core.plugins import PluginTable

PROVIDERS = PluginTable(
    "providers",
    {
        "local": "providers.local:LocalProvider",
        "openai": "providers.openai:OpenAIProvider",
        "openai_compatible": "providers.openai_compatible:OpenAICompatibleProvider",
        "azure": "providers.azure:AzureProvider",
        "vertex": "providers.vertex:VertexProvider",
        "bedrock": "providers.bedrock:BedrockProvider",
    },
)
