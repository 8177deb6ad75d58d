"""Data keys wrapped by Google Cloud KMS: `encrypt` and `decrypt` of a symmetric key, with additional authenticated data
(cloud.google.com/kms/docs/reference/rest/v1/projects.locations.keyRings.cryptoKeys)."""

import base64
from collections.abc import Mapping

from core.cloud_services import ServiceFailed, call, google_address, google_headers
from core.encryption.envelope import not_opened
from core.encryption.sources import keys_unavailable, needed
from core.settings import Settings


class GoogleKMS:
    """`key_id` is `projects/…/locations/…/keyRings/…/cryptoKeys/…`. Credentials are Google's usual ones."""

    def __init__(self, settings: Settings, key_id: str | None = None) -> None:
        given = key_id or settings.encryption.key_id
        self._key = needed(given, "key_id", "the source `google_kms` needs projects/…/cryptoKeys/…").strip("/")
        self._address = settings.encryption.address

    @property
    def name(self) -> str:
        return f"google_kms:{self._key}"

    def wrap(self, secret: bytes, context: Mapping[str, str]) -> bytes:
        return self._ask("encrypt", "plaintext", secret, "ciphertext", context)

    def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        return self._ask("decrypt", "ciphertext", wrapped, "plaintext", context)

    def _ask(self, verb: str, given: str, data: bytes, wanted: str, context: Mapping[str, str]) -> bytes:
        bound_to = "\0".join(f"{name}={value}" for name, value in sorted(context.items())).encode()
        body = {given: base64.b64encode(data).decode(), "additionalAuthenticatedData": base64.b64encode(bound_to).decode()}
        address = (self._address or google_address("cloudkms")).rstrip("/")
        try:
            answer = call("POST", f"{address}/v1/{self._key}:{verb}", google_headers(), body)
            return base64.b64decode(answer[wanted], validate=True)
        except ServiceFailed as error:
            if verb == "decrypt" and error.status == 400:
                raise not_opened("Google KMS does not decrypt a data key") from error
            raise keys_unavailable("google_kms", str(error)) from error
        except (KeyError, TypeError, ValueError) as error:
            raise keys_unavailable("google_kms", "an answer without the key") from error
