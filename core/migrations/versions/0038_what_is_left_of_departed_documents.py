"""whether something is left of what was deleted

Revision ID: 0038
Revises: 0037
"""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # of what was deleted before, the files of the stores may still have something
    op.add_column("departed_documents", sa.Column("remains", sa.Boolean(), nullable=False, server_default=sa.true()))


def downgrade() -> None:
    op.drop_column("departed_documents", "remains")
