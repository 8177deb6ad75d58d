"""Feedback: for requests of one's own, once each, with comments sealed and cleaned, and none where nothing is kept."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlmodel import select

from core.context import RequestContext
from core.database import Database
from core.errors import InvalidRequest, NotFound, PersonalDataBlocked
from core.feedback import FeedbackBook, Judgement
from core.ledger.inserts import Inserts
from core.policies.policy import Policy
from core.policies.privacy import Privacy
from core.policies.store import Policies
from core.principals import ROLE_SCOPES, Principal, Role
from core.tables import Feedback
from tests.core.ledger.test_writer import entry

USER = Principal("usr_1", "acme", "Ada", Role.USER, ROLE_SCOPES[Role.USER])
COLLEAGUE = replace(USER, id="usr_2")
ANALYST = Principal("usr_3", "acme", "An", Role.ANALYST, ROLE_SCOPES[Role.ANALYST])
ADMIN = Principal("usr_4", "acme", "Ad", Role.ADMIN, ROLE_SCOPES[Role.ADMIN])


def by(principal: Principal, **more: Any) -> RequestContext:
    return RequestContext(request_id="req_now", principal=principal, **more)


def book_of(database: Database, policy: dict[str, Any] | None = None) -> FeedbackBook:
    policies = Policies(Policy.model_validate(policy or {}))
    return FeedbackBook(database, Privacy(policies), policies)


@pytest.fixture
async def book(database: Database) -> FeedbackBook:
    inserts = Inserts(database._settings)
    await asyncio.to_thread(inserts.add, [entry("req_1").row(), entry("req_2", tenant="globex").row()])
    await asyncio.to_thread(inserts.close)
    return book_of(database)


async def test_what_is_said_again_takes_the_place_of_what_was_said(book: FeedbackBook, database: Database) -> None:
    first, _ = await book.give(by(USER), Judgement("req_1", 0.0, "No source at all.", ["no_source"]))
    second, comment = await book.give(by(USER), Judgement("req_1", 1.0, "It came after all."))
    assert (first.id, comment) == (second.id, "It came after all.")
    async with database.session("acme") as session:
        (row,) = (await session.exec(select(Feedback))).all()
    assert (row.score, row.labels) == (1.0, [])
    assert row.comment is not None
    assert b"after all" not in row.comment


async def test_several_at_once_are_one(book: FeedbackBook, database: Database) -> None:
    await asyncio.gather(*(book.give(by(USER), Judgement("req_1", number / 4)) for number in range(5)))
    async with database.session("acme") as session:
        assert len((await session.exec(select(Feedback))).all()) == 1


async def test_another_s_request_is_not_found_but_by_who_manages_experiments(book: FeedbackBook) -> None:
    for principal, request in ((COLLEAGUE, "req_1"), (USER, "req_2"), (ADMIN, "req_2"), (ADMIN, "req_9")):
        with pytest.raises(NotFound, match="no such request"):
            await book.give(by(principal), Judgement(request, 1.0))
    row, _ = await book.give(by(ADMIN), Judgement("req_1", scores={"faithful": 0.5}))
    assert (row.score, row.scores) == (None, {"faithful": 0.5})


async def test_who_reads_sees_what_they_may(book: FeedbackBook) -> None:
    await book.give(by(USER), Judgement("req_1", 1.0, "Fine."))
    await book.give(by(ADMIN), Judgement("req_1", 0.0, "Not fine."))

    async def seen(principal: Principal) -> set[tuple[str, str | None]]:
        rows, _ = await book.page(principal, 10, None)
        return {(row.principal, comment) for row, comment in rows}

    assert await seen(USER) == {("usr_1", "Fine.")}
    assert await seen(COLLEAGUE) == set()
    assert await seen(ANALYST) == {("usr_1", None), ("usr_4", None)}
    assert await seen(ADMIN) == {("usr_1", "Fine."), ("usr_4", "Not fine.")}
    assert await seen(replace(ADMIN, tenant="globex")) == set()


async def test_pages_go_on_where_the_one_before_ended(book: FeedbackBook) -> None:
    for principal in (USER, ADMIN, replace(ADMIN, id="usr_5")):
        await book.give(by(principal), Judgement("req_1", 1.0))
    first, position = await book.page(ADMIN, 2, None)
    rest, end = await book.page(ADMIN, 2, position)
    assert (len(first), len(rest), end) == (2, 1, None)
    assert len({row.id for row, _ in first + rest}) == 3


async def test_personal_data_in_a_comment_is_taken_out_or_keeps_it_out(book: FeedbackBook, database: Database) -> None:
    said = Judgement("req_1", 0.0, "Write to ada@example.com about it.")
    _, comment = await book_of(database, {"pii": {"*": "pseudonymise"}}).give(by(USER), said)
    assert comment == "Write to <EMAIL_ADDRESS> about it."
    with pytest.raises(PersonalDataBlocked):
        await book_of(database, {"pii": {"feedback": "block"}}).give(by(USER), said)


async def test_where_nothing_is_kept_a_number_is_and_a_comment_is_not(book: FeedbackBook, database: Database) -> None:
    silent = book_of(database, {"retention": {"none": True}})
    await silent.give(by(USER), Judgement("req_1", 1.0))
    with pytest.raises(InvalidRequest) as refused:
        await silent.give(by(USER), Judgement("req_1", 1.0, "Fine."))
    assert refused.value.code == "nothing_kept"
    with pytest.raises(InvalidRequest):
        await book.give(by(USER, keep_nothing=True), Judgement("req_1", 1.0, "Fine."))


async def test_it_is_taken_back_by_who_gave_it(book: FeedbackBook) -> None:
    await book.give(by(USER), Judgement("req_1", 1.0))
    with pytest.raises(NotFound):
        await book.withdraw(ADMIN, "req_1")
    await book.withdraw(USER, "req_1")
    assert (await book.page(ADMIN, 10, None))[0] == []
