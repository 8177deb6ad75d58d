"""the audit log: chains of events, and their ends

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

import core.database

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_KEPT = "tenant, number, at, action, outcome, actor, key_id, object_type, object_id, address_digest, request_id, details, previous_hash, hash"


def upgrade() -> None:
    op.create_table(
        "audit_events",
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", core.database.UTCDateTime(), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("key_id", sa.String(64), nullable=True),
        sa.Column("object_type", sa.String(64), nullable=True),
        sa.Column("object_id", sa.String(200), nullable=True),
        sa.Column("address", sa.String(64), nullable=True),
        sa.Column("address_digest", sa.String(64), nullable=True),
        sa.Column("request_id", sa.String(64), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("previous_hash", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "number"),
    )
    for name, columns in {
        "at": ["tenant", "at"],
        "action": ["tenant", "action", "number"],
        "actor": ["tenant", "actor", "number"],
        "object": ["tenant", "object_id", "number"],
    }.items():
        op.create_index(f"ix_audit_events_{name}", "audit_events", columns, unique=False)
    op.create_table(
        "audit_heads",
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("seal", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("tenant"),
    )
    if op.get_bind().dialect.name == "postgresql":
        _guard_postgresql()
    else:
        _guard_sqlite()


def _guard_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION genai_audit_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the audit log is added to, never changed'; END $$"
    )
    refuse = "EXECUTE FUNCTION genai_audit_refuse()"
    for table in ("audit_events", "audit_heads"):
        op.execute(f"CREATE TRIGGER {table}_no_delete BEFORE DELETE OR TRUNCATE ON {table} FOR EACH STATEMENT {refuse}")
    op.execute(f"CREATE TRIGGER audit_events_no_update BEFORE UPDATE OF {_KEPT} ON audit_events FOR EACH ROW {refuse}")
    op.execute(
        "CREATE TRIGGER audit_events_only_erase BEFORE UPDATE OF address ON audit_events "
        f"FOR EACH ROW WHEN (NEW.address IS NOT NULL) {refuse}"
    )
    op.execute(
        "CREATE TRIGGER audit_heads_only_grow BEFORE UPDATE ON audit_heads FOR EACH ROW "
        f"WHEN (NEW.number <= OLD.number OR NEW.tenant <> OLD.tenant) {refuse}"
    )


def _guard_sqlite() -> None:
    refuse = "BEGIN SELECT RAISE(ABORT, 'the audit log is added to, never changed'); END"
    for table in ("audit_events", "audit_heads"):
        op.execute(f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {refuse}")
    op.execute(f"CREATE TRIGGER audit_events_no_update BEFORE UPDATE OF {_KEPT} ON audit_events {refuse}")
    op.execute(
        f"CREATE TRIGGER audit_events_only_erase BEFORE UPDATE OF address ON audit_events WHEN NEW.address IS NOT NULL {refuse}"
    )
    op.execute(
        "CREATE TRIGGER audit_heads_only_grow BEFORE UPDATE ON audit_heads "
        f"WHEN NEW.number <= OLD.number OR NEW.tenant <> OLD.tenant {refuse}"
    )


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: what is on record would be lost.")
