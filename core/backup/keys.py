"""The keys that a backup needs and does not have: their own copy, and whether those at hand are the right ones."""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from core.backup.manifest import KEYS, BackupError, Manifest
from core.encryption.key_encryption import KeyEncryption
from core.encryption.local_keys import KEY_FILE, key_file, name_of, read_key_file, write_key_file
from core.keys import SECRET_FILE, Hasher, has_secret, load_secret, write_private
from core.settings import Settings, SettingsError
from core.storages import Storage

_PURPOSE = "backup"


@dataclass(frozen=True, slots=True)
class KeyCopy:
    """The files of keys that a copy has; what comes from a setting or a key service is in none."""

    encryption: bytes | None = None
    secret: bytes | None = None

    def names(self, scratch: Path) -> set[str]:
        """What the keys in it are called by what they have wrapped."""
        return {name_of(key) for key in self.keys(scratch)}

    def keys(self, scratch: Path) -> Sequence[bytes]:
        if self.encryption is None:
            return ()
        file = scratch / KEY_FILE
        write_private(file, self.encryption)
        try:
            return read_key_file(file)
        finally:
            file.unlink()


def copy_keys(settings: Settings, to: Storage, backup_id: str) -> list[str]:
    """Copy the key files, and give the names of those that there were: none where all keys come from elsewhere."""
    found = {name: path.read_bytes() for name, path in _files(settings).items() if path.is_file()}
    for name, content in found.items():
        to.write(name, content)
    about = {"backup": backup_id, "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in found.items()}}
    to.write(KEYS, orjson.dumps(about, option=orjson.OPT_INDENT_2))
    return sorted(found)


def read_keys(place: Storage) -> KeyCopy:
    """Raises BackupError: there is no copy of keys, or it is damaged."""
    try:
        about: dict[str, Any] = orjson.loads(place.read(KEYS))
        found = {name: place.read(name) for name in about["sha256"]}
    except FileNotFoundError as error:
        raise BackupError(f"There is no copy of keys: {error} is missing.") from None
    except (KeyError, TypeError, ValueError) as error:
        raise BackupError(f"{KEYS} cannot be read: it is damaged.") from error
    for name, content in found.items():
        if hashlib.sha256(content).hexdigest() != about["sha256"][name]:
            raise BackupError(f"The copy of {name} is damaged.")
    return KeyCopy(found.get(KEY_FILE), found.get(SECRET_FILE))


def check_keys(settings: Settings, manifest: Manifest, copy: KeyCopy, scratch: Path) -> None:
    """That what the backup holds can be read with the keys of the settings and of the copy, and its API keys be verified.

    Raises:
        BackupError: a key is missing, or the secret is another installation's.
    """
    here = copy.names(scratch) | {name_of(key) for key in read_key_file(key_file(settings))}
    missing = [name for name in manifest.wrapped_by if name not in here]
    try:
        if missing:  # a check of nothing would make a key file where there is none
            KeyEncryption(settings).check(missing)
    except SettingsError as error:
        raise BackupError(f"The keys of the backup are not here. Name their copy with --keys. {error}") from error
    secret = settings.secret_key.get_secret_value().encode() if settings.secret_key is not None else copy.secret
    if secret is None and has_secret(settings):
        secret = load_secret(settings)
    if secret is None:
        raise BackupError(f"{SECRET_FILE} is not here, without which no stored key is valid. Name its copy with --keys.")
    if not hmac.compare_digest(secret_mark(secret, manifest.id), manifest.secret):
        raise BackupError("The secret key is not the one of the backup: no stored key would be valid. Give that one.")


def place_keys(settings: Settings, copy: KeyCopy, scratch: Path) -> None:
    """Put the copied keys where the settings look for them. A key that is there already stays, below them."""
    keys = copy.keys(scratch)
    if keys:
        file = key_file(settings)
        file.parent.mkdir(parents=True, exist_ok=True)
        present = read_key_file(file)
        if not set(keys) <= set(present):
            write_key_file(file, [*keys, *(key for key in present if key not in keys)])
    if copy.secret is not None and settings.secret_key is None:
        write_private(settings.path(SECRET_FILE), copy.secret)


def secret_mark(secret: bytes, backup_id: str) -> str:
    """By which a secret is known again."""
    return Hasher(secret).digest(_PURPOSE, backup_id)


def lie_together(one: str, other: str) -> bool:
    """Whether one of two places is the other, or in it."""
    first, second = (_normal(place) for place in (one, other))
    return first == second or first.startswith(f"{second}/") or second.startswith(f"{first}/")


def own_files(settings: Settings) -> Iterable[Path]:
    """The key files that there are."""
    return [path for path in _files(settings).values() if path.is_file()]


def _files(settings: Settings) -> dict[str, Path]:
    files = {SECRET_FILE: settings.path(SECRET_FILE)} if settings.secret_key is None else {}
    return files | {KEY_FILE: key_file(settings)}


def _normal(place: str) -> str:
    if "://" in place and not place.startswith("file://"):
        return place.rstrip("/")
    return str(Path(place.removeprefix("file://")).expanduser().resolve())
