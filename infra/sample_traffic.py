"""A month of somebody else's traffic, the same each time: for pictures of a platform that is used."""

import random
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from core.database import Database, keyring_of, utc_now
from core.ledger import Entry, TokenClasses
from core.settings import Settings
from core.tables import AnomalyState, Exposure, Feedback, LedgerRow, MonitorAnomaly, MonitorSketch
from retrievers.sketches import CLASSES, DIRECTIONS

#: Alias, provider, model, dollars and milliseconds of a call, and how much of the traffic it is.
_CALLED = (
    ("default", "openai", "gpt-5-mini", 0.0008, 700, 40),
    ("default", "azure", "gpt-5-mini", 0.0009, 900, 12),
    ("fast", "bedrock", "nova-micro", 0.0001, 350, 25),
    ("careful", "anthropic", "claude-sonnet", 0.011, 2200, 15),
    ("careful", "vertex", "gemini-pro", 0.008, 1800, 8),
)
_AILING = "azure"
#: Minutes ago that one of the providers began to ail.
_SINCE = 14


class Traffic:
    """Written into a platform's own database. `dice` are the same each time."""

    def __init__(self, settings: Settings) -> None:
        self._database = Database(settings, keyring_of(settings))
        self._dice = random.Random(7)  # noqa: S311 - nothing of it is secret

    async def close(self) -> None:
        await self._database.close()

    async def write(self) -> None:
        """The last hour by the minute, the month before it, and what the monitors have seen of one provider."""
        now = utc_now()
        entries = [*self._hour(now), *self._month(now)]
        since = now - timedelta(minutes=_SINCE)
        seen: dict[str, Any] = {
            "series": "0" * 24,
            "version": "",
            "kind": "step",
            "state": AnomalyState.OPEN.value,
            "worse": True,
        }
        seen |= {"alias": "default", "provider": _AILING, "model": "gpt-5-mini", "since": since, "seen_at": now, "sigmas": 6.1}
        cause = {"blamed": "provider", "why": "the same model does well at openai"}
        async with self._database.transaction(all_tenants=True) as session:
            session.add_all([LedgerRow(**entry.row()) for entry in entries])
            for metric, before, after in (("error_rate", 0.01, 0.38), ("latency_ms", 900.0, 2900.0)):
                told: dict[str, Any] = {"metric": metric, "before": before, "after": after, "cause": cause}
                session.add(MonitorAnomaly(id=secrets.token_hex(16), tenant="default", **seen, **told))

    async def experiment(self, experiment_id: str, units: int = 1200) -> None:
        """Units of an experiment: the new variant is liked a little better, and is a little slower."""
        now = utc_now()
        async with self._database.transaction("default") as session:
            for number in range(units):
                variant = number % 2
                name, request = f"{experiment_id}/{variant}/unit{number}", f"req_x{number}"
                exposed: dict[str, Any] = {"experiment_id": experiment_id, "variant": variant, "unit": f"unit{number}"}
                session.add(Exposure(id=name, tenant="default", first_at=now, **exposed))
                slow = 1.12 if variant else 1.0
                entry = self._call(
                    now - timedelta(seconds=number * 3), request, ("default", "local", "small", 0.0004, 800 * slow)
                )
                session.add(LedgerRow(**entry.row() | {"exposure": name, "status": "ok", "cache": None}))
                score = float(self._dice.random() < (0.74 if variant else 0.56))
                session.add(Feedback(tenant="default", request_id=request, principal=entry.principal, score=score))

    async def asked(self, collection_id: str, days: int = 14) -> None:
        """What was asked of a collection: since yesterday of something else, to which it has less to say."""
        this_hour = utc_now().replace(minute=0, second=0, microsecond=0)
        async with self._database.transaction("default") as session:
            for hour in range(1, 24 * days):
                topics, nearness = [0] * DIRECTIONS, [0] * CLASSES
                for _ in range(self._dice.randint(2, 12)):
                    other = hour <= 23 and self._dice.random() < 0.55
                    topics[(11 if other else 3) + round(self._dice.gauss(0, 1.6))] += 1
                    nearness[min(CLASSES - 1, max(0, round(self._dice.gauss(7 if other else 13, 1.8))))] += 1
                told: dict[str, Any] = {"questions": sum(topics), "topics": topics, "nearness": nearness}
                at = this_hour - timedelta(hours=hour)
                session.add(MonitorSketch(tenant="default", collection_id=collection_id, model="mini", at=at, **told))

    def _hour(self, now: datetime) -> Iterator[Entry]:
        for minute in range(60):
            busy = 12 if 40 < minute < 46 else 0
            for number in range(18 + busy + self._dice.randrange(10)):
                at = now - timedelta(minutes=minute, seconds=self._dice.random() * 60)
                yield self._call(at, f"req_h{minute}_{number}", self._chosen(), ailing=minute < _SINCE)

    def _month(self, now: datetime) -> Iterator[Entry]:
        midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        for day in range(1, 30):
            working = 1.0 if (midnight - timedelta(days=day)).weekday() < 5 else 0.4
            for number in range(int(90 * working)):
                at = midnight - timedelta(days=day) + timedelta(minutes=number * 13)
                yield self._call(at, f"req_m{day}_{number}", self._chosen())

    def _chosen(self) -> tuple[str, str, str, float, float]:
        alias, provider, model, dollars, ms, _ = self._dice.choices(_CALLED, [each[-1] for each in _CALLED])[0]
        return alias, provider, model, dollars, ms

    def _call(self, at: datetime, request: str, called: tuple[str, str, str, float, float], *, ailing: bool = False) -> Entry:
        alias, provider, model, dollars, ms = called
        ails = ailing and provider == _AILING
        failed = self._dice.random() < (0.38 if ails else 0.01)
        cached = not failed and self._dice.random() < 0.12
        used = TokenClasses(input=self._dice.randint(200, 2500), output=self._dice.randint(50, 700))
        took = ms * self._dice.lognormvariate(0, 0.4) * (3 if ails else 1)
        cost = Decimal(str(round(dollars * self._dice.lognormvariate(0, 0.5), 6)))
        return Entry(
            request_id=request,
            tenant="default",
            principal=self._dice.choice(("usr_ada", "usr_ben", "usr_eve")),
            alias=alias,
            provider=provider,
            model=model,
            status="timeout" if failed else "ok",
            latency_ms=0.0 if cached else took,
            first_token_ms=None if cached or failed else took * 0.3,
            capability=self._dice.choice(("chat", "chat", "rag", "code")),
            cache="hit" if cached else None,
            tokens=TokenClasses() if cached or failed else used,
            cost_usd=Decimal(0) if cached or failed else cost,
            tags={"app": self._dice.choice(("web", "mail"))},
            at=at,
        )
