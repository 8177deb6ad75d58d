"""Drift of what is asked of collections, and of how near the passages are that it finds: the last day against the days before.

Measured by the population stability index over the classes of `retrievers.sketches`. Hours are shuffled between the two
sides to see what chance would give: questions of one hour are often one person's, and so no independent draws.
"""

import asyncio
import time
from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from sqlmodel import col, func, select

from core.alerts import AlertKind
from core.database import Database, utc_now
from core.monitor_settings import MonitorSettings
from core.tables import AlertRow, MonitorSketch
from evals.monitors.verdicts import WELL_BELOW, Finding

What = Literal["questions", "nearness"]
RECENT: Final = timedelta(days=1)
#: Questions of the last day, and of the days before, below which nothing is said; and hours of these.
LEAST_RECENT: Final = 50
LEAST_BEFORE: Final = 200
_LEAST_HOURS: Final = 12
_SHUFFLES: Final = 400
_CERTAIN: Final = 0.995
#: Collections that are looked at: those that are asked most.
_MOST: Final = 200
#: Seconds for which what was measured is believed.
_BELIEVED_S: Final = 600.0
#: What each class is taken to have at least, as a share, so that an empty one says no more than it can.
_LEAST_SHARE: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Drift:
    """`index` is the population stability index, None where too little was asked; `chance` what shuffled hours exceed once in
    200 times. `model` made the embeddings. `classes` are the questions of the last day in each of its classes, `classes_before`
    those of the days before."""

    tenant: str
    collection_id: str
    model: str
    what: What
    questions: int
    questions_before: int
    index: float | None
    chance: float | None
    drifted: bool
    classes: tuple[int, ...] = ()
    classes_before: tuple[int, ...] = ()


async def drifts(
    database: Database,
    settings: MonitorSettings,
    tenant: str | None,
    now: datetime | None = None,
    *,
    only: Container[str] | None = None,
) -> list[Drift]:
    """Of the collections that were asked most within the last day; `only` of these. `tenant` None: of all tenants."""
    now = now or utc_now()
    row = MonitorSketch
    named = (row.tenant, row.collection_id, row.model)
    asked = select(*named).where(row.at >= now - RECENT).group_by(*named)
    asked = asked.order_by(func.sum(row.questions).desc(), row.collection_id).limit(_MOST)
    found: list[Drift] = []
    async with database.session(tenant, all_tenants=tenant is None) as session:
        for whose in sorted((await session.exec(asked)).all()):
            if only is not None and whose[1] not in only:
                continue
            this = [column == value for column, value in zip(named, whose, strict=True)]
            since = now - timedelta(days=settings.points_days)
            hours = (await session.exec(select(row).where(*this, row.at >= since).order_by(col(row.at)))).all()
            for what in ("questions", "nearness"):
                found.append(await asyncio.to_thread(_drift, whose, what, hours, settings, now - RECENT))  # noqa: PERF401
    return found


def _drift(
    named: tuple[str, str, str], what: What, hours: Sequence[MonitorSketch], settings: MonitorSettings, since: datetime
) -> Drift:
    counts = np.array([hour.topics if what == "questions" else hour.nearness for hour in hours], dtype=np.float64)
    recent = np.array([hour.at >= since for hour in hours])
    asked, before = int(counts[recent].sum()), int(counts[~recent].sum())
    classes = [tuple(map(int, counts[side].sum(axis=0))) for side in (recent, ~recent)]
    enough = asked >= LEAST_RECENT and before >= LEAST_BEFORE and (~recent).sum() >= _LEAST_HOURS
    if not enough:
        return Drift(*named, what, asked, before, None, None, False, *classes)
    index = stability_index(counts[recent].sum(axis=0), counts[~recent].sum(axis=0))
    chance = _by_chance(counts, recent)
    return Drift(*named, what, asked, before, index, chance, index >= settings.drift_psi and index > chance, *classes)


def stability_index(now: NDArray[np.float64], before: NDArray[np.float64]) -> float:
    """The population stability index of two rows of counts: 0 where the shares are the same, some tenths where they differ."""
    ours, theirs = (_shares(each) for each in (now, before))
    return float(((ours - theirs) * np.log(ours / theirs)).sum())


def _shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    shares = np.maximum(counts / counts.sum(), _LEAST_SHARE)
    return np.asarray(shares / shares.sum(), dtype=np.float64)


def _by_chance(counts: NDArray[np.float64], recent: NDArray[np.bool_]) -> float:
    random = np.random.default_rng(0)
    found = []
    for _ in range(_SHUFFLES):
        side = random.permutation(recent)
        one, other = counts[side].sum(axis=0), counts[~side].sum(axis=0)
        if one.sum() and other.sum():
            found.append(stability_index(one, other))
    return float(np.quantile(found, _CERTAIN))


class DriftMonitor:
    """Looks at the collections of all tenants; what has drifted is told to whose collection it is."""

    kinds = frozenset({AlertKind.DRIFT})

    def __init__(self, database: Database, settings: MonitorSettings) -> None:
        self._database, self._settings = database, settings
        self._now: dict[str, Drift] = {}
        self._read_at = -_BELIEVED_S

    async def look(self) -> list[Finding]:
        """The collections whose questions, or what they find, are no longer what they were."""
        if not self._settings.on:
            return []
        if time.monotonic() >= self._read_at + _BELIEVED_S:
            found = await drifts(self._database, self._settings, None)
            self._now = {f"{each.what}:{each.collection_id}": each for each in found}
            self._read_at = time.monotonic()
        return [Finding(AlertKind.DRIFT, key, each.tenant, _facts(each)) for key, each in self._now.items() if each.drifted]

    def is_over(self, alert: AlertRow) -> bool:
        """Once the last day is well below the limit again; or nothing is asked any more."""
        drift = self._now.get(alert.key)
        return drift is None or drift.index is None or drift.index < WELL_BELOW * self._settings.drift_psi


def _facts(drift: Drift) -> dict[str, object]:
    return {
        "collection": drift.collection_id,
        "what": "questions" if drift.what == "questions" else "how near the best passage is",
        "index": round(drift.index or 0.0, 3),
        "limit": round(drift.chance or 0.0, 3),
        "questions": drift.questions,
        "hours": 24,
    }
