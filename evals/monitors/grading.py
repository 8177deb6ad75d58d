"""Grading of live traffic: a share of an alias's answers in kept conversations is scored by a metric of evaluations.

Which answers they are is drawn by their identifiers, so that every process draws the same. One is put down before its metric
is asked: none is paid for twice, and one whose worker is killed meanwhile is unmeasured. Personal data is taken out as datasets
from conversations have it; what is kept is a number, and no text.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import structlog
from sqlalchemy import Row, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from chains.conversations import Conversations, KeptMessage, may_read
from core.context import RequestContext, serving
from core.database import Database, utc_now
from core.errors import PlatformError
from core.ledger import settled
from core.monitor_settings import Grading
from core.principals import SYSTEM
from core.tables import Conversation, ConversationMessage, LedgerRow, MonitorGrade
from evals.asking import BOOKED_AS, spent
from evals.base import Metric, Outcome, Score
from evals.metrics.rubric import Rubric
from evals.monitors.points import Named
from evals.scoring import INTERRUPTED, Scorer
from evals.session_datasets import Wanted, exchanges
from evals.suites import Suite
from providers.accounting import OK

if TYPE_CHECKING:
    from providers.models import Models

log = structlog.get_logger()

#: How far back answers are drawn from, and what is waited until the ledger has a call for certain.
_BACK: Final = timedelta(hours=1)
_LATE: Final = timedelta(seconds=30)
#: What may be between the end of a call and its answer being kept: guards read it meanwhile.
_APART: Final = timedelta(minutes=1)
#: Answers that one look draws from, and grades, at most.
_DRAWN: Final = 2000
_AT_ONCE: Final = 50
_MESSAGE: Any = ConversationMessage.__table__.c  # type: ignore[attr-defined]
_CHAT: Any = Conversation.__table__.c  # type: ignore[attr-defined]
_ROW: Any = LedgerRow.__table__.c  # type: ignore[attr-defined]
_GRADE: Any = MonitorGrade.__table__.c  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class _Metric:
    """A grading's metric, and how it is asked."""

    scorer: Scorer
    label: str

    @property
    def asks(self) -> bool:
        return bool(self.scorer.asking)

    async def score(self, outcome: Outcome) -> Score:
        scores = await self.scorer.score(outcome, asking=self.asks)
        return shared(self.scorer.metrics[self.label], scores[self.label])


class LiveGrading:
    """The gradings of the settings. Belongs to the event loop of its database."""

    def __init__(self, database: Database, models: "Models", gradings: Sequence[Grading]) -> None:
        self._database, self._models = database, models
        self._gradings = gradings
        self._unusable: set[str] = set()

    async def look(self, now: datetime | None = None) -> int:
        """Grade what is drawn of the last hour's answers and has not been graded; how many have been."""
        return sum([await self._graded(each, now or utc_now()) for each in self._gradings])

    async def _graded(self, grading: Grading, now: datetime) -> int:
        try:
            metric = await asyncio.to_thread(self._metric, grading)
        except PlatformError as refusal:
            if grading.alias not in self._unusable:
                log.warning("grading.unusable", alias=grading.alias, metric=grading.metric, reason=refusal.message)
            self._unusable.add(grading.alias)
            return 0
        self._unusable.discard(grading.alias)
        graded = 0
        for answer in await self._drawn(grading, now):
            if metric.asks and not await self._may_spend(grading, now):
                break
            named = await self._of(answer)
            if named is None or named.alias != grading.alias or not await self._taken(answer, named, grading, now):
                continue
            score, cost_usd = await self._score(answer, grading, metric)
            values = {"value": score.value, "why": score.why if score.value is None else None, "cost_usd": cost_usd}
            async with self._database.transaction(grading.tenant) as session:
                mine = update(MonitorGrade).where(_GRADE.message_id == answer.id)
                await (await session.connection()).execute(mine.values(at=utc_now(), **values))
            graded += 1
        return graded

    def _metric(self, grading: Grading) -> _Metric:
        """Blocking: it loads the metric. Raises InvalidRequest as `Scorer.build`."""
        told = {"name": grading.metric, "options": grading.options}
        suite = Suite.model_validate({"name": "live", "dataset": "live", "target": {"alias": grading.alias}, "metrics": [told]})
        return _Metric(Scorer.build(suite, self._models), grading.metric)

    async def _drawn(self, grading: Grading, now: datetime) -> list[Row[Any]]:
        """Answers of the tenant that are to be graded, the oldest first: message, time, and whose conversation it is of."""
        query = (
            select(_MESSAGE.id, _MESSAGE.created_at, _CHAT.tenant, _CHAT.owner, _CHAT.name, _CHAT.collections)
            .join_from(ConversationMessage.__table__, Conversation.__table__, _CHAT.id == _MESSAGE.conversation_id)  # type: ignore[attr-defined]
            .where(_CHAT.tenant == grading.tenant, _CHAT.updated_at >= now - _BACK, _MESSAGE.role == "assistant")
            .where(_MESSAGE.created_at >= now - _BACK, _MESSAGE.created_at < now - _LATE)
            .where(_MESSAGE.id.not_in(select(_GRADE.message_id).where(_GRADE.at >= now - 2 * _BACK)))
            .order_by(_MESSAGE.created_at)
            .limit(_DRAWN)
        )
        async with self._database.session(grading.tenant) as session:
            rows = (await (await session.connection()).execute(query)).all()
        principal = replace(SYSTEM, tenant=grading.tenant)
        return [row for row in rows if is_drawn(row.id, grading.share) and may_read(principal, row.collections)][:_AT_ONCE]

    async def _may_spend(self, grading: Grading, now: datetime) -> bool:
        """Whether there is room for one more as dear as the dearest of the day. What has no known price ends the day."""
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        query = select(_GRADE.cost_usd).where(_GRADE.alias == grading.alias, _GRADE.at >= midnight)
        async with self._database.session(grading.tenant) as session:
            costs = [row.cost_usd for row in (await (await session.connection()).execute(query)).all()]
        if None in costs:
            return False
        together = sum(costs, Decimal(0))
        return together + max(costs, default=Decimal(0)) <= grading.usd_a_day and together < grading.usd_a_day

    async def _of(self, answer: Row[Any]) -> Named | None:
        """Which series an answer is of: the call that ended when it was kept. None: it is of the response cache, or of none."""
        names = [_ROW[name] for name in Named._fields]
        query = select(_ROW.at, _ROW.cache, *names).where(
            _ROW.tenant == answer.tenant, _ROW.principal == answer.owner, _ROW.session_id == answer.name, _ROW.status == OK,
            _ROW.at >= answer.created_at - _APART, _ROW.at < answer.created_at + _LATE,
        )  # fmt: skip
        async with self._database.session(answer.tenant) as session:
            rows = (await (await session.connection()).execute(query)).all()
        if not rows:
            return None
        row = min(rows, key=lambda each: abs(each.at - answer.created_at))
        return None if row.cache is not None else Named(row.alias, row.provider, row.model, row.version or "")

    async def _taken(self, answer: Row[Any], named: Named, grading: Grading, now: datetime) -> bool:
        """Whether it is ours to grade: nobody has it yet."""
        values = {"message_id": answer.id, "tenant": answer.tenant, "at": now, "metric": grading.metric, **named._asdict()}
        values |= {"why": INTERRUPTED, "cost_usd": Decimal(0)}
        async with self._database.transaction(answer.tenant) as session:
            connection = await session.connection()
            insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
            new = insert(MonitorGrade).values(**values).on_conflict_do_nothing().returning(_GRADE.message_id)
            return (await connection.execute(new)).first() is not None

    async def _score(self, answer: Row[Any], grading: Grading, metric: _Metric) -> tuple[Score, Decimal | None]:
        """The score from 0 to 1, and what it has cost."""
        principal = replace(SYSTEM, tenant=answer.tenant)
        tags = {"grading": grading.alias}
        request = RequestContext(f"grade_{answer.id}", principal, cache_control="no-store", booked_as=BOOKED_AS, tags=tags)
        try:
            kept = await Conversations(self._database).recall(replace(principal, id=answer.owner), answer.name)
            outcome = await self._outcome(answer.id, kept)
            if outcome is None:
                return Score.unmeasured("not_text"), Decimal(0)
            with serving(request):
                score = await metric.score(outcome)
            await settled()
        except PlatformError as error:
            return Score.unmeasured(error.code), spent(request)
        return score, spent(request)

    async def _outcome(self, message_id: str, kept: Sequence[KeptMessage]) -> Outcome | None:
        """The answer with all that was said before it, without personal data; None where it is no text that answers one."""
        place = next((place for place, each in enumerate(kept) if each.id == message_id), None)
        if place is None:
            return None
        said = [each.message for each in kept[: place + 1]]
        found = await exchanges(self._models.privacy.analyser, message_id, said, Wanted())
        if not found or found[-1].id != f"{message_id}-{place}":
            return None
        return Outcome(replace(found[-1], expected=None), str(found[-1].expected))


def is_drawn(message_id: str, share: float) -> bool:
    """Whether an answer is among the share that is graded."""
    number = int.from_bytes(hashlib.sha256(message_id.encode()).digest()[:8], "big")
    return number < share * 2**64


def shared(metric: Metric, score: Score) -> Score:
    """A score as a share of the best: a rubric's by its scale, turned round where less is better."""
    value = score.value
    if value is None:
        return score
    if isinstance(metric, Rubric):
        value = (value - metric.options.lowest) / (metric.options.highest - metric.options.lowest)
    if not 0 <= value <= 1:
        return Score.unmeasured("not_a_share")
    return Score(value if metric.higher_is_better else 1 - value)


@dataclass(frozen=True, slots=True)
class Graded:
    """What was graded of an alias by a metric. `unmeasured` is counted by reason; `cost_usd` is of what has a price."""

    tenant: str
    alias: str
    metric: str
    measured: int
    mean: float | None
    unmeasured: dict[str, int]
    cost_usd: Decimal


async def graded_since(database: Database, tenant: str | None, since: datetime) -> list[Graded]:
    """By alias. `tenant` None: of all tenants."""
    groups = (_GRADE.tenant, _GRADE.alias, _GRADE.metric, _GRADE.why)
    cost: Any = func.sum(_GRADE.cost_usd, type_=MonitorGrade.__table__.c.cost_usd.type)  # type: ignore[attr-defined]
    sums = (func.count().label("number"), func.sum(_GRADE.value).label("together"), cost.label("cost_usd"))
    query = select(*groups, *sums).where(_GRADE.at >= since).group_by(*groups).order_by(*groups[:3])
    async with database.session(tenant, all_tenants=tenant is None) as session:
        rows = (await (await session.connection()).execute(query)).all()
    found: list[Graded] = []
    for key in dict.fromkeys((row.tenant, row.alias, row.metric) for row in rows):
        mine = [row for row in rows if (row.tenant, row.alias, row.metric) == key]
        measured = sum(row.number for row in mine if row.why is None)
        together = sum(row.together or 0.0 for row in mine)
        whys = {row.why: row.number for row in mine if row.why is not None}
        paid = sum((row.cost_usd for row in mine if row.cost_usd is not None), Decimal(0))
        found.append(Graded(*key, measured, together / measured if measured else None, whys, paid))
    return found
