"""Secrets that a setting only refers to: `env:NAME`, `file:/path`, `aws:…`, `gcp:…`, `azure:…`, `vault:…`, with `#field`
where the secret is a JSON object."""

from core.plugins import PluginTable

#: `scheme -> a function of what follows it (without the field)`. It blocks, and raises `SecretMissing`.
SECRET_MANAGERS = PluginTable(
    "secret_managers",
    {
        "env": "core.secret_managers.local:from_environment",
        "file": "core.secret_managers.local:from_file",
        "aws": "core.secret_managers.aws:from_secrets_manager",
        "gcp": "core.secret_managers.google:from_secret_manager",
        "azure": "core.secret_managers.azure:from_key_vault",
        "vault": "core.secret_managers.vault:from_vault",
    },
)


def is_reference(value: object) -> bool:
    """Whether it is a text that refers to a secret, rather than the secret itself."""
    return isinstance(value, str) and ":" in value and value.partition(":")[0] in SECRET_MANAGERS
