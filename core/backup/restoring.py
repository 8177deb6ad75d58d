"""Putting a backup back, where no platform runs. All of it is verified before anything is replaced, and what is replaced in the
data directory is set aside, not deleted."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic.script import ScriptDirectory
from alembic.util import CommandError

from core.backup.copying import all_put_back, check_parts, put_back
from core.backup.keys import KeyCopy, check_keys, lie_together, place_keys, read_keys
from core.backup.manifest import DATA, DATABASES, FILES, BackupError, Manifest, Part, open_place, read_manifest, read_parts
from core.backup.postgresql import PostgreSQL
from core.backup.sqlite import check_database, take_alone
from core.database import MIGRATIONS, is_made, sync_url
from core.scratch import Scratch
from core.settings import Settings
from core.storages import Directory, open_storage

Told = Callable[[str], None]

#: Of the data directory, what is made again, or is another database's: words, vectors, the broker's messages and counters.
DERIVED = ("lexical", "chroma", "qdrant", "valkey")
_STAGED = ".restoring"


class Restore:
    """One restore. `check` changes nothing; `run` puts back what was checked. All calls block."""

    def __init__(self, settings: Settings, source: str, keys_from: str | None, told: Told) -> None:
        """Raises BackupError: there is no backup, or no copy of keys."""
        self._settings, self._told = settings, told
        self._place = open_place(source)
        self.manifest: Manifest = read_manifest(self._place)
        self._parts: list[Part] = read_parts(self._place, self.manifest)
        self._keys = read_keys(open_place(keys_from)) if keys_from is not None else KeyCopy()
        if keys_from is not None and lie_together(source, keys_from):
            told("The keys lie WITH the data: whoever has this copy reads all that is encrypted in it. Take them apart")
        self._data = settings.path("genai.db").parent

    def check(self) -> None:
        """That the backup is whole, that this version reads it, and that its keys are here.

        Raises:
            BackupError: not so.
        """
        with self._scratch() as scratch:
            check_parts(self._place, self._parts, scratch)
            self._told(f"{len(self._parts)} parts are as they were written")
            kind = "sqlite" if self._sqlite else "postgresql"
            if self.manifest.database != kind:
                raise BackupError(f"The backup is of {self.manifest.database}, and GENAI_DATABASE_URL is of {kind}.")
            _check_schema(self.manifest.schema)
            check_keys(self._settings, self.manifest, self._keys, scratch)
            self._told("its keys are here")
            self._database(scratch)

    def run(self, *, replace: bool) -> Path | None:
        """Put it back; where what was there lies now, None where there was nothing. May be called again when it was cut short.

        Raises:
            BackupError: a platform runs, there is something which is not to be replaced, or it cannot be written.
        """
        with self._scratch() as scratch:
            self._refuse(replace)
            place_keys(self._settings, self._keys, scratch)
            files = self._put_files(scratch)
            database = self._database(scratch)
            aside = self._data / f"replaced-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
            if self._sqlite:
                staged = Path(f"{self._sqlite}{_STAGED}")
                staged.unlink(missing_ok=True)
                shutil.move(database, staged)
                _set_aside(self._sqlite, aside)
                staged.replace(self._sqlite)
            else:
                PostgreSQL(self._settings).restore(database, scratch)
            if files is not None:
                _set_aside(files, aside)
                Path(f"{files}{_STAGED}").rename(files)
            for name in (*DERIVED, "ledger"):
                _set_aside(self._data / name, aside)
            for part in self._of(DATA):
                put_back(self._place, part, Directory(scratch), part.key, scratch)
                target = self._data / part.key.removeprefix(DATA)
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                shutil.move(scratch / part.key, target)
        return aside if aside.exists() else None

    def _refuse(self, replace: bool) -> None:
        """Where a platform runs, or something is there that nobody has said may go."""
        there = is_made(self._settings)
        if there and self._sqlite:
            take_alone(self._sqlite)
        if not self._sqlite:
            server = PostgreSQL(self._settings)
            there = server.holds_something()
            if others := server.others():
                raise BackupError(f"{others} connections to the database are open: stop every server and worker first.")
        if there and not replace:
            raise BackupError("There is a platform's database already. Say --replace to have it replaced.")

    def _put_files(self, scratch: Path) -> Path | None:
        """The files beside where they belong, to be swapped; None where they are in an object store, and in it now."""
        if not self.manifest.files:
            return None
        root = self._directory()
        staged = Path(f"{root}{_STAGED}") if root is not None else None
        if staged is not None:
            shutil.rmtree(staged, ignore_errors=True)
        target = Directory(staged) if staged is not None else open_storage(self._settings)
        parts = self._of(FILES)
        all_put_back(self._place, parts, target, FILES, scratch)
        if root is None:
            kept = {part.key.removeprefix(FILES) for part in parts}
            for key in [one.key for one in target.listed() if one.key not in kept]:
                target.delete(key)  # later than the backup: no row speaks of it
        self._told(f"{len(parts)} files")
        return root

    def _database(self, scratch: Path) -> Path:
        """The database's copy, as a file of this machine that can be read."""
        name = DATABASES[self.manifest.database]
        part = next((one for one in self._parts if one.key == name), None)
        if part is None:
            raise BackupError(f"{name} is missing.")
        copy = scratch / name
        copy.unlink(missing_ok=True)
        put_back(self._place, part, Directory(scratch), name, scratch)
        if self._sqlite:
            check_database(copy)
        else:
            PostgreSQL(self._settings).check(copy)
        return copy

    def _of(self, below: str) -> list[Part]:
        return [part for part in self._parts if part.key.startswith(below)]

    def _directory(self) -> Path | None:
        """Where the files lie, unless in an object store."""
        url = self._settings.files_url
        if not url:
            return self._data / "files"
        return Path(url.removeprefix("file://")) if url.startswith("file://") else None

    @property
    def _sqlite(self) -> Path | None:
        url = sync_url(self._settings)
        return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite") else None

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        try:
            with Scratch(self._settings.path("scratch")).directory("restore") as scratch:
                yield scratch
        except OSError as error:
            raise BackupError(f"Something cannot be read or written: {error}") from error


def _check_schema(schema: str) -> None:
    scripts = ScriptDirectory(str(MIGRATIONS))
    try:
        known = scripts.get_revision(schema)
    except CommandError:
        known = None
    if known is None:
        raise BackupError(f"The backup's database is at migration {schema}, of a newer platform: upgrade this one first.")


def _set_aside(path: Path, aside: Path) -> None:
    for one in (path, *(Path(f"{path}{end}") for end in ("-wal", "-shm"))):
        if one.exists():
            aside.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.move(one, aside / one.name)
