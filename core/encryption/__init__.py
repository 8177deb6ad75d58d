"""Encryption of what is stored. Data keys seal values, a key-encryption key wraps the data keys: this is where that one may
come from. See `docs/encryption.md`."""

from core.plugins import PluginTable

KEY_SOURCES = PluginTable(
    "key_sources",
    {
        "file": "core.encryption.local_keys:KeyFile",
        "setting": "core.encryption.local_keys:KeySetting",
        "aws_kms": "core.encryption.aws:AWSKMS",
        "google_kms": "core.encryption.google:GoogleKMS",
        "azure_key_vault": "core.encryption.azure:AzureKeyVault",
        "vault_transit": "core.encryption.vault:VaultTransit",
    },
)
#: What `encryption.source` may be beside these: nothing is sealed any more, and what was is still opened.
OFF = "off"
