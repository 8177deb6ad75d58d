"""Grading of live traffic: a share of an alias's answers in kept conversations is scored by a metric of evaluations.

Which answers they are is drawn by their identifiers, so that every process draws the same. One is put down before its metric
is asked: none is paid for twice, and one whose worker is killed meanwhile is unmeasured. Personal data is taken out as datasets
from conversations have it; what is kept is a number, and no text.
"""

import asyncio
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import structlog
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col, func, select, update

from chains.conversations import Conversations, KeptMessage, may_read
from core.context import RequestContext, serving
from core.database import Database, utc_now
from core.errors import PlatformError
from core.ledger import settled
from core.money import Money
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
                mine = update(MonitorGrade).where(col(MonitorGrade.message_id) == answer.id)
                await session.exec(mine.values(at=utc_now(), **values))
            graded += 1
        return graded

    def _metric(self, grading: Grading) -> _Metric:
        """Blocking: it loads the metric. Raises InvalidRequest as `Scorer.build`."""
        told = {"name": grading.metric, "options": grading.options}
        suite = Suite.model_validate({"name": "live", "dataset": "live", "target": {"alias": grading.alias}, "metrics": [told]})
        return _Metric(Scorer.build(suite, self._models), grading.metric)

    async def _drawn(self, grading: Grading, now: datetime) -> list[Any]:
        """Answers of the tenant that are to be graded, the oldest first: message, time, and whose conversation it is of."""
        message, chat = ConversationMessage, Conversation
        graded = select(MonitorGrade.message_id).where(MonitorGrade.at >= now - 2 * _BACK)
        columns: tuple[Any, ...] = (message.id, message.created_at, chat.tenant, chat.owner, chat.name, chat.collections)
        query: Any = (
            select(*columns)
            .join(chat, col(chat.id) == col(message.conversation_id))
            .where(chat.tenant == grading.tenant, chat.updated_at >= now - _BACK, message.role == "assistant")
            .where(message.created_at >= now - _BACK, message.created_at < now - _LATE, col(message.id).not_in(graded))
            .order_by(col(message.created_at))
            .limit(_DRAWN)
        )
        async with self._database.session(grading.tenant) as session:
            rows = (await session.exec(query)).all()
        principal = replace(SYSTEM, tenant=grading.tenant)
        return [row for row in rows if is_drawn(row.id, grading.share) and may_read(principal, row.collections)][:_AT_ONCE]

    async def _may_spend(self, grading: Grading, now: datetime) -> bool:
        """Whether there is room for one more as dear as the dearest of the day. What has no known price ends the day."""
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        cost: Any = col(MonitorGrade.cost_usd)
        query = select(cost).where(MonitorGrade.alias == grading.alias, MonitorGrade.at >= midnight)
        async with self._database.session(grading.tenant) as session:
            found = (await session.exec(query)).all()
        costs = [cost for cost in found if cost is not None]
        together = sum(costs, Decimal(0))
        room = together + max(costs, default=Decimal(0)) <= grading.usd_a_day and together < grading.usd_a_day
        return room and len(costs) == len(found)

    async def _of(self, answer: Any) -> Named | None:
        """Which series an answer is of: the call that ended when it was kept. None: it is of the response cache, or of none."""
        row = LedgerRow
        query = select(row).where(
            row.tenant == answer.tenant, row.principal == answer.owner, row.session_id == answer.name, row.status == OK,
            row.at >= answer.created_at - _APART, row.at < answer.created_at + _LATE,
        )  # fmt: skip
        async with self._database.session(answer.tenant) as session:
            rows = (await session.exec(query)).all()
        if not rows:
            return None
        call = min(rows, key=lambda each: abs(each.at - answer.created_at))
        return None if call.cache is not None else Named(call.alias, call.provider, call.model, call.version or "")

    async def _taken(self, answer: Any, named: Named, grading: Grading, now: datetime) -> bool:
        """Whether it is ours to grade: nobody has it yet."""
        values = {"message_id": answer.id, "tenant": answer.tenant, "at": now, "metric": grading.metric, **named._asdict()}
        values |= {"why": INTERRUPTED, "cost_usd": Decimal(0)}
        insert = sqlite.insert if self._database.is_sqlite else postgresql.insert
        new = insert(MonitorGrade).values(**values).on_conflict_do_nothing().returning(col(MonitorGrade.message_id))
        async with self._database.transaction(all_tenants=True) as session:
            return (await (await session.connection()).execute(new)).first() is not None

    async def _score(self, answer: Any, grading: Grading, metric: _Metric) -> tuple[Score, Decimal | None]:
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
    row = MonitorGrade
    groups: tuple[Any, ...] = (row.tenant, row.alias, row.metric, row.why)
    sums: tuple[Any, ...] = (func.count(), func.sum(row.value), func.sum(row.cost_usd, type_=Money))
    query = select(*groups, *sums).where(row.at >= since).group_by(*groups).order_by(*groups[:3])
    async with database.session(tenant, all_tenants=tenant is None) as session:
        rows = (await session.exec(query)).all()
    found: list[Graded] = []
    keys: list[tuple[str, str, str]] = [(each[0], each[1], each[2]) for each in rows]
    for key in dict.fromkeys(keys):
        mine = [each[3:] for each in rows if tuple(each[:3]) == key]
        measured = sum(number for why, number, _, _ in mine if why is None)
        together = math.fsum(values or 0.0 for _, _, values, _ in mine)
        whys = {why: number for why, number, _, _ in mine if why is not None}
        paid = sum((cost for _, _, _, cost in mine if cost is not None), Decimal(0))
        found.append(Graded(*key, measured, together / measured if measured else None, whys, paid))
    return found
