"""The entries of the ledger: what the caller's tenant used, call by call."""

from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from core.ledger.listing import Wanted, entries
from core.moments import Moment, refuse_backwards
from core.tables import LedgerRow
from server.pagination import Paging, page
from server.routes.analytics import Reader
from server.routes.usage import sessions_of
from server.state import CurrentState

router = APIRouter(prefix="/api/v1/usage", tags=["Usage"])

Name = Annotated[str | None, Query(max_length=256)]


class EntryInfo(BaseModel):
    """One attempt at one provider, or one answer that the response cache gave in its place."""

    id: str = Field(description="which an adjusting entry names as its `entry`")
    at: datetime
    request_id: str
    principal: str
    key_id: str | None
    teams: list[str] | None = Field(description="of whoever called, at that time; null where the entry does not know them")
    alias: str
    version: str | None
    provider: str
    model: str
    capability: str
    session_id: str | None = Field(description="told to its owner, and to who has users:manage")
    tags: dict[str, str]
    status: str
    cache: str | None
    estimated: bool
    input_tokens: int = Field(description="that were neither read from the provider's cache nor written to it")
    cached_tokens: int
    cache_write_tokens: int = Field(description="kept for five minutes")
    cache_write_1h_tokens: int
    output_tokens: int
    reasoning_tokens: int
    input_audio_tokens: int
    output_audio_tokens: int
    input_image_tokens: int
    output_image_tokens: int
    tier: str | None
    cost_usd: float | None = Field(description="null where no price is known")
    list_usd: float | None = Field(description="what the list asks for, where the price is your own and the list knows one")
    price_basis: str
    price_source: str = Field(description="`settings`, `local`, or the list with its version and what is taken off")
    price_since: date | None = Field(
        description="from which day on the price holds; null where its source does not say: of most list prices, which the "
        "version in `price_source` dates"
    )
    saved_tokens: int
    saved_usd: float | None
    latency_ms: float
    first_token_ms: float | None


class EntryPage(BaseModel):
    """Some of the entries, the newest first."""

    results: list[EntryInfo]
    next_cursor: str | None


@router.get("/entries", response_model=EntryPage)
async def list_entries(
    state: CurrentState,
    principal: Reader,
    paging: Paging,
    since: Annotated[Moment | None, Query(alias="from", description="not before")] = None,
    until: Annotated[Moment | None, Query(alias="to", description="before")] = None,
    request_id: Name = None,
    user: Annotated[str | None, Query(alias="principal", max_length=64, description="a user, service account or key")] = None,
    key_id: Name = None,
    alias: Name = None,
    provider: Name = None,
    model: Name = None,
) -> dict[str, Any]:
    """List the entries of the ledger, the newest first."""
    refuse_backwards(since, until)
    given = {
        "request_id": request_id,
        "principal": user,
        "key_id": key_id,
        "alias": alias,
        "provider": provider,
        "model": model,
    }
    wanted = Wanted(principal.tenant, since, until, {name: value for name, value in given.items() if value is not None})
    rows, position = await entries(state.database, wanted, paging.limit, paging.after)
    own = sessions_of(principal)
    return page([_shown(row, own) for row in rows], position)


def _shown(row: LedgerRow, sessions_of: str | None) -> EntryInfo:
    told = {name: getattr(row, name) for name in EntryInfo.model_fields}
    told["teams"] = None if row.teams is None else [team for team in row.teams.split(",") if team]
    if sessions_of not in (None, row.principal):
        told["session_id"] = None
    return EntryInfo.model_validate(told)
