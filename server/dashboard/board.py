"""What the dashboard tells: the last hour by the minute, and how budgets, providers and alerts stand."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from core.alerts import AlertKind, Severity


class Now(BaseModel):
    """The sums that stand at the top."""

    calls_a_minute: float = Field(description="calls of providers and answers of the response cache, of the last five minutes")
    failed_share: float | None = Field(description="of the calls of the last five minutes; null where there was none")
    latency_p50_ms: float | None = Field(description="of the answers of the last five minutes; off by 26 % at most")
    latency_p95_ms: float | None
    tokens_hour: int = Field(description="of the last 60 minutes, sent and made")
    cost_hour_usd: float
    cost_today_usd: float = Field(description="since midnight, UTC")
    cost_month_usd: float = Field(description="since the month began, UTC")


class Minutes(BaseModel):
    """The last 60 minutes, the oldest first; the last one is still under way."""

    at: list[str]
    answered: list[int]
    cached: list[int] = Field(description="answers of the response cache, without a call")
    failed: list[int]
    latency_p50_ms: list[float | None] = Field(description="null where nothing was answered")
    latency_p95_ms: list[float | None]
    tokens: list[int] = Field(description="sent and made")
    cost_usd: dict[str, list[float]] = Field(description="by provider, the dearest first")


class AliasNow(BaseModel):
    """An alias in the last 60 minutes."""

    alias: str
    calls: int
    failed: int
    tokens: int
    cost_usd: float


class BudgetNow(BaseModel):
    """A budget and how much of it is burnt."""

    id: str
    name: str
    tenant: str
    scope: str = Field(description="whose requests count, as `alias default`; `tenant` for all of them")
    unit: str = Field(description="`usd` or `tokens`")
    spent: float
    limit: float
    window: str
    elapsed: float | None = Field(description="the share of its window that is over; null for a window that rolls")
    resets_at: datetime | None


class ProviderNow(BaseModel):
    """A deployment, as this process knows it, by its calls above all. A `state` of `failed` is a probe's word, and no call has
    been answered since."""

    provider: str
    model: str
    aliases: list[str]
    tried: bool = Field(description="no live version has it: a canary or an experiment gives it to some requests")
    state: str = Field(description="`ready`, `loading`, `idle`, `failed` or `killed`")
    breaker: str
    failures: int = Field(description="in a row, by its own fault")
    in_flight: int
    first_token_s: float | None
    answer_s: float | None
    last_answer_age_s: float | None = Field(description="since the last whole answer; null: none yet")
    last_error: str | None
    last_error_age_s: float | None


class AlertNow(BaseModel):
    """An alert that fires."""

    id: str
    kind: AlertKind
    severity: Severity
    subject: dict[str, Any]
    since: datetime = Field(description="when it began, where that is known; else when it was first told of")
    cause: str = Field(description="of a degradation: what is likely to blame, in words; else empty")


class AnomalyNow(BaseModel):
    """A series that is not what it was, as monitors see it."""

    alias: str
    provider: str
    model: str
    metric: str
    kind: str = Field(description="`step`, `ramp` or `spike`")
    state: str = Field(description="`open`; `back`: as it was; `accepted`: the new level is what is usual now")
    worse: bool
    since: datetime
    minute: str | None = Field(description="the minute of `minutes` that it began in; null: before")
    before: float
    after: float
    unit: str = Field(description="of `before` and `after`: `ms`, `share`, `usd` or `tokens`")
    cause: str = Field(description="what is likely to blame, in words; empty where nothing tells")


class Board(BaseModel):
    """The whole dashboard. What the caller may not see is left empty: `budgets` need `budgets:manage`, but for those of the
    whole tenant and of its aliases, without their names; `providers` need `models:read`, `alerts` `alerts:manage`, `anomalies`
    `monitors:read`."""

    at: datetime = Field(description="when the database was asked")
    tenant: str | None = Field(description="whose; null: of all tenants")
    now: Now
    minutes: Minutes
    aliases: list[AliasNow] = Field(description="the busiest ones of the last 60 minutes")
    budgets: list[BudgetNow] = Field(description="the most burnt first")
    providers: list[ProviderNow]
    alerts: list[AlertNow] = Field(description="the newest first")
    anomalies: list[AnomalyNow] = Field(description="those that are open, or began within the last hour; the newest first")
