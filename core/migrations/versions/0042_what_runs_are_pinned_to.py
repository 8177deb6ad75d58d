"""which versions a run of an evaluation goes by, and whose gradings were lost

Revision ID: 0042
Revises: 0041
"""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("eval_runs", sa.Column("pins", sa.JSON(), nullable=False, server_default="{}"))
    op.add_column("eval_runs", sa.Column("ungraded", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("eval_runs", "ungraded")
    op.drop_column("eval_runs", "pins")
