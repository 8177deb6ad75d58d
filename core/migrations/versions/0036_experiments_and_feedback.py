"""experiments, who was exposed to them, and feedback

Revision ID: 0036
Revises: 0034
"""

import sqlalchemy as sa
from alembic import op

import core.database

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

_MARKED = sa.text("exposure IS NOT NULL")


def upgrade() -> None:
    moment = core.database.UTCDateTime
    op.create_table(
        "experiments",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("everywhere", sa.Boolean(), nullable=False),
        sa.Column("alias", sa.String(128), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", moment(), nullable=False),
        sa.Column("started_at", moment(), nullable=True),
        sa.Column("ended_at", moment(), nullable=True),
        sa.Column("end_reason", sa.String(32), nullable=True),
        sa.Column("verdict", sa.JSON(), nullable=True),
        sa.Column("promoted", sa.Integer(), nullable=True),
        sa.Column("looked_at", moment(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("tenant", "name"),
    )
    for column in ("tenant", "state"):
        op.create_index(f"ix_experiments_{column}", "experiments", [column])
    op.create_table(
        "experiment_exposures",
        sa.Column("id", sa.String(128), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("experiment_id", sa.String(64), nullable=False),
        sa.Column("variant", sa.Integer(), nullable=False),
        sa.Column("unit", sa.String(64), nullable=False),
        sa.Column("first_at", moment(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    for column in ("tenant", "experiment_id"):
        op.create_index(f"ix_experiment_exposures_{column}", "experiment_exposures", [column])
    op.create_table(
        "feedback",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("principal", sa.String(64), nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("comment", sa.LargeBinary(), nullable=True),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("scores", sa.JSON(), nullable=False),
        sa.Column("created_at", moment(), nullable=False),
        sa.Column("updated_at", moment(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("tenant", "request_id", "principal"),
    )
    for column in ("tenant", "request_id", "principal"):
        op.create_index(f"ix_feedback_{column}", "feedback", [column])
    op.add_column("ledger", sa.Column("exposure", sa.String(128), nullable=True))
    op.create_index("ix_ledger_exposure", "ledger", ["exposure"], sqlite_where=_MARKED, postgresql_where=_MARKED)


def downgrade() -> None:
    op.drop_index("ix_ledger_exposure", "ledger")
    op.drop_column("ledger", "exposure")
    for table in ("feedback", "experiment_exposures", "experiments"):
        op.drop_table(table)
