"""The model registry: versions of aliases, which of them requests go by, and what has changed. It is the installation's."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from core.errors import InvalidRequest
from core.model_settings import PromptName, Sampling
from core.moments import in_utc, refuse_future
from core.policies.policy import MAX_RULES, GuardRule
from core.principals import DEFAULT_TENANT, Principal, Scope
from core.settings import MODEL_KINDS, AnswerCache, Deployment
from core.tables import Registered, RegistryEvent, RegistryHead, RegistryVersion, VersionState
from providers.registry.differences import differences
from providers.registry.history import Happened, happened
from providers.registry.plans import Plan
from providers.registry.store import Registry, refuse_others
from providers.registry.toml import as_toml, from_toml
from server.auth import requires
from server.pagination import Paging, page_of
from server.registry import check_prompts, checked_alias
from server.state import CurrentState, State

router = APIRouter(prefix="/api/v1/models", tags=["Operations"])

Reader = Annotated[Principal, requires(Scope.MODELS_READ)]
Deployer = Annotated[Principal, requires(Scope.MODELS_DEPLOY)]
Number = Annotated[int, Path(ge=1, le=2**31 - 1, description="of the version")]
Reason = Annotated[str, Field(max_length=500, description="why, for whoever reads the history")]
At = Annotated[datetime | None, Query(description="how it stood then, not in the future; empty: all that has happened")]
MODEL = Registered.MODEL


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewVersion(_Body):
    """A version of an alias: the same as a `[[models]]` of the settings says."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "deployments": [{"provider": "openai", "model": "gpt-4o-mini"}],
                    "parameters": {"temperature": 0.2},
                    "reason": "Cheaper, and as good on our questions.",
                }
            ]
        },
    )

    kind: MODEL_KINDS = "chat"
    strategy: Literal["failover", "weighted", "latency", "cost", "least_busy"] = "failover"
    deployments: tuple[Deployment, ...] = Field(min_length=1, max_length=50)
    cache: AnswerCache = AnswerCache()
    parameters: Sampling = Field(Sampling(), description="of its calls, where neither caller nor capability says any")
    prompts: dict[PromptName, Annotated[int, Field(ge=0, le=2**31 - 1)]] = Field(
        {}, max_length=64, description="prompts that it is asked with, by name, in these versions; 0: as they are built in"
    )
    guards: tuple[GuardRule, ...] = Field((), max_length=MAX_RULES, description="for every tenant, beside their own")
    reason: Reason = ""


class Approval(_Body):
    """The evaluation that approves a version."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"evaluation": "run_4f2a", "score": 0.91}]})

    evaluation: str = Field(min_length=1, max_length=200, description="the run's identifier, or what else names it")
    score: float | None = Field(None, allow_inf_nan=False, description="what a canary's rule `min_score` is held against")
    reason: Reason = ""


class Rollout(_Body):
    """Which version is given the requests: all of them, or by a plan a share that grows."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"version": 3, "reason": "Approved by the team."},
                {
                    "version": 3,
                    "canary": {
                        "steps": [{"weight": 5, "minutes": 30}, {"weight": 50, "minutes": 60}],
                        "rules": {"max_error_rate": 0.02, "max_latency_ratio": 1.3},
                    },
                },
            ]
        },
    )

    version: int = Field(ge=1, le=2**31 - 1)
    canary: Plan | None = Field(None, description="empty: all requests at once")
    reason: Reason = ""


class Return(_Body):
    """Back to what was live before."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "It answers in French."}]})

    to: int | None = Field(None, ge=1, le=2**31 - 1, description="a version; empty: the one that was live before")
    reason: Reason = ""


class VersionInfo(BaseModel):
    """A version. What it holds never changes."""

    name: str
    number: int
    label: str | None = Field(description="what usage and the header `x-genai-version` tell it by; null: not ready here")
    state: VersionState
    source: str = Field(description="`file` (the settings), `import` or `api`")
    content: dict[str, Any] = Field(description="what is said of it, as in a `[[models]]` of the settings")
    evaluation: str | None
    score: float | None
    created_by: str | None = Field(description="null: somebody of another tenant")
    reason: str | None
    created_at: datetime


class VersionPage(BaseModel):
    """Some of a name's versions, the newest first."""

    results: list[VersionInfo]
    next_cursor: str | None


class Standing(BaseModel):
    """Which version of a name is live, and how a canary goes on."""

    name: str
    live: int | None = Field(description="null: it is not served")
    candidate: int | None = Field(description="the version that is given a share of the requests; null: there is none")
    share: float = Field(description="of the requests that the candidate is given, 0 to 1")
    canary: Plan | None
    step: int = Field(description="of the canary's, counted from 0")
    step_since: datetime = Field(description="of a canary's step; without one, since when the live version has all requests")
    past: list[int] = Field(description="versions that were live before, the last one last: a rollback goes there")
    revision: int

    @classmethod
    def of(cls, row: RegistryHead) -> "Standing":
        return cls(**row.model_dump(exclude={"subject", "plan", "file_digest"}), canary=row.plan)


class StandingPage(BaseModel):
    """Some of the names."""

    results: list[Standing]
    next_cursor: str | None


class Event(BaseModel):
    """Something that has happened, with how the name stood from then on."""

    at: datetime
    act: str = Field(description="of a prompt that it is asked with: `prompt_deployed`, `prompt_rolled_back`")
    prompt: str | None = Field(None, description="the prompt that `version` is one of; null: it is the alias's own")
    prompts: dict[str, int] = Field({}, description="that the live version was asked with from then on; others as built in")
    version: int | None
    live: int | None
    candidate: int | None
    share: float
    created_by: str | None = Field(description="null: somebody of another tenant")
    reason: str | None
    figures: dict[str, Any] = Field(description="what a canary was judged by")
    revision: int


class EventPage(BaseModel):
    """Some of what has happened to a name, the newest first."""

    results: list[Event]
    next_cursor: str | None


class Difference(BaseModel):
    """A field that two versions do not say the same of."""

    field: str
    before: Any
    after: Any


class DifferenceList(BaseModel):
    """What differs between two versions."""

    before: int
    after: int
    differences: list[Difference]


class Imported(_Body):
    """Aliases as the settings' TOML has them."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"toml": '[[models]]\nalias = "default"\n[[models.deployments]]\nprovider = "openai"\nmodel = "gpt-4o-mini"\n'}
            ]
        },
    )

    toml: str = Field(min_length=1, max_length=1_000_000, description="`[[models]]`, and `[[prompts]]` that they pin")
    deploy: bool = Field(True, description="what is new is live at once; false: it is a draft")
    reason: Reason = ""


class ImportedList(BaseModel):
    """The versions that were made: none of an alias that is live, or a draft where drafts are asked for, as it was given."""

    results: list[VersionInfo]


@router.get("/registry", response_model=StandingPage)
async def list_registry(state: CurrentState, _principal: Reader, paging: Paging) -> dict[str, Any]:
    """List the aliases with the versions that requests go by."""
    rows = [Standing.of(row) for row in await Registry(state.database).heads(MODEL)]
    return page_of(rows, paging, lambda row: row.name)


@router.get("/registry.toml", response_class=Response, responses={200: {"content": {"application/toml": {}}}})
async def export_registry(state: CurrentState, principal: Reader) -> Response:
    """Export the live version of every alias as the settings' TOML. It has the prompts that they pin for those who deploy."""
    registry = Registry(state.database)
    rows = await registry.live(MODEL)
    told = principal.tenant == DEFAULT_TENANT and principal.may(Scope.MODELS_DEPLOY)
    prompts = await registry.pinned(rows) if told else []
    return Response(as_toml([row.content for row in rows], prompts), media_type="application/toml")


@router.post("/registry.toml", response_model=ImportedList)
async def import_registry(given: Imported, state: CurrentState, principal: Deployer) -> dict[str, Any]:
    """Import aliases from TOML: each that is not live as it is given gets a new version. What it pins of `[[prompts]]` is known
    by its text: the version that has it here is pinned, a new one where none has."""
    refuse_others(principal)
    contents, prompts = from_toml(given.toml)
    check_prompts(prompts)
    aliases = [await checked_alias(state, content) for content in contents]
    made = await Registry(state.database).take(principal, aliases, prompts, reason=given.reason, deploy=given.deploy)
    await state.models.versions.load(state.database)
    return {"results": [_version(state, principal, row) for row in made]}


@router.get("/registry/{alias:path}/versions", response_model=VersionPage)
async def list_versions(alias: str, state: CurrentState, principal: Reader, paging: Paging) -> dict[str, Any]:
    """List the versions of an alias, the newest first."""
    await Registry(state.database).head(MODEL, alias)
    rows = [_version(state, principal, row) for row in await Registry(state.database).versions(MODEL, alias)]
    return page_of(rows, paging, lambda row: str(row.number))


@router.post("/registry/{alias:path}/versions", status_code=201)
async def create_version(alias: str, new: NewVersion, state: CurrentState, principal: Deployer) -> VersionInfo:
    """Make a version of an alias, or a new alias. It is a draft: nothing goes by it before it is deployed."""
    refuse_others(principal)
    content = new.model_dump(mode="json", exclude={"reason"}, exclude_defaults=True)
    made = await checked_alias(state, {"alias": alias, **content})
    row = await Registry(state.database).add_model(principal, made, reason=new.reason)
    await state.models.versions.load(state.database)
    return _version(state, principal, row)


@router.get("/registry/{alias:path}/versions/{number}")
async def get_version(alias: str, number: Number, state: CurrentState, principal: Reader) -> VersionInfo:
    """Show a version of an alias."""
    return _version(state, principal, await Registry(state.database).version(MODEL, alias, number))


@router.post("/registry/{alias:path}/versions/{number}/approve")
async def approve_version(alias: str, number: Number, given: Approval, state: CurrentState, principal: Deployer) -> VersionInfo:
    """Note which evaluation approves a version: a draft becomes a candidate."""
    row = await Registry(state.database).approve(
        principal, alias, number, evaluation=given.evaluation, score=given.score, reason=given.reason
    )
    return _version(state, principal, row)


@router.post("/registry/{alias:path}/deploy")
async def deploy_version(alias: str, given: Rollout, state: CurrentState, principal: Deployer) -> Standing:
    """Give a version all requests, or a share of them that grows step by step, in every process within a second."""
    await _check_score(state, alias, given)
    head = await Registry(state.database).deploy(principal, MODEL, alias, given.version, reason=given.reason, plan=given.canary)
    await state.models.versions.load(state.database)
    return Standing.of(head)


@router.post("/registry/{alias:path}/rollback")
async def roll_back(alias: str, given: Return, state: CurrentState, principal: Deployer) -> Standing:
    """Take a canary back, or else go back to the version that was live before, in every process within a second. Experiments
    that give what is taken back are stopped (`rolled_back`), whose ever they are."""
    head = await Registry(state.database).roll_back(principal, MODEL, alias, reason=given.reason, to=given.to)
    await state.models.take_experiments(state.database)
    return Standing.of(head)


@router.get("/registry/{alias:path}/history", response_model=EventPage)
async def list_history(alias: str, state: CurrentState, principal: Reader, paging: Paging, at: At = None) -> dict[str, Any]:
    """List what has happened to an alias, the newest first; with `at` the one event that says how it stood then."""
    await Registry(state.database).head(MODEL, alias)
    moment = None if at is None else _moment(at)
    rows = [row for row in await happened(state.database, alias) if moment is None or row.event.at <= moment]
    told = [_happened(principal, row) for row in (rows if moment is None else rows[:1])]
    return page_of(told, paging, lambda event: f"{event.revision}/{event.prompt or ''}/{event.at.isoformat()}")


@router.get("/registry/{alias:path}/diff")
async def compare_versions(
    alias: str,
    state: CurrentState,
    _principal: Reader,
    before: Annotated[int, Query(ge=1, le=2**31 - 1)],
    after: Annotated[int, Query(ge=1, le=2**31 - 1)],
) -> DifferenceList:
    """Show what two versions of an alias do not say the same of."""
    registry = Registry(state.database)
    one, other = [await registry.version(MODEL, alias, number) for number in (before, after)]
    told = [Difference(field=field, before=old, after=new) for field, old, new in differences(one.content, other.content)]
    return DifferenceList(before=before, after=after, differences=told)


@router.get("/registry/{alias:path}")
async def get_standing(alias: str, state: CurrentState, _principal: Reader) -> Standing:
    """Show which version of an alias is live, and how a canary goes on."""
    return Standing.of(await Registry(state.database).head(MODEL, alias))


async def history(
    state: State, principal: Principal, subject: Registered, name: str, paging: Paging, at: datetime | None
) -> dict[str, Any]:
    """A page of what has happened to a name.

    Raises:
        NotFound
        InvalidRequest: the time has no zone, or has not come yet.
    """
    registry = Registry(state.database)
    await registry.head(subject, name)
    if at is None:
        rows = await registry.events(subject, name)
    else:
        row = await registry.at(subject, name, _moment(at))
        rows = [] if row is None else [row]
    return page_of([_event(principal, row) for row in rows], paging, lambda event: str(event.revision))


def _moment(at: datetime) -> datetime:
    try:
        moment = in_utc(at)
    except ValueError:
        raise InvalidRequest("at: give the time with its zone, as 2026-11-29T12:00:00Z.", param="at") from None
    refuse_future(moment, "at")
    return moment


async def _check_score(state: State, alias: str, given: Rollout) -> None:
    """Refuse a canary whose rule could only take it back.

    Raises:
        InvalidRequest: `not_approved`
    """
    wanted = given.canary.rules.min_score if given.canary is not None else None
    if wanted is None:
        return
    row = await Registry(state.database).version(MODEL, alias, given.version)
    if row.score is None or row.score < wanted:
        text = f"No evaluation has given version {given.version} a score of {wanted:g} or more."
        raise InvalidRequest(text, code="not_approved", param="canary.rules.min_score")


def _version(state: State, principal: Principal, row: RegistryVersion) -> VersionInfo:
    line = state.models.versions.line(row.name)
    ready = None if line is None else line.every.get(row.number)
    return VersionInfo(**_theirs(principal, row.model_dump()), label=None if ready is None else ready.label)


def _event(principal: Principal, row: RegistryEvent) -> Event:
    return Event(**_theirs(principal, row.model_dump()))


def _happened(principal: Principal, row: Happened) -> Event:
    told = row.event.model_dump() | {"prompt": row.prompt, "prompts": dict(row.prompts)}
    if row.prompt is not None:
        told |= {name: getattr(row.standing, name) for name in ("live", "candidate", "share", "revision")}
        told |= {"act": f"prompt_{row.event.act}", "version": row.event.live or 0}
        told |= {} if principal.may(Scope.MODELS_DEPLOY) else {"created_by": None, "reason": None}
    return Event(**_theirs(principal, told))


def _theirs(principal: Principal, told: dict[str, Any]) -> dict[str, Any]:
    """What other tenants than the operator's own see: not who has done it, nor in what words."""
    return told if principal.tenant == DEFAULT_TENANT else told | {"created_by": None, "reason": None}
