"""What the caller's tenant used and what it cost, from the ledger."""

import json
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from core.ledger.usage import MOST_ROWS, Line, usage
from core.moments import Moment, refuse_backwards
from core.principals import Principal, Scope
from server.auth import requires
from server.pagination import PageRequest, PagingWhereAsked, page_of
from server.state import CurrentState

router = APIRouter(prefix="/api/v1/usage", tags=["Usage"])


GROUP_BY = (
    "`alias`, `version`, `provider`, `model`, `capability`, `principal`, `team`, `key_id`, `cost_centre`, `session_id`, "
    "`status`, `cache`, `price_basis`, `hour`, `day`, `week`, `month` or `tag:NAME`"
)


class UsageLine(BaseModel):
    """The sums of one group. The names that were grouped by stand beside them."""

    model_config = ConfigDict(extra="allow")

    requests: int
    attempts: int = Field(description="calls of providers, retries and failovers among them")
    failed: int = Field(description="attempts that gave no whole answer")
    cached: int = Field(description="answers of the response cache, without a call")
    estimated: int = Field(description="attempts whose tokens were counted here, since the provider reported none")
    unpriced: int = Field(description="attempts that no price is known for; `cost_usd` is without them")
    input_tokens: int = Field(description="all that were sent: `cached_tokens` and `cache_write_tokens` are among them")
    cached_tokens: int = Field(description="read from the provider's cache")
    cache_write_tokens: int = Field(description="written to the provider's cache")
    output_tokens: int
    reasoning_tokens: int = Field(description="of `output_tokens`, thinking")
    audio_tokens: int = Field(0, description="of all tokens, sent and made, audio")
    image_tokens: int = Field(0, description="of all tokens, sent and made, pictures")
    cost_usd: float
    latency_ms: float | None = Field(description="of an attempt, on average")
    first_token_ms: float | None = Field(description="of a streamed attempt, on average")


class UsageReport(BaseModel):
    """The groups, the dearest first: all of them, or a page where a `limit` asks for one."""

    results: list[UsageLine]
    next_cursor: str | None = None


@router.get("")
async def report(
    state: CurrentState,
    principal: Annotated[Principal, requires(Scope.USAGE_READ)],
    paging: PagingWhereAsked,
    group_by: Annotated[list[str], Query(max_length=8, description=f"{GROUP_BY}; several by repetition or with commas")] = [],  # noqa: B006
    since: Annotated[Moment | None, Query(alias="from", description="not before")] = None,
    until: Annotated[Moment | None, Query(alias="to", description="before")] = None,
) -> UsageReport:
    """Sum what was used, and what it cost. A call is in it as soon as its answer is.

    Names of sessions are their owners': who lacks users:manage sees their own, and all others as one group without a name.
    """
    refuse_backwards(since, until)
    own = sessions_of(principal)
    lines = await usage(state.database, principal.tenant, names_in(group_by), since, until, sessions_of=own)
    told = page_of(lines, paging or PageRequest(MOST_ROWS), position_of)
    return UsageReport(
        results=[UsageLine.model_validate(flat(line)) for line in told["results"]], next_cursor=told["next_cursor"]
    )


def position_of(line: Line) -> str:
    """What a page of lines that follow this one begins behind."""
    return json.dumps(list(line.group.values()))


def sessions_of(principal: Principal) -> str | None:
    """Whose sessions the principal is told the names of; None: everybody's."""
    return None if principal.may(Scope.USERS_MANAGE) else principal.id


def names_in(group_by: Sequence[str]) -> list[str]:
    """The dimensions that a query names, by repetition or with commas."""
    return [name.strip() for part in group_by for name in part.split(",") if name.strip()]


def flat(line: Line) -> dict[str, Any]:
    """The fields of a `UsageLine`."""
    tokens = line.tokens
    written = tokens["cache_write"] + tokens["cache_write_1h"]
    return line.group | {
        "requests": line.requests,
        "attempts": line.attempts,
        "failed": line.failed,
        "cached": line.cached,
        "estimated": line.estimated,
        "unpriced": line.unpriced,
        "input_tokens": tokens["input"] + tokens["cached"] + written,
        "cached_tokens": tokens["cached"],
        "cache_write_tokens": written,
        "output_tokens": tokens["output"],
        "reasoning_tokens": tokens["reasoning"],
        "audio_tokens": tokens["input_audio"] + tokens["output_audio"],
        "image_tokens": tokens["input_image"] + tokens["output_image"],
        "cost_usd": float(line.cost_usd),
        "latency_ms": _rounded(line.latency_ms),
        "first_token_ms": _rounded(line.first_token_ms),
    }


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 3)
