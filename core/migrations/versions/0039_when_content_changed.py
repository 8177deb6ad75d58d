"""when a document's content came in or last changed

Revision ID: 0039
Revises: 0038
"""

import sqlalchemy as sa
from alembic import op

from core.database import UTCDateTime

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("documents", sa.Column("content_at", UTCDateTime(), nullable=True))
    op.execute("UPDATE documents SET content_at = updated_at")


def downgrade() -> None:
    op.drop_column("documents", "content_at")
