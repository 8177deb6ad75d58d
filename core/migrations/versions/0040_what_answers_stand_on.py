"""which documents kept answers stand on

Revision ID: 0040
Revises: 0039
"""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "answer_sources",
        sa.Column("message_id", sa.String(64), sa.ForeignKey("conversation_messages.id", ondelete="CASCADE"), nullable=False),
        sa.Column("document_id", sa.String(64), nullable=False),
        sa.Column("conversation_id", sa.String(64), sa.ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
        sa.PrimaryKeyConstraint("message_id", "document_id"),
    )
    for column in ("document_id", "conversation_id"):
        op.create_index(f"ix_answer_sources_{column}", "answer_sources", [column])


def downgrade() -> None:
    op.drop_table("answer_sources")
