"""The models that callers can name: what they can do, what they cost, how they stand, and which one a request would get."""

import asyncio
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, model_validator

from chains.messages import Messages, to_langchain
from chains.parameters import Strict, Tooling
from core.errors import NotFound
from core.principals import Principal, Scope
from server.auth import requires
from server.pagination import Paging, page
from server.state import CurrentState, State

router = APIRouter(prefix="/api/v1/models", tags=["Operations"])

Reader = Annotated[Principal, requires(Scope.MODELS_READ)]
Seconds = Annotated[float | None, Field(description="measured, the newest calls weighing most; null when there was none")]


class ModelFacts(BaseModel):
    """What a model can do."""

    context_tokens: int | None = Field(description="null where it is not known")
    images: bool
    tools: bool
    structured_output: bool
    prefill: bool = Field(description="takes up an answer that is begun for it")
    fill_in_the_middle: bool


class ModelPrice(BaseModel):
    """Dollars per million tokens of a short prompt, or for an hour of one call; null where there is no price."""

    basis: str = Field(description="`exact`, `fallback` (another provider's price for the model stands in), or `unpriced`")
    source: str = Field(description="`settings`, `local`, or the price list with its version and the discount")
    since: date | None = Field(description="the day from which on it holds, where the source says")
    input_usd_per_million: float | None
    output_usd_per_million: float | None
    cached_usd_per_million: float | None = Field(description="input from the provider's cache; null: as input")
    per_hour_usd: float | None = Field(description="what an hour of one call costs, where that is paid in place of tokens")


class DeploymentLimits(BaseModel):
    """What it may be given, all processes together; null: no limit."""

    requests_per_minute: int | None
    tokens_per_minute: int | None
    concurrent: int | None


class ProbeResult(BaseModel):
    """The last time that it was asked beside the calls of callers."""

    ok: bool
    error: str | None = Field(description="the kind of failure, as `authentication` or `connection`")
    age_s: float
    seconds: float


class DeploymentHealth(BaseModel):
    """How it stands, as this process knows it."""

    breaker: str = Field(description="`closed` (it is called), `open` (it is left alone) or `half_open` (one call tries it)")
    failures: int = Field(description="in a row")
    probe_in_s: float | None = Field(description="until a call may try it again; null while the breaker is closed")
    held_s: float = Field(description="for which it asked to be left in peace")
    first_token_s: Seconds
    answer_s: Seconds
    in_flight: int
    last_answer_age_s: float | None = Field(description="since the last whole answer; null: none yet")
    last_error: str | None
    last_error_age_s: float | None
    probe: ProbeResult | None


class DeploymentInfo(BaseModel):
    """One model at one provider. `state`: `ready`, `loading`, `idle` (loads at first use), `failed` or `killed` (switched off
    by an administrator)."""

    provider: str
    model: str
    state: str
    detail: str = ""
    facts: ModelFacts
    price: ModelPrice
    limits: DeploymentLimits
    health: DeploymentHealth


class ModelInfo(BaseModel):
    """An alias, and what stands behind it in the operator's order. `strategy` says which is called first."""

    alias: str
    version: str = Field("", description="says how it is configured: usage knows the version of each call")
    kind: str
    strategy: str
    killed: bool = Field(False, description="an administrator has switched it, or all its deployments, off")
    deployments: list[DeploymentInfo]


class ModelPage(BaseModel):
    """Some of the aliases."""

    results: list[ModelInfo]
    next_cursor: str | None


class Comparison(Tooling, Strict):
    """A request that is asked about and not made: its messages, or how many tokens they are."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"messages": [{"role": "user", "content": "Why is the sky blue?"}], "max_tokens": 200}]}
    )

    model: str | None = Field(None, max_length=128, description="a chat alias; empty: all of them")
    messages: Messages | None = None
    input_tokens: int | None = Field(None, ge=1, le=100_000_000, description="in place of messages")
    max_tokens: int | None = Field(None, ge=1, le=1_000_000, description="of the answer; empty: 500 are reckoned with")

    @model_validator(mode="after")
    def _one_of_both(self) -> "Comparison":
        if (self.messages is None) == (self.input_tokens is None):
            raise ValueError("give messages or input_tokens, one of both")
        return self


class ComparedDeployment(BaseModel):
    """What a deployment would make of the request."""

    provider: str
    model: str
    able: bool
    reason: str | None = Field(description="why it cannot serve the request")
    input_tokens: int = Field(description="estimated")
    output_tokens: int = Field(description="reckoned with")
    cost_usd: float | None = Field(
        description="estimated; null where no price is known, or it goes by time and none was measured"
    )
    price: str = Field(description="`exact`, `fallback` or `unpriced`")
    first_token_s: Seconds
    answer_s: Seconds
    breaker: str
    chosen: bool = Field(description="the alias's strategy would call it first now; under `weighted` the likeliest")


class ComparedAlias(BaseModel):
    """An alias, and its deployments in the operator's order."""

    alias: str
    strategy: str
    deployments: list[ComparedDeployment]


class ComparisonResult(BaseModel):
    """The aliases that were asked about."""

    results: list[ComparedAlias]


@router.get("", response_model=ModelPage)
async def list_models(state: CurrentState, _principal: Reader, paging: Paging) -> dict[str, Any]:
    """List the models that a request can name."""
    rows = sorted((row for row in await _rows(state) if row["alias"] > (paging.after or "")), key=lambda row: row["alias"])
    shown = rows[: paging.limit]
    return page(shown, shown[-1]["alias"] if len(rows) > paging.limit else None)


@router.post("/compare", response_model=ComparisonResult)
async def compare_models(asked: Comparison, state: CurrentState, _principal: Reader) -> dict[str, Any]:
    """Compare deployments for a request: whether they can serve it, what it would cost, how fast they are. None is called."""
    from providers.catalogue import Question, compare

    parameters = asked.model_dump(include={"tools", "response_format"}, exclude_none=True)
    question = Question(to_langchain(asked.messages or []), asked.input_tokens, asked.max_tokens, parameters)
    return {"results": await asyncio.to_thread(compare, state.models, question, asked.model)}


@router.get("/{alias:path}", response_model=ModelInfo)
async def get_model(alias: str, state: CurrentState, _principal: Reader) -> dict[str, Any]:
    """Show a model."""
    for row in await _rows(state):
        if row["alias"] == alias:
            return row
    raise NotFound("There is no model of that name.", code="model_not_found")


async def _rows(state: State) -> list[dict[str, Any]]:
    from providers.catalogue import described

    return await asyncio.to_thread(described, state.models)
