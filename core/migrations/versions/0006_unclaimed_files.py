"""files whose bytes no row points at yet

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

import core.database

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "unclaimed_files",
        sa.Column("key", sa.String(128), nullable=False),
        sa.Column("created_at", core.database.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )


def downgrade() -> None:
    op.drop_table("unclaimed_files")
