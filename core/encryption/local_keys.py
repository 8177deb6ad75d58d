"""Key-encryption keys that lie with the platform: in a file, made at the first start, or in a setting.

Both are the same to a wrapped key, which names its key by a fingerprint: `local:3f0c…`. So it may move from the one to the
other.
"""

import base64
import binascii
import hashlib
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from filelock import FileLock

from core.encryption.envelope import not_opened
from core.encryption.sources import keys_unavailable, needed
from core.settings import Settings, SettingsError

log = structlog.get_logger()

PREFIX = "local:"
KEY_FILE = "encryption.key"
_KEY_BYTES, _NONCE_BYTES = 32, 12
#: What a former key of the setting is written after in `encryption.previous_keys`.
_FORMER = "setting:"


class LocalKeys:
    """Keys in hand, by their names; the first one wraps."""

    def __init__(self, settings: Settings, key_id: str | None = None) -> None:
        self._settings = settings
        self._keys = self._read()

    @property
    def name(self) -> str:
        return next(iter(self._keys))

    def has(self, name: str) -> bool:
        """Whether a key of this name is in hand, also one that came since."""
        if name not in self._keys:
            self._keys = self._read()
        return name in self._keys

    def wrap(self, secret: bytes, context: Mapping[str, str]) -> bytes:
        """`fingerprint's name | nonce | ciphertext`, so that a key that came since is found."""
        name, key = next(iter(self._keys.items()))
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return name.removeprefix(PREFIX).encode() + nonce + AESGCM(key).encrypt(nonce, secret, _bound_to(context))

    def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        fingerprint, nonce = wrapped[:16].decode("ascii", "replace"), wrapped[16 : 16 + _NONCE_BYTES]
        if not self.has(PREFIX + fingerprint):
            raise keys_unavailable(PREFIX + fingerprint, "no such key is configured")
        try:
            return AESGCM(self._keys[PREFIX + fingerprint]).decrypt(nonce, wrapped[16 + _NONCE_BYTES :], _bound_to(context))
        except (InvalidTag, ValueError) as error:
            raise not_opened("a data key is not authentic") from error

    def _read(self) -> dict[str, bytes]:
        former = (key.get_secret_value() for key in self._settings.encryption.previous_keys)
        given = [_stretched(key.removeprefix(_FORMER)) for key in former if key.startswith(_FORMER)]
        return {name_of(key): key for key in (*self._own(), *given)}

    def _own(self) -> Sequence[bytes]:
        """The source's own keys, the one that wraps first."""
        return read_key_file(key_file(self._settings))


class KeyFile(LocalKeys):
    """The file's first line wraps; those below are former keys, which unwrap what they have wrapped.

    It is made when it is asked for first. One that goes later is not made again: what it held stays in hand.
    """

    _mine: Sequence[bytes] = ()

    def wrap(self, secret: bytes, context: Mapping[str, str]) -> bytes:
        """With the first line as it is now: another process may have put a new key above those that are in hand."""
        try:
            self._keys = self._read()
        except SettingsError as error:
            log.warning("encryption.key_file_unreadable", error=str(error))
        return super().wrap(secret, context)

    def rotate(self) -> None:
        """Put a new key above the others. Other processes find it when they meet a key that it has wrapped.

        A file that cannot be written, such as a mounted secret, is its owner's to change: its first line is used.
        """
        path = key_file(self._settings)
        try:
            with FileLock(path.with_suffix(".lock")):
                write_key_file(path, [secrets.token_bytes(_KEY_BYTES), *(read_key_file(path) or self._mine)])
        except OSError as error:
            log.warning("encryption.key_file_kept", error=error.strerror)
        self._keys = self._read()

    def _own(self) -> Sequence[bytes]:
        path = key_file(self._settings)
        self._mine = (read_key_file(path) or self._mine) if self._mine else make_key_file(path)
        return self._mine


class KeySetting(LocalKeys):
    """`encryption.key`, from which the key is derived."""

    def _own(self) -> Sequence[bytes]:
        key = self._settings.encryption.key
        given = needed(key.get_secret_value() if key else None, "key", "the source `setting` needs the key itself")
        return [_stretched(given), *super()._own()]


def key_file(settings: Settings) -> Path:
    """Where the key file is, or would be."""
    own = settings.encryption.key_file
    return own.expanduser() if own is not None else settings.path(KEY_FILE)


def make_key_file(path: Path) -> list[bytes]:
    """The keys of the file, which is made where there is none, in a directory that is there. Several processes get the same
    ones. Blocking.

    Raises:
        SettingsError: it cannot be made or read. A file that is there needs no place beside it that can be written to.
    """
    if not path.parent.is_dir():  # the lock would make it
        raise SettingsError(f"The key file {path} cannot be made: there is no directory {path.parent}.")
    try:
        with FileLock(path.with_suffix(".lock")):
            if not path.exists():
                write_key_file(path, [secrets.token_bytes(_KEY_BYTES)])
    except OSError as error:
        if not path.exists():
            raise SettingsError(f"The key file {path} cannot be made: {error.strerror}") from error
    return read_key_file(path)


def read_key_file(path: Path) -> list[bytes]:
    """The keys of the file, the newest first; none where there is no file.

    Raises:
        SettingsError: it cannot be read, or a line is no key; the message does not show it.
    """
    try:
        lines = path.read_text(encoding="ascii").split()
        keys = [base64.b64decode(line, validate=True) for line in lines]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SettingsError(f"The key file {path} cannot be read: {error.strerror}") from error
    except (ValueError, binascii.Error):
        keys = [b""]
    if not keys or any(len(key) != _KEY_BYTES for key in keys):
        raise SettingsError(f"The key file {path} holds what is no key: each line is 32 bytes in base64.")
    return keys


def write_key_file(path: Path, keys: Sequence[bytes]) -> None:
    """Whole or not at all, for its owner alone."""
    partial = path.with_suffix(".new")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(b"".join(base64.b64encode(key) + b"\n" for key in keys))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _stretched(given: str) -> bytes:
    """A key of 32 bytes from 32 characters or more, which the setting asks for: they are random, so one hash is enough."""
    return hashlib.sha256(b"genai key-encryption key\0" + given.encode("utf-8", "surrogatepass")).digest()


def name_of(key: bytes) -> str:
    """What a wrapped key calls the key that has wrapped it."""
    return PREFIX + hashlib.sha256(b"genai fingerprint\0" + key).hexdigest()[:16]


def _bound_to(context: Mapping[str, str]) -> bytes:
    return "\0".join(f"{name}={value}" for name, value in sorted(context.items())).encode("utf-8", "surrogatepass")
