"""Data keys wrapped by Azure Key Vault: `wrapkey` and `unwrapkey` with RSA-OAEP-256
(learn.microsoft.com/rest/api/keyvault/keys, api-version 7.4).

RSA binds to no context, so a digest of the context is wrapped with the key and compared when it is unwrapped.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import orjson

from core.cloud_services import ServiceFailed, azure_headers, call
from core.encryption.envelope import not_opened
from core.encryption.sources import keys_unavailable, needed
from core.settings import Settings

_VERSION = "api-version=7.4"
_SCOPE = "https://vault.azure.net/.default"
_ALGORITHM = "RSA-OAEP-256"
_SECRET_BYTES = 32


class AzureKeyVault:
    """`key_id` is `https://VAULT.vault.azure.net/keys/NAME`: its newest version wraps. Credentials are Azure's usual ones."""

    def __init__(self, settings: Settings, key_id: str | None = None) -> None:
        given = key_id or settings.encryption.key_id
        self._key = needed(given, "key_id", "the source `azure_key_vault` needs https://VAULT/keys/NAME").rstrip("/")

    @property
    def name(self) -> str:
        return f"azure_key_vault:{self._key}"

    def wrap(self, secret: bytes, context: Mapping[str, str]) -> bytes:
        """JSON that names the version which wrapped: `unwrapkey` needs it."""
        version = str(self._ask("GET", self._key).get("key", {}).get("kid", ""))
        self._check(version)
        answer = self._ask("POST", f"{version}/wrapkey", alg=_ALGORITHM, value=_encoded(secret + _digest(context)))
        return orjson.dumps({"kid": version, "value": answer.get("value")})

    def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        try:
            kept = orjson.loads(wrapped)
            version, value = str(kept["kid"]), str(kept["value"])
        except (ValueError, KeyError, TypeError) as error:
            raise not_opened("a data key is not in Azure's form") from error
        self._check(version)
        answer = self._ask("POST", f"{version}/unwrapkey", alg=_ALGORITHM, value=value)
        data = _decoded(str(answer.get("value", "")))
        if not hmac.compare_digest(data[_SECRET_BYTES:], _digest(context)):
            raise not_opened("a data key of another tenant")
        return data[:_SECRET_BYTES]

    def _check(self, version: str) -> None:
        """A version of the configured key alone is asked: what the database holds decides no address."""
        if version != self._key and not version.startswith(self._key + "/"):
            raise keys_unavailable("azure_key_vault", "a version of another key")

    def _ask(self, method: str, url: str, **body: str) -> dict[str, Any]:
        try:
            return call(method, f"{url}?{_VERSION}", azure_headers(_SCOPE), body or None)
        except ServiceFailed as error:
            if url.endswith("/unwrapkey") and error.status == 400:
                raise not_opened("Azure Key Vault does not unwrap a data key") from error
            raise keys_unavailable("azure_key_vault", str(error)) from error


def _digest(context: Mapping[str, str]) -> bytes:
    return hashlib.sha256("\0".join(f"{name}={value}" for name, value in sorted(context.items())).encode()).digest()


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError as error:
        raise keys_unavailable("azure_key_vault", "an answer without the key") from error
