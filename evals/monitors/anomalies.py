"""What a detector tells, as it is put down: in the metric's own unit, with the series that it is of."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from core.tables import AnomalyState
from evals.monitors.detectors import Change, ChangeKind
from evals.monitors.metrics import WatchedMetric
from evals.monitors.points import Named, Point


@dataclass(frozen=True, slots=True)
class Told:
    """A change of a series' metric, or the end of one."""

    tenant: str
    named: Named
    metric: WatchedMetric
    change: Change

    @property
    def id(self) -> str:
        """The same for all that is told of one change. A spike is another than the step that begins with it, and goes on."""
        told = [*self.series, f"{self.change.since:.0f}"]
        if self.change.kind is ChangeKind.SPIKE:
            told.append(ChangeKind.SPIKE.value)
        return f"anomaly_{hashlib.sha256('|'.join(told).encode()).hexdigest()[:24]}"

    @property
    def ends(self) -> bool:
        return self.change.kind.ends

    @property
    def series(self) -> tuple[str, str, str]:
        """Whose it is, what of, and which metric: as in the table."""
        return self.tenant, self.named.digest, self.metric.name

    @property
    def since(self) -> datetime:
        return datetime.fromtimestamp(self.change.since, UTC)

    @property
    def at(self) -> datetime:
        return datetime.fromtimestamp(self.change.at, UTC)

    @property
    def state(self) -> str:
        """How it stands from now on. A spike is over when it is seen."""
        if self.change.kind in (ChangeKind.BACK, ChangeKind.SPIKE):
            return AnomalyState.BACK.value
        return (AnomalyState.ACCEPTED if self.change.kind is ChangeKind.ACCEPTED else AnomalyState.OPEN).value

    def row(self) -> dict[str, Any]:
        """The columns of the table."""
        change, shown = self.change, self.metric.shown
        before, after = shown(change.before), shown(change.after)
        return {
            "id": self.id,
            "tenant": self.tenant,
            "series": self.named.digest,
            **self.named._asdict(),
            "metric": self.metric.name,
            "kind": change.kind.value,
            "state": self.state,
            "worse": self.metric.worsened(before, after),
            "since": self.since,
            "seen_at": self.at,
            "ended_at": None if self.state == AnomalyState.OPEN.value else self.at,
            "before": before,
            "after": after,
            "sigmas": change.sigmas,
            "cause": {},
        }


def told_of(point: Point, metric: WatchedMetric, change: Change) -> Told:
    """Of the series that the point is of."""
    return Told(point.tenant, point.named, metric, change)
