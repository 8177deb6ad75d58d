"""The settings of monitors."""

from pydantic import Field

from core.sections import Section


class MonitorSettings(Section):
    """Watching what deployments do, and telling when it is no longer what it was."""

    on: bool = Field(True, description="watch the ledger for changes, and what is asked of collections for drift")
    every_s: float = Field(60, gt=0, description="seconds between two looks")
    point_s: int = Field(60, ge=10, le=1800, description="seconds that one point of a series stands for")
    late_s: float = Field(15, ge=0, description="seconds after which what the ledger has of a point is taken for all of it")
    learn_days: float = Field(7, gt=0, le=60, description="days of the ledger that are read where nothing was watched yet")
    most_series: int = Field(
        200, ge=1, description="series that are watched: those of the installation first, then the busiest of tenants' own"
    )
    points_days: float = Field(21, gt=0, description="days that points, and what drift is seen by, are kept")
    anomalies_days: float = Field(180, gt=0, description="days that anomalies are kept")
    least_slower: float = Field(1.25, gt=1, description="times its own baseline from which on a slower deployment is told of")
    least_dearer: float = Field(1.25, gt=1, description="times its own baseline from which on dearer requests are told of")
    least_rate: float = Field(0.03, gt=0, lt=1, description="by how much more calls fail, or are refused, until it is told of")
    drift_psi: float = Field(0.25, gt=0, description="population stability index from which on a distribution has drifted")
