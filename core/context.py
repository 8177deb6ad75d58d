"""What is known of the request being served, in one context variable.

The server opens a `RequestContext` at its edge; a job opens one for its work. Chains and providers read the principal from
it and write into it what the answer's headers tell: model, provider, attempts, usage, cost.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from core.deadline import Deadline
from core.principals import ANONYMOUS, SYSTEM, Principal
from core.tries import Tries
from core.versions import Versions

if TYPE_CHECKING:
    from core.policies.privacy import Record


@dataclass(slots=True)
class Usage:
    """Tokens of one or several model calls. `estimated` when a provider reported none and they were counted here."""

    input_tokens: int = 0
    output_tokens: int = 0
    estimated: bool = False

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def add(self, other: "Usage") -> None:
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.estimated |= other.estimated


CacheUse = Literal["miss", "bypass", "semantic", "hit"]
_LEANT_LEAST: tuple[CacheUse, ...] = ("miss", "bypass", "semantic", "hit")


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a rate limit: of `limit` requests or tokens within `window_s` seconds, or of requests at once (None).
    There is more after `wait_s` seconds."""

    unit: str
    limit: int
    left: int
    window_s: int | None
    wait_s: int


@dataclass(frozen=True, slots=True)
class FailedCall:
    """A model call that gave no whole answer. `reason` is a kind of `providers.failures`.

    `usage` and `cost_usd` (None: no price is known) are of what was thrown away: no part of the answer, and of no figure that
    its caller is told.
    """

    provider: str
    model: str
    reason: str
    seconds: float
    usage: Usage = field(default_factory=Usage)
    cost_usd: Decimal | None = Decimal(0)


@dataclass(slots=True)
class RequestContext:
    """Mutable, shared by every task of one request.

    `usage` and `cost_usd` are those of the answer, `failures` tell what else was used. `cost_usd` is None once a call was
    made that no price is known for.
    """

    request_id: str
    principal: Principal
    #: Where the request came from; None where no address is known.
    address: str | None = None
    started: float = field(default_factory=time.perf_counter)
    model: str | None = None
    provider: str | None = None
    attempts: int = 0
    usage: Usage = field(default_factory=Usage)
    cost_usd: Decimal | None = Decimal(0)
    provider_s: float = 0.0
    failures: list[FailedCall] = field(default_factory=list)
    #: When all of it has to be over; None where each model call has a time of its own.
    deadline: Deadline | None = None
    #: Calls in vain, over all steps of one answer; None where each model call counts its own.
    tries: Tries | None = None
    #: Nobody reads the pieces of the answer: a model may be asked for the whole of it.
    whole: bool = False
    #: The caller speaks OpenAI's protocol: errors have its shape and statuses.
    openai: bool = False
    #: The request's `Cache-Control` header, as it came.
    cache_control: str = ""
    #: The caller wants nothing kept of the request and its answer (`core.policies.retention`).
    keep_nothing: bool = False
    #: What the response cache did for it; None while no model was asked for anything.
    cache: CacheUse | None = None
    #: The capability that is being run, by its name in the table; empty outside of one.
    capability: str = ""
    #: The guards of inputs that what the caller wrote has passed, by their keys (`chains.protection.guarding`).
    passed: frozenset[str] = frozenset()
    #: The conversation that it belongs to.
    session_id: str | None = None
    #: The alias whose deployment was asked last; None while none was.
    alias: str | None = None
    #: That alias's version, as the ledger has it.
    version: str | None = None
    #: The versions of aliases that all of the request goes by, each since it was first asked for.
    versions: Versions = field(default_factory=Versions)
    #: The job that it has started, or that it is.
    job_id: str | None = None
    #: The cheaper alias that a budget had it given to, and the one that was asked for.
    degraded: str | None = None
    degraded_from: str | None = None
    #: What is left of the rate limits that it counts in.
    allowances: Sequence[Allowance] = ()
    #: What the caller wants the costs told apart by.
    tags: Mapping[str, str] = field(default_factory=dict)
    #: By alias, what experiments have assigned, as `core.tables.Exposure` names it.
    exposures: dict[str, str] = field(default_factory=dict)
    #: The stable code of the error that its caller was told, with the status it stands for; None where all went well.
    error: tuple[str, int] | None = None
    #: Called before each call of a provider: what is to be put down before something may have been paid for.
    before_call: Callable[[], Awaitable[None]] | None = None
    #: What the ledger has its calls under, where that is not the capability.
    booked_as: str = ""
    #: Personal data that was found, by place and type.
    pii: dict[str, dict[str, int]] = field(default_factory=dict)
    #: What has to be known of it for the rest of the run; None where no policy looks for any.
    privacy: "Record | None" = None

    @property
    def overhead_s(self) -> float:
        """What the platform itself has taken so far: seconds since the start that no provider was waited for."""
        return max(0.0, time.perf_counter() - self.started - self.provider_s)

    def beside(self) -> "RequestContext":
        """Another context of the same request, for calls whose accounting is kept apart at first."""
        return RequestContext(
            request_id=self.request_id,
            principal=self.principal,
            address=self.address,
            openai=self.openai,
            cache_control=self.cache_control,
            capability=self.capability,
            session_id=self.session_id,
            tags=self.tags,
            exposures=self.exposures,
            keep_nothing=self.keep_nothing,
            deadline=self.deadline,
            tries=self.tries,
            versions=self.versions,
            before_call=self.before_call,
            booked_as=self.booked_as,
        )

    def due(self, seconds: float) -> Deadline:
        """When a step that may take so long has to be over: no later than the whole request."""
        step = Deadline.after(seconds)
        return step if self.deadline is None or step.at < self.deadline.at else self.deadline

    def called(self, *, provider: str, model: str, usage: Usage, cost_usd: Decimal | None, seconds: float) -> None:
        """Record one model call that gave the answer, or a part of one that its reader has."""
        self.provider, self.model = provider, model
        self.usage.add(usage)
        self.provider_s += seconds
        self.cost_usd = None if self.cost_usd is None or cost_usd is None else self.cost_usd + cost_usd

    def failed(self, call: FailedCall) -> None:
        """Record one model call that gave no whole answer. What a reader has of it is recorded by `called`."""
        self.failures.append(call)
        self.provider_s += call.seconds

    def add(self, other: "RequestContext") -> None:
        """Add what another recorded of its calls."""
        self.provider, self.model = other.provider or self.provider, other.model or self.model
        self.alias, self.version = other.alias or self.alias, other.version or self.version
        self.attempts += other.attempts
        self.failures += other.failures
        self.usage.add(other.usage)
        self.provider_s += other.provider_s
        self.cost_usd = None if self.cost_usd is None or other.cost_usd is None else self.cost_usd + other.cost_usd
        if other.degraded is not None:
            self.degraded, self.degraded_from = other.degraded, other.degraded_from
        self.session_id = other.session_id or self.session_id
        self.allowances = other.allowances or self.allowances
        if other.cache is not None:
            self.answered_by(other.cache)
        for place, counts in other.pii.items():
            self.found(place, counts)

    def found(self, place: str, counts: Mapping[str, int]) -> None:
        """Record personal data that was found: how often each type."""
        told = self.pii.setdefault(place, {})
        for kind, count in counts.items():
            told[kind] = told.get(kind, 0) + count

    def clear(self) -> None:
        """Forget what was recorded, after another has added it."""
        self.provider = self.model = self.alias = self.version = None
        self.attempts, self.failures, self.usage = 0, [], Usage()
        self.provider_s, self.cost_usd, self.cache = 0.0, Decimal(0), None

    def refused(self, code: str, status: int) -> None:
        """Record the error that the caller is told."""
        self.error = code, status

    def answered_by(self, use: CacheUse) -> None:
        """Record what the cache did for one model call. Of several calls the one that leant on it least is told."""
        if self.cache is None or _LEANT_LEAST.index(use) < _LEANT_LEAST.index(self.cache):
            self.cache = use


_current: ContextVar[RequestContext | None] = ContextVar("genai_request", default=None)


def current() -> RequestContext:
    """The context of this request; outside of one, a new context of the platform itself."""
    return _current.get() or RequestContext(request_id="-", principal=SYSTEM)


def sparing() -> AbstractContextManager[None]:
    """For the block, calls in vain are spared for what comes after it; see `Tries.sparing`."""
    tries = current().tries
    return nullcontext() if tries is None else tries.sparing()


def tenant() -> str | None:
    """The tenant of this request's principal; None outside of a request, and before its caller is known."""
    context = _current.get()
    return None if context is None or context.principal is ANONYMOUS else context.principal.tenant


class serving:  # noqa: N801 - used as the function that it would otherwise be
    """Make `context` the current one for the block. A class, since it is entered at each step of a stream: a third of the
    cost of a generator."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: RequestContext) -> None:
        self._context = context

    def __enter__(self) -> RequestContext:
        self._token = _current.set(self._context)
        return self._context

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)
