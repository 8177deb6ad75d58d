"""SQL on a file that another copy of SQLite has open in this process: run in a process of its own.

A file's locks are its process's. A second copy of SQLite within it sees none of those that the first holds: it writes between
the other's pages, and takes a transaction under way for one that a crash has left, which it undoes
(sqlite.org/howtocorrupt.html, 2.2.1).
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from core.child import run_in_child_blocking

Statement = tuple[str, tuple[Any, ...]]


def execute_apart(path: Path, *statements: Statement, busy_s: float, timeout_s: float) -> list[list[tuple[Any, ...]]]:
    """The rows that each statement gives, one after the other and each by itself. Blocking. `busy_s`: how long to wait for who
    writes the file; `timeout_s`: for all of it.

    Raises:
        ChildError: the database refuses (`ChildFailed`), or it takes too long.
    """
    rows: list[list[tuple[Any, ...]]] = run_in_child_blocking(
        "core.sqlite_apart:execute", path.absolute().as_uri(), statements, busy_s, timeout_s=timeout_s, lane="database"
    )
    return rows


def execute(uri: str, statements: Sequence[Statement], busy_s: float) -> list[list[tuple[Any, ...]]]:
    """In the other process."""
    with closing(sqlite3.connect(f"{uri}?mode=rw", uri=True, timeout=busy_s, isolation_level=None)) as connection:
        return [connection.execute(sql, values).fetchall() for sql, values in statements]
