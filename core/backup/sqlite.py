"""SQLite's own backup of the database file, and a look whether anybody has it open."""

import sqlite3
from contextlib import closing
from pathlib import Path

from core.backup.manifest import BackupError

_WAIT_S = 15.0


def copy_database(source: Path, target: Path) -> None:
    """The database as it was at one moment, into a new file. Who writes to it meanwhile does not wait.

    Raises:
        BackupError: it cannot be read, or is damaged.
    """
    try:
        with closing(_opened(source)) as original, closing(sqlite3.connect(target)) as copy:
            original.backup(copy)  # all pages in one step: in WAL mode readers hold nobody up
            copy.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        raise BackupError(f"The database {source} cannot be copied: {error}") from error
    check_database(target)


def check_database(path: Path) -> None:
    """Raises BackupError: its pages do not fit together."""
    try:
        with closing(sqlite3.connect(path)) as opened:
            told = opened.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        told = str(error)
    if told != "ok":
        raise BackupError(f"The copy of the database is damaged: {told}")


def take_alone(path: Path) -> None:
    """Bring what the log of changes has into the file. Afterwards the file is whole without any other.

    Raises:
        BackupError: another process has the database open.
    """
    try:
        with closing(_opened(path)) as opened:
            mode = opened.execute("PRAGMA journal_mode=DELETE").fetchone()[0]  # refused while anybody else has it open
    except sqlite3.OperationalError:
        mode = "wal"
    if mode != "delete":
        raise BackupError(f"A platform has the database {path} open: stop it first, and its workers.")


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=_WAIT_S)
