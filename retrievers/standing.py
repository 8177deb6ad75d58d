"""How far a word index has come, noted in a file of its own beside it: written after the change that it tells of."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

_FILE = "standing"


@dataclass(frozen=True, slots=True)
class Standing:
    """`number`: the last of the collection's changes that the index has. `comparison`: the last one with all of the documents.
    See `core.tables.CollectionUpkeep`."""

    number: int = 0
    comparison: int = 0

    def includes(self, other: "Standing") -> bool:
        """Whether it has come as far."""
        return self.number >= other.number and self.comparison >= other.comparison


def read(directory: Path) -> Standing:
    """What is noted; nothing where it is not, or cannot be read: then all is to be looked at."""
    try:
        noted = json.loads((directory / _FILE).read_bytes())
        return Standing(int(noted["number"]), int(noted["comparison"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Standing()


def write(directory: Path, standing: Standing) -> None:
    """Note it. A crash leaves this or what was noted before."""
    whole = directory / f"{_FILE}.new"
    whole.write_text(json.dumps(asdict(standing)), encoding="utf-8")
    whole.replace(directory / _FILE)
