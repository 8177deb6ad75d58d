"""what monitors remember: points, detectors, anomalies, and sketches of what is asked

Revision ID: 0037
Revises: 0033
"""

import sqlalchemy as sa
from alembic import op

import core.database
import core.money

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

_COUNTS = ("calls", "failed", "refused", "answers", "streams", "priced", "good")
_NAMES = (("alias", 128), ("provider", 128), ("model", 256), ("version", 16))


def upgrade() -> None:
    turns = op.create_table(
        "monitor_turns",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("through", core.database.UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.bulk_insert(turns, [{"id": 1, "through": None}])
    op.create_table(
        "monitor_points",
        *_of_series(),
        _time("at"),
        *_named(),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in _COUNTS),
        *(sa.Column(name, sa.Float(), nullable=False) for name in ("latency_log", "first_token_log")),
        sa.Column("cost_usd", core.money.Money(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "series", "at"),
    )
    op.create_index("ix_monitor_points_at", "monitor_points", ["at"])
    op.create_index("ix_monitor_points_alias", "monitor_points", ["tenant", "alias", "at"])
    op.create_table(
        "monitor_series",
        *_of_series(),
        _time("through"),
        sa.Column("detectors", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "series"),
    )
    op.create_index("ix_monitor_series_through", "monitor_series", ["through"])
    op.create_table(
        "monitor_anomalies",
        sa.Column("id", sa.String(64), nullable=False),
        *_of_series(),
        *_named(),
        sa.Column("metric", sa.String(32), nullable=False),
        *(sa.Column(name, sa.String(16), nullable=False) for name in ("kind", "state")),
        sa.Column("worse", sa.Boolean(), nullable=False),
        *(_time(name) for name in ("since", "seen_at")),
        sa.Column("ended_at", core.database.UTCDateTime(), nullable=True),
        *(sa.Column(name, sa.Float(), nullable=False) for name in ("before", "after", "sigmas")),
        sa.Column("cause", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_monitor_anomalies_tenant_since", "monitor_anomalies", ["tenant", "since"])
    op.create_index("ix_monitor_anomalies_state", "monitor_anomalies", ["state"])
    op.create_table(
        "monitor_sketches",
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("collection_id", sa.String(64), nullable=False),
        _time("at"),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("questions", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.JSON(), nullable=False) for name in ("topics", "nearness")),
        sa.PrimaryKeyConstraint("tenant", "collection_id", "model", "at"),
    )
    op.create_index("ix_monitor_sketches_at", "monitor_sketches", ["at"])


def downgrade() -> None:
    for name in ("monitor_sketches", "monitor_anomalies", "monitor_series", "monitor_points", "monitor_turns"):
        op.drop_table(name)


def _of_series() -> list[sa.Column[str]]:
    return [sa.Column("tenant", sa.String(64), nullable=False), sa.Column("series", sa.String(24), nullable=False)]


def _named() -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String(length), nullable=False) for name, length in _NAMES]


def _time(name: str) -> "sa.Column[object]":
    return sa.Column(name, core.database.UTCDateTime(), nullable=False)
