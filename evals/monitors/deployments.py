"""Deployments in the last five minutes: the share of their calls that fail, and their latency against that of the last day."""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Float, case, func, select

from core.alerts import AlertKind
from core.database import Database, utc_now
from core.jobs import EVALUATION
from core.queue import INGESTION
from core.settings import AlertSettings
from core.tables import AlertRow, LedgerRow
from evals.monitors.points import LEAST_TOKENS
from evals.monitors.verdicts import WELL_BELOW, Finding
from providers.accounting import CANCELLED, OK
from providers.failures import ALARMING, HARMLESS

LOOKED_AT: Final = timedelta(minutes=5)
_DAY: Final = timedelta(days=1)
#: Seconds for which what is usual is believed.
_BELIEVED_S: Final = 900.0
#: Milliseconds that a deployment has to be slower at least, by what is measured: what is fast may well be three times as slow.
LEAST_MS: Final = {"first_token_ms": 250.0, "token_ms": 10.0, "latency_ms": 250.0}
#: Without calls for so long, nothing says that it still goes wrong.
_SILENT: Final = timedelta(hours=1)
#: They say nothing of a deployment, or are told of for themselves.
_APART: Final = (CANCELLED, *(kind.value for kind in HARMLESS | ALARMING))
_ROW: Any = LedgerRow.__table__.c  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class _Traffic:
    """Calls and how many failed; milliseconds to the first token of streams, of each token after it, and of answers that came
    whole, each with their number. A stream's length changes neither of its own."""

    calls: int
    failed: int
    streams: int
    first_token_ms: float | None
    paced: int
    token_ms: float | None
    answers: int
    latency_ms: float | None

    def measured(self, least: int) -> dict[str, float]:
        """What there is enough of, by its name."""
        found = {
            "first_token_ms": (self.streams, self.first_token_ms),
            "token_ms": (self.paced, self.token_ms),
            "latency_ms": (self.answers, self.latency_ms),
        }
        return {name: ms for name, (number, ms) in found.items() if number >= least and ms is not None}


class DeploymentMonitor:
    """Looks at the deployments of all providers, whoever calls them."""

    kinds = frozenset({AlertKind.ERROR_RATE, AlertKind.LATENCY})

    def __init__(self, database: Database, settings: AlertSettings) -> None:
        self._database = database
        self._settings = settings
        self._usual: dict[str, _Traffic] = {}
        self._now: dict[str, _Traffic] = {}
        self._read_at = -_BELIEVED_S

    async def look(self) -> list[Finding]:
        """Those that fail often, and those that are slow."""
        now = utc_now()
        if time.monotonic() >= self._read_at + _BELIEVED_S:
            self._usual = await self._traffic(now - _DAY, now - LOOKED_AT)
            self._read_at = time.monotonic()
        self._now = await self._traffic(now - LOOKED_AT, now)
        found = []
        for key, traffic in self._now.items():
            provider, _, model = key.partition("/")
            facts = {"provider": provider, "model": model, "minutes": 5, "calls": traffic.calls}
            rate = self._rate(key)
            if traffic.calls >= self._settings.least_calls and rate >= self._settings.error_rate:
                found.append(
                    Finding(AlertKind.ERROR_RATE, key, None, facts | {"failed": traffic.failed, "rate": round(rate, 3)})
                )
            if (slow := self._slowness(key)) is not None and slow[3] >= 1:
                measure, ms, usual_ms, _ = slow
                digits = 1 if measure == "token_ms" else None
                more = {"measure": measure, "ms": round(ms, digits), "usual_ms": round(usual_ms, digits)}
                found.append(Finding(AlertKind.LATENCY, key, None, facts | more))
        return found

    def is_over(self, alert: AlertRow) -> bool:
        """Well below the limit again, or silent for an hour."""
        traffic = self._now.get(alert.key)
        if traffic is None or not traffic.calls:
            return utc_now() - alert.last_seen > _SILENT
        if alert.kind == AlertKind.ERROR_RATE:
            return self._rate(alert.key) < WELL_BELOW * self._settings.error_rate
        slow = self._slowness(alert.key)
        return slow is not None and slow[3] < WELL_BELOW

    def _rate(self, key: str) -> float:
        traffic = self._now[key]
        return traffic.failed / traffic.calls if traffic.calls else 0.0

    def _slowness(self, key: str) -> tuple[str, float, float, float] | None:
        """What is nearest to its limit, milliseconds now and usually, and the share of the limit; None where too little is
        known."""
        if (usually := self._usual.get(key)) is None:
            return None
        least, factor = self._settings.least_calls, self._settings.latency_factor
        usual = usually.measured(least)
        shares = [
            (measure, ms, usual[measure], ms / max(usual[measure] * factor, usual[measure] + LEAST_MS[measure]))
            for measure, ms in self._now[key].measured(least).items()
            if measure in usual
        ]
        return max(shares, key=lambda each: each[3], default=None)

    async def _traffic(self, begin: datetime, end: datetime) -> dict[str, _Traffic]:
        well = _ROW.status == OK
        streamed = well & _ROW.first_token_ms.is_not(None) & (_ROW.capability != EVALUATION)
        paced = streamed & (_ROW.output_tokens >= LEAST_TOKENS)
        # an ingestion embeds as many texts at once as there are, an evaluation asks what it likes: that says nothing
        whole = well & _ROW.first_token_ms.is_(None) & _ROW.capability.not_in((INGESTION, EVALUATION))
        query = (
            select(
                _ROW.provider,
                _ROW.model,
                func.count().label("calls"),
                func.count(case((~well, 1))).label("failed"),
                func.count(case((streamed, 1))).label("streams"),
                func.avg(case((streamed, _ROW.first_token_ms)), type_=Float).label("first_token_ms"),
                func.count(case((paced, 1))).label("paced"),
                func.avg(case((paced, (_ROW.latency_ms - _ROW.first_token_ms) / (_ROW.output_tokens - 1))), type_=Float).label(
                    "token_ms"
                ),
                func.count(case((whole, 1))).label("answers"),
                func.avg(case((whole, _ROW.latency_ms)), type_=Float).label("latency_ms"),
            )
            .where(_ROW.at >= begin, _ROW.at < end, _ROW.cache.is_(None), _ROW.status.not_in(_APART))
            .group_by(_ROW.provider, _ROW.model)
        )
        async with self._database.session(all_tenants=True) as session:
            rows = (await (await session.connection()).execute(query)).all()
        return {f"{provider}/{model}": _Traffic(*rest) for provider, model, *rest in rows}
