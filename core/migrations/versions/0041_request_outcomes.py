"""how requests ended that went by versions which are compared

Revision ID: 0041
Revises: 0040
"""

import sqlalchemy as sa
from alembic import op

import core.database
import core.money

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None

_MARKED = sa.text("exposure IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "request_outcomes",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("at", core.database.UTCDateTime(), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("alias", sa.String(128), nullable=False),
        sa.Column("version", sa.String(16), nullable=False),
        sa.Column("unit", sa.String(32), nullable=False),
        sa.Column("status", sa.String(64), nullable=False),
        sa.Column("http_status", sa.Integer(), nullable=False),
        sa.Column("latency_ms", sa.Float(), nullable=True),
        sa.Column("cost_usd", core.money.Money(), nullable=True),
        sa.Column("exposure", sa.String(128), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_request_outcomes_tenant", "request_outcomes", ["tenant"])
    op.create_index("ix_request_outcomes_alias_at", "request_outcomes", ["alias", "at"])
    op.create_index(
        "ix_request_outcomes_exposure", "request_outcomes", ["exposure"], sqlite_where=_MARKED, postgresql_where=_MARKED
    )


def downgrade() -> None:
    op.drop_table("request_outcomes")
