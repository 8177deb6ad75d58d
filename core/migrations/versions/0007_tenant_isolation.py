"""who owns a collection and shares it, whom a job works for, whose a kept answer is, whom a rotated key stands for

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

import core.database
from core.principals import DEFAULT_TENANT

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("collections", schema=None) as batch_op:
        batch_op.add_column(sa.Column("owner", sa.String(64), nullable=True))
    op.create_table(
        "collection_shares",
        sa.Column("collection_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("access", sa.String(16), nullable=False),
        sa.Column("created_at", core.database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["collection_id"], ["collections.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("collection_id", "kind", "subject"),
    )
    # until now everybody of the tenant could read them, and write them with the right to write
    op.execute(
        "INSERT INTO collection_shares (collection_id, kind, subject, access, created_at) "
        "SELECT id, 'tenant', '', 'write', created_at FROM collections"
    )
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("principal", sa.JSON(), nullable=False, server_default="{}"))
        batch_op.create_index(batch_op.f("ix_jobs_owner"), ["owner"], unique=False)
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.alter_column("principal", server_default=None)
    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.add_column(sa.Column("stands_for", sa.String(64), nullable=True))
    with op.batch_alter_table("idempotency_records", schema=None) as batch_op:
        batch_op.add_column(sa.Column("tenant", sa.String(64), nullable=False, server_default=DEFAULT_TENANT))
        batch_op.create_index(batch_op.f("ix_idempotency_records_tenant"), ["tenant"], unique=False)
    with op.batch_alter_table("idempotency_records", schema=None) as batch_op:
        batch_op.alter_column("tenant", server_default=None)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: collections that are private would be everybody's again.")
