"""data keys, their rotation, and credentials of providers

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

import core.database

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "data_keys",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("wrapped_by", sa.String(512), nullable=False),
        sa.Column("created_at", core.database.UTCDateTime(), nullable=False),
        sa.Column("retired_at", core.database.UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("data_keys", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_data_keys_tenant"), ["tenant"], unique=False)
    op.create_table(
        "key_rotations",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("positions", sa.JSON(), nullable=False),
        sa.Column("resealed", sa.Integer(), nullable=False),
        sa.Column("started_at", core.database.UTCDateTime(), nullable=False),
        sa.Column("finished_at", core.database.UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "provider_credentials",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("provider", sa.String(128), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("secrets", sa.JSON(), nullable=False),
        sa.Column("hint", sa.String(16), nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", core.database.UTCDateTime(), nullable=False),
        sa.Column("rotated_at", core.database.UTCDateTime(), nullable=True),
        sa.Column("disabled_at", core.database.UTCDateTime(), nullable=True),
        sa.Column("tested_at", core.database.UTCDateTime(), nullable=True),
        sa.Column("test_code", sa.String(64), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("provider_credentials", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_provider_credentials_tenant"), ["tenant"], unique=False)
        batch_op.create_index(batch_op.f("ix_provider_credentials_provider"), ["provider"], unique=False)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: without its data keys nothing that is sealed could be read.")
