"""Taking a backup, beside a platform that serves or without one.

The files are copied before the database and once more after it: what the database's copy points at was written before it, and
is in the one or the other.
"""

import hashlib
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from core.audit.actions import Action
from core.audit.witness import FILE as AUDIT_BEGUN
from core.backup.copying import all_copied
from core.backup.keys import copy_keys, lie_together, own_files, secret_mark
from core.backup.manifest import (
    DATA,
    DATABASES,
    FILES,
    MANIFEST,
    PARTS,
    BackupError,
    Manifest,
    Part,
    digest_of,
    open_place,
    pack_parts,
)
from core.backup.postgresql import PostgreSQL
from core.backup.recording import on_record
from core.backup.sqlite import copy_database
from core.database import is_made, sync_url
from core.encryption.data_keys import DataKeys
from core.keys import load_secret
from core.scratch import Scratch
from core.settings import Settings
from core.storages import Directory, Storage, Stored, open_storage

#: Told of what is done, a line each.
Told = Callable[[str], None]


def take(settings: Settings, to: str, *, keys_to: str | None, with_files: bool, told: Told) -> Manifest:
    """Copy all that cannot be made again to `to`, and the keys to `keys_to`. The manifest is written last. That it is begun is
    put on record first.

    Raises:
        BackupError: there is nothing to copy, the place is not empty, or something cannot be read or written.
    """
    if not is_made(settings):
        raise BackupError("There is no platform's database where the settings have it.")
    place = open_place(to, new=True)
    try:
        if next(iter(place.listed()), None) is not None:
            raise BackupError(f"{to} is not empty: give each backup a place of its own.")
        with Scratch(settings.path("scratch")).directory("backup") as scratch:
            return _Taking(settings, place, scratch, told).run(to, keys_to, with_files)
    except OSError as error:
        raise BackupError(f"Something cannot be read or written: {error}") from error
    finally:
        _tidy(place)


def _tidy(place: Storage) -> None:
    if isinstance(place, Directory):
        place.tidy()


class _Taking:
    """One backup."""

    def __init__(self, settings: Settings, place: Storage, scratch: Path, told: Told) -> None:
        self._settings, self._place, self._scratch, self._told = settings, place, scratch, told
        self._parts: dict[str, Part] = {}
        self._id = secrets.token_hex(16)

    def run(self, to: str, keys_to: str | None, with_files: bool) -> Manifest:
        keys = keys_to is not None
        on_record(self._settings, Action.BACKUP_TAKEN, self._id, {"files": with_files, "keys": keys})
        source = open_storage(self._settings) if with_files else None
        seen: dict[str, Stored] = {}
        if source is not None:
            seen = {one.key: one for one in source.listed()}
            self._copy(source, seen)
            self._told(f"{len(seen)} files")
        self._copy_data()
        made_at = time.time()
        kind, schema, wrapped_by = self._copy_database()
        self._told(f"the database ({kind}, at migration {schema})")
        if source is not None:
            self._copy_since(source, seen, made_at)
        self._copy_keys(to, keys_to)
        packed = pack_parts(list(self._parts.values()))
        manifest = Manifest(
            id=self._id,
            made_at=datetime.fromtimestamp(made_at, UTC).isoformat(timespec="seconds"),
            database=kind,
            schema=schema,
            wrapped_by=wrapped_by,
            secret=secret_mark(load_secret(self._settings), self._id),
            files=with_files,
            parts=len(self._parts),
            size=sum(part.size for part in self._parts.values()),
            parts_sha256=hashlib.sha256(packed).hexdigest(),
        )
        self._place.write(PARTS, packed)
        self._place.write(MANIFEST, manifest.packed())
        return manifest

    def _copy(self, source: Storage, files: dict[str, Stored]) -> None:
        listed = ((one.key, one.size) for one in files.values())
        for part in all_copied(source, listed, self._place, FILES, self._scratch):
            self._parts[part.key] = part

    def _copy_since(self, source: Storage, seen: dict[str, Stored], made_at: float) -> None:
        """What has come since the first look; and what was written anew, unless the database's copy is of before."""
        now = {one.key: one for one in source.listed()}
        came = {key: one for key, one in now.items() if FILES + key not in self._parts}
        changed = {key: one for key, one in now.items() if key in seen and one != seen[key] and one.modified <= made_at}
        self._copy(source, came | changed)

    def _copy_data(self) -> None:
        """Before the database: the ledger's file has what the database did not take yet."""
        directory = self._settings.path("ledger").parent
        for path in (*sorted((directory / "ledger").glob("*.jsonl")), directory / AUDIT_BEGUN):
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                continue
            key = DATA + path.relative_to(directory).as_posix()
            self._place.write(key, content)
            self._parts[key] = Part(key, len(content), hashlib.sha256(content).hexdigest())

    def _copy_database(self) -> tuple[str, str, tuple[str, ...]]:
        """The kind of database, its migration, and what wraps its data keys."""
        if sync_url(self._settings).startswith("sqlite"):
            kind, copy = "sqlite", self._scratch / DATABASES["sqlite"]
            copy_database(Path(sync_url(self._settings).removeprefix("sqlite:///")), copy)
            url = f"sqlite:///{copy}"
            schema, wrapped_by = _schema(url), set(DataKeys(url).wrapped_by())
        else:
            kind, copy = "postgresql", self._scratch / DATABASES["postgresql"]
            url = sync_url(self._settings, direct=True)
            schema, before = _schema(url), DataKeys(url).wrapped_by()
            PostgreSQL(self._settings).dump(copy)
            wrapped_by = {*before, *DataKeys(url).wrapped_by()}
        self._place.write(DATABASES[kind], copy)
        self._parts[DATABASES[kind]] = Part(DATABASES[kind], copy.stat().st_size, digest_of(copy))
        return kind, schema, tuple(sorted(wrapped_by))

    def _copy_keys(self, to: str, keys_to: str | None) -> None:
        """After all else, so that no key is missing that something was sealed with meanwhile."""
        if keys_to is None:
            here = " and ".join(str(path) for path in own_files(self._settings))
            if here:
                self._told(f"WITHOUT the keys, and without them the backup is worth nothing: copy {here} to another place")
            return
        if lie_together(to, keys_to):
            self._told("The keys lie WITH the data: whoever has this copy reads all that is encrypted in it. Take them apart")
        place = open_place(keys_to, new=True)
        try:
            names = copy_keys(self._settings, place, self._id)
        finally:
            _tidy(place)
        chosen = self._settings.encryption.chosen
        self._told(f"keys: {', '.join(names) or 'no file'}; what is stored is sealed under a key of the source `{chosen}`")


def _schema(url: str) -> str:
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
    try:
        with engine.connect() as connection:
            return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar())
    finally:
        engine.dispose()
