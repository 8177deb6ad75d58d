"""rate limits

Revision ID: 0019
Revises: 0018
"""

import sqlalchemy as sa
from alembic import op

import core.database

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rate_limits",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        *(sa.Column(name, sa.String(64), nullable=True) for name in ("team", "user", "key")),
        sa.Column("alias", sa.String(128), nullable=True),
        sa.Column("each", sa.String(16), nullable=True),
        *(sa.Column(name, sa.BigInteger(), nullable=True) for name in ("requests", "tokens", "concurrent")),
        sa.Column("window", sa.String(16), nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", core.database.UTCDateTime(), nullable=False),
        sa.Column("changed_at", core.database.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_rate_limits_tenant", "rate_limits", ["tenant"])


def downgrade() -> None:
    op.drop_table("rate_limits")
