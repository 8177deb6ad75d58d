"""Rows of the ledger that wait in files, because the database does not take them."""

import asyncio
from pathlib import Path

from core.alerts import AlertKind
from core.tables import AlertRow
from evals.monitors.verdicts import Finding


class SpoolMonitor:
    """Looks at a directory. Files that are there at two looks are told of: one that comes and goes is what they are for."""

    kinds = frozenset({AlertKind.LEDGER_SPOOLING})

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files: set[str] = set()

    async def look(self) -> list[Finding]:
        """That there are files, and how many."""
        before, self._files = self._files, await asyncio.to_thread(self._listed)
        if not before & self._files:
            return []
        return [Finding(AlertKind.LEDGER_SPOOLING, "ledger", None, {"files": len(self._files)})]

    def is_over(self, _alert: AlertRow) -> bool:
        """Once there are none."""
        return not self._files

    def _listed(self) -> set[str]:
        return {path.name for path in self._directory.glob("*.jsonl")}
