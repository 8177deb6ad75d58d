"""What changes of models hold to while requests go on."""

import asyncio
from pathlib import Path

from infra.bench import rollback
from infra.bench.counts import Counts, Figures


def rolled_back(place: Path, counts: Counts) -> Figures:
    """A rollback at 200 requests a second over four processes: all switched within 1 s of the call, none failed, none mixed."""
    place.mkdir(parents=True, exist_ok=True)
    per_s, seconds, servers = (40, 2.0, 2) if counts.is_small else (200, 10.0, 4)
    return asyncio.run(rollback.rolled_back(place, per_s=per_s, seconds=seconds, servers=servers))
