"""What monitors remember: points of series, what detectors know of them, anomalies, and sketches of what is asked.

`tenant` is `*` for what is of the whole installation. No row names a person or holds a text.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Index, text
from sqlmodel import Field, SQLModel

from core.database import UTCDateTime
from core.money import Money
from core.tables.columns import json_list, json_object, moment, required_moment

#: So that rows of before are of none.
_NONE: Any = {"server_default": text("0")}


class AnomalyState(StrEnum):
    """Whether it still is so; `back` where the series is what it was, `accepted` where the new level is what is usual now."""

    OPEN = "open"
    BACK = "back"
    ACCEPTED = "accepted"


class MonitorTurn(SQLModel, table=True):
    """How far the ledger is read: a pass holds when it is still what it found at its beginning. One row."""

    __tablename__ = "monitor_turns"

    id: int = Field(primary_key=True)
    through: datetime | None = moment()


class MonitorPoint(SQLModel, table=True):
    """Sums over a tenant's calls in the time that begins at `at`, of one deployment under one version of an alias, of which
    `series` is a digest. Of durations the logarithms of milliseconds are added up. `calls` say something of the deployment;
    `answers` came whole, `streams` are those whose first token was timed, `paced` those long enough to tell the time of a token
    after it. Feedback came on `judged` answers then, and a metric has `graded` some; `liking` and `score` add up what they
    got, from 0 to 1."""

    __tablename__ = "monitor_points"
    __table_args__ = (Index("ix_monitor_points_at", "at"), Index("ix_monitor_points_alias", "tenant", "alias", "at"))

    tenant: str = Field(primary_key=True, max_length=64)
    series: str = Field(primary_key=True, max_length=24)
    at: datetime = Field(primary_key=True, sa_type=UTCDateTime)
    alias: str = Field(max_length=128)
    provider: str = Field(max_length=128)
    model: str = Field(max_length=256)
    version: str = Field(default="", max_length=16)
    calls: int = 0
    failed: int = 0
    refused: int = 0
    answers: int = 0
    latency_log: float = 0.0
    streams: int = 0
    first_token_log: float = 0.0
    paced: int = Field(default=0, sa_column_kwargs=_NONE)
    pace_log: float = Field(default=0.0, sa_column_kwargs=_NONE)
    priced: int = 0
    cost_usd: Decimal = Field(default=Decimal(0), sa_type=Money, nullable=False)
    good: int = 0
    tokens: int = Field(default=0, sa_type=BigInteger, nullable=False)
    judged: int = Field(default=0, sa_column_kwargs=_NONE)
    liking: float = Field(default=0.0, sa_column_kwargs=_NONE)
    graded: int = Field(default=0, sa_column_kwargs=_NONE)
    score: float = Field(default=0.0, sa_column_kwargs=_NONE)


class MonitorGrade(SQLModel, table=True):
    """What a metric says of one answer of live traffic, without any of it. `value` is from 0 to 1; without one, `why` says what
    for. It is put down before a model is asked, so that none is paid for twice. `cost_usd` is of the models that the metric
    asked; None: no price is known."""

    __tablename__ = "monitor_grades"
    __table_args__ = (Index("ix_monitor_grades_at", "at"),)

    message_id: str = Field(primary_key=True, max_length=64)
    tenant: str = Field(max_length=64)
    at: datetime = Field(sa_type=UTCDateTime, nullable=False, description="when it was graded")
    alias: str = Field(max_length=128)
    provider: str = Field(max_length=128)
    model: str = Field(max_length=256)
    version: str = Field(default="", max_length=16)
    metric: str = Field(max_length=64)
    value: float | None = None
    why: str | None = Field(default=None, max_length=64)
    cost_usd: Decimal | None = Field(default=None, sa_type=Money)


class MonitorSeries(SQLModel, table=True):
    """What the detectors of a series know, by metric; it was so once all points before `through` were seen."""

    __tablename__ = "monitor_series"

    tenant: str = Field(primary_key=True, max_length=64)
    series: str = Field(primary_key=True, max_length=24)
    through: datetime = required_moment(index=True)
    detectors: dict[str, Any] = json_object()


class MonitorAnomaly(SQLModel, table=True):
    """A series is no longer what it was, since `since`. `before` and `after` are in the metric's own unit; `worse` says that it
    is a change to the worse. `cause` is what the comparison with its siblings says. `id` is a digest of series, metric and
    beginning, so that the same is found again."""

    __tablename__ = "monitor_anomalies"
    __table_args__ = (
        Index("ix_monitor_anomalies_tenant_since", "tenant", "since"),
        Index("ix_monitor_anomalies_state", "state"),
    )

    id: str = Field(primary_key=True, max_length=64)
    tenant: str = Field(max_length=64)
    series: str = Field(max_length=24)
    alias: str = Field(max_length=128)
    provider: str = Field(max_length=128)
    model: str = Field(max_length=256)
    version: str = Field(default="", max_length=16)
    metric: str = Field(max_length=32)
    kind: str = Field(max_length=16)
    state: str = Field(max_length=16)
    worse: bool = False
    since: datetime = required_moment()
    seen_at: datetime = required_moment()
    ended_at: datetime | None = moment()
    before: float
    after: float
    sigmas: float
    cause: dict[str, Any] = json_object()


class MonitorSketch(SQLModel, table=True):
    """What was asked of a collection in an hour, without any of it: how many questions were near which of some directions of
    meaning (`topics`), and how near the best passage was (`nearness`), in classes. `model` made the embeddings."""

    __tablename__ = "monitor_sketches"
    __table_args__ = (Index("ix_monitor_sketches_at", "at"),)

    tenant: str = Field(primary_key=True, max_length=64)
    collection_id: str = Field(primary_key=True, max_length=64)
    model: str = Field(primary_key=True, max_length=256)
    at: datetime = Field(primary_key=True, sa_type=UTCDateTime)
    questions: int = 0
    topics: list[int] = json_list()
    nearness: list[int] = json_list()
