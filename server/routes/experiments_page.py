"""`/experiments`: versions compared on real requests, for people: made, started, looked at, ended and promoted."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.responses import RedirectResponse, Response

from core.errors import InvalidRequest, PlatformError
from core.principals import Principal, Scope
from core.tables import ExperimentState
from providers.experiment_definition import MEASURES
from server.pages.administration import Typed, checked, typed
from server.pages.figures import Figure, Interval, Unit
from server.pages.frame import PageRoute, framed
from server.pagination import PageRequest, Paging
from server.routes import experiments as api
from server.routes.experiments import (
    Conclusion,
    ExperimentInfo,
    ExperimentRequest,
    ExperimentResults,
    Manager,
    MetricInfo,
    Reader,
)
from server.state import CurrentState, State

PATH = "/experiments"
router = APIRouter(prefix=PATH, include_in_schema=False, route_class=PageRoute)

Name = Annotated[str, Path(max_length=64)]
_STATES = {"draft": "", "running": "wait", "stopped": "", "concluded": "good"}
_VERDICTS = {"better": "good", "worse": "bad", "no difference": "", "inconclusive": "wait"}
_MEASURES = {
    "feedback": "feedback",
    "cost_usd": "cost",
    "latency_ms": "latency",
    "first_token_ms": "first token",
    "error": "failures",
    "tokens": "tokens",
}
_UNITS: dict[str, Unit] = {"cost_usd": "usd", "latency_ms": "ms", "first_token_ms": "ms", "error": "share"}


@router.get("")
async def show_experiments(request: Request, state: CurrentState, principal: Reader, paging: Paging) -> Response:
    """The experiments."""
    return await _all(request, state, principal, paging)


@router.post("")
async def make_experiment(request: Request, state: CurrentState, principal: Manager) -> Response:
    """Make a draft by the form."""
    form = await typed(request)
    try:
        made = await api.create_experiment(_new(form), state, principal)
    except PlatformError as error:
        return await _all(request, state, principal, PageRequest(), form=form, problem=error)
    return RedirectResponse(f"{PATH}/{made.name}?done=made", 303)


@router.get("/{experiment}")
async def show_experiment(experiment: Name, request: Request, state: CurrentState, principal: Reader) -> Response:
    """One of them, with what it says now."""
    return await _one(request, state, principal, experiment)


@router.post("/{experiment}")
async def change_experiment(experiment: Name, request: Request, state: CurrentState, principal: Manager) -> Response:
    """What the forms on its page do."""
    name = experiment
    form = await typed(request)
    try:
        match form.act:
            case "start":
                await api.start_experiment(name, state, principal)
            case "stop":
                await api.stop_experiment(name, state, principal)
            case "conclude":
                given = {"winner": form.text("winner") or None, "promote": form.text("promote") == "yes"}
                await api.conclude_experiment(name, checked(Conclusion, given), state, principal)
            case "delete":
                await api.delete_experiment(name, state, principal)
                return RedirectResponse(f"{PATH}?done=deleted", 303)
            case _:
                raise InvalidRequest("The form does not say what to do.")
    except PlatformError as error:
        return await _one(request, state, principal, name, form=form, problem=error)
    return RedirectResponse(f"{PATH}/{name}?done={form.act}", 303)


def _new(form: Typed) -> ExperimentRequest:
    """An experiment as it was typed: variants one a line, each a name with its version and, behind a `*`, its weight."""
    variants = [_variant(line) for line in form.text("variants").splitlines() if line.strip()]
    given: dict[str, Any] = {
        "name": form.text("name"),
        "alias": form.text("alias"),
        "variants": variants,
        "unit": form.text("unit") or "user",
        "primary": form.text("primary") or "feedback",
        "rules": {"promote": form.text("promote") == "yes"},
    }
    if share := form.text("coverage"):
        given["coverage"] = _share(share)
    if days := form.text("max_days"):
        given["rules"]["max_days"] = days
    metrics = [name for name in ("cost_usd", "latency_ms", "error") if name != given["primary"]]
    return checked(ExperimentRequest, given | {"metrics": metrics})


def _recent(experiment: ExperimentInfo) -> tuple[bool, datetime]:
    """What runs comes first, then what was started or made last."""
    return experiment.state is ExperimentState.RUNNING, experiment.started_at or experiment.created_at


def _share(percent: str) -> float:
    try:
        return float(percent.rstrip("% ")) / 100
    except ValueError:
        raise InvalidRequest("Give the share in percent.", param="coverage") from None


def _variant(line: str) -> dict[str, Any]:
    told, _, weight = line.partition("*")
    name, _, version = told.partition("=")
    found: dict[str, Any] = {"name": name.strip()}
    if version.strip():
        found["version"] = version.strip()
    if weight.strip():
        found["weight"] = weight.strip()
    return found


async def _all(
    request: Request,
    state: State,
    principal: Principal,
    paging: PageRequest,
    *,
    form: Typed | None = None,
    problem: PlatformError | None = None,
) -> Response:
    told = await api.list_experiments(state, principal, paging)
    values = {
        "experiments": sorted(told["results"], key=_recent, reverse=True),
        "next_cursor": told["next_cursor"],
        "first": paging.after is None,
        "manages": principal.may(Scope.EXPERIMENTS_MANAGE),
        "aliases": sorted(name for name, kind in state.models.kinds().items() if kind != "embeddings"),
        "primaries": [(name, _MEASURES.get(name, name)) for name in MEASURES],
        "tones": _STATES,
    }
    return framed(request, principal, "experiments", values, form=form, problem=problem)


async def _one(
    request: Request,
    state: State,
    principal: Principal,
    name: str,
    *,
    form: Typed | None = None,
    problem: PlatformError | None = None,
) -> Response:
    experiment = await api.get_experiment(name, state, principal)
    results = None
    if experiment.state is not ExperimentState.DRAFT:
        results = ExperimentResults.model_validate(await api.experiment_results(name, state, principal))
    values = {
        "experiment": experiment,
        "results": results,
        "figure": intervals(results.metrics) if results else None,
        "manages": principal.may(Scope.EXPERIMENTS_MANAGE),
        "deploys": principal.may(Scope.MODELS_DEPLOY),
        "tones": _STATES,
        "verdicts": _VERDICTS,
        "measures": _MEASURES,
        "units": _UNITS,
        "shares": experiment.definition.weights,
    }
    return framed(request, principal, "experiment", values, form=form, problem=problem)


def intervals(metrics: Sequence[MetricInfo]) -> Figure:
    """Each variant less the control, as a share of the control's mean, metric by metric. What the control has none of has no
    share."""
    drawn = []
    for metric in metrics:
        control = next(iter(metric.means.values()), None)
        for one in metric.comparisons:
            told = (None, None, None) if one.low is None or one.high is None else (one.low, one.difference, one.high)
            low, point, high = (None if value is None or not control else value / abs(control) for value in told)
            drawn.append(Interval(f"{_MEASURES.get(metric.metric, metric.metric)}: {one.variant}", low, point, high))
    return Figure(
        id="intervals",
        title="Against the control, as a share of its mean",
        about="Each metric's difference from the control with its interval; the table below has the numbers",
        kind="intervals",
        unit="share",
        head="Metric and variant",
        intervals=drawn,
        against=0.0,
    )
