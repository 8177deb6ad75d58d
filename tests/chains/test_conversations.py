import asyncio
from dataclasses import replace

import pytest
from sqlmodel import select, update

from chains.conversations import Conversations
from chains.messages import Assistant, System, Tool, User
from core.database import Database
from core.errors import Forbidden, InvalidRequest, NotFound
from core.policies.privacy import Record
from core.principals import SYSTEM, Scope
from core.redaction.entities import PIIType
from core.tables import AuditEvent, Conversation

ANN = replace(SYSTEM, id="key_ann")
BOB = replace(SYSTEM, id="key_bob")
ELSEWHERE = replace(ANN, tenant="other")


async def test_messages_come_back_as_they_were_said(database: Database) -> None:
    kept = Conversations(database)
    said = [System(content="s"), User(content="ü🙂"), Assistant(content="b"), Tool(content="r", tool_call_id="1")]
    await kept.append(ANN, "s1", said[:2])
    await kept.append(ANN, "s1", said[2:])
    assert await kept.history(ANN, "s1") == said


@pytest.mark.parametrize("other", [BOB, ELSEWHERE])
async def test_a_session_is_its_owners_alone(database: Database, other: object) -> None:
    kept = Conversations(database)
    await kept.append(ANN, "s1", [User(content="secret")])
    assert await kept.history(other, "s1") == []  # type: ignore[arg-type]
    assert await kept.page(other) == ([], None)  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        await kept.read(other, "s1")  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        await kept.delete(other, "s1")  # type: ignore[arg-type]
    await kept.append(other, "s1", [User(content="mine")])  # type: ignore[arg-type]
    assert await kept.history(ANN, "s1") == [User(content="secret")]


async def test_turns_that_are_added_at_once_stay_together(database: Database) -> None:
    kept = Conversations(database)
    await kept.append(ANN, "s1", [System(content="s")])
    turns = [[User(content=f"q{number}"), Assistant(content=f"a{number}")] for number in range(8)]
    await asyncio.gather(*(kept.append(ANN, "s1", turn) for turn in turns))
    history = await kept.history(ANN, "s1")
    pairs = list(zip(history[1::2], history[2::2], strict=True))
    assert sorted(question.content for question, _ in pairs) == [f"q{number}" for number in range(8)]
    assert all(question.content[1:] == answer.content[1:] for question, answer in pairs)


async def test_two_first_messages_at_once_make_one_session(database: Database) -> None:
    kept = Conversations(database)
    await asyncio.gather(*(kept.append(ANN, "s1", [User(content=str(number))]) for number in range(5)))
    assert len(await kept.history(ANN, "s1")) == 5


async def test_sessions_and_messages_page_without_gaps(database: Database) -> None:
    kept = Conversations(database)
    for number in range(5):
        await kept.append(ANN, f"s{number}", [User(content=str(index)) for index in range(3)])
    seen, position = await kept.page(ANN, limit=2)
    while position is not None:
        more, position = await kept.page(ANN, limit=2, after=position)
        seen += more
    assert [session.session_id for session in seen] == ["s4", "s3", "s2", "s1", "s0"]
    _, first, after = await kept.read(ANN, "s0", limit=2)
    _, second, end = await kept.read(ANN, "s0", limit=2, after=after)
    assert [message.position for message in first + second] == [0, 1, 2]
    assert end is None


@pytest.mark.parametrize("cursor", ["x", "2020-01-01|a", "0001-01-01T00:00:00+23:59|a", "9" * 30])
async def test_a_strange_cursor_is_refused(database: Database, cursor: str) -> None:
    kept = Conversations(database)
    await kept.append(ANN, "s1", [User(content="x")])
    with pytest.raises(InvalidRequest):
        await kept.page(ANN, after=cursor)
    with pytest.raises(InvalidRequest):
        await kept.read(ANN, "s1", after=cursor)


async def test_a_deleted_session_is_gone(database: Database) -> None:
    kept = Conversations(database)
    await kept.append(ANN, "s1", [User(content="x")])
    await kept.delete(ANN, "s1")
    assert await kept.history(ANN, "s1") == []
    with pytest.raises(NotFound):
        await kept.delete(ANN, "s1")
    async with database.session(ANN.tenant) as session:
        recorded = (await session.exec(select(AuditEvent).where(AuditEvent.action == "conversation.deleted"))).all()
    assert [(event.actor, "s1" in repr(event.model_dump())) for event in recorded] == [(ANN.id, False)]


async def test_a_long_history_gives_its_newest_messages_and_what_the_system_said(database: Database) -> None:
    kept = Conversations(database)
    await kept.append(ANN, "s1", [System(content="s"), *(User(content=str(number)) for number in range(20))])
    assert [message.content for message in await kept.history(ANN, "s1", newest=3)] == ["s", "17", "18", "19"]


async def test_turns_at_once_that_gave_one_pseudonym_to_two_values_are_told_apart(database: Database) -> None:
    conversations = Conversations(database)
    records = [Record(), Record()]
    for record, name in zip(records, ("Maria Schmidt", "Herbert Miller"), strict=True):
        record.given.add(record.pseudonyms.pseudonym(PIIType.PERSON, name))
    for record in records:
        await conversations.append(SYSTEM, "both", [User(content="Ask <PERSON_1>.")], privacy=record, renames=True)
    kept = Record()
    kept.take_up(await conversations.privacy(SYSTEM, "both"))
    assert kept.pseudonyms.mapping == {"<PERSON_1>": "Maria Schmidt", "<PERSON_2>": "Herbert Miller"}
    assert kept.given == {"<PERSON_1>", "<PERSON_2>"}
    assert [message.content for message in await conversations.history(SYSTEM, "both")] == [
        "Ask <PERSON_1>.",
        "Ask <PERSON_2>.",
    ]


HANDBOOK = replace(ANN, collections=frozenset({"handbook"}))
NO_RAG = replace(ANN, scopes=frozenset({Scope.CHAT_INVOKE}))


async def test_a_key_that_may_not_ask_a_collection_neither_reads_a_session_of_it_nor_goes_on(database: Database) -> None:
    kept = Conversations(database)
    await kept.append(ANN, "s", [User(content="what is the code?"), Assistant(content="4711")], collection="private")
    for principal in (HANDBOOK, NO_RAG):
        for reading in (kept.read, kept.delete):
            with pytest.raises(NotFound):
                await reading(principal, "s")
        for going_on in (kept.history(principal, "s"), kept.privacy(principal, "s"), kept.append(principal, "s", [])):
            with pytest.raises(Forbidden) as refused:
                await going_on
            assert refused.value.code == "session_not_allowed"
        assert await kept.page(principal) == ([], None)
    assert len(await kept.history(ANN, "s")) == 2


async def test_a_session_remembers_every_collection_that_was_asked_in_it(database: Database) -> None:
    kept = Conversations(database)
    await kept.append(HANDBOOK, "s", [User(content="1")])
    await kept.append(HANDBOOK, "s", [User(content="2")], collection="handbook")
    await kept.append(HANDBOOK, "chat", [User(content="3")])
    assert len(await kept.history(HANDBOOK, "s")) == 2
    assert len(await kept.history(NO_RAG, "chat")) == 1
    await kept.append(ANN, "s", [User(content="4")], collection="private")
    with pytest.raises(Forbidden):
        await kept.history(HANDBOOK, "s")


async def test_a_session_of_which_it_is_not_known_is_for_keys_without_limits(database: Database) -> None:
    kept = Conversations(database)
    await kept.append(ANN, "s", [User(content="of an earlier version")])
    async with database.transaction(all_tenants=True) as session:
        await session.exec(update(Conversation).values(collections=None))
    await kept.append(ANN, "s", [User(content="asked later")], collection="handbook")
    assert len(await kept.history(ANN, "s")) == 2
    for principal in (HANDBOOK, NO_RAG):
        with pytest.raises(Forbidden):
            await kept.history(principal, "s")


async def test_a_page_is_filled_with_what_may_be_read(database: Database) -> None:
    kept = Conversations(database)
    for number in range(9):
        await kept.append(ANN, f"s{number}", [User(content="x")], collection="private" if number % 3 else "handbook")
    found, position = await kept.page(HANDBOOK, limit=2)
    assert [each.session_id for each in found] == ["s6", "s3"]
    rest, end = await kept.page(HANDBOOK, limit=2, after=position)
    assert ([each.session_id for each in rest], end) == (["s0"], None)
