"""Sealed files: chunks of 64 KiB, each authenticated by itself, so that no file has to fit into memory.

A sealed file is `magic (4) | version (1) | data key's id (12) | salt (24) | chunks`. Each file has a key of its own, derived
from the data key and the salt. A chunk's nonce counts the chunks and marks the last one: none can be dropped, doubled,
reordered or cut off unnoticed (the STREAM construction, Hoang, Reyhanitabar, Rogaway and Vizár 2015).
"""

import io
import secrets
from collections.abc import Callable
from typing import IO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.encryption.envelope import (
    HEADER_BYTES,
    MAGIC,
    NONCE_BYTES,
    PLAIN,
    STREAM,
    DataKey,
    Place,
    key_id_of,
    not_opened,
)

CHUNK_BYTES: Final = 64 * 2**10
_TAG_BYTES: Final = 16
_COPIED_AT_ONCE: Final = 2**20


def seal_stream(key: DataKey | None, place: Place, source: IO[bytes], target: IO[bytes]) -> None:
    """Write what `source` holds into `target`, sealed; without a key as it is. Blocking."""
    if key is None:
        start = source.read(len(MAGIC))
        target.write(MAGIC + PLAIN + start if start == MAGIC else start)
        _copy(source, target)
        return
    header, salt = MAGIC + STREAM + key.id, secrets.token_bytes(NONCE_BYTES)
    cipher, bound_to = key.derive(b"stream", salt), place.bound_to(header)
    target.write(header + salt)
    _each_chunk(source, CHUNK_BYTES, lambda nonce, chunk: target.write(cipher.encrypt(nonce, chunk, bound_to)))


def open_stream(find: Callable[[bytes], DataKey], place: Place, source: IO[bytes], target: IO[bytes]) -> None:
    """Write what a stored file holds into `target`; one that is not sealed is copied. `find` gives a key by its id. Blocking.

    Raises:
        DecryptionFailed: the file was changed or cut, or belongs to another place. `target` holds what came before.
    """
    header = source.read(HEADER_BYTES)
    key_id = key_id_of(header)
    if key_id is None:
        target.write(header[len(MAGIC) + 1 :] if header.startswith(MAGIC) else header)
        _copy(source, target)
        return
    key, salt = find(key_id), source.read(NONCE_BYTES)
    if header[len(MAGIC) : len(MAGIC) + 1] != STREAM or key.tenant != place.tenant:
        raise not_opened("not a file of this tenant")
    cipher, bound_to = key.derive(b"stream", salt), place.bound_to(header)
    _each_chunk(source, CHUNK_BYTES + _TAG_BYTES, lambda nonce, chunk: target.write(_opened(cipher, nonce, chunk, bound_to)))


def seal_bytes(key: DataKey | None, place: Place, data: bytes) -> bytes:
    """The same for a file that is in memory."""
    target = io.BytesIO()
    seal_stream(key, place, io.BytesIO(data), target)
    return target.getvalue()


def open_bytes(find: Callable[[bytes], DataKey], place: Place, data: bytes) -> bytes:
    """The same for a file that is in memory. Raises DecryptionFailed."""
    target = io.BytesIO()
    open_stream(find, place, io.BytesIO(data), target)
    return target.getvalue()


def _opened(cipher: AESGCM, nonce: bytes, chunk: bytes, bound_to: bytes) -> bytes:
    try:
        return cipher.decrypt(nonce, chunk, bound_to)
    except (InvalidTag, ValueError) as error:
        raise not_opened("not authentic") from error


def _each_chunk(source: IO[bytes], size: int, work: Callable[[bytes, bytes], object]) -> None:
    """Call `work` with each chunk's nonce and content. The last one, which an empty file has too, is marked in its nonce."""
    number, chunk = 0, source.read(size)
    while True:
        following = source.read(size)
        work(number.to_bytes(11, "big") + (b"\x00" if following else b"\x01"), chunk)
        if not following:
            return
        number, chunk = number + 1, following


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    while chunk := source.read(_COPIED_AT_ONCE):
        target.write(chunk)
