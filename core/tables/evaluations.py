"""Evaluation: datasets with their examples, suites, and runs with what became of each example."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import LargeBinary, UniqueConstraint
from sqlmodel import Field, SQLModel

from core.money import Money
from core.principals import DEFAULT_TENANT
from core.tables.columns import created_now, identifier, json_object, moment


class RunState(StrEnum):
    """How a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def finished(self) -> bool:
        return self in (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)


class ResultState(StrEnum):
    """How one example of a run stands.

    `sent` is put down before the first call of a provider, so that no example is paid for twice: one that a killed worker left
    as `sent` has been asked, and its answer is lost. `grading` is the same of the models that metrics ask: where their word is
    lost the example ends as `ungraded`, with its answer and the scores of the other metrics.
    """

    PENDING = "pending"
    SENT = "sent"
    ANSWERED = "answered"
    GRADING = "grading"
    SCORED = "scored"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    UNGRADED = "ungraded"

    @property
    def ended(self) -> bool:
        return self in (ResultState.SCORED, ResultState.FAILED, ResultState.INTERRUPTED, ResultState.UNGRADED)


class EvalDataset(SQLModel, table=True):
    """One version of a dataset; it never changes. `digest` is SHA-256 of what is in it."""

    __tablename__ = "eval_datasets"
    __table_args__ = (
        UniqueConstraint("tenant", "owner", "name", "number"),
        UniqueConstraint("tenant", "owner", "name", "digest"),
    )

    id: str = identifier("ds")
    tenant: str = Field(default=DEFAULT_TENANT, max_length=64)
    owner: str = Field(max_length=64, index=True, description="the principal's id")
    name: str = Field(max_length=128)
    number: int = Field(description="of the version, from 1")
    digest: str = Field(max_length=64)
    source: str = Field(max_length=16, description="`upload`, or `sessions`: from kept conversations")
    from_collections: bool = Field(default=False, description="it was made of conversations in which collections were asked")
    examples: int
    created_at: datetime = created_now()


class EvalExample(SQLModel, table=True):
    """One example, sealed. `subject` is whose conversation it was made of, so that it goes with them."""

    __tablename__ = "eval_examples"

    dataset_id: str = Field(primary_key=True, foreign_key="eval_datasets.id", ondelete="CASCADE", max_length=64)
    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    content: bytes = Field(sa_type=LargeBinary)
    subject: str | None = Field(default=None, max_length=64, index=True)


class EvalSuite(SQLModel, table=True):
    """A suite as it was given, sealed: YAML or JSON. It may be changed; a run keeps the one that it was made of."""

    __tablename__ = "eval_suites"
    __table_args__ = (UniqueConstraint("tenant", "owner", "name"),)

    id: str = identifier("suite")
    tenant: str = Field(default=DEFAULT_TENANT, max_length=64)
    owner: str = Field(max_length=64, index=True, description="the principal's id")
    name: str = Field(max_length=128)
    definition: bytes = Field(sa_type=LargeBinary)
    created_at: datetime = created_now()
    updated_at: datetime = created_now()


class EvalRun(SQLModel, table=True):
    """A suite over one version of a dataset. `principal` is its owner when it was made (`Principal.to_job`): it is worked on
    with these rights. `definition` is the suite, sealed; `summary` has a metric's figures by its label, and no text. What it
    has spent is counted in the transaction that keeps the answer. `pins` are the versions of all aliases and prompts that it
    goes by from its start to its end (`providers.registry.pins`)."""

    __tablename__ = "eval_runs"

    id: str = identifier("run")
    tenant: str = Field(default=DEFAULT_TENANT, max_length=64, index=True)
    owner: str = Field(max_length=64, index=True, description="the principal's id")
    principal: dict[str, Any] = json_object()
    suite: str = Field(max_length=128, description="its name")
    dataset_id: str = Field(max_length=64, index=True)
    dataset_digest: str = Field(max_length=64)
    from_collections: bool = Field(default=False, description="what collections say is in its examples or its answers")
    capability: str = Field(max_length=64)
    alias: str = Field(max_length=128)
    version: str = Field(
        default="", max_length=64, description="of the alias, that all examples are asked of: as the ledger has it"
    )
    pins: dict[str, Any] = json_object()
    definition: bytes = Field(sa_type=LargeBinary)
    state: str = Field(default=RunState.QUEUED.value, max_length=16, index=True)
    error_code: str | None = Field(default=None, max_length=64)
    passed: bool | None = Field(default=None, description="whether its thresholds hold; NULL: it has not ended, or has none")
    job_id: str = Field(foreign_key="jobs.id", max_length=64, index=True)
    baseline_id: str | None = Field(default=None, max_length=64)
    total: int = 0
    scored: int = 0
    failed: int = 0
    interrupted: int = 0
    ungraded: int = 0
    cached: int = 0
    max_cost_usd: Decimal | None = Field(default=None, sa_type=Money)
    spent_usd: Decimal = Field(default=Decimal(0), sa_type=Money)
    summary: dict[str, Any] = json_object()
    lease: str | None = Field(default=None, max_length=32)
    leased_until: datetime | None = moment(index=True)
    created_at: datetime = created_now()
    started_at: datetime | None = moment()
    ended_at: datetime | None = moment()


class EvalResult(SQLModel, table=True):
    """What became of one example in one run. `outcome` is sealed and kept before anything is scored; `scores` are numbers and
    reasons by a metric's label, `details` what else the metrics say, sealed. `reuse_key` finds an outcome for the same input,
    parameters and version; it is a keyed hash and says nothing of them."""

    __tablename__ = "eval_results"

    run_id: str = Field(primary_key=True, foreign_key="eval_runs.id", ondelete="CASCADE", max_length=64)
    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    example_id: str = Field(default="", max_length=200)
    state: str = Field(default=ResultState.PENDING.value, max_length=16)
    attempts: int = 0
    error_code: str | None = Field(default=None, max_length=64)
    outcome: bytes | None = Field(default=None, sa_type=LargeBinary)
    scores: dict[str, Any] = json_object()
    details: bytes | None = Field(default=None, sa_type=LargeBinary)
    cost_usd: Decimal | None = Field(
        default=None, sa_type=Money, description="of all its answers; NULL: none, or no price is known"
    )
    grading_usd: Decimal | None = Field(default=None, sa_type=Money, description="of the models that its metrics asked")
    reuse_key: str | None = Field(default=None, max_length=64, index=True)
    reused_from: str | None = Field(default=None, max_length=64, description="the run that the outcome was taken from")
    subject: str | None = Field(default=None, max_length=64, index=True, description="as its example's")
