"""kill switches; what provider credentials hold beside their secrets

Revision ID: 0015
Revises: 0014
"""

import sqlalchemy as sa
from alembic import op

import core.database

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "kill_switches",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("everywhere", sa.Boolean(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", core.database.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("tenant", "everywhere", "kind", "name"),
    )
    op.create_index("ix_kill_switches_tenant", "kill_switches", ["tenant"], unique=False)
    with op.batch_alter_table("provider_credentials") as batch_op:
        batch_op.add_column(sa.Column("everywhere", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.add_column(sa.Column("options", sa.JSON(), nullable=False, server_default="{}"))
        batch_op.add_column(sa.Column("pending", sa.JSON(none_as_null=True), nullable=True))
        batch_op.add_column(sa.Column("pending_hint", sa.String(16), nullable=True))
        batch_op.add_column(sa.Column("version", sa.Integer(), nullable=False, server_default="1"))


def downgrade() -> None:
    op.drop_table("kill_switches")
    with op.batch_alter_table("provider_credentials") as batch_op:
        for name in ("everywhere", "options", "pending", "pending_hint", "version"):
            batch_op.drop_column(name)
