"""What is copied, put back, upgraded and taken back, with a platform's data in place."""

import shutil
from pathlib import Path

from infra.bench import drill
from infra.bench.counts import Counts, Figures
from infra.postgresql import database_of_platform, postgresql


def restored(place: Path, counts: Counts) -> Figures:
    """A platform of 200 documents is copied beside 8 callers who write, its disk is lost, and the copy is put back: the same
    answers, citations, keys and ledger totals, and whatever else the copy speaks of is whole."""
    return drill.restored(place, {}, documents=counts.files, callers=_callers(counts), destroy=drill.emptied)


def restored_postgresql(place: Path, counts: Counts) -> Figures:
    """The same, with the database on PostgreSQL, which is lost too."""
    with postgresql() as server:
        url = {"GENAI_DATABASE_URL": database_of_platform(server, "restored")}

        def destroy(data: Path) -> None:
            shutil.rmtree(data)
            server.psql("DROP DATABASE restored WITH (FORCE);")
            database_of_platform(server, "restored")

        return drill.restored(place, url, documents=counts.files, callers=_callers(counts), destroy=destroy)


def _callers(counts: Counts) -> int:
    return counts.readers // 2
