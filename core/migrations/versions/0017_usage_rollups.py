"""usage by the hour, rolled up from the ledger; cost centres, and what a month's close needs

Revision ID: 0017
Revises: 0016
"""

import sqlalchemy as sa
from alembic import op

import core.database
import core.money

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_CLASSES = ("input", "cached", "cache_write", "cache_write_1h", "output", "reasoning", "input_audio", "output_audio")
_SUMS = ("requests", "entries", "estimated", "unpriced", *(f"{kind}_tokens" for kind in _CLASSES))


def upgrade() -> None:
    op.add_column("ledger", sa.Column("rolled", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index(
        "ix_ledger_tail",
        "ledger",
        ["tenant", "at"],
        sqlite_where=sa.text("rolled = 0"),
        postgresql_where=sa.text("NOT rolled"),
    )
    op.create_table(
        "usage_hours",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("hour", core.database.UTCDateTime(), nullable=False),
        sa.Column("principal", sa.String(64), nullable=False),
        sa.Column("key_id", sa.String(64), nullable=True),
        sa.Column("alias", sa.String(128), nullable=False),
        sa.Column("provider", sa.String(128), nullable=False),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("capability", sa.String(64), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("cache", sa.String(16), nullable=True),
        sa.Column("price_basis", sa.String(16), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _SUMS),
        sa.Column("cost_usd", core.money.Money(), nullable=False),
        sa.Column("latency_ms", sa.Float(), nullable=False),
        sa.Column("first_token_ms", sa.Float(), nullable=False),
        sa.Column("first_tokens", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_usage_hours_tenant_hour", "usage_hours", ["tenant", "hour"])
    op.create_index("ix_usage_hours_hour", "usage_hours", ["hour"])
    op.create_table(
        "usage_latencies",
        sa.Column("hour_id", sa.String(40), nullable=False),
        sa.Column("measure", sa.String(16), nullable=False),
        sa.Column("bucket", sa.Integer(), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hour_id", "measure", "bucket"),
    )
    op.create_index("ix_usage_latencies_tenant", "usage_latencies", ["tenant"])
    op.create_table(
        "usage_spans",
        sa.Column("hour_id", sa.String(40), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("hour_id", "request_id"),
    )
    op.create_index("ix_usage_spans_request", "usage_spans", ["tenant", "request_id"])
    op.create_table(
        "cost_centre_rules",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("centre", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("value", sa.String(128), nullable=False),
        sa.Column("created_at", core.database.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_cost_centre_rules_tenant", "cost_centre_rules", ["tenant"])
    _month_close()
    turns = op.create_table(
        "usage_turns",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("passes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.bulk_insert(turns, [{"id": 1, "passes": 0}])


def _month_close() -> None:
    op.create_table(
        "ledger_adjustments",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("at", core.database.UTCDateTime(), nullable=False),
        sa.Column("cost_usd", core.money.Money(), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("corrects", sa.String(7), nullable=True),
        sa.Column("entry", sa.String(64), nullable=True),
        sa.Column("principal", sa.String(64), nullable=False),
        sa.Column("key_id", sa.String(64), nullable=True),
        sa.Column("alias", sa.String(128), nullable=False),
        sa.Column("provider", sa.String(128), nullable=False),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("capability", sa.String(64), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", core.database.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_ledger_adjustments_tenant_at", "ledger_adjustments", ["tenant", "at"])
    op.create_table(
        "closed_months",
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("month", sa.String(7), nullable=False),
        sa.Column("cost_usd", core.money.Money(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("unpriced", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", core.database.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "month"),
    )
    op.create_table(
        "invoices",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("provider", sa.String(128), nullable=False),
        sa.Column("number", sa.String(128), nullable=False),
        sa.Column("everywhere", sa.Boolean(), nullable=False),
        sa.Column("begins", sa.Date(), nullable=False),
        sa.Column("ends", sa.Date(), nullable=False),
        sa.Column("cost_usd", core.money.Money(), nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", core.database.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("tenant", "provider", "number"),
    )
    op.create_index("ix_invoices_tenant", "invoices", ["tenant"])
    op.create_table(
        "invoice_lines",
        sa.Column("invoice_id", sa.String(64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("cost_usd", core.money.Money(), nullable=False),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoices.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("invoice_id", "day", "model"),
    )


def downgrade() -> None:
    for name in (
        *("invoice_lines", "invoices", "closed_months", "ledger_adjustments"),
        "usage_turns",
        "cost_centre_rules",
        "usage_spans",
        "usage_latencies",
        "usage_hours",
    ):
        op.drop_table(name)
    op.drop_index("ix_ledger_tail", "ledger")
    op.drop_column("ledger", "rolled")
