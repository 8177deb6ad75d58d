"""the list of each document's chunks, numbered changes of a collection, and its reconciliation

Revision ID: 0029
Revises: 0027
"""

import sqlalchemy as sa
from alembic import op

import core.database

revision = "0029"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("documents", sa.Column("chunks_key", sa.String(500), nullable=False, server_default=""))
    op.add_column("documents", sa.Column("chunks_digest", sa.String(16), nullable=False, server_default=""))
    op.add_column("documents", sa.Column("change", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_index("ix_documents_collection_id_change", "documents", ["collection_id", "change"])
    op.create_table(
        "collection_upkeep",
        sa.Column("collection_id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("number", "known_from", "comparison")),
        sa.Column("job_id", sa.String(64), nullable=True),
        sa.Column("reconciled_at", core.database.UTCDateTime(), nullable=False),
        sa.Column("lease", sa.String(32), nullable=True),
        sa.Column("leased_until", core.database.UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["collection_id"], ["collections.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("collection_id"),
    )
    op.create_index("ix_collection_upkeep_reconciled_at", "collection_upkeep", ["reconciled_at"])
    op.create_table(
        "departed_documents",
        sa.Column("document_id", sa.String(64), nullable=False),
        sa.Column("collection_id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("departed_at", core.database.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("document_id"),
    )
    op.create_index("ix_departed_documents_collection_id_number", "departed_documents", ["collection_id", "number"])
    _number_what_is_there()


def _number_what_is_there() -> None:
    """As if the documents that are searchable had become so one after the other, the oldest identifier first."""
    op.execute(
        "UPDATE documents SET change = numbered.number FROM (SELECT id, row_number() OVER "
        "(PARTITION BY collection_id ORDER BY id) AS number FROM documents WHERE indexed_revision > 0) AS numbered "
        "WHERE documents.id = numbered.id"
    )
    op.execute(
        "INSERT INTO collection_upkeep (collection_id, tenant, number, known_from, comparison, reconciled_at) "
        "SELECT id, tenant, coalesce((SELECT max(change) FROM documents WHERE documents.collection_id = collections.id), 0), "
        "0, 0, created_at FROM collections"
    )


def downgrade() -> None:
    op.drop_table("departed_documents")
    op.drop_table("collection_upkeep")
    op.drop_index("ix_documents_collection_id_change", "documents")
    for name in ("change", "chunks_digest", "chunks_key"):
        op.drop_column("documents", name)
