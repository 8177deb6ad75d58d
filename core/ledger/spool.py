"""Rows of the ledger that the database did not take in time: in a file, until it has them.

A line a row. Each process has a file of its own, which it holds a lock on; what a process leaves behind, the next one that
starts puts into the database. A row that is there already is not added again.
"""

import contextlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import structlog
from filelock import FileLock, Timeout

log = structlog.get_logger()

_SUFFIX = ".jsonl"
_READ_AT_ONCE = 500


class Spool:
    """The file of this process, made at the first row. Not thread-safe."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / f"{os.getpid()}-{secrets.token_hex(6)}{_SUFFIX}"
        self._lock = FileLock(f"{self._path}.lock")
        self._file: int | None = None

    @property
    def holds_rows(self) -> bool:
        return self._file is not None

    def keep(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write rows so that they outlive this machine's power."""
        if self._file is None:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        lines = b"".join(map(_line, rows))
        view = memoryview(lines)
        while view:
            view = view[os.write(self._file, view) :]
        os.fsync(self._file)

    def rows(self) -> Iterator[list[dict[str, Any]]]:
        """What is kept, some hundred rows at a time."""
        if self._file is not None:
            yield from _rows_of(self._path)

    def clear(self) -> None:
        """The database has all of it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
            self._path.unlink(missing_ok=True)
            self._release()

    def close(self) -> None:
        """Leave what is kept to the next process."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
            self._release()

    def _release(self) -> None:
        self._lock.release()
        with contextlib.suppress(OSError):
            Path(self._lock.lock_file).unlink(missing_ok=True)


def left_behind(directory: Path) -> Iterator[tuple[Path, Iterator[list[dict[str, Any]]]]]:
    """The files of processes that are no more, each held while it is looked at. Whoever has put the rows into the database
    deletes the file."""
    for path in sorted(directory.glob(f"*{_SUFFIX}")):
        lock = FileLock(f"{path}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        try:
            if path.exists():
                yield path, _rows_of(path)
        finally:
            lock.release()
            if not path.exists():
                Path(lock.lock_file).unlink(missing_ok=True)


def set_aside(directory: Path, row: Mapping[str, Any]) -> None:
    """Keep a row that the database refuses where an operator finds it: a line of `refused.json` in the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    file = os.open(directory / "refused.json", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(file, _line(row))
    finally:
        os.close(file)


def _line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(dict(row), default=str).encode() + b"\n"


def _rows_of(path: Path) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):  # the process died while it wrote: its caller got no answer
                log.warning("ledger.spool_cut", file=path.name)
                break
            rows.append(_row(json.loads(line)))
            if len(rows) == _READ_AT_ONCE:
                yield rows
                rows = []
    if rows:
        yield rows


def _row(found: dict[str, Any]) -> dict[str, Any]:
    cost, since = found["cost_usd"], found.get("price_since")
    read = {"at": datetime.fromisoformat(found["at"]), "cost_usd": None if cost is None else Decimal(cost)}
    return found | read | ({} if since is None else {"price_since": date.fromisoformat(since)})
