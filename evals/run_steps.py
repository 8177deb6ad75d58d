"""What a worker holds of a run, and the steps that an example of it goes through."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from core.principals import Principal
from core.tables import EvalResult, EvalRun, ResultState
from evals.base import Example, Outcome, Score


@dataclass(slots=True)
class RunLease:
    """The right to work on `run`, a row detached from any session, for `principal`: its owner, with what they still have of the
    rights that they had when they made it."""

    id: str
    run: EvalRun
    principal: Principal


@dataclass(frozen=True, slots=True)
class Answered:
    """An example that was asked, and its outcome (with `error` where it failed)."""

    number: int
    outcome: Outcome
    cost_usd: Decimal | None
    reuse_key: str | None = None
    reused_from: str | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """An example whose scores are there. `state`: how it ends, or `answered` where it is graded again later. Of one whose
    answer, or grading, was lost: with what the ledger has of it."""

    number: int
    state: ResultState
    scores: Mapping[str, Score] = field(default_factory=dict)
    grading_usd: Decimal | None = None
    cost_usd: Decimal | None = None
    error_code: str | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """One example of a run that has not ended. `begun`: a worker before has begun with it."""

    row: EvalResult
    example: Example
    begun: bool


def request_id(run_id: str, number: int, *, grading: bool = False) -> str:
    """What an example's calls are known by, in the ledger and in the log; those of its `grading` apart."""
    return f"{run_id}-{number}-grading" if grading else f"{run_id}-{number}"
