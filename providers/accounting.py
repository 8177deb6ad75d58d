"""What one call used, what it cost and how it ended: told to the request, and put on record."""

import time
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from core import ledger, metrics
from core.context import CacheUse, FailedCall, RequestContext, Usage
from providers import calls
from providers.metering import charge_of, tokens_of
from providers.prices import Charge, Tokens
from providers.served import Served
from providers.spending import Bill

#: The ways a call ends beside the kinds of `providers.failures`.
OK, CANCELLED, DEADLINE, ERROR = "ok", "cancelled", "deadline_exceeded", "error"
_NOTHING = Tokens(0)
_MOST_TOKENS = 2**31 - 1


class Account:
    """The account of one call, from when it begins: `pay` at most once, then `give` or `give_up` or both,
    then `close`, once."""

    __slots__ = (
        "_alias",
        "_bill",
        "_charge",
        "_given",
        "_request",
        "_served",
        "_started",
        "_tokens",
        "_took_ms",
        "_usage",
        "_version",
        "span",
    )

    def __init__(self, request: RequestContext, served: Served, alias: str, bill: Bill, *, version: str = "") -> None:
        self._request, self._served, self._alias, self._bill = request, served, alias, bill
        self._version = version
        self._started = time.monotonic()
        self._usage: Usage | None = None
        self._charge: Charge | None = None
        self._tokens = _NOTHING
        self._took_ms: float | None = None
        self._given = False
        #: What stands for the call in the request's trace; ended by `close`.
        self.span = calls.begun(request, served, alias)

    def pay(self, usage: Usage, metadata: Mapping[str, Any] | None = None, *, tier: str | None = None) -> None:
        """Take note of what the call used, also where it gave no whole answer: a provider counts what it has sent. `metadata`
        is LangChain's, where the provider reported any; `tier` the tier of service that it named."""
        served = self._served
        self._usage, self._tokens = usage, tokens_of(usage, metadata, tier)
        took_ms = self._elapsed_ms()
        seconds = Decimal(str(took_ms)) / 1000
        self._charge = charge_of(served.provider_name, served.name, self._tokens, price=served.price, seconds=seconds)
        if self._charge.by_time:
            self._took_ms = took_ms  # what is on record is what is paid for

    def give(self, *, seconds: float | None = None) -> None:
        """What was paid for is the answer, or a part of one, and its reader has it: it is told with it. `seconds` that the
        provider was waited for: since the beginning."""
        if self._usage is None or self._charge is None:
            return
        self._given = True
        self._request.called(
            provider=self._served.provider_name,
            model=self._served.name,
            usage=self._usage,
            cost_usd=self._charge.usd,
            seconds=time.monotonic() - self._started if seconds is None else seconds,
        )

    def set_aside(self) -> None:
        """What was paid for is on record alone: the platform called for itself."""
        self._request.provider_s += time.monotonic() - self._started

    def give_up(self, reason: str) -> None:
        """The call gave no whole answer. What was paid for and not given is thrown away."""
        self._pay_time()
        call = FailedCall(self._served.provider_name, self._served.name, reason, time.monotonic() - self._started)
        if not self._given and self._usage is not None and self._charge is not None:
            call = replace(call, usage=self._usage, cost_usd=self._charge.usd)
        self._request.failed(call)

    def close(
        self, status: str, first_token_s: float | None = None, *, reason: str | None = None, model: str | None = None
    ) -> None:
        """Put the call on record. One that nothing was paid for used nothing. `reason` and `model`: what the provider calls its
        reason for the answer's end, and itself."""
        self._request.alias, self._request.version = self._alias, self._version or None
        self._pay_time()
        more: dict[str, Any] = {}
        if self._usage is not None and self._charge is not None:
            more = {
                "tokens": classes_of(self._tokens),
                "estimated": self._usage.estimated,
                "tier": self._tokens.tier,
                "cost_usd": self._charge.usd,
                "price_basis": self._charge.basis.value,
                "price_source": self._charge.source,
                "price_since": self._charge.since,
                "list_usd": self._served.price and self._served.price.list_usd(self._tokens),
            }
        entry = ledger.Entry(
            **_whose(self._request),
            alias=self._alias,
            version=self._version,
            provider=self._served.provider_name,
            model=self._served.name,
            status=status,
            latency_ms=self._elapsed_ms() if self._took_ms is None else self._took_ms,
            first_token_ms=None if first_token_s is None else round(first_token_s * 1000, 3),
            exposure=self._request.exposures.get(self._alias),
            **more,
        )
        if self._usage is not None and self._charge is not None:
            self._bill.add(entry.at, self._usage, self._charge)
        self._request.versions.took(self._alias, entry.latency_ms, entry.cost_usd)
        _enter(entry)
        if self.span is not None:
            calls.ended(self.span, entry, reason, model)

    def drop(self) -> None:
        """There was no call, after all. In the place of `close`."""
        self._request.attempts -= 1
        if self.span is not None:
            calls.dropped(self.span)

    def _elapsed_ms(self) -> float:
        return round((time.monotonic() - self._started) * 1000, 3)

    def _pay_time(self) -> None:
        """A machine that is paid by the hour has been at work, whatever came of it."""
        price = self._served.price
        if self._charge is None and price is not None and price.goes_by_time:
            self.pay(Usage())


def enter_kept(
    request: RequestContext, *, alias: str, version: str, took: RequestContext, cost_usd: Decimal | None, cache: CacheUse
) -> None:
    """Put on record that the response cache gave the answer: no provider was called, and nobody pays. `took` tells who gave it
    and what it used, `cost_usd` what it had cost."""
    if took.provider is None or took.model is None:
        return
    request.alias, request.version = alias, version or None
    _enter(
        ledger.Entry(
            **_whose(request),
            alias=alias,
            version=version,
            provider=took.provider,
            model=took.model,
            status=OK,
            cache=cache,
            saved_tokens=_possible(took.usage.total_tokens),
            saved_usd=cost_usd,
            latency_ms=0.0,
            exposure=request.exposures.get(alias),
        )
    )


def _enter(entry: ledger.Entry) -> None:
    """Put it on record for whoever keeps and whoever counts: both see the same entries."""
    ledger.record(entry)
    metrics.called(entry)


def classes_of(tokens: Tokens) -> ledger.TokenClasses:
    """Tokens by class, none of them in two. What no answer can have is taken for the most or least that one can."""
    cached = tokens.cache_read + tokens.cache_write + tokens.cache_write_1h
    return ledger.TokenClasses(
        input=_possible(tokens.input - cached),
        cached=_possible(tokens.cache_read),
        cache_write=_possible(tokens.cache_write),
        cache_write_1h=_possible(tokens.cache_write_1h),
        output=_possible(tokens.output),
        reasoning=_possible(tokens.reasoning),
        input_audio=_possible(tokens.input_audio),
        output_audio=_possible(tokens.output_audio),
        input_image=_possible(tokens.input_image),
        output_image=_possible(tokens.output_image),
    )


def _possible(tokens: int) -> int:
    """A provider can say any number; a column of the ledger has 31 bits."""
    return tokens if 0 <= tokens <= _MOST_TOKENS else min(max(0, tokens), _MOST_TOKENS)


def _whose(request: RequestContext) -> dict[str, Any]:
    principal = request.principal
    return {
        "request_id": request.request_id,
        "tenant": principal.tenant,
        "principal": principal.id,
        "key_id": principal.key_id,
        "teams": ",".join(sorted(principal.teams)) if principal.teams else "",
        "capability": request.booked_as or request.capability,
        "session_id": request.session_id,
        "tags": request.tags,
    }
