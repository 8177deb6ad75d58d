"""datasets, suites and runs of evaluations

Revision ID: 0035
Revises: 0033
"""

import sqlalchemy as sa
from alembic import op

from core.database import UTCDateTime
from core.money import Money

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "eval_datasets",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("examples", sa.Integer(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.UniqueConstraint("tenant", "owner", "name", "number"),
        sa.UniqueConstraint("tenant", "owner", "name", "digest"),
    )
    op.create_index("ix_eval_datasets_owner", "eval_datasets", ["owner"])
    op.create_table(
        "eval_examples",
        sa.Column("dataset_id", sa.String(64), sa.ForeignKey("eval_datasets.id", ondelete="CASCADE"), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("subject", sa.String(64), nullable=True),
        sa.PrimaryKeyConstraint("dataset_id", "number"),
    )
    op.create_index("ix_eval_examples_subject", "eval_examples", ["subject"])
    op.create_table(
        "eval_suites",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("definition", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("updated_at", UTCDateTime(), nullable=False),
        sa.UniqueConstraint("tenant", "owner", "name"),
    )
    op.create_index("ix_eval_suites_owner", "eval_suites", ["owner"])
    op.create_table(
        "eval_runs",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("principal", sa.JSON(), nullable=False),
        sa.Column("suite", sa.String(128), nullable=False),
        sa.Column("dataset_id", sa.String(64), nullable=False),
        sa.Column("dataset_digest", sa.String(64), nullable=False),
        sa.Column("capability", sa.String(64), nullable=False),
        sa.Column("alias", sa.String(128), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("definition", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("error_code", sa.String(64), nullable=True),
        sa.Column("passed", sa.Boolean(), nullable=True),
        sa.Column("job_id", sa.String(64), sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("baseline_id", sa.String(64), nullable=True),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("total", "scored", "failed", "interrupted", "cached")),
        sa.Column("max_cost_usd", Money(), nullable=True),
        sa.Column("spent_usd", Money(), nullable=False),
        sa.Column("summary", sa.JSON(), nullable=False),
        sa.Column("lease", sa.String(32), nullable=True),
        sa.Column("leased_until", UTCDateTime(), nullable=True),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("started_at", UTCDateTime(), nullable=True),
        sa.Column("ended_at", UTCDateTime(), nullable=True),
    )
    for column in ("tenant", "owner", "dataset_id", "state", "job_id", "leased_until"):
        op.create_index(f"ix_eval_runs_{column}", "eval_runs", [column])
    op.create_table(
        "eval_results",
        sa.Column("run_id", sa.String(64), sa.ForeignKey("eval_runs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("example_id", sa.String(200), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error_code", sa.String(64), nullable=True),
        sa.Column("outcome", sa.LargeBinary(), nullable=True),
        sa.Column("scores", sa.JSON(), nullable=False),
        sa.Column("details", sa.LargeBinary(), nullable=True),
        sa.Column("cost_usd", Money(), nullable=True),
        sa.Column("grading_usd", Money(), nullable=True),
        sa.Column("reuse_key", sa.String(64), nullable=True),
        sa.Column("reused_from", sa.String(64), nullable=True),
        sa.Column("subject", sa.String(64), nullable=True),
        sa.PrimaryKeyConstraint("run_id", "number"),
    )
    for column in ("reuse_key", "subject"):
        op.create_index(f"ix_eval_results_{column}", "eval_results", [column])


def downgrade() -> None:
    for table in ("eval_results", "eval_runs", "eval_suites", "eval_examples", "eval_datasets"):
        op.drop_table(table)
