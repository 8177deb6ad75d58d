"""points know feedback and scores; what metrics say of answers of live traffic

Revision ID: 0043
Revises: 0042
"""

import sqlalchemy as sa
from alembic import op

import core.database
import core.money

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None

_SUMS = (("judged", sa.Integer()), ("liking", sa.Float()), ("graded", sa.Integer()), ("score", sa.Float()))
_NAMES = (("alias", 128), ("provider", 128), ("model", 256), ("version", 16), ("metric", 64))


def upgrade() -> None:
    for name, kind in _SUMS:
        op.add_column("monitor_points", sa.Column(name, kind, nullable=False, server_default=sa.text("0")))
    op.create_table(
        "monitor_grades",
        sa.Column("message_id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("at", core.database.UTCDateTime(), nullable=False),
        *(sa.Column(name, sa.String(length), nullable=False) for name, length in _NAMES),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("why", sa.String(64), nullable=True),
        sa.Column("cost_usd", core.money.Money(), nullable=True),
        sa.PrimaryKeyConstraint("message_id"),
    )
    op.create_index("ix_monitor_grades_at", "monitor_grades", ["at"])
    op.create_index("ix_feedback_created_at", "feedback", ["created_at"])


def downgrade() -> None:
    op.drop_index("ix_feedback_created_at", "feedback")
    op.drop_table("monitor_grades")
    with op.batch_alter_table("monitor_points") as points:
        for name, _ in _SUMS:
            points.drop_column(name)
