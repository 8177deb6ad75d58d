"""how the legs of a search are fused, by generation, and which documents answers kept for repetitions name

Revision ID: 0045
Revises: 0043
"""

import sqlalchemy as sa
from alembic import op

revision = "0045"
down_revision = "0043"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("index_generations", sa.Column("fusion", sa.JSON(), nullable=True))
    op.add_column("index_generations", sa.Column("fusion_number", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("idempotency_records", sa.Column("document_ids", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("idempotency_records", "document_ids")
    op.drop_column("index_generations", "fusion_number")
    op.drop_column("index_generations", "fusion")
