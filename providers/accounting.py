"""What one call used, what it cost and how it ended: told to the request, and put on record."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from core import ledger, metrics
from core.context import CacheUse, FailedCall, RequestContext, Usage
from providers.metering import charge_of
from providers.prices import Charge, Tokens
from providers.served import Served
from providers.spending import Bill

#: The ways a call ends beside the kinds of `providers.failures`.
OK, CANCELLED, DEADLINE, ERROR = "ok", "cancelled", "deadline_exceeded", "error"


class Account:
    """The account of one call, from when it begins: `pay` at most once, then `give` or `give_up` or both,
    then `close`, once."""

    __slots__ = ("_alias", "_bill", "_charge", "_given", "_metadata", "_request", "_served", "_started", "_usage")

    def __init__(self, request: RequestContext, served: Served, alias: str, bill: Bill) -> None:
        self._request, self._served, self._alias, self._bill = request, served, alias, bill
        self._started = time.monotonic()
        self._usage: Usage | None = None
        self._charge: Charge | None = None
        self._metadata: Mapping[str, Any] | None = None
        self._given = False

    def pay(self, usage: Usage, metadata: Mapping[str, Any] | None = None) -> None:
        """Take note of what the call used, also where it gave no whole answer: a provider counts what it has sent. `metadata`
        is LangChain's, where the provider reported any."""
        served = self._served
        self._usage, self._metadata = usage, metadata
        self._charge = charge_of(served.provider_name, served.name, usage, metadata, price=served.price)
        self._bill.add(usage, self._charge)

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
        call = FailedCall(self._served.provider_name, self._served.name, reason, time.monotonic() - self._started)
        if not self._given and self._usage is not None and self._charge is not None:
            call = replace(call, usage=self._usage, cost_usd=self._charge.usd)
        self._request.failed(call)

    def close(self, status: str, first_token_s: float | None = None) -> None:
        """Put the call on record. One that nothing was paid for used nothing."""
        more: dict[str, Any] = {}
        if self._usage is not None and self._charge is not None:
            more = {
                "tokens": classes_of(self._usage, self._metadata),
                "estimated": self._usage.estimated,
                "tier": Tokens.of(self._metadata).tier if self._metadata else None,
                "cost_usd": self._charge.usd,
                "price_basis": self._charge.basis.value,
                "price_source": self._charge.source,
                "price_since": self._charge.since,
            }
        _enter(
            ledger.Entry(
                **_whose(self._request),
                alias=self._alias,
                provider=self._served.provider_name,
                model=self._served.name,
                status=status,
                latency_ms=round((time.monotonic() - self._started) * 1000, 3),
                first_token_ms=None if first_token_s is None else round(first_token_s * 1000, 3),
                **more,
            )
        )


def enter_kept(request: RequestContext, *, alias: str, provider: str, model: str, cache: CacheUse) -> None:
    """Put on record that the response cache gave the answer: no provider was called, and nobody pays."""
    _enter(ledger.Entry(**_whose(request), alias=alias, provider=provider, model=model, status=OK, cache=cache, latency_ms=0.0))


def _enter(entry: ledger.Entry) -> None:
    """Put it on record for whoever keeps and whoever counts: both see the same entries."""
    ledger.record(entry)
    metrics.called(entry)


def classes_of(usage: Usage, metadata: Mapping[str, Any] | None) -> ledger.TokenClasses:
    """Tokens by class, none of them in two. What no answer can have is taken for the most or least that one can."""
    if not metadata:
        return ledger.TokenClasses(input=_possible(usage.input_tokens), output=_possible(usage.output_tokens))
    tokens = Tokens.of(metadata)
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
    )


def _possible(tokens: int) -> int:
    """A provider can say any number; a column of the ledger has 31 bits."""
    return min(max(0, tokens), 2**31 - 1)


def _whose(request: RequestContext) -> dict[str, Any]:
    principal = request.principal
    return {
        "request_id": request.request_id,
        "tenant": principal.tenant,
        "principal": principal.id,
        "key_id": principal.key_id,
        "capability": request.capability,
        "session_id": request.session_id,
        "tags": request.tags,
    }
