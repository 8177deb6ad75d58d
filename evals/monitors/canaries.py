"""How a canary does by the requests that went by it, beside the version that is live, and what its rules make of that."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Float, case, func, select, type_coerce

from core.database import Database, utc_now
from core.ledger.outcomes import CANCELLED, OK
from core.tables import Registered, RegistryHead, RequestOutcome
from evals.statistics.failures import evidence_for_above, evidence_for_more_often
from evals.statistics.moments import Moments
from evals.statistics.sequential import SequentialTest
from evals.statistics.two_samples import FEWEST
from providers.registry.plans import IMPLIED_ERROR_RATE, Plan
from providers.registry.store import Registry

#: Of canaries in which nothing differs, so many are taken back all the same, over all rules, steps and looks.
ALPHA: Final = 0.05
_ROW: Any = RequestOutcome.__table__.c  # type: ignore[attr-defined]
#: Errors that are told with the figures, the most frequent first.
_TOLD_ERRORS: Final = 5
#: Of dollars as SQLite keeps them.
_SQLITE_DOLLARS: Final = 1e-12
_NOTHING: Final = Moments(0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Measured:
    """Requests of a version. The moments are those of its units (a session, a person, or a request of a program), each with the
    mean of its requests: `failed` of the share that failed, `latency_ms` and `cost_usd` of those that were answered by a call.
    `errors` are the codes of those that failed, with how many there were."""

    requests: int = 0
    failed: Moments = _NOTHING
    latency_ms: Moments = _NOTHING
    cost_usd: Moments = _NOTHING
    errors: Mapping[str, int] = field(default_factory=dict)

    @property
    def error_rate(self) -> float | None:
        return self.failed.mean if self.failed.n else None

    @property
    def failures(self) -> float:
        """Units that failed, those that failed in part by their share."""
        return self.failed.mean * self.failed.n

    def told(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "units": self.failed.n,
            "error_rate": None if self.error_rate is None else round(self.error_rate, 4),
            "errors": dict(self.errors),
            "latency_ms": round(self.latency_ms.mean, 1) if self.latency_ms.n else None,
            "cost_usd": self.cost_usd.mean if self.cost_usd.n else None,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a step comes to, why, and by which figures."""

    well: bool
    reason: str
    figures: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate in a step of its plan, beside the live version in the same time. `score` is what an evaluation gave it; None:
    none did."""

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
            return Verdict(well=False, reason=self._told_wrong(wrong), figures=self._figures())
        if any(is_well is None for is_well in held.values()):
            return None
        if now < self.since + timedelta(minutes=self.plan.steps[self.step].minutes):
            return None
        return Verdict(well=True, reason="The step is over, and its rules hold.", figures=self._figures())

    def _held_to(self) -> dict[str, bool | None]:
        """Each rule that is given, and the guard against failures always: whether it holds. False: beyond doubt it does not;
        None: neither is known."""
        rules = self.plan.rules
        found: dict[str, bool | None] = {}
        if rules.min_score is not None:
            found["min_score"] = self.score is not None and self.score >= rules.min_score
        if rules.max_error_rate is None:
            found["max_error_rate"] = not self._fails_beyond(IMPLIED_ERROR_RATE)
        else:
            found["max_error_rate"] = self._is_whole(rules.max_error_rate)
        for name, most, own, other in (
            ("max_latency_ratio", rules.max_latency_ratio, self.candidate.latency_ms, self.live.latency_ms),
            ("max_cost_ratio", rules.max_cost_ratio, self.candidate.cost_usd, self.live.cost_usd),
        ):
            if most is not None:
                found[name] = self._is_within(most, own, other)
        return found

    def _told_wrong(self, rule: str) -> str:
        if rule == "max_error_rate" and self.plan.rules.max_error_rate is None:
            return f"It fails more often than the live version and than {IMPLIED_ERROR_RATE}, as no max_error_rate is given."
        return f"The rule {rule} does not hold."

    @property
    def _alpha(self) -> float:
        """Of one rule in one step. Failures are always looked at."""
        rules = self.plan.rules
        return (
            ALPHA
            / len(self.plan.steps)
            / (1 + sum(rule is not None for rule in (rules.max_latency_ratio, rules.max_cost_ratio)))
        )

    @property
    def _enough(self) -> bool:
        """Whether both were asked often enough to go on. What is beyond doubt need not wait for that."""
        least = self.plan.rules.min_calls
        return self.candidate.requests >= least and self.live.requests >= min(least, FEWEST)

    def _fails_beyond(self, most: float) -> bool:
        """Whether, beyond doubt, more fails than is allowed. What both refuse (a caller's bad input) says nothing: the
        candidate has to fail more often than the live version, too."""
        own, settled = self.candidate, 1 / self._alpha
        more_often = evidence_for_more_often(own.failures, self.live.failures, self.plan.share(self.step))
        return more_often >= settled and most < 1 and evidence_for_above(own.failures, own.failed.n, most) >= settled

    def _is_whole(self, most: float) -> bool | None:
        """Whether no more fails than is allowed; None: neither is known."""
        own, other = self.candidate, self.live
        if self._fails_beyond(most):
            return False
        if own.requests < self.plan.rules.min_calls or own.error_rate is None:
            return None
        if own.error_rate <= max(most, other.error_rate or 0.0):
            return True
        shown = SequentialTest(alpha=self._alpha, higher_is_better=False).look(other.failed, own.failed)
        return True if shown.why is None and shown.high < most else None

    def _is_within(self, most: float, own: Moments, other: Moments) -> bool | None:
        allowed = replace(other, mean=most * other.mean, variance=most**2 * other.variance)
        seen = SequentialTest(alpha=self._alpha, higher_is_better=False).look(allowed, own)
        if seen.why is None and seen.low > 0:
            return False
        return True if self._enough and own.n and other.n and own.mean <= allowed.mean else None

    def _figures(self) -> dict[str, Any]:
        return {"step": self.step, "candidate": self.candidate.told(), "live": self.live.told(), "score": self.score}


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
        live=await _measured(database, head.name, head.live, head.step_since),
        score=version.score,
    )


async def verdict_of(database: Database, head: RegistryHead) -> Verdict | None:
    """What a canary comes to now; None where it goes on as it is."""
    trial = await trial_of(database, head)
    return None if trial is None else trial.verdict(utc_now())


async def _measured(database: Database, alias: str, number: int, since: datetime) -> Measured:
    """What callers came to that were given the version by the canary's share. An experiment gives it to others, by shares of
    its own, and who has left has not seen how it ended."""
    of_version = (
        _ROW.at >= since,
        _ROW.alias == alias,
        _ROW.version.startswith(f"{number}-", autoescape=True),
        _ROW.exposure.is_(None),
        _ROW.status != CANCELLED,
    )
    fails, answered = case((_ROW.status == OK, 0.0), else_=1.0), _ROW.status == OK
    dollars = _SQLITE_DOLLARS if database.is_sqlite else 1.0
    cost = type_coerce(_ROW.cost_usd, Float) * dollars
    units = (
        select(
            func.count().label("requests"),
            func.avg(fails).label("failed"),
            func.avg(case((answered, _ROW.latency_ms))).label("latency_ms"),
            func.avg(case((answered, cost))).label("cost_usd"),
        )
        .where(*of_version)
        .group_by(_ROW.tenant, _ROW.unit)
        .subquery()
    )
    wrong = select(_ROW.status, func.count()).where(*of_version, _ROW.status != OK).group_by(_ROW.status)
    measured = [units.c[name] for name in ("failed", "latency_ms", "cost_usd")]
    sums = select(func.sum(units.c.requests), *(part for column in measured for part in _sums(column)))
    async with database.session(all_tenants=True) as session:
        connection = await session.connection()
        requests, *found = (await connection.execute(sums)).one()
        errors = (await connection.execute(wrong.order_by(func.count().desc(), _ROW.status).limit(_TOLD_ERRORS))).all()
    failed, latency, cost_of_answers = (
        Moments.of_sums(n, float(total or 0), float(squares or 0))
        for n, total, squares in zip(found[::3], found[1::3], found[2::3], strict=True)
    )
    return Measured(int(requests or 0), failed, latency, cost_of_answers, {code: int(number) for code, number in errors})


def _sums(column: Any) -> tuple[Any, ...]:
    return func.count(column), func.sum(column), func.sum(column * column)
