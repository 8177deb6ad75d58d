"""Sealed values: AES-256-GCM under a data key, bound to the one place that they are stored in.

A sealed value is `magic (4) | version (1) | data key's id (12) | nonce (24) | ciphertext and tag`. Each value has a key of its
own, derived from the data key and the first half of the nonce; the other half is GCM's. So random nonces are good for 2**80
values a data key, where plain AES-GCM is for 2**32 (the construction is XAES-256-GCM's, c2sp.org/XAES-256-GCM, with
HMAC-SHA256 for the derivation).

Where the value is a JSON column it is `{"sealed": base64}`.
"""

import base64
import binascii
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.errors import DecryptionFailed

#: No text in UTF-8 begins like this.
MAGIC: Final = b"\x8aGES"
#: No bit that flips makes a sealed value a plain one.
PLAIN, VALUE, STREAM = b"\xf0", b"\x01", b"\x02"
KEY_ID_BYTES: Final = 12
HEADER_BYTES: Final = len(MAGIC) + 1 + KEY_ID_BYTES
NONCE_BYTES: Final = 24
_HALF: Final = NONCE_BYTES // 2
_JSON_FIELD: Final = "sealed"


@dataclass(frozen=True, slots=True)
class DataKey:
    """Seals what belongs to a tenant. `secret` has 32 bytes."""

    id: bytes
    tenant: str
    secret: bytes = field(repr=False)

    def derive(self, purpose: bytes, salt: bytes) -> AESGCM:
        """The cipher for one value. `salt` is random."""
        return AESGCM(hmac.digest(self.secret, purpose + salt, "sha256"))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value is stored: in this place alone it can be opened."""

    tenant: str
    table: str
    column: str
    row: str

    def bound_to(self, header: bytes) -> bytes:
        """The associated data. With their lengths, so that no two places are written alike."""
        tenant, table, column, row = self.tenant, self.table, self.column, self.row
        text = f"{len(tenant)}:{tenant},{len(table)}:{table},{len(column)}:{column},{len(row)}:{row}"
        return header + text.encode("utf-8", "surrogatepass")


def seal(key: DataKey | None, place: Place, data: bytes) -> bytes:
    """The data, sealed. Without a key as it is, but marked where it could be taken for a sealed value."""
    if key is None:
        return MAGIC + PLAIN + data if data.startswith(MAGIC) else data
    header, nonce = MAGIC + VALUE + key.id, secrets.token_bytes(NONCE_BYTES)
    cipher = key.derive(b"value", nonce[:_HALF])
    return header + nonce + cipher.encrypt(nonce[_HALF:], data, place.bound_to(header))


def key_id_of(data: bytes) -> bytes | None:
    """The data key that a value (or the head of a file) was sealed with; None where it is not sealed.

    Raises:
        DecryptionFailed: it was sealed by a newer version, or has been cut.
    """
    if not data.startswith(MAGIC) or data[len(MAGIC) : len(MAGIC) + 1] == PLAIN:
        return None
    if data[len(MAGIC) : len(MAGIC) + 1] not in (VALUE, STREAM) or len(data) < HEADER_BYTES:
        raise not_opened("unknown form")
    return data[len(MAGIC) + 1 : HEADER_BYTES]


def plain(data: bytes) -> bytes:
    """The data of a value that has no key id."""
    return data[len(MAGIC) + 1 :] if data.startswith(MAGIC) else data


def opened(key: DataKey, place: Place, data: bytes) -> bytes:
    """The data of a sealed value.

    Raises:
        DecryptionFailed: it was changed, belongs to another place, or was sealed with another key.
    """
    header, nonce = data[:HEADER_BYTES], data[HEADER_BYTES : HEADER_BYTES + NONCE_BYTES]
    if key.tenant != place.tenant:
        raise not_opened("the key of another tenant")
    try:
        cipher = key.derive(b"value", nonce[:_HALF])
        return cipher.decrypt(nonce[_HALF:], data[HEADER_BYTES + NONCE_BYTES :], place.bound_to(header))
    except (InvalidTag, ValueError) as error:
        raise not_opened("not authentic") from error


def seal_json(key: DataKey | None, place: Place, value: Any) -> Any:
    """A JSON value, sealed into one that a JSON column takes."""
    if key is None:
        return value
    return in_json(seal(key, place, dumped(value)))


def in_json(sealed: bytes) -> dict[str, str]:
    """A sealed value as a JSON column takes it."""
    return {_JSON_FIELD: base64.b64encode(sealed).decode()}


def dumped(value: Any) -> bytes:
    """JSON, also of what orjson refuses: a model may say half of a surrogate pair, or a number beyond 64 bits."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value).encode()


def loaded(data: bytes) -> Any:
    """The value of what `dumped` gave."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return json.loads(data)


def sealed_in_json(value: Any) -> bytes | None:
    """The sealed value that a JSON column holds; None where it holds its value as it is.

    Raises:
        DecryptionFailed: it is said to be sealed, and is not.
    """
    if not isinstance(value, Mapping) or value.keys() != {_JSON_FIELD}:
        return None
    try:
        data = base64.b64decode(value[_JSON_FIELD], validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise not_opened("not in base64") from error
    if key_id_of(data) is None:
        raise not_opened("not sealed")
    return data


def not_opened(why: str) -> DecryptionFailed:
    """The error of what cannot be opened; `why` goes into the log alone."""
    return DecryptionFailed(
        "What is stored cannot be decrypted: it was changed, moved, or its key is missing. An operator has to look.",
        context={"why": why},
    )
