"""teams and the alias's version in the ledger, tokens of pictures, and what kept answers have saved

Revision ID: 0023
Revises: 0022
"""

import sqlalchemy as sa
from alembic import op

import core.money

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_IMAGES = ("input_image_tokens", "output_image_tokens")


def upgrade() -> None:
    for table, number in (("ledger", sa.Integer()), ("usage_hours", sa.BigInteger())):
        op.add_column(table, sa.Column("teams", sa.Text(), nullable=True))
        op.add_column(table, sa.Column("version", sa.String(16), nullable=True))
        for name in (*_IMAGES, "saved_tokens"):
            op.add_column(table, sa.Column(name, number, nullable=False, server_default=sa.text("0")))
    op.add_column("ledger", sa.Column("saved_usd", core.money.Money(), nullable=True))
    op.add_column("usage_hours", sa.Column("saved_usd", core.money.Money(), nullable=False, server_default=sa.text("0")))


def downgrade() -> None:
    for table in ("ledger", "usage_hours"):
        for name in ("teams", "version", *_IMAGES, "saved_tokens", "saved_usd"):
            op.drop_column(table, name)
