"""erasure, exports and retention

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op

import core.database

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("result", sa.JSON(none_as_null=True), nullable=True))
    with op.batch_alter_table("idempotency_records", schema=None) as batch_op:
        batch_op.add_column(sa.Column("owner", sa.String(64), nullable=True))
        batch_op.create_index("ix_idempotency_records_owner", ["owner"])
    op.create_table(
        "data_requests",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("subject_tenant", sa.String(64), nullable=False),
        sa.Column("found", sa.JSON(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("lease", sa.String(32), nullable=True),
        sa.Column("leased_until", core.database.UTCDateTime(), nullable=True),
        sa.Column("created_at", core.database.UTCDateTime(), nullable=False),
        sa.Column("finished_at", core.database.UTCDateTime(), nullable=True),
        sa.Column("settle_at", core.database.UTCDateTime(), nullable=True),
        sa.Column("file_key", sa.String(128), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", core.database.UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    for column in ("tenant", "job_id", "subject", "settle_at"):
        op.create_index(f"ix_data_requests_{column}", "data_requests", [column], unique=False)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: what is to be erased would be forgotten.")
