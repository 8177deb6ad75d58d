"""The models that callers can name, and how each stands."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel

from core.errors import NotFound
from core.principals import Principal, Scope
from server.auth import requires
from server.pagination import Paging, page
from server.state import CurrentState, State

router = APIRouter(prefix="/api/v1/models", tags=["Operations"])

Reader = Annotated[Principal, requires(Scope.MODELS_READ)]


class DeploymentState(BaseModel):
    """One model at one provider. `state`: `ready`, `loading`, `idle` (loads at first use) or `failed`."""

    provider: str
    model: str
    state: str
    detail: str = ""


class ModelInfo(BaseModel):
    """An alias, and what stands behind it in the order in which it is tried."""

    alias: str
    kind: str
    deployments: list[DeploymentState]


class ModelPage(BaseModel):
    """Some of the aliases."""

    results: list[ModelInfo]
    next_cursor: str | None


@router.get("", response_model=ModelPage)
async def list_models(state: CurrentState, _principal: Reader, paging: Paging) -> dict[str, Any]:
    """List the models that a request can name."""
    rows = sorted((row for row in _states(state) if row.alias > (paging.after or "")), key=lambda row: row.alias)
    shown = rows[: paging.limit]
    return page(shown, shown[-1].alias if len(rows) > paging.limit else None)


@router.get("/{alias:path}")
async def get_model(alias: str, state: CurrentState, _principal: Reader) -> ModelInfo:
    """Show a model."""
    for row in _states(state):
        if row.alias == alias:
            return row
    raise NotFound("There is no model of that name.", code="model_not_found")


def _states(state: State) -> list[ModelInfo]:
    return [ModelInfo.model_validate(row) for row in state.models.states()]
