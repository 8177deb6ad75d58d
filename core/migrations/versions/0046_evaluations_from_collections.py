"""which datasets and runs of evaluations hold what collections say

Revision ID: 0046
Revises: 0045
"""

import sqlalchemy as sa
from alembic import op

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None

_TABLES = ("eval_datasets", "eval_runs")


def upgrade() -> None:
    for table in _TABLES:
        op.add_column(table, sa.Column("from_collections", sa.Boolean(), nullable=False, server_default=sa.false()))
    # which conversations a dataset was made of is not known any more
    op.execute("UPDATE eval_datasets SET from_collections = true WHERE source = 'sessions'")
    op.execute(
        "UPDATE eval_runs SET from_collections = true WHERE capability = 'rag'"
        " OR dataset_id NOT IN (SELECT id FROM eval_datasets WHERE NOT from_collections)"
    )


def downgrade() -> None:
    for table in _TABLES:
        op.drop_column(table, "from_collections")
