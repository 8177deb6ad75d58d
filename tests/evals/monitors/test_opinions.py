"""Feedback, and grades of live traffic, in the series of what gave the answers."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlmodel import select

from chains.conversations import Conversations
from chains.messages import Assistant, User
from core.database import Database, utc_now
from core.ledger import Entry, TokenClasses
from core.monitor_settings import Grading, MonitorSettings
from core.principals import SYSTEM
from core.settings import Settings
from core.tables import Feedback, LedgerRow, MonitorGrade
from evals.monitors.grading import LiveGrading, graded_since
from evals.monitors.opinions import points_of_opinions
from evals.monitors.points import Named
from providers.models import Models
from tests.evals.monitors.watched import FIRST, POINT, SECOND, Watched, usual
from tests.fakes.openai import OpenAIFake
from tests.fakes.wire import Reply

RUBRIC = {"judge": "judge", "rubric": "Is it polite?", "lowest": 1, "highest": 5}


async def thumbs(watched: Watched, version: str, points: int, liked: Any) -> None:
    """A thumb on one call of each point."""
    async with watched.database.session(all_tenants=True) as session:
        rows = (await session.exec(select(LedgerRow).where(LedgerRow.version == version))).all()
    said = []
    for row in rows:
        ago = round((watched.now - row.at) / POINT)
        if ago <= points and row.request_id.endswith("_0"):
            given = row.at + timedelta(seconds=9)
            said.append(
                Feedback(tenant=row.tenant, request_id=row.request_id, principal="p", score=liked(ago), created_at=given)
            )
    async with watched.database.transaction(all_tenants=True) as session:
        session.add_all(said)


async def test_a_version_whose_answers_are_liked_less_is_told_of(database: Database) -> None:
    watched = Watched(database, at_eight=True)
    await watched.call({FIRST: usual}, points=400)
    await watched.call({SECOND._replace(alias="other"): usual}, points=1)
    await thumbs(watched, "v1", 400, lambda ago: float(ago > 90 or ago % 5 == 0) if ago % 10 else 0.0)
    await watched.watch.catch_up(watched.now)
    (found,) = [each for each in await watched.anomalies() if each.kind == "step"]
    assert (found.version, found.metric, found.worse, found.state) == ("v1", "feedback", True, "open")
    assert abs(found.since - watched.ago(90)) <= 10 * POINT
    assert found.before > 0.8
    assert found.after < 0.35


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_thumb_is_of_the_last_good_call_and_counts_when_it_is_given(database: Database) -> None:
    watched = Watched(database, at_eight=True)
    embedded = Named("embeddings", "local", "mini", "v1")
    await watched.call({embedded: usual, FIRST: usual}, points=1, calls=1)
    await watched.call({SECOND: lambda _: {"status": "server_error"}}, points=1, calls=1)
    async with database.transaction(all_tenants=True) as session:
        for row in await session.exec(select(LedgerRow).where(LedgerRow.alias == "default")):
            row.at += timedelta(seconds=1)
            session.add(row)
        late = watched.now + timedelta(hours=3)
        session.add(Feedback(tenant="acme", request_id="req_1_0", principal="p", score=0.5, created_at=late))
        session.add(Feedback(tenant="globex", request_id="req_1_0", principal="p", score=0.5, created_at=late))
    (found,) = await points_of_opinions(database, watched.now, late + POINT, 300)
    assert (found.named, found.tenant, found.at) == (FIRST, "acme", late)
    assert (found.sums.judged, found.sums.liking, found.sums.calls) == (1, 0.5, 0)


@pytest.fixture
def judge() -> Iterator[OpenAIFake]:
    with OpenAIFake() as fake:
        yield fake


@pytest.fixture
async def traffic(database: Database, settings: Settings, judge: OpenAIFake) -> "AsyncIterator[Traffic]":
    price = {"input_usd_per_million": 1000, "output_usd_per_million": 1000}
    deployment = {"provider": "openai_compatible:fake", "model": "gpt-4o-mini", "price": price}
    configured = Settings.load(
        data_dir=settings.data_dir,
        providers={"openai_compatible:fake": {"base_url": judge.base_url, "api_key": "k"}},
        models=[{"alias": name, "deployments": [deployment]} for name in ("default", "judge")],
    )
    models = Models(configured)
    yield Traffic(database, models)
    await models.close()


class Traffic:
    """Conversations that were kept as they are of a chat, whose calls are in the ledger."""

    def __init__(self, database: Database, models: Models) -> None:
        self.database, self.models = database, models
        self.talks = Conversations(database)

    def grading(self, **more: Any) -> LiveGrading:
        told = {"alias": "default", "share": 1, "metric": "rubric", "options": RUBRIC} | more
        return LiveGrading(self.database, self.models, [Grading.model_validate(told)])

    async def said(self, session_id: str, question: str, answer: str, **more: Any) -> None:
        principal = replace(SYSTEM, id="usr_ada")
        await self.talks.append(principal, session_id, [User(content=question), Assistant(content=answer)])
        named = {"alias": "default", "provider": "openai", "model": "gpt", "version": "v1", "session_id": session_id}
        told: dict[str, Any] = {"status": "ok", "capability": "chat", "latency_ms": 9.0, **named, **more}
        row = Entry(request_id=f"req_{session_id}", tenant="default", principal="usr_ada", tokens=TokenClasses(), **told).row()
        async with self.database.transaction(all_tenants=True) as session:
            await (await session.connection()).execute(LedgerRow.__table__.insert(), [row])  # type: ignore[attr-defined]

    async def grades(self) -> list[MonitorGrade]:
        async with self.database.session("default") as session:
            return list((await session.exec(select(MonitorGrade))).all())


def graded(grade: int) -> Reply:
    return Reply(json.dumps({"reason": "so it is", "grade": grade}))


async def test_an_answer_is_graded_once_without_its_personal_data_and_the_grade_is_a_point(
    traffic: Traffic, judge: OpenAIFake
) -> None:
    await traffic.said("one", "I am Ada, write to ada@example.org", "Gladly, to ada@example.org.")
    judge.always(graded(4))
    soon = utc_now() + timedelta(minutes=2)
    looks = await asyncio.gather(*(traffic.grading().look(soon) for _ in range(2)))
    assert (sum(looks), len(judge.sent)) == (1, 1)
    told = json.dumps(judge.last.body)
    assert "ada@example.org" not in told
    assert "Gladly" in told
    (grade,) = await traffic.grades()
    assert (grade.value, grade.why, grade.provider, grade.version) == (0.75, None, "openai", "v1")
    assert grade.cost_usd is not None
    assert grade.cost_usd > 0
    (point,) = await points_of_opinions(traffic.database, grade.at - POINT, grade.at + POINT, 300)
    assert (point.named, point.sums.graded, point.sums.score) == (FIRST, 1, 0.75)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_no_more_is_graded_than_the_day_s_budget_pays_for(traffic: Traffic, judge: OpenAIFake) -> None:
    for number in range(4):
        await traffic.said(f"s{number}", "A question?", "An answer.")
    judge.always(graded(5))
    soon = utc_now() + timedelta(minutes=2)
    assert await traffic.grading(usd_a_day=0).look(soon) == 0
    assert await traffic.grading(usd_a_day="0.000001").look(soon) == 1  # of which nothing was known
    (first,) = await traffic.grades()
    enough_for_two = 2 * (first.cost_usd or Decimal(0))
    assert await traffic.grading(usd_a_day=enough_for_two).look(soon) == 1
    (told,) = await graded_since(traffic.database, "default", first.at - POINT)
    assert (told.measured, told.mean, told.unmeasured, told.cost_usd) == (2, 1.0, {}, enough_for_two)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_what_was_not_measured_has_a_reason_and_no_value(traffic: Traffic, judge: OpenAIFake) -> None:
    await traffic.said("one", "A question?", "An answer.")
    await traffic.said("cached", "A question?", "An answer.", cache="hit")
    await traffic.said("other", "A question?", "An answer.", alias="other")
    judge.always(Reply("five"))
    soon = utc_now() + timedelta(minutes=2)
    assert await traffic.grading(share=0.000001).look(soon) == 0
    assert await traffic.grading().look(soon) == 1
    (grade,) = await traffic.grades()
    assert (grade.value, grade.why) == (None, "unreadable_verdict")
    assert not await points_of_opinions(traffic.database, grade.at - POINT, grade.at + POINT, 300)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_metric_that_asks_nobody_costs_nothing(traffic: Traffic, judge: OpenAIFake) -> None:
    await traffic.said("one", "A question?", "As a language model I cannot say.")
    grading = traffic.grading(metric="regex", options={"pattern": "cannot say"}, usd_a_day=0)
    assert await grading.look(utc_now() + timedelta(minutes=2)) == 1
    (grade,) = await traffic.grades()
    assert (grade.value, grade.cost_usd) == (1.0, Decimal(0))
    assert not judge.sent
    assert await traffic.grading(metric="nonsense").look(utc_now()) == 0


def test_an_alias_has_one_grading() -> None:
    with pytest.raises(ValueError, match="graded by one metric"):
        MonitorSettings.model_validate({"grading": [{"alias": "default"}, {"alias": "default"}]})
