"""What is copied, put back, upgraded and taken back, with a platform's data in place."""

import shutil
from pathlib import Path

from infra.bench import drill, upgrading
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


def upgraded(place: Path, counts: Counts) -> Figures:
    """With 8 callers all the while, a platform of the version before the newest migration is migrated, replaced by this one,
    and taken back, server and schema: no call fails, and answers, keys, documents and ledger totals stay."""
    place.mkdir(parents=True)
    return upgrading.upgraded(place, documents=counts.files, callers=_callers(counts), calls=counts.calls // 10)


def _callers(counts: Counts) -> int:
    return counts.readers // 2
