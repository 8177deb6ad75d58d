"""What a backup says of itself, and the list of what is in it.

    manifest.json   what it is of, and the digest of the list
    parts.jsonl     a line for each part: its key, bytes and SHA-256
    database.…      SQLite's file, or what pg_dump has written
    files/…         the file store, sealed as it is
    data/…          of the data directory: the ledger's file, how the audit log began

The keys' copy has `keys.json` beside the files.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from core.settings import SettingsError
from core.storages import Directory, ObjectStore, Storage

#: A change of the form that this version could not read needs another.
FORM = 1
MANIFEST, PARTS, KEYS = "manifest.json", "parts.jsonl", "keys.json"
DATABASES = {"sqlite": "database.sqlite3", "postgresql": "database.dump"}
FILES, DATA = "files/", "data/"


class BackupError(Exception):
    """A backup that cannot be taken or put back; the message says why and what would do."""


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that was copied."""

    key: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """`schema` is the database's migration, `wrapped_by` names the keys that what is sealed needs, `secret` tells whether a
    secret is the installation's (a keyed digest of `id`), `files` is False where the file store was left out."""

    id: str
    made_at: str
    database: str
    schema: str
    wrapped_by: tuple[str, ...]
    secret: str
    files: bool
    parts: int
    size: int
    parts_sha256: str
    form: int = FORM

    def packed(self) -> bytes:
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2)


def read_manifest(place: Storage) -> Manifest:
    """Raises BackupError: there is none, it is damaged, or of a newer form."""
    try:
        said = orjson.loads(place.read(MANIFEST))
        form = int(said["form"])
        if form > FORM:
            raise BackupError(f"The backup is of form {form}, made by a newer platform: upgrade this one first.")
        return Manifest(**said | {"wrapped_by": tuple(said["wrapped_by"])})
    except FileNotFoundError:
        raise BackupError(f"There is no backup: {MANIFEST} is missing. One that was cut short has none.") from None
    except (KeyError, TypeError, ValueError) as error:
        raise BackupError(f"{MANIFEST} cannot be read: it is damaged.") from error


def read_parts(place: Storage, manifest: Manifest) -> list[Part]:
    """Raises BackupError: the list is missing or not the one that the manifest speaks of."""
    try:
        packed = place.read(PARTS)
    except FileNotFoundError:
        raise BackupError(f"{PARTS} is missing.") from None
    if hashlib.sha256(packed).hexdigest() != manifest.parts_sha256:
        raise BackupError(f"{PARTS} is not what was written: it is damaged.")
    return [Part(**orjson.loads(line)) for line in packed.splitlines()]


def pack_parts(parts: Sequence[Part]) -> bytes:
    """The list as it is stored."""
    return b"".join(orjson.dumps(asdict(part)) + b"\n" for part in sorted(parts, key=lambda part: part.key))


def open_place(url: str, *, new: bool = False) -> Storage:
    """Where a backup is, or (`new`) is to be: a directory, which is made then, for its owner alone, or an object store.

    Raises:
        BackupError: it cannot be opened.
    """
    try:
        if "://" not in url or url.startswith("file://"):
            directory = Directory(Path(url.removeprefix("file://")).expanduser().absolute(), private=True)
            if new:
                directory.make()
            return directory
        return ObjectStore(url, "The place of the backup")
    except (SettingsError, OSError) as error:
        raise BackupError(f"{url} cannot be opened: {error}") from error


def blocks(path: Path) -> Iterator[bytes]:
    """A file's content, a megabyte at a time."""
    with path.open("rb") as file:
        while block := file.read(1024 * 1024):
            yield block


def digest_of(path: Path) -> str:
    """SHA-256 of a file's content."""
    digest = hashlib.sha256()
    for block in blocks(path):
        digest.update(block)
    return digest.hexdigest()
