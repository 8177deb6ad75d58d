"""alerts, where they are told, and the notices that are on their way

Revision ID: 0018
Revises: 0017
"""

import sqlalchemy as sa
from alembic import op

import core.database

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("platform", sa.Boolean(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("key", sa.String(320), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("subject", sa.JSON(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        *(_time(name) for name in ("first_seen", "last_seen", "told_at")),
        sa.Column("open_notice", sa.Boolean(), nullable=False),
        _time("resolved_at", nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("tenant", "platform", "kind", "key"),
    )
    op.create_index("ix_alerts_tenant_first_seen", "alerts", ["tenant", "first_seen"])
    op.create_table(
        "alert_routes",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("platform", sa.Boolean(), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("target", sa.JSON(), nullable=False),
        sa.Column("hint", sa.String(200), nullable=False),
        sa.Column("kinds", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("least", sa.String(16), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("withheld", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        *(_time(name) for name in ("created_at", "changed_at")),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_alert_routes_tenant", "alert_routes", ["tenant"])
    op.create_table(
        "alert_deliveries",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("route_id", sa.String(64), nullable=False),
        sa.Column("alert_id", sa.String(64), nullable=True),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(64), nullable=True),
        *(_time(name) for name in ("created_at", "next_at")),
        *(_time(name, nullable=True) for name in ("leased_until", "ended_at")),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_alert_deliveries_tenant", "alert_deliveries", ["tenant"])
    op.create_index("ix_alert_deliveries_route_id", "alert_deliveries", ["route_id"])
    op.create_index("ix_alert_deliveries_state_next_at", "alert_deliveries", ["state", "next_at"])


def downgrade() -> None:
    for table in ("alert_deliveries", "alert_routes", "alerts"):
        op.drop_table(table)


def _time(name: str, *, nullable: bool = False) -> "sa.Column[object]":
    return sa.Column(name, core.database.UTCDateTime(), nullable=nullable)
