"""sources of collections, and ingestion that is paused

Revision ID: 0032
Revises: 0031
"""

import sqlalchemy as sa
from alembic import op

import core.database

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sources",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("collection_id", sa.String(64), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("principal", sa.JSON(), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("location", sa.JSON(), nullable=False),
        sa.Column("secrets", sa.JSON(), nullable=True),
        sa.Column("hint", sa.String(16), nullable=False),
        *(sa.Column(name, sa.JSON(), nullable=False) for name in ("include", "exclude", "attributes")),
        sa.Column("prune", sa.Boolean(), nullable=False),
        sa.Column("schedule", sa.JSON(), nullable=True),
        sa.Column("next_at", core.database.UTCDateTime(), nullable=True),
        sa.Column("paused_at", core.database.UTCDateTime(), nullable=True),
        sa.Column("job_id", sa.String(64), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("crawls", sa.BigInteger(), nullable=False),
        sa.Column("last_at", core.database.UTCDateTime(), nullable=True),
        sa.Column("last_state", sa.String(16), nullable=False),
        sa.Column("last_job_id", sa.String(64), nullable=True),
        sa.Column("last_result", sa.JSON(), nullable=True),
        sa.Column("lease", sa.String(32), nullable=True),
        sa.Column("leased_until", core.database.UTCDateTime(), nullable=True),
        sa.Column("created_at", core.database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", core.database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["collection_id"], ["collections.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("collection_id", "name"),
    )
    for column in ("tenant", "next_at", "job_id"):
        op.create_index(f"ix_sources_{column}", "sources", [column])
    op.add_column("documents", sa.Column("source_id", sa.String(64), nullable=True))
    op.add_column("documents", sa.Column("source_mark", sa.String(300), nullable=False, server_default=""))
    op.create_index("ix_documents_source_id", "documents", ["source_id"])
    op.add_column("collections", sa.Column("paused_at", core.database.UTCDateTime(), nullable=True))
    op.add_column("jobs", sa.Column("paused_at", core.database.UTCDateTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "paused_at")
    op.drop_column("collections", "paused_at")
    op.drop_index("ix_documents_source_id", "documents")
    for name in ("source_mark", "source_id"):
        op.drop_column("documents", name)
    op.drop_table("sources")
