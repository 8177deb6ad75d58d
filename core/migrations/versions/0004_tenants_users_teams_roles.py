"""tenants, users, teams, roles, and what narrows a key

Revision ID: 0004
Revises: 0003
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

import core.database
from core.principals import DEFAULT_TENANT

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "access_epoch",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "tenants",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("policies", sa.JSON(), nullable=False),
        sa.Column("created_at", core.database.UTCDateTime(), nullable=False),
        sa.Column("disabled_at", core.database.UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "roles",
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("description", sa.String(2000), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_at", core.database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant"],
            ["tenants.id"],
        ),
        sa.PrimaryKeyConstraint("tenant", "name"),
    )
    op.create_table(
        "teams",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("created_at", core.database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant"],
            ["tenants.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("tenant", "name"),
    )
    with op.batch_alter_table("teams", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_teams_tenant"), ["tenant"], unique=False)

    op.create_table(
        "users",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("email", sa.String(320), nullable=True),
        sa.Column("role", sa.String(64), nullable=False),
        sa.Column("password_digest", sa.String(512), nullable=True),
        sa.Column("issuer", sa.String(512), nullable=True),
        sa.Column("subject", sa.String(255), nullable=True),
        sa.Column("created_at", core.database.UTCDateTime(), nullable=False),
        sa.Column("disabled_at", core.database.UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant"],
            ["tenants.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("issuer", "subject"),
        sa.UniqueConstraint("tenant", "email"),
    )
    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_users_tenant"), ["tenant"], unique=False)

    op.create_table(
        "team_members",
        sa.Column("team_id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("team_id", "user_id"),
    )
    with op.batch_alter_table("team_members", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_team_members_user_id"), ["user_id"], unique=False)

    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.add_column(sa.Column("user_id", sa.String(64), nullable=True))
        batch_op.add_column(sa.Column("scopes", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("models", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("collections", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("networks", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("replaced_by", sa.String(64), nullable=True))
        batch_op.alter_column("role", existing_type=sa.VARCHAR(length=32), type_=sa.String(64), existing_nullable=False)
        batch_op.create_index(batch_op.f("ix_api_keys_user_id"), ["user_id"], unique=False)
        batch_op.create_foreign_key("fk_api_keys_user", "users", ["user_id"], ["id"], ondelete="CASCADE")

    with op.batch_alter_table("batches", schema=None) as batch_op:
        batch_op.add_column(sa.Column("principal", sa.JSON(), nullable=False, server_default="{}"))
    _carry_principals()
    with op.batch_alter_table("batches", schema=None) as batch_op:
        batch_op.alter_column("principal", server_default=None)
        batch_op.drop_column("scopes")
        batch_op.drop_column("role")

    with op.batch_alter_table("browser_sessions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("user_id", sa.String(64), nullable=True))
        batch_op.alter_column("key_id", existing_type=sa.VARCHAR(length=64), nullable=True)
        batch_op.create_index(batch_op.f("ix_browser_sessions_user_id"), ["user_id"], unique=False)
        batch_op.create_foreign_key("fk_browser_sessions_user", "users", ["user_id"], ["id"], ondelete="CASCADE")

    now = datetime.now(UTC)
    tenants = sa.table(
        "tenants",
        *(sa.column(name) for name in ("id", "name")),
        sa.column("policies", sa.JSON),
        sa.column("created_at", core.database.UTCDateTime),
    )
    op.bulk_insert(tenants, [{"id": DEFAULT_TENANT, "name": "Default", "policies": {}, "created_at": now}])
    op.execute("INSERT INTO access_epoch (id, value) VALUES (1, 0)")


def _carry_principals() -> None:
    """What a batch keeps of its owner, as `Principal.to_job` writes it."""
    batches = sa.table(
        "batches",
        *(sa.column(name) for name in ("id", "tenant", "owner", "role")),
        sa.column("scopes", sa.JSON),
        sa.column("principal", sa.JSON),
    )
    connection = op.get_bind()
    for row in connection.execute(sa.select(batches)).all():
        kept = {"id": row.owner, "tenant": row.tenant, "name": row.owner, "role": row.role, "scopes": row.scopes}
        connection.execute(sa.update(batches).where(batches.c.id == row.id).values(principal=kept))


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: what narrows a key would be lost, and the key with it be wider.")
