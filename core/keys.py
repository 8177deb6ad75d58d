"""Keys and other secrets: how they are made, and the keyed hash under which alone they are stored."""

import hashlib
import hmac
import os
import secrets
import zlib
from pathlib import Path

from filelock import FileLock

from core.settings import Settings

KEY_PREFIX = "gk_"
#: In the data directory: the installation's secret, where no setting gives it.
SECRET_FILE = "secret.key"  # noqa: S105 - a name
_SECRET_BYTES = 32
#: Of the random part, in base64, and of CRC-32 in base 36: 36 ** 7 > 2 ** 32.
_BODY_CHARACTERS, _CHECKSUM_CHARACTERS = 43, 7
_HINT_CHARACTERS = 7


def new_key() -> str:
    """A new key: a prefix that secret scanners can look for, 256 random bits, and a checksum that tells a mistyped key, or what
    only looks like one, without asking anybody."""
    body = secrets.token_urlsafe(_SECRET_BYTES)
    return KEY_PREFIX + body + _checksum(body)


def is_well_formed(key: str) -> bool:
    """False for what has the form of a key that was made here, and not its checksum."""
    body = key.removeprefix(KEY_PREFIX)
    if body == key or len(body) != _BODY_CHARACTERS + _CHECKSUM_CHARACTERS:
        return True
    return body[_BODY_CHARACTERS:] == _checksum(body[:_BODY_CHARACTERS])


def _checksum(body: str) -> str:
    """CRC-32 in base 36."""
    number, digits = zlib.crc32(body.encode("utf-8", "surrogatepass")), []
    for _ in range(_CHECKSUM_CHARACTERS):
        number, digit = divmod(number, 36)
        digits.append("0123456789abcdefghijklmnopqrstuvwxyz"[digit])
    return "".join(reversed(digits))


def new_token() -> str:
    """A new value for a cookie or a link: 256 random bits, safe in a URL."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def key_hint(key: str) -> str:
    """What tells keys apart in a list: the first characters of a long key, nothing of a short one."""
    return key[:_HINT_CHARACTERS] + "…" if len(key) >= 32 else "…"


class Hasher:
    """HMAC-SHA256 under the installation's secret, so that a stolen database opens nothing."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def digest(self, purpose: str, value: str) -> str:
        """64 hexadecimal characters. The same value for another purpose gives another digest."""
        return hmac.new(self._secret, f"{purpose}\0{value}".encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def load_secret(settings: Settings) -> bytes:
    """The installation's secret: `GENAI_SECRET_KEY`, else a file in the data directory, made at first use.

    Blocking. Several processes on one data directory get the same one.
    """
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value().encode()
    path = settings.path(SECRET_FILE)
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            write_private(path, secrets.token_bytes(_SECRET_BYTES))
        return path.read_bytes()


def has_secret(settings: Settings) -> bool:
    """Whether the installation's secret is there, so that `load_secret` makes none."""
    return settings.secret_key is not None or (settings.data_dir.expanduser() / SECRET_FILE).is_file()


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    partial = path.with_suffix(".new")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
