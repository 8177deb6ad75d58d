"""The directory of a word index, which several processes open, change and delete."""

import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

#: How often an index is opened that changes under the hand, and the seconds between.
_TRIES, _LOOK_S = 10, 0.01
#: What the name of one ends with that is being deleted.
_AWAY = ".away"


def settled(open_it: Callable[[], T]) -> T:
    """What `open_it` gives. Where files that an index names are not there any more, another has committed since or deleted the
    index, and it is asked again."""
    for _ in range(_TRIES - 1):
        try:
            return open_it()
        except PermissionError:
            raise
        except (ValueError, OSError):  # the first is tantivy's
            time.sleep(_LOOK_S)
    return open_it()


def remove(path: Path) -> None:
    """Delete an index. It is gone at once: who opens it meanwhile finds all of it, or nothing."""
    away = path.with_suffix(f".{secrets.token_hex(4)}{_AWAY}")
    with suppress(FileNotFoundError):
        path.rename(away)
    shutil.rmtree(away, ignore_errors=True)


def remove_left(directory: Path) -> None:
    """Delete what a process that was killed over it has left."""
    for left in directory.glob(f"*{_AWAY}"):
        shutil.rmtree(left, ignore_errors=True)


def is_theirs(note: Path, tenant: str) -> bool:
    """Whether an index is the tenant's. One of a version that did not note it is theirs whose collection has that identifier,
    the first to come."""
    try:
        return note.read_text(encoding="utf-8") == tenant
    except FileNotFoundError:
        whole = note.with_suffix(".new")
        whole.write_text(tenant, encoding="utf-8")
        whole.replace(note)
        return True
