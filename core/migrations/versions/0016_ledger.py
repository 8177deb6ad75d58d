"""the ledger: a row for every call of a provider; budgets

Revision ID: 0016
Revises: 0015
"""

import sqlalchemy as sa
from alembic import op

import core.database
import core.money

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ledger",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("at", core.database.UTCDateTime(), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("principal", sa.String(64), nullable=False),
        sa.Column("key_id", sa.String(64), nullable=True),
        sa.Column("alias", sa.String(128), nullable=False),
        sa.Column("provider", sa.String(128), nullable=False),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("capability", sa.String(64), nullable=False),
        sa.Column("session_id", sa.String(128), nullable=True),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("cache", sa.String(16), nullable=True),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        *(
            sa.Column(f"{kind}_tokens", sa.Integer(), nullable=False)
            for kind in (
                "input",
                "cached",
                "cache_write",
                "cache_write_1h",
                "output",
                "reasoning",
                "input_audio",
                "output_audio",
            )
        ),
        sa.Column("tier", sa.String(16), nullable=True),
        sa.Column("cost_usd", core.money.Money(), nullable=True),
        sa.Column("price_basis", sa.String(16), nullable=False),
        sa.Column("price_source", sa.String(64), nullable=False),
        sa.Column("price_since", sa.Date(), nullable=True),
        sa.Column("latency_ms", sa.Float(), nullable=False),
        sa.Column("first_token_ms", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "budgets",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        *(sa.Column(name, sa.String(64), nullable=True) for name in ("team", "user", "key")),
        sa.Column("alias", sa.String(128), nullable=True),
        sa.Column("limit_usd", core.money.Money(), nullable=True),
        sa.Column("limit_tokens", sa.BigInteger(), nullable=True),
        sa.Column("window", sa.String(16), nullable=False),
        sa.Column("mode", sa.String(16), nullable=False),
        sa.Column("degrade_to", sa.String(128), nullable=True),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", core.database.UTCDateTime(), nullable=False),
        sa.Column("changed_at", core.database.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_budgets_tenant", "budgets", ["tenant"])
    op.create_index("ix_ledger_tenant_at", "ledger", ["tenant", "at"])
    op.create_index("ix_ledger_at", "ledger", ["at"])
    op.create_index("ix_ledger_request_id", "ledger", ["request_id"])


def downgrade() -> None:
    op.drop_table("budgets")
    op.drop_table("ledger")
