"""Usage and cost in all that can be told of them: by any dimensions and grain of time, as JSON or CSV."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from core import denials
from core.errors import InvalidRequest
from core.ledger.latencies import MEASURES
from core.ledger.usage import QUANTILES, Line, Question, analyse
from core.moments import Moment, refuse_backwards
from core.money import QUANTUM
from core.principals import Principal, Scope
from server.auth import requires
from server.csv_answers import MEDIA_TYPE, csv_answer
from server.pagination import Paging, page_of
from server.routes.usage import GROUP_BY, UsageLine, flat, names_in, position_of, sessions_of
from server.state import CurrentState

router = APIRouter(prefix="/api/v1/usage", tags=["Usage"])

Reader = Annotated[Principal, requires(Scope.USAGE_READ)]
Order = Literal["cost_usd", "requests", "attempts", "failed", "tokens", "latency_ms", "group"]
_MOST_FILTERS = 50


class AnalyticsLine(UsageLine):
    """The sums of one group, and what follows from them. The names that were grouped by stand beside them."""

    error_rate: float | None = Field(description="failed attempts among all attempts")
    usd_per_1k_tokens: float | None = Field(
        description="of the calls that a price is known for, by their tokens, sent and made; null where there are none. "
        "Adjusting entries are no part of it"
    )
    failovers: int = Field(description="requests of which an attempt failed here, and another deployment answered")
    failover_rate: float | None = Field(description="those among all requests")
    cache_rate: float | None = Field(description="answers of the response cache among all answers and attempts")
    cache_savings_usd: float = Field(
        description="what the answers of the response cache had cost when a provider gave them; of those of before that was "
        "kept, as much as others of the same alias, model and capability did on average within the time asked for"
    )
    cache_savings_tokens: int = Field(0, description="what they had used, sent and made")
    latency_p50_ms: float | None = Field(description="half of the attempts took no longer; off by 26 % at most")
    latency_p95_ms: float | None
    latency_p99_ms: float | None
    first_token_p50_ms: float | None
    first_token_p95_ms: float | None
    first_token_p99_ms: float | None


class AnalyticsPage(BaseModel):
    """Some of the groups."""

    results: list[AnalyticsLine]
    next_cursor: str | None


def asked(
    principal: Reader,
    group_by: Annotated[list[str], Query(max_length=8, description=f"{GROUP_BY}; several by repetition or with commas")] = [],  # noqa: B006
    since: Annotated[Moment | None, Query(alias="from", description="not before")] = None,
    until: Annotated[Moment | None, Query(alias="to", description="before")] = None,
    only: Annotated[
        list[str],
        Query(
            max_length=_MOST_FILTERS,
            description="`DIMENSION=VALUE`, as `alias=default` or `tag:team=search`; several values of a dimension are "
            "alternatives, an empty one stands for none",
        ),
    ] = [],  # noqa: B006
    order: Annotated[Order, Query(description="what the most of comes first; `group`: by what is grouped by")] = "cost_usd",
    all_tenants: Annotated[bool, Query(description="of all tenants: with `tenants:manage`")] = False,
) -> Question:
    """Read the question from the query.

    Raises:
        InvalidRequest: a filter is none; the time ends before it begins.
        Forbidden: other tenants' usage, without the right to.
    """
    if all_tenants and not principal.may(Scope.TENANTS_MANAGE):
        raise denials.lacks(principal, Scope.TENANTS_MANAGE, act="see all tenants")
    refuse_backwards(since, until)
    wanted: dict[str, list[str]] = {}
    for each in only:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise InvalidRequest("A filter reads DIMENSION=VALUE.", code="invalid_filter", param="only")
        wanted.setdefault(name, []).append(value)
    tenant, own = None if all_tenants else principal.tenant, sessions_of(principal)
    return Question(tenant, names_in(group_by), since, until, wanted, order, sessions_of=own)


Asked = Annotated[Question, Depends(asked)]


@router.get(
    "/analytics", response_model=AnalyticsPage, responses={200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}}
)
async def analytics(
    request: Request,
    state: CurrentState,
    question: Asked,
    paging: Paging,
    form: Annotated[
        Literal["json", "csv"] | None, Query(alias="format", description="CSV is told whole; also by `Accept: text/csv`")
    ] = None,
) -> Any:
    """Sum usage and cost by any dimensions. A call is in it as soon as its answer is."""
    lines = await analyse(state.database, question)
    as_csv = form == "csv" or (form is None and MEDIA_TYPE in request.headers.get("accept", ""))
    if as_csv:
        return table(question, lines)
    told = page_of(lines, paging, position_of)
    return told | {"results": [AnalyticsLine.model_validate(in_full(line)) for line in told["results"]]}


def table(question: Question, lines: Sequence[Line]) -> Response:
    """The lines as a CSV file, with costs to their last digit."""
    rows = [
        in_full(line)
        | {"cost_usd": line.cost_usd, "cache_savings_usd": line.saved_usd, "usd_per_1k_tokens": usd_per_1k_tokens(line)}
        for line in lines
    ]
    return csv_answer("usage", [*question.group_by, *AnalyticsLine.model_fields], rows)


def in_full(line: Line) -> dict[str, Any]:
    """All that a line tells, with what follows from it."""
    told = flat(line)
    price, answers = usd_per_1k_tokens(line), line.attempts + line.cached
    quantiles = {
        f"{measure.removesuffix('_ms')}_{name}_ms": line.quantiles.get(measure, {}).get(name)
        for measure in MEASURES
        for name in QUANTILES
    }
    return told | {
        "error_rate": share(line.failed, line.attempts),
        "usd_per_1k_tokens": price if price is None else float(price),
        "failovers": line.failovers,
        "failover_rate": share(line.failovers, line.requests),
        "cache_rate": share(line.cached, answers),
        "cache_savings_usd": float(line.saved_usd),
        "cache_savings_tokens": line.saved_tokens,
        **quantiles,
    }


def usd_per_1k_tokens(line: Line) -> Decimal | None:
    """Of calls whose price is known; None where they used no tokens."""
    return (line.priced_usd * 1000 / line.priced_tokens).quantize(QUANTUM) if line.priced_tokens else None


def share(part: int, whole: int) -> float | None:
    """None of nothing."""
    return round(part / whole, 6) if whole else None
