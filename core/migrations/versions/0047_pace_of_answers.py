"""how long a token took after the first

Revision ID: 0047
Revises: 0046
"""

import sqlalchemy as sa
from alembic import op

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None

_COLUMNS = (("paced", sa.Integer()), ("pace_log", sa.Float()))


def upgrade() -> None:
    for name, kind in _COLUMNS:
        op.add_column("monitor_points", sa.Column(name, kind, nullable=False, server_default="0"))


def downgrade() -> None:
    for name, _ in reversed(_COLUMNS):
        op.drop_column("monitor_points", name)
