"""where a collection's vectors are: index generations

Revision ID: 0031
Revises: 0029
"""

import sqlalchemy as sa
from alembic import op

import core.database

revision = "0031"
down_revision = "0029"
branch_labels = None
depends_on = None

_STRINGS = (
    ("tenant", 64),
    ("collection_id", 64),
    ("state", 16),
    ("store", 64),
    ("embeddings", 128),
    ("model", 256),
    ("shelf", 128),
    ("origin_store", 64),
    ("origin_model", 256),
    ("cursor", 256),
)


def upgrade() -> None:
    op.create_table(
        "index_generations",
        sa.Column("id", sa.String(64), nullable=False),
        *(sa.Column(name, sa.String(length), nullable=False) for name, length in _STRINGS),
        sa.Column("source_id", sa.String(64), nullable=True),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("copied", sa.Boolean(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("done", "total", "attempts")),
        sa.Column("keep_s", sa.Float(), nullable=False),
        sa.Column("kept_until", core.database.UTCDateTime(), nullable=True),
        sa.Column("job_id", sa.String(64), nullable=True),
        sa.Column("created_at", core.database.UTCDateTime(), nullable=False),
        sa.Column("switched_at", core.database.UTCDateTime(), nullable=True),
        sa.Column("lease", sa.String(32), nullable=True),
        sa.Column("leased_until", core.database.UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["collection_id"], ["collections.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    for name in ("collection_id", "state", "job_id"):
        op.create_index(f"ix_index_generations_{name}", "index_generations", [name])
    for state in ("active", "filling"):
        only = sa.text(f"state = '{state}'")
        op.create_index(
            f"ux_index_generations_{state}",
            "index_generations",
            ["collection_id"],
            unique=True,
            sqlite_where=only,
            postgresql_where=only,
        )


def downgrade() -> None:
    op.drop_table("index_generations")
