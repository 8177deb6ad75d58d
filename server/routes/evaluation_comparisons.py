"""Runs of suites held against one: verdicts by metric, and what each example came to."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, JsonValue
from starlette.concurrency import run_in_threadpool

from core.errors import Conflict
from core.principals import Principal, Scope
from core.tables import RunState
from evals.comparisons import Side, compared, differences
from evals.runs import Runs
from server.auth import requires
from server.pagination import Paging, page_of
from server.state import CurrentState, State

router = APIRouter(prefix="/api/v1/evals", tags=["Evaluations"])

Reader = Annotated[Principal, requires(Scope.EVALS_READ)]
BaseRun = Annotated[
    str, Query(max_length=64, description="the run that the others are held against", examples=["run_9fKx2LmQ"])
]
OtherRuns = Annotated[
    list[str], Query(min_length=1, max_length=9, description="runs, once for each", examples=[["run_7dMw1QpZ"]])
]
Metric = Annotated[str, Query(max_length=64, description="a metric's label", examples=["exact_match"])]


class ComparisonInfo(BaseModel):
    """Runs held against one: by run and by a metric's label. The p values are corrected for each other (Holm)."""

    base: str
    alpha: float
    comparisons: dict[str, dict[str, dict[str, JsonValue]]] = Field(
        description="verdict (`better`, `worse`, `no difference`, `inconclusive`), difference with its interval, p, effect "
        "sizes, pairs, unmeasured, and the pairs that would settle it"
    )


class ExampleDifference(BaseModel):
    """An example in several runs; what is listed by run is by its id."""

    example: str
    values: dict[str, float | None]
    why: dict[str, str | None]
    change: float | None
    outputs: dict[str, str | None]


class DifferencePage(BaseModel):
    """Some of the examples, the largest change first."""

    results: list[ExampleDifference]
    next_cursor: str | None


@router.get("/comparisons", response_model=ComparisonInfo)
async def compare_runs(
    state: CurrentState,
    principal: Reader,
    a: BaseRun,
    b: OtherRuns,
    alpha: Annotated[float, Query(gt=0, lt=0.5, description="false alarms that all comparisons together may raise")] = 0.05,
    effect: Annotated[float | None, Query(gt=0, description="the smallest difference that matters, of every metric")] = None,
) -> ComparisonInfo:
    """Hold runs against one, metric by metric, over the examples that they share."""
    base, others = await _sides(state, principal, a, b)
    labels = base.run.summary.get("metrics", {})
    effects = {} if effect is None else dict.fromkeys(labels, effect)
    found = await run_in_threadpool(compared, base, others, alpha=alpha, effects=effects)
    return ComparisonInfo(base=base.run.id, alpha=alpha, comparisons=found)


@router.get("/comparisons/examples", response_model=DifferencePage)
async def compare_examples(
    state: CurrentState, principal: Reader, a: BaseRun, b: OtherRuns, metric: Metric, paging: Paging
) -> dict[str, Any]:
    """What a metric says of each example in runs, the largest change first, with the outputs."""
    base, others = await _sides(state, principal, a, b)
    rows = await run_in_threadpool(differences, base, others, metric)
    shown = page_of(rows, paging, lambda row: str(row["example"]))
    wanted = [row["example"] for row in shown["results"]]
    outputs = {side.run.id: await Runs(state.database).outputs(side.run, wanted) for side in (base, *others)}
    for row in shown["results"]:
        row["outputs"] = {run_id: found.get(row["example"]) for run_id, found in outputs.items()}
    return shown


async def _sides(state: State, principal: Principal, a: str, b: list[str]) -> tuple[Side, list[Side]]:
    runs = Runs(state.database)
    sides = []
    for run_id in (a, *dict.fromkeys(b)):
        run = await runs.get(principal, run_id)
        if not RunState(run.state).finished:
            raise Conflict("Runs are compared once they have ended.", code="run_not_ended")
        sides.append(Side(run, await runs.scores(run)))
    return sides[0], sides[1:]
