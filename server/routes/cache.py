"""The answers that are kept to be given again."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from core import audit
from core.principals import Principal, Scope
from server.auth import requires
from server.state import CurrentState

router = APIRouter(prefix="/api/v1/cache", tags=["Operations"])

Manager = Annotated[Principal, requires(Scope.CACHE_MANAGE)]


class Dropped(BaseModel):
    """What was dropped."""

    entries: int = Field(description="answers, and lists of what they are found by")


@router.delete("")
async def drop_cache(state: CurrentState, principal: Manager) -> Dropped:
    """Drop the kept answers of the caller's tenant. What is being answered meanwhile is not kept either."""
    entries = await state.models.answers.drop(principal.tenant)
    async with state.database.transaction(principal.tenant) as session:
        await audit.record(session, audit.Action.CACHE_DROPPED, details={"entries": entries}, principal=principal)
    return Dropped(entries=entries)
