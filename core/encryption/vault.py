"""Data keys wrapped by HashiCorp Vault's transit engine, with associated data
(developer.hashicorp.com/vault/api-docs/secret/transit; AEAD keys, Vault 1.13 or newer)."""

import base64
from collections.abc import Mapping
from typing import Any

from core.cloud_services import ServiceFailed, call, vault_address, vault_headers
from core.encryption.envelope import not_opened
from core.encryption.sources import keys_unavailable, needed
from core.settings import Settings

_MOUNT = "transit"


class VaultTransit:
    """`key_id` is the key's name, or `MOUNT/NAME` where the engine is not mounted at `transit`."""

    def __init__(self, settings: Settings, key_id: str | None = None) -> None:
        given = key_id or settings.encryption.key_id
        self._key = needed(given, "key_id", "the source `vault_transit` needs the key's name").strip("/")
        self._address = settings.encryption.address

    @property
    def name(self) -> str:
        return f"vault_transit:{self._key}"

    def wrap(self, secret: bytes, context: Mapping[str, str]) -> bytes:
        answer = self._ask("encrypt", context, plaintext=base64.b64encode(secret).decode())
        return str(answer["ciphertext"]).encode()

    def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        answer = self._ask("decrypt", context, ciphertext=wrapped.decode("ascii", "replace"))
        return base64.b64decode(answer["plaintext"])

    def _ask(self, verb: str, context: Mapping[str, str], **body: str) -> Mapping[str, Any]:
        mount, _, name = self._key.rpartition("/")
        bound_to = "\0".join(f"{name}={value}" for name, value in sorted(context.items())).encode()
        body["associated_data"] = base64.b64encode(bound_to).decode()
        try:
            address = (self._address or vault_address()).rstrip("/")
            answer = call("POST", f"{address}/v1/{mount or _MOUNT}/{verb}/{name}", vault_headers(), body)
        except ServiceFailed as error:
            if verb == "decrypt" and error.status == 400:
                raise not_opened("Vault does not decrypt a data key") from error
            raise keys_unavailable("vault_transit", str(error)) from error
        found = answer.get("data")
        if not isinstance(found, Mapping) or not {"ciphertext", "plaintext"} & found.keys():
            raise keys_unavailable("vault_transit", "an answer without the key")
        return found
