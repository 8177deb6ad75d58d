"""Prompts in versions: what the capabilities ask models with. Their text is for those who deploy alone."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from chains.prompting import DIVIDER, built_in, names
from core.errors import NotFound
from core.model_settings import PROMPT_CHARACTERS
from core.principals import Principal, Scope
from core.tables import Registered, RegistryVersion, VersionState
from providers.registry.content import check_prompt, places_of
from providers.registry.store import Registry, refuse_others
from server.auth import requires
from server.pagination import Paging, page_of
from server.routes.registry import At, EventPage, Reason, Return, history
from server.state import CurrentState

router = APIRouter(prefix="/api/v1/prompts", tags=["Operations"])

Deployer = Annotated[Principal, requires(Scope.MODELS_DEPLOY)]
Name = Annotated[str, Path(max_length=128, description="as the list names it")]
PROMPT = Registered.PROMPT


class NewPrompt(BaseModel):
    """A version of a prompt."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"text": "Answer from $sources alone.\n\n$question", "reason": "Shorter answers."}]},
    )

    text: str = Field(min_length=1, max_length=PROMPT_CHARACTERS, description="with the places that the built-in one has")
    reason: Reason = ""


class ChosenPrompt(BaseModel):
    """Which version of a prompt models are asked with."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"version": 1}]})

    version: int = Field(ge=1, le=2**31 - 1)
    reason: Reason = ""


class PromptInfo(BaseModel):
    """A prompt, and which of its versions models are asked with."""

    name: str
    live: int = Field(description="0: the one that is built in")
    places: list[str] = Field(description="the values that are put into it")


class PromptPage(BaseModel):
    """Some of the prompts."""

    results: list[PromptInfo]
    next_cursor: str | None


class PromptVersion(BaseModel):
    """A version of a prompt. Number 0 is the one that is built in."""

    name: str
    number: int
    state: VersionState
    text: str
    created_by: str | None
    reason: str
    created_at: datetime | None = Field(description="null: it is built in")

    @classmethod
    def of(cls, row: RegistryVersion) -> "PromptVersion":
        return cls(**row.model_dump(include=set(cls.model_fields)), text=row.content["text"])


class PromptVersionPage(BaseModel):
    """Some of a prompt's versions, the newest first; the one that is built in last."""

    results: list[PromptVersion]
    next_cursor: str | None


@router.get("", response_model=PromptPage)
async def list_prompts(state: CurrentState, principal: Deployer, paging: Paging) -> dict[str, Any]:
    """List the prompts."""
    refuse_others(principal)
    live = {head.name: head.live or 0 for head in await Registry(state.database).heads(PROMPT)}
    return page_of([_info(name, live.get(name, 0)) for name in names()], paging, lambda row: row.name)


@router.get("/{name:path}/versions", response_model=PromptVersionPage)
async def list_prompt_versions(name: Name, state: CurrentState, principal: Deployer, paging: Paging) -> dict[str, Any]:
    """List the versions of a prompt, the newest first; the one that is built in comes last."""
    refuse_others(principal)
    _check_known(name)
    rows = [PromptVersion.of(row) for row in await Registry(state.database).versions(PROMPT, name)]
    live = not any(row.state is VersionState.LIVE for row in rows)
    rows.append(_built_in(name, live=live))
    return page_of(rows, paging, lambda row: str(row.number))


@router.post("/{name:path}/versions", status_code=201)
async def create_prompt_version(name: Name, new: NewPrompt, state: CurrentState, principal: Deployer) -> PromptVersion:
    """Make a version of a prompt. It has to have the places that the built-in one has, and no other."""
    refuse_others(principal)
    _check_known(name)
    check_prompt(new.text, built_in(name).template, (DIVIDER,))
    return PromptVersion.of(await Registry(state.database).add_prompt(principal, name, new.text, reason=new.reason))


@router.get("/{name:path}/versions/{number}")
async def get_prompt_version(
    name: Name, number: Annotated[int, Path(ge=0, le=2**31 - 1)], state: CurrentState, principal: Deployer
) -> PromptVersion:
    """Show a version of a prompt; 0 is the one that is built in."""
    refuse_others(principal)
    _check_known(name)
    if number:
        return PromptVersion.of(await Registry(state.database).version(PROMPT, name, number))
    heads = {head.name: head.live for head in await Registry(state.database).heads(PROMPT)}
    return _built_in(name, live=heads.get(name) is None)


@router.post("/{name:path}/deploy")
async def deploy_prompt(name: Name, given: ChosenPrompt, state: CurrentState, principal: Deployer) -> PromptInfo:
    """Have models asked with a version of a prompt, in every process within a second. An alias may ask with another."""
    refuse_others(principal)
    _check_known(name)
    head = await Registry(state.database).deploy(principal, PROMPT, name, given.version, reason=given.reason)
    await state.models.versions.load(state.database)
    return _info(name, head.live or 0)


@router.post("/{name:path}/rollback")
async def roll_back_prompt(name: Name, given: Return, state: CurrentState, principal: Deployer) -> PromptInfo:
    """Go back to the version of a prompt that was live before, in the end to the one that is built in."""
    refuse_others(principal)
    _check_known(name)
    head = await Registry(state.database).roll_back(principal, PROMPT, name, reason=given.reason, to=given.to)
    await state.models.versions.load(state.database)
    return _info(name, head.live or 0)


@router.get("/{name:path}/history", response_model=EventPage)
async def list_prompt_history(
    name: Name, state: CurrentState, principal: Deployer, paging: Paging, at: At = None
) -> dict[str, Any]:
    """List what has happened to a prompt, the newest first; with `at` the one event that says how it stood then."""
    refuse_others(principal)
    _check_known(name)
    try:
        return await history(state, principal, PROMPT, name, paging, at)
    except NotFound as error:
        if error.code != "prompt_not_found":
            raise
        return {"results": [], "next_cursor": None}  # it is as it was built in, and nothing has happened to it


def _check_known(name: str) -> None:
    if name not in names():
        raise NotFound("There is no prompt of that name.", code="prompt_not_found")


def _info(name: str, live: int) -> PromptInfo:
    return PromptInfo(name=name, live=live, places=sorted(places_of(built_in(name).template)))


def _built_in(name: str, *, live: bool) -> PromptVersion:
    state = VersionState.LIVE if live else VersionState.RETIRED
    text = built_in(name).template
    return PromptVersion(name=name, number=0, state=state, text=text, created_by=None, reason="built in", created_at=None)
