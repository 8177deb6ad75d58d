"""How a canary does by the ledger, beside the version that is live, and what its rules make of that."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import case, func, select

from core.database import Database, utc_now
from core.tables import LedgerRow, Registered, RegistryHead
from providers.accounting import CANCELLED, OK
from providers.failures import HARMLESS
from providers.registry.plans import Plan
from providers.registry.store import Registry

#: The live version is measured from so long before a step on: a large candidate leaves it few calls.
BEFORE: Final = timedelta(days=1)
#: They say nothing of a version.
_APART: Final = (CANCELLED, *(kind.value for kind in HARMLESS))
_ROW: Any = LedgerRow.__table__.c  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Measured:
    """Calls of a version, as the ledger has them. None: there was nothing to measure it by."""

    calls: int
    failed: int
    latency_ms: float | None
    cost_usd: float | None

    @property
    def error_rate(self) -> float | None:
        return self.failed / self.calls if self.calls else None

    def told(self) -> dict[str, Any]:
        return {
            "calls": self.calls,
            "error_rate": None if self.error_rate is None else round(self.error_rate, 4),
            "latency_ms": None if self.latency_ms is None else round(self.latency_ms, 1),
            "cost_usd": self.cost_usd,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a step comes to, why, and by which figures."""

    well: bool
    reason: str
    figures: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate in a step of its plan, beside the live version. `score` is what an evaluation gave it; None: none did."""

    plan: Plan
    step: int
    since: datetime
    candidate: Measured
    live: Measured
    score: float | None

    def verdict(self, now: datetime) -> Verdict | None:
        """Whether it goes on or is taken back; None: it is too early to say, or something that a rule asks for was not
        measured, and it stays at its step."""
        held = self._held_to()
        if wrong := next((name for name, is_well in held.items() if is_well is False), None):
            return Verdict(well=False, reason=f"The rule {wrong} does not hold.", figures=self._figures())
        if any(is_well is None for is_well in held.values()):
            return None
        if now < self.since + timedelta(minutes=self.plan.steps[self.step].minutes):
            return None
        return Verdict(well=True, reason="The step is over, and its rules hold.", figures=self._figures())

    def _held_to(self) -> dict[str, bool | None]:
        """Each rule that is given: whether it holds, None where that is not known."""
        rules, enough = self.plan.rules, self.candidate.calls >= self.plan.rules.min_calls
        found: dict[str, bool | None] = {}
        if rules.min_score is not None:
            found["min_score"] = self.score is not None and self.score >= rules.min_score
        if rules.max_error_rate is not None:
            found["max_error_rate"] = _within(self.candidate.error_rate, rules.max_error_rate) if enough else None
        for name, most, own, other in (
            ("max_latency_ratio", rules.max_latency_ratio, self.candidate.latency_ms, self.live.latency_ms),
            ("max_cost_ratio", rules.max_cost_ratio, self.candidate.cost_usd, self.live.cost_usd),
        ):
            if most is not None:
                enough_of_both = enough and self.live.calls >= rules.min_calls
                found[name] = _within(own, None if other is None else most * other) if enough_of_both else None
        return found

    def _figures(self) -> dict[str, Any]:
        return {"step": self.step, "candidate": self.candidate.told(), "live": self.live.told(), "score": self.score}


def _within(value: float | None, most: float | None) -> bool | None:
    return None if value is None or most is None else value <= most


async def trial_of(database: Database, head: RegistryHead) -> Trial | None:
    """How a canary does now; None where there is none."""
    if head.candidate is None or head.live is None or head.plan is None:
        return None
    version = await Registry(database).version(Registered.MODEL, head.name, head.candidate)
    return Trial(
        plan=Plan.model_validate(head.plan),
        step=head.step,
        since=head.step_since,
        candidate=await _measured(database, head.name, head.candidate, head.step_since),
        live=await _measured(database, head.name, head.live, head.step_since - BEFORE),
        score=version.score,
    )


async def verdict_of(database: Database, head: RegistryHead) -> Verdict | None:
    """What a canary comes to now; None where it goes on as it is."""
    trial = await trial_of(database, head)
    return None if trial is None else trial.verdict(utc_now())


async def _measured(database: Database, alias: str, number: int, since: datetime) -> Measured:
    answered = _ROW.status == OK
    query = select(
        func.count(),
        func.sum(case((answered, 0), else_=1)),
        func.avg(case((answered, _ROW.latency_ms))),
        func.sum(_ROW.cost_usd),
        func.count(_ROW.cost_usd),
    ).where(
        _ROW.at >= since,
        _ROW.alias == alias,
        _ROW.version.startswith(f"{number}-", autoescape=True),
        _ROW.cache.is_(None),
        _ROW.status.not_in(_APART),
    )
    async with database.session(all_tenants=True) as session:
        calls, failed, latency_ms, cost, priced = (await (await session.connection()).execute(query)).one()
    return Measured(
        calls=calls,
        failed=int(failed or 0),
        latency_ms=None if latency_ms is None else float(latency_ms),
        cost_usd=float(cost) / priced if priced else None,
    )
