"""Sealing: what only this installation can read again, whoever keeps it: AES-256-GCM under a key made from its secret."""

import base64
import binascii
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE_BYTES = 12


class Sealer:
    """Seals short texts. `purpose` and `place` are part of the seal: what is moved elsewhere cannot be opened."""

    def __init__(self, secret: bytes, purpose: str) -> None:
        key = HKDF(algorithm=SHA256(), length=32, salt=None, info=f"genai {purpose}".encode()).derive(secret)
        self._cipher = AESGCM(key)

    def seal(self, text: str, place: str) -> str:
        """The sealed text, in base64 that is safe in a URL or a cookie."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return base64.urlsafe_b64encode(nonce + self._cipher.encrypt(nonce, text.encode(), place.encode())).decode()

    def open(self, sealed: str, place: str) -> str | None:
        """The text; None for what was not sealed here, for this place, or was changed."""
        try:
            data = base64.urlsafe_b64decode(sealed.encode())
            return self._cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], place.encode()).decode()
        except (InvalidTag, ValueError, binascii.Error):
            return None
