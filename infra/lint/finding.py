"""What a check has found wrong, and where."""

from dataclasses import dataclass
from pathlib import PurePath


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One mistake. `path` is relative to the tree's root; `line` counts from 1, and is 0 where the file as a whole is meant."""

    path: PurePath
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line or 1}: {self.message}"
