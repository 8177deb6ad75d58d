"""Azure Key Vault: `azure:https://VAULT.vault.azure.net/secrets/NAME[/VERSION][#field]`
(learn.microsoft.com/rest/api/keyvault/secrets)."""

from core.cloud_services import azure_headers, call
from core.secret_managers.references import SecretMissing

_SCOPE = "https://vault.azure.net/.default"


def from_key_vault(identifier: str) -> str:
    """The secret's value. Credentials are Azure's usual ones."""
    value = call("GET", f"{identifier.rstrip('/')}?api-version=7.4", azure_headers(_SCOPE)).get("value")
    if not isinstance(value, str):
        raise SecretMissing("the secret is no text")
    return value
