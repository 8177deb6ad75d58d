"""HashiCorp Vault: `vault:PATH#field`, PATH as its API has it: `secret/data/genai` in a key-value engine of version 2,
`secret/genai` in one of version 1 (developer.hashicorp.com/vault/api-docs/secret/kv)."""

from collections.abc import Mapping

import orjson

from core.cloud_services import call, vault_address, vault_headers
from core.secret_managers.references import SecretMissing


def from_vault(identifier: str) -> str:
    """The secret's fields, as a JSON object."""
    found = call("GET", f"{vault_address()}/v1/{identifier.strip('/')}", vault_headers()).get("data")
    if isinstance(found, Mapping) and isinstance(found.get("data"), Mapping) and "metadata" in found:
        found = found["data"]
    if not isinstance(found, Mapping):
        raise SecretMissing("the secret has no fields")
    return orjson.dumps(dict(found)).decode()
