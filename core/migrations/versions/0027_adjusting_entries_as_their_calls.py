"""adjusting entries told apart as the calls that they correct, removed rules of cost centres, list prices beside contracts

Revision ID: 0027
Revises: 0024
"""

import sqlalchemy as sa
from alembic import op

import core.database
import core.money

revision = "0027"
down_revision = "0024"
branch_labels = None
depends_on = None

_FROM_ENTRY = ("teams", "version", "session_id", "cache")


def upgrade() -> None:
    for name, kind in (
        ("entry_at", core.database.UTCDateTime()),
        ("teams", sa.Text()),
        ("version", sa.String(16)),
        ("session_id", sa.String(128)),
        ("cache", sa.String(16)),
    ):
        op.add_column("ledger_adjustments", sa.Column(name, kind, nullable=True))
    op.add_column("cost_centre_rules", sa.Column("removed_at", core.database.UTCDateTime(), nullable=True))
    op.add_column("ledger", sa.Column("list_usd", core.money.Money(), nullable=True))
    told = ", ".join(
        f"{name} = (SELECT {of} FROM ledger WHERE ledger.id = ledger_adjustments.entry)"  # noqa: S608 - names of ours
        for name, of in (("entry_at", "at"), *((name, name) for name in _FROM_ENTRY))
    )
    op.execute(f"UPDATE ledger_adjustments SET {told} WHERE entry IS NOT NULL")  # noqa: S608 - names of ours
    _teams_of_principals()


def _teams_of_principals() -> None:
    """Of those that name a principal and no entry: the teams of now, which they have been counted in."""
    connection = op.get_bind()
    alone = sa.text("SELECT id, principal FROM ledger_adjustments WHERE entry IS NULL")
    member = sa.text("SELECT team_id FROM team_members WHERE user_id = :principal ORDER BY team_id")
    keep = sa.text("UPDATE ledger_adjustments SET teams = :teams WHERE id = :id")
    for identifier, principal in connection.execute(alone).all():
        teams = connection.execute(member, {"principal": principal}).scalars()
        connection.execute(keep, {"id": identifier, "teams": ",".join(teams)})


def downgrade() -> None:
    op.drop_column("ledger", "list_usd")
    op.drop_column("cost_centre_rules", "removed_at")
    for name in ("entry_at", *_FROM_ENTRY):
        op.drop_column("ledger_adjustments", name)
