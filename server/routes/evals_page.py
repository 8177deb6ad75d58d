"""`/evals`: datasets, suites and runs, for people: started, followed, and two of them beside each other."""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import RedirectResponse, Response

from core import denials
from core.errors import InvalidRequest, NotFound, PlatformError
from core.principals import Principal, Scope
from core.tables import Registered, RunState
from providers.registry.store import Registry
from server.pages.administration import Typed, checked, typed
from server.pages.figures import Figure, Interval
from server.pages.frame import PageRoute, framed
from server.pagination import PageRequest, Paging
from server.routes import evaluation_approvals as approvals_api
from server.routes import evaluation_comparisons as comparisons_api
from server.routes import evaluation_runs as runs_api
from server.routes import evaluations as api
from server.routes.evaluation_approvals import RunApproval
from server.routes.evaluation_runs import NewRun, Reader, Resumption, WholeRun
from server.routes.evaluations import NewDataset, NewSuite
from server.routes.models_page import may_deploy
from server.state import CurrentState, State

PATH = "/evals"
router = APIRouter(prefix=PATH, include_in_schema=False, route_class=PageRoute)

RunID = Annotated[str, Path(max_length=64)]
#: Datasets and suites that a page offers.
_OFFERED = 100
_RUNS = 25
#: A suite to begin with.
_EXAMPLE = """name: capitals
dataset: capitals
metrics: [exact_match, f1, latency]
thresholds:
  - {metric: f1, min: 0.5}
"""
_STATES = {"succeeded": "good", "failed": "bad", "cancelled": "", "queued": "wait", "running": "wait", "cancelling": "wait"}
_VERDICTS = {"better": "good", "worse": "bad", "no difference": "", "inconclusive": "wait"}


@router.get("")
async def show_evals(request: Request, state: CurrentState, principal: Reader, paging: Paging) -> Response:
    """Runs, suites and datasets."""
    return await _all(request, state, principal, paging)


@router.post("")
async def change_evals(request: Request, state: CurrentState, principal: Reader) -> Response:
    """What the forms on that page do."""
    form = await typed(request)
    try:
        _may_run(principal)
        match form.act:
            case "run":
                names = ("suite", "dataset", "alias", "baseline", "max_cost_usd")
                given = {name: form.text(name) for name in names if form.text(name)}
                run = await runs_api.create_run(checked(NewRun, given), state, principal)
                return RedirectResponse(f"{PATH}/runs/{run.id}", 303)
            case "dataset":
                given = {"name": form.text("name"), "format": form.text("format"), "content": form.text("content")}
                await api.add_dataset(checked(NewDataset, given), state, principal)
            case "suite":
                await api.put_suite(checked(NewSuite, {"definition": form.text("definition")}), state, principal)
            case "delete-suite":
                await api.delete_suite(form.of, state, principal)
            case "delete-dataset":
                await api.delete_dataset(form.of, state, principal)
            case _:
                raise InvalidRequest("The form does not say what to do.")
    except PlatformError as error:
        return await _all(request, state, principal, PageRequest(_RUNS), form=form, problem=error)
    return RedirectResponse(f"{PATH}?done={form.act}", 303)


@router.get("/compare")
async def compare(
    request: Request,
    state: CurrentState,
    principal: Reader,
    paging: Paging,
    a: Annotated[str, Query(max_length=64)],
    b: Annotated[str, Query(max_length=64)],
    metric: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """Two runs beside each other: metric by metric, and the examples of one of them."""
    told = (await comparisons_api.compare_runs(state, principal, a, [b])).comparisons.get(b, {})
    shown = metric if metric in told else next(iter(told), "")
    examples = None
    if shown:
        examples = await comparisons_api.compare_examples(state, principal, a, [b], shown, paging)
    values = {
        "base": await runs_api.show_run(a, state, principal),
        "other": await runs_api.show_run(b, state, principal),
        "comparisons": told,
        "verdicts": _VERDICTS,
        "figure": effects(told),
        "metric": shown,
        "examples": examples["results"] if examples else [],
        "next_cursor": examples["next_cursor"] if examples else None,
        "first": paging.after is None,
        "address": f"{PATH}/compare?{urlencode({'a': a, 'b': b, 'metric': shown})}",
    }
    return framed(request, principal, "eval_comparison", values)


@router.get("/runs/{run_id}")
async def show_run(run_id: RunID, request: Request, state: CurrentState, principal: Reader, paging: Paging) -> Response:
    """A run, and what became of its examples."""
    return await _one(request, state, principal, run_id, paging)


@router.post("/runs/{run_id}")
async def change_run(run_id: RunID, request: Request, state: CurrentState, principal: Reader) -> Response:
    """What the forms on its page do."""
    form = await typed(request)
    try:
        if form.act == "approve":
            _may_deploy(principal)
        else:
            _may_run(principal)
        match form.act:
            case "approve":
                given: dict[str, Any] = {name: form.text(name) for name in ("metric", "reason") if form.text(name)}
                await approvals_api.approve_by_run(run_id, checked(RunApproval, given), state, principal)
            case "cancel":
                await runs_api.cancel_run(run_id, state, principal)
            case "resume":
                given = {name: form.text(name) == "yes" for name in ("repeat_failed", "repeat_interrupted")}
                given |= {"max_cost_usd": form.text("max_cost_usd")} if form.text("max_cost_usd") else {}
                await runs_api.resume_run(run_id, checked(Resumption, given), state, principal)
            case "delete":
                await runs_api.delete_run(run_id, state, principal)
                return RedirectResponse(f"{PATH}?done=deleted", 303)
            case _:
                raise InvalidRequest("The form does not say what to do.")
    except PlatformError as error:
        return await _one(request, state, principal, run_id, PageRequest(), form=form, problem=error)
    return RedirectResponse(f"{PATH}/runs/{run_id}?done={form.act}", 303)


def _may_run(principal: Principal) -> None:
    if not principal.may(Scope.EVALS_RUN):
        raise denials.lacks(principal, Scope.EVALS_RUN)


def _may_deploy(principal: Principal) -> None:
    if not principal.may(Scope.MODELS_DEPLOY):
        raise denials.lacks(principal, Scope.MODELS_DEPLOY)


async def _all(
    request: Request,
    state: State,
    principal: Principal,
    paging: PageRequest,
    *,
    form: Typed | None = None,
    problem: PlatformError | None = None,
) -> Response:
    most = PageRequest(_OFFERED)
    runs = await runs_api.list_runs(state, principal, PageRequest(min(paging.limit, _RUNS), paging.after))
    finished = [run for run in runs["results"] if run.state.finished]
    values = {
        "runs": runs["results"],
        "finished": finished,
        "next_cursor": runs["next_cursor"],
        "first": paging.after is None,
        "datasets": (await api.list_datasets(state, principal, most))["results"],
        "suites": (await api.list_suites(state, principal, most))["results"],
        "aliases": sorted(state.models.names()),
        "may_run": principal.may(Scope.EVALS_RUN),
        "tones": _STATES,
        "example": _EXAMPLE,
    }
    return framed(request, principal, "evals", values, form=form, problem=problem)


async def _one(
    request: Request,
    state: State,
    principal: Principal,
    run_id: str,
    paging: PageRequest,
    *,
    form: Typed | None = None,
    problem: PlatformError | None = None,
) -> Response:
    run = await runs_api.show_run(run_id, state, principal)
    results = await runs_api.list_results(run_id, state, principal, paging)
    others = (await runs_api.list_runs(state, principal, PageRequest(_RUNS), run.suite))["results"]
    values = {
        "run": run,
        "results": results["results"],
        "next_cursor": results["next_cursor"],
        "first": paging.after is None,
        "others": [other for other in others if other.id != run.id and other.state.finished],
        "may_run": principal.may(Scope.EVALS_RUN),
        "approves": bool(run.passed) and run.state is RunState.SUCCEEDED and may_deploy(principal),
        "has_approved": await _has_approved(state, run),
        "scoring": [(label, label) for label, one in run.metrics.items() if one.higher_is_better and one.measured],
        "tones": _STATES,
        "verdicts": _VERDICTS,
    }
    return framed(request, principal, "eval_run", values, form=form, problem=problem)


async def _has_approved(state: State, run: WholeRun) -> bool:
    """Whether the version that it has evaluated was last approved by it."""
    if not run.passed or not run.registry_version:
        return False
    try:
        version = await Registry(state.database).version(Registered.MODEL, run.alias, run.registry_version)
    except NotFound:
        return False
    return version.evaluation == run.id


def effects(told: Mapping[str, Mapping[str, Any]]) -> Figure:
    """The second run less the first, metric by metric, as a share of the first one's mean; of what has none, nothing."""
    drawn = []
    for label, one in told.items():
        mean, ends = one.get("mean_a") or 0.0, [one.get(name) for name in ("low", "difference", "high")]
        known = mean and None not in ends
        low, point, high = (float(value or 0) / abs(mean) if known else None for value in ends)
        drawn.append(Interval(label, low, point, high))
    return Figure(
        id="effects",
        title="The second against the first, as a share of its mean",
        about="Each metric's difference between the runs with its interval; the table below has the numbers",
        kind="intervals",
        unit="share",
        head="Metric",
        intervals=drawn,
        against=0.0,
    )
