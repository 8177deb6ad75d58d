"""tokens for the pages of one origin

Revision ID: 0013
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("token_families") as table:
        table.add_column(sa.Column("origin", sa.String(300), nullable=True))
        table.add_column(sa.Column("models", sa.JSON(), nullable=True))
        table.add_column(sa.Column("collections", sa.JSON(), nullable=True))


def downgrade() -> None:
    # a version that does not know of them would take these tokens from anywhere
    op.execute("DELETE FROM token_families WHERE origin IS NOT NULL")
    with op.batch_alter_table("token_families") as table:
        for column in ("collections", "models", "origin"):
            table.drop_column(column)
