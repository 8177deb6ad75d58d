"""An experiment's life: a draft that is started once, ended once, and promotes its winner unless something else is live."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import select

from core.database import Database
from core.errors import Forbidden, InvalidRequest, PlatformError, Unavailable
from core.principals import ROLE_SCOPES, SYSTEM, Principal, Role, Scope, held_in
from core.tables import AuditEvent, Experiment, ExperimentState
from evals.experiments.book import ExperimentBook, NewExperiment
from evals.experiments.ending import Ending
from providers.experiment_definition import Definition
from tests.evals.experiments.versioned import Shelf

ADMIN = Principal("usr_1", "acme", "Ada", Role.ADMIN, held_in("acme", ROLE_SCOPES[Role.ADMIN]))
OPERATOR = replace(SYSTEM, id="usr_0")
WON = Ending(ExperimentState.CONCLUDED, "verdict", 1)


def new(name: str = "one", alias: str = "default", *, everywhere: bool = False, **more: Any) -> NewExperiment:
    variants = [{"name": "control"}, {"name": "new", "version": 2}]
    return NewExperiment(name, alias, Definition.model_validate({"variants": variants} | more), everywhere)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def book(database: Database, shelf: Shelf) -> ExperimentBook:
    return ExperimentBook(database, shelf)


async def started(book: ExperimentBook, principal: Principal = ADMIN, **more: Any) -> Experiment:
    await book.create(principal, new(**more))
    return await book.start(principal, "one")


async def code_of(awaitable: Any) -> str:
    with pytest.raises(PlatformError) as refused:
        await awaitable
    return refused.value.code


async def test_the_control_is_pinned_to_what_is_live_at_the_start(book: ExperimentBook, shelf: Shelf) -> None:
    await book.create(ADMIN, new())
    shelf.now["default"] = 3
    row = await book.start(ADMIN, "one")
    shelf.now["default"] = 2
    assert [each["version"] for each in (await book.get(ADMIN, "one")).definition["variants"]] == [3, 2]
    assert (row.state, row.started_at is not None) == ("running", True)


async def test_a_version_is_not_compared_with_itself_unless_that_is_said(book: ExperimentBook, shelf: Shelf) -> None:
    await book.create(ADMIN, new())
    shelf.now["default"] = 2
    assert await code_of(book.start(ADMIN, "one")) == "nothing_to_compare"
    same = [{"name": "control", "version": 2}, {"name": "again", "version": 2}]
    await book.create(ADMIN, new("two", variants=same))
    assert (await book.start(ADMIN, "two")).state == "running"


async def test_who_may_not_deploy_tries_no_draft_nor_what_was_taken_back(book: ExperimentBook, shelf: Shelf) -> None:
    shelf.drafts = {2}
    assert await code_of(book.create(ADMIN, new())) == "operators_only"
    await book.create(OPERATOR, new())
    shelf.drafts = set()
    await book.create(ADMIN, new())
    shelf.drafts = {2}
    assert await code_of(book.start(ADMIN, "one")) == "operators_only"
    assert (await book.start(OPERATOR, "one")).state == "running"


async def test_an_operator_alone_is_shown_another_tenants(book: ExperimentBook) -> None:
    row = await started(book)
    assert (await book.get(OPERATOR, "one", tenant="acme")).id == row.id
    assert await code_of(book.get(ADMIN, "one", tenant="default")) in ("forbidden", "operators_only")


async def test_what_does_not_exist_is_told(book: ExperimentBook) -> None:
    assert await code_of(book.create(ADMIN, new(alias="other"))) == "model_not_found"
    variants = [{"name": "control"}, {"name": "new", "version": 9}]
    assert await code_of(book.create(ADMIN, new(variants=variants))) == "version_not_found"
    await book.create(ADMIN, new())
    assert await code_of(book.create(ADMIN, new())) == "experiment_exists"
    assert await code_of(book.get(replace(ADMIN, tenant="globex"), "one")) == "experiment_not_found"


async def test_what_runs_is_neither_changed_nor_deleted_nor_started_again(book: ExperimentBook) -> None:
    row = await started(book)
    definition = Definition.model_validate(row.definition)
    assert await code_of(book.change(ADMIN, "one", definition)) == "experiment_started"
    assert await code_of(book.start(ADMIN, "one")) == "experiment_started"
    assert await code_of(book.delete(ADMIN, "one")) == "experiment_running"
    await book.end(ADMIN, row, Ending(ExperimentState.STOPPED, "stopped"), promote=False)
    assert await code_of(book.start(ADMIN, "one")) == "experiment_started"
    await book.delete(ADMIN, "one")
    assert await code_of(book.get(ADMIN, "one")) == "experiment_not_found"


async def test_what_it_takes_to_reach_other_tenants_and_to_deploy(book: ExperimentBook) -> None:
    with pytest.raises(Forbidden):
        await book.create(ADMIN, new(everywhere=True))
    with pytest.raises(InvalidRequest):
        await book.create(ADMIN, new(targeting={"tenants": ["acme"]}))
    with pytest.raises(Forbidden):
        await book.create(replace(OPERATOR, scopes=frozenset({Scope.EXPERIMENTS_MANAGE})), new(rules={"promote": True}))
    with pytest.raises(Forbidden):
        await book.create(ADMIN, new(rules={"promote": True}))
    assert (await book.create(OPERATOR, new(everywhere=True, rules={"promote": True}))).everywhere


async def test_of_many_who_end_it_one_does_and_the_winner_is_deployed_once(book: ExperimentBook, shelf: Shelf) -> None:
    row = await started(book, OPERATOR)
    ends = await asyncio.gather(*(book.end(SYSTEM, row, WON, promote=True) for _ in range(4)))
    (ended,) = [each for each in ends if each is not None]
    assert (ended.state, ended.end_reason, ended.promoted) == ("concluded", "verdict", 2)
    assert shelf.told == [("system", 2, "experiment one: new has won")]
    assert await book.unpromoted() == []


async def test_what_was_made_live_meanwhile_stays_live(book: ExperimentBook, shelf: Shelf) -> None:
    row = await started(book, OPERATOR)
    shelf.now["default"] = 3
    ended = await book.end(SYSTEM, row, WON, promote=True)
    assert ended is not None
    assert (ended.promoted, (ended.verdict or {})["not_promoted"], shelf.now["default"]) == (None, "live_version_changed", 3)
    assert await book.unpromoted() == []


async def test_a_promotion_that_failed_for_now_is_tried_again(book: ExperimentBook, shelf: Shelf) -> None:
    row = await started(book, OPERATOR)
    shelf.refusal = Unavailable("Not now.")
    await book.end(SYSTEM, row, WON, promote=True)
    (waiting,) = await book.unpromoted()
    shelf.refusal = None
    assert (await book.promote(SYSTEM, waiting)).promoted == 2
    assert await book.unpromoted() == []


async def test_a_winner_that_is_the_control_has_nothing_deployed(book: ExperimentBook, shelf: Shelf) -> None:
    row = await started(book, OPERATOR)
    ended = await book.end(OPERATOR, row, Ending(ExperimentState.CONCLUDED, "concluded", 0), promote=True)
    assert ended is not None
    assert (ended.promoted, shelf.told) == (1, [])


async def test_each_look_is_one_processes(book: ExperimentBook) -> None:
    await started(book)
    await book.create(ADMIN, new("two"))
    claimed = await asyncio.gather(*(book.claim(timedelta(minutes=1)) for _ in range(5)))
    assert sorted(len(each) for each in claimed) == [0, 0, 0, 0, 1]
    assert len(await book.claim(timedelta(0))) == 1


async def test_all_of_it_is_on_record(book: ExperimentBook, database: Database) -> None:
    row = await started(book, OPERATOR)
    await book.end(SYSTEM, row, WON, promote=False)
    async with database.session("default") as session:
        events = (await session.exec(select(AuditEvent).order_by("number"))).all()
    assert [event.action for event in events][-3:] == ["experiment.created", "experiment.started", "experiment.ended"]
