"""A ledger in memory."""

from core.ledger import Entry


class Book:
    """Keeps entries in memory."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def record(self, entry: Entry) -> None:
        self.entries.append(entry)

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(entry.provider, entry.status) for entry in self.entries]
