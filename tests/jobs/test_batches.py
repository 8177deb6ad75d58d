"""Batches on a real worker, database, broker and file store; the model's provider is a fake at the wire."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import update
from structlog.testing import capture_logs

from core.batch_work import BatchWork, NewRow, RowResult
from core.batches import QUEUE, RUN_BATCH, Batches
from core.database import Database, utc_now
from core.jobs import Jobs
from core.policies.policy import Policy
from core.principals import ROLE_SCOPES, SYSTEM, Principal, Role, Scope
from core.queue import Queue
from core.settings import Deployment, ModelAlias, ProviderSettings, Settings
from core.stored_files import BATCH, StoredFiles
from core.tables import APIKey, Batch, BatchRow, BatchState, JobState, Tenant, User
from jobs.base import JobContext
from jobs.batch_input import read_input
from jobs.batches import run_batch
from jobs.sweeper import Sweeper
from jobs.together import Together
from providers.models import Models
from tests.desks import Desk, eventually, opened
from tests.fakes.openai import OpenAIFake
from tests.fakes.wire import Fault, Reply

CHAT = "/v1/chat/completions"
MIB = 2**20
DEPLOYMENT = Deployment(provider="openai_compatible:fake", model="gpt-4o-mini")
#: For what the kind of database makes no difference to.
ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def provider() -> Iterator[OpenAIFake]:
    with OpenAIFake() as fake:
        yield fake


@pytest.fixture
async def place(database: Database, settings: Settings, provider: OpenAIFake) -> AsyncIterator[Desk]:
    url = database.engine.url.render_as_string(hide_password=False).replace("sqlite+aiosqlite", "sqlite")
    configured = Settings.load(
        data_dir=Path(settings.data_dir),
        database_url=url,
        providers={"openai_compatible:fake": ProviderSettings(base_url=provider.base_url, api_key="sk-test")},
        models=(
            ModelAlias(alias="default", deployments=(Deployment(provider="openai_compatible:fake", model="gpt-4o-mini"),)),
        ),
        jobs={"lease_s": 2},
        batches={"concurrency": 2},
    )
    models = Models(configured)
    async with opened(configured, database, models) as ready:
        yield ready
    await models.close()


def requests(count: int, endpoint: str = CHAT) -> list[dict[str, Any]]:
    return [
        {
            "custom_id": f"row-{number}",
            "method": "POST",
            "url": endpoint,
            "body": {"messages": [{"role": "user", "content": f"question {number}"}]},
        }
        for number in range(count)
    ]


async def begin(
    desk: Desk, rows: list[Any], endpoint: str = CHAT, *, send: bool = True, principal: Principal = SYSTEM
) -> Batch:
    content = b"\n".join(json.dumps(row).encode() for row in rows)
    return await begin_with(desk, content, endpoint, send=send, principal=principal)


async def begin_with(
    desk: Desk, content: bytes, endpoint: str = CHAT, *, send: bool = True, principal: Principal = SYSTEM
) -> Batch:
    stored = StoredFiles(desk.database, desk.resources.files)
    file = await stored.add(principal, content, name="in.jsonl", purpose=BATCH, size=len(content))
    batch = await Batches(desk.database).create(principal, endpoint=endpoint, input_file=file)
    if send:
        await desk.queue.send(RUN_BATCH, batch.id, queue=QUEUE)
    return batch


async def shown(desk: Desk, batch: Batch) -> Batch:
    return await Batches(desk.database).get(SYSTEM, batch.id)


async def ended(desk: Desk, batch: Batch) -> Batch:
    async def over() -> Batch | None:
        row = await shown(desk, batch)
        return row if BatchState(row.state).finished else None

    found: Batch = await eventually(over)
    return found


async def lines(desk: Desk, file_id: str | None) -> list[dict[str, Any]]:
    assert file_id is not None
    with await StoredFiles(desk.database, desk.resources.files).open(SYSTEM, file_id) as content:
        return [json.loads(line) for line in content]


def asked(provider: OpenAIFake) -> list[str]:
    """The questions that reached the provider."""
    return [sent.body["messages"][-1]["content"] for sent in provider.sent if sent.body.get("messages")]


async def test_every_request_gets_its_answer_in_the_order_of_the_input(place: Desk, provider: OpenAIFake) -> None:
    with place.worker():
        batch = await ended(place, await begin(place, requests(7)))
    assert (batch.state, batch.total, batch.answered, batch.failed) == (BatchState.COMPLETED, 7, 7, 0)
    answers = await lines(place, batch.output_file_id)
    assert [answer["custom_id"] for answer in answers] == [f"row-{number}" for number in range(7)]
    assert all(answer["response"]["body"]["choices"][0]["message"]["content"] == Reply().text for answer in answers)
    assert sorted(asked(provider)) == [f"question {number}" for number in range(7)]
    assert batch.error_file_id is None
    job = await Jobs(place.database).get(SYSTEM, batch.job_id)
    assert (job.state, job.done, job.total) == (JobState.SUCCEEDED, 7, 7)


async def test_a_request_that_fails_is_told_in_the_errors_and_the_others_go_on(place: Desk) -> None:
    rows = requests(3)
    rows[1]["body"]["model"] = "no-such-model"
    with place.worker():
        batch = await ended(place, await begin(place, rows))
    assert (batch.state, batch.answered, batch.failed) == (BatchState.COMPLETED, 2, 1)
    (error,) = await lines(place, batch.error_file_id)
    assert (error["custom_id"], error["response"]["status_code"]) == ("row-1", 404)
    assert error["response"]["body"]["error"]["code"] == "model_not_found"
    job = await Jobs(place.database).get(SYSTEM, batch.job_id)
    assert job.errors[0]["document"] == "row-1"


@ON_SQLITE
async def test_our_own_endpoints_are_answered_in_their_own_shape(place: Desk) -> None:
    rows = [*requests(1, "/api/v1/chat"), {"custom_id": "bad", "method": "POST", "url": "/api/v1/chat", "body": {}}]
    with place.worker():
        batch = await ended(place, await begin(place, rows, "/api/v1/chat"))
    (answer,) = await lines(place, batch.output_file_id)
    assert answer["response"]["body"]["output"] == Reply().text
    (error,) = await lines(place, batch.error_file_id)
    assert error["response"]["body"]["error"]["code"] == "invalid_request"


@ON_SQLITE
async def test_a_file_may_begin_with_a_byte_order_mark(place: Desk, provider: OpenAIFake) -> None:
    content = b"\xef\xbb\xbf" + b"\n".join(json.dumps(row).encode() for row in requests(2))
    with place.worker():
        batch = await ended(place, await begin_with(place, content))
    assert (batch.state, batch.answered, batch.failed) == (BatchState.COMPLETED, 2, 0)


def deep(levels: int) -> Any:
    value: Any = "here"
    for _ in range(levels):
        value = [value]
    return value


@ON_SQLITE
@pytest.mark.parametrize("endpoint", [CHAT, "/api/v1/chat"])
async def test_a_request_in_a_file_is_held_to_the_bounds_of_one_by_itself(
    place: Desk, provider: OpenAIFake, endpoint: str
) -> None:
    rows = requests(5, endpoint)
    rows[1]["body"]["metadata"] = deep(900)
    rows[2]["body"]["metadata"] = deep(200)
    rows[3]["body"]["messages"][0]["content"] = "nothing\0here"
    rows[4]["body"]["seed"] = 2**63
    with place.worker():
        batch = await ended(place, await begin(place, rows, endpoint))
    errors = await lines(place, batch.error_file_id)
    told = [(error["response"]["body"]["error"]["code"], error["response"]["status_code"]) for error in errors]
    unfit = 400 if endpoint == CHAT else 422
    assert told == [("json_too_deep", 400), ("json_too_deep", 400), ("invalid_text", unfit), ("number_too_large", unfit)]
    assert asked(provider) == ["question 0"]


@ON_SQLITE
async def test_what_a_provider_refuses_for_now_is_asked_again(
    place: Desk, provider: OpenAIFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.batches.FIRST_PAUSE_S", 0.01)
    provider.then(*[Fault.UNAVAILABLE] * 8).always(Reply())
    with place.worker():
        batch = await ended(place, await begin(place, requests(2)))
    assert (batch.state, batch.answered) == (BatchState.COMPLETED, 2)


@ON_SQLITE
async def test_a_chain_that_exits_fails_its_request_alone(place: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def leave(body: Any) -> Any:
        if "question 0" in str(body):
            sys.exit(3)
        return {"output": "answer"}

    monkeypatch.setattr("jobs.batches.answering", lambda *_: leave)
    batch = await begin(place, requests(2), send=False)
    await run_batch(place.context, batch.id)
    batch = await shown(place, batch)
    assert (batch.state, batch.answered, batch.failed) == (BatchState.COMPLETED, 1, 1)
    (error,) = await lines(place, batch.error_file_id)
    assert error["response"]["status_code"] == 500


@ON_SQLITE
async def test_an_input_that_is_none_fails_the_batch_and_says_why(place: Desk, provider: OpenAIFake) -> None:
    with place.worker():
        batch = await ended(place, await begin(place, [*requests(1), {"custom_id": "row-0"}, 7]))
    assert batch.state == BatchState.FAILED
    assert [(error["line"], error["code"]) for error in batch.errors] == [(2, "duplicate_custom_id"), (3, "invalid_json_line")]
    assert (await Jobs(place.database).get(SYSTEM, batch.job_id)).state == JobState.FAILED
    assert not asked(provider)


async def test_cancelling_writes_what_was_answered_and_names_what_was_not(place: Desk, provider: OpenAIFake) -> None:
    provider.then(Reply(), Reply()).always(Fault.SILENT)
    batch = await begin(place, requests(6))

    async def two_are_done() -> bool:
        return (await shown(place, batch)).answered == 2

    with place.worker():
        await eventually(two_are_done)
        await Batches(place.database).cancel(SYSTEM, batch.id)
        batch = await ended(place, batch)
    assert batch.state == BatchState.CANCELLED
    assert len(await lines(place, batch.output_file_id)) == 2
    assert {row["error"]["code"] for row in await lines(place, batch.error_file_id)} == {"batch_cancelled"}
    assert (await Jobs(place.database).get(SYSTEM, batch.job_id)).state == JobState.CANCELLED


@ON_SQLITE
async def test_a_batch_that_is_cancelled_before_a_worker_has_it_ends(place: Desk, provider: OpenAIFake) -> None:
    batch = await begin(place, requests(2), send=False)
    await Batches(place.database).cancel(SYSTEM, batch.id)
    await run_batch(place.context, batch.id)
    assert (await shown(place, batch)).state == BatchState.CANCELLED
    assert not asked(provider)


async def test_a_worker_that_stops_leaves_the_rest_to_the_next_without_asking_twice(place: Desk, provider: OpenAIFake) -> None:
    provider.then(Reply(), Reply(), Reply()).always(Fault.SILENT)
    batch = await begin(place, requests(8))

    async def three_are_done() -> bool:
        return (await shown(place, batch)).answered == 3

    worker = place.worker()
    with worker as running:
        await eventually(three_are_done)
        await asyncio.to_thread(running.stop, 1.0)
    first = asked(provider)
    provider.clear()
    provider.always(Reply())
    with place.worker():
        batch = await ended(place, batch)
    assert (batch.state, batch.answered) == (BatchState.COMPLETED, 8)
    assert not set(asked(provider)) & set(first[:3])
    assert len(await lines(place, batch.output_file_id)) == 8


@pytest.mark.parametrize(
    ("sizes", "groups"), [([3 * MIB, 3 * MIB, 5 * MIB, 1, 1], [1, 1, 1, 2]), ([9] * 1001, [500, 500, 1]), ([], [])], ids=str
)
async def test_results_are_read_in_pieces_that_fit_into_memory_whatever_they_weigh(
    place: Desk, sizes: list[int], groups: list[int]
) -> None:
    batch = await begin(place, requests(1), send=False)
    async with place.database.transaction(all_tenants=True) as session:
        for number, size in enumerate([*sizes, None]):
            result = None if size is None else b"%d" % number + b"x" * size
            session.add(
                BatchRow(batch_id=batch.id, number=number + 1, custom_id=str(number), position=0, length=1, result=result)
            )
    read = [group async for group in Batches(place.database).results(batch)]
    assert [len(group) for group in read] == groups
    assert [int(line.rstrip(b"x")) for group in read for line in group] == list(range(len(sizes)))


@ON_SQLITE
async def test_a_lost_message_is_sent_again_by_the_sweeper(place: Desk) -> None:
    batch = await begin(place, requests(1), send=False)
    with place.worker():
        assert (await ended(place, batch)).state == BatchState.COMPLETED


@ON_SQLITE
async def test_a_broker_that_is_away_is_logged_once_by_the_sweeper(place: Desk) -> None:
    await begin(place, requests(1), send=False)
    away = Queue("redis://127.0.0.1:1")
    sweeper = Sweeper(JobContext(place.settings, place.database, away, place.library))
    with capture_logs() as logged:
        await sweeper.sweep()
        await sweeper.sweep()
    assert [line["event"] for line in logged if line["event"].startswith("sweeper.")] == ["sweeper.broker_away"]
    away.close()


async def test_what_could_not_be_written_is_logged_where_nobody_waits_for_it_any_more() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def put(_rows: Sequence[int]) -> bool:
        begun.set()
        await go_on.wait()
        raise RuntimeError("away")

    together = Together(put)
    waiting = asyncio.create_task(together.write(1))
    await begun.wait()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    with capture_logs() as logged:
        go_on.set()
        await together.settled()
    assert [(line["event"], line["error"]) for line in logged] == [("together.not_written", "RuntimeError")]


async def test_of_two_workers_one_has_the_batch(place: Desk, provider: OpenAIFake) -> None:
    batch = await begin(place, requests(5), send=False)
    await asyncio.gather(*(run_batch(place.context, batch.id) for _ in range(3)))
    assert sorted(asked(provider)) == [f"question {number}" for number in range(5)]


async def test_a_holder_whose_lease_is_lost_changes_nothing(place: Desk) -> None:
    work = BatchWork(place.database, lease_s=0.0)
    batch = await begin(place, requests(1), send=False)
    slow = await work.take(batch.id)
    quick = await work.take(batch.id)
    assert slow is not None
    assert quick is not None
    assert not await work.record(slow, [RowResult(1, "row-0", b"{}")])
    assert not await work.renew(slow, Scope.CHAT_INVOKE)
    assert (await shown(place, batch)).answered == 0
    await work.accept(quick, [NewRow(1, "row-0", 0, 1)])
    await work.accept(slow, [NewRow(7, "row-7", 0, 1)])
    assert [row.number for row in await work.pending(quick, begun=False, after=0, limit=9)] == [1]
    assert not await work.begin(slow, [BatchRow(batch_id=batch.id, number=1, custom_id="row-0", position=0, length=1)])


@ON_SQLITE
async def test_a_request_that_ends_its_worker_each_time_fails_alone(place: Desk) -> None:
    batch = await begin(place, requests(2), send=False)
    work = BatchWork(place.database, lease_s=30)
    lease = await work.take(batch.id)
    assert lease is not None
    async with place.resources.files.local(f"files/{batch.input_file_id}", tenant=batch.tenant) as path:
        rows, _ = read_input(path, CHAT, most=10)
    await work.accept(lease, rows)
    async with place.database.transaction(all_tenants=True) as session:
        poison = await session.get(BatchRow, (batch.id, 1))
        assert poison is not None
        poison.attempts = place.settings.jobs.max_attempts
    await work.release(lease)
    await run_batch(place.context, batch.id)
    batch = await shown(place, batch)
    assert (batch.answered, batch.failed) == (1, 1)
    (error,) = await lines(place, batch.error_file_id)
    assert error["response"]["body"]["error"]["code"] == "interrupted"


async def death_of_a_worker_at_work(place: Desk, provider: OpenAIFake, batch: Batch, *, at: int) -> None:
    """A worker begins on the batch and is gone without a word once `at` requests have reached the provider."""
    provider.clear()
    provider.always(Fault.SILENT)
    working = asyncio.create_task(run_batch(place.context, batch.id))

    async def sent() -> bool:
        return len(asked(provider)) == at

    await eventually(sent)
    await BatchWork(place.database, lease_s=2).waiting(all_of_them=True)  # what it still does counts for nothing
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)


@ON_SQLITE
async def test_when_workers_die_only_what_they_worked_on_each_time_is_blamed(place: Desk, provider: OpenAIFake) -> None:
    batch = await begin(place, requests(8), send=False)
    await death_of_a_worker_at_work(place, provider, batch, at=place.settings.batches.concurrency)
    for _ in range(place.settings.jobs.max_attempts - 1):
        await death_of_a_worker_at_work(place, provider, batch, at=1)
        assert asked(provider) == ["question 0"]
    provider.clear()
    provider.always(Reply())
    await run_batch(place.context, batch.id)
    batch = await shown(place, batch)
    assert (batch.state, batch.answered, batch.failed) == (BatchState.COMPLETED, 7, 1)
    (error,) = await lines(place, batch.error_file_id)
    assert (error["custom_id"], error["response"]["body"]["error"]["code"]) == ("row-0", "interrupted")


@ON_SQLITE
async def test_a_batch_that_cannot_be_worked_on_rests_before_it_is_taken_up_again(
    place: Desk, provider: OpenAIFake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = await begin(place, requests(1), send=False)
    with monkeypatch.context() as broken:
        broken.setattr("core.scratch.Scratch._made", lambda *_: (tmp_path / "gone").rmdir())
        with pytest.raises(FileNotFoundError):
            await run_batch(place.context, batch.id)
    assert await place.queue.waiting(QUEUE) == 0
    work = BatchWork(place.database, lease_s=2)
    assert await work.take(batch.id) is None
    assert await work.waiting() == []
    with place.worker():  # the sweeper sends it when it has rested
        assert (await ended(place, batch)).state == BatchState.COMPLETED


@ON_SQLITE
async def test_what_is_not_answered_in_time_is_left_out_by_name(place: Desk, provider: OpenAIFake) -> None:
    batch = await begin(place, requests(3), send=False)
    async with place.database.transaction(all_tenants=True) as session:
        row = await session.get(Batch, batch.id)
        assert row is not None
        row.expires_at = utc_now() - timedelta(seconds=1)
    await run_batch(place.context, batch.id)
    batch = await shown(place, batch)
    assert batch.state == BatchState.EXPIRED
    assert {row["error"]["code"] for row in await lines(place, batch.error_file_id)} == {"batch_expired"}
    assert not asked(provider)


GOOD = {"custom_id": "a", "method": "POST", "url": CHAT, "body": {}}


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{not json", "invalid_json_line"),
        (b"[1]", "invalid_json_line"),
        (json.dumps(GOOD | {"custom_id": 7}).encode(), "invalid_custom_id"),
        (json.dumps(GOOD | {"custom_id": "x" * 513}).encode(), "invalid_custom_id"),
        (json.dumps(GOOD | {"method": "GET"}).encode(), "invalid_method"),
        (json.dumps(GOOD | {"url": "/v1/embeddings"}).encode(), "mismatched_endpoint"),
        (json.dumps(GOOD | {"body": []}).encode(), "invalid_body"),
        (json.dumps(GOOD | {"base_url": "http://elsewhere"}).encode(), "unknown_parameter"),
        (b"\xff\xfe", "invalid_json_line"),
    ],
)
def test_a_line_that_is_no_request_is_named(tmp_path: Path, line: bytes, code: str) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"\n" + line + b"\n")
    rows, errors = read_input(path, CHAT, most=10)
    assert [(error["line"], error["code"]) for error in errors] == [(2, code)]
    assert rows == []


def test_a_file_has_at_least_one_request_and_not_too_many(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"\n\n")
    assert [error["code"] for error in read_input(path, CHAT, most=10)[1]] == ["empty_file"]
    path.write_bytes(b"\n".join(json.dumps(GOOD | {"custom_id": str(number)}).encode() for number in range(3)))
    assert [error["code"] for error in read_input(path, CHAT, most=2)[1]] == ["too_many_requests"]


async def _key_of_its_own(place: Desk) -> Principal:
    """A key of the default tenant, acting for a user, and whom it stands for."""
    async with place.database.transaction(SYSTEM.tenant) as session:
        session.add(User(id="usr_1", tenant=SYSTEM.tenant, name="Ada"))
        await session.flush()
        session.add(APIKey(id="key_1", tenant=SYSTEM.tenant, name="k", digest="1", user_id="usr_1"))
    return Principal("usr_1", SYSTEM.tenant, "Ada", Role.USER, ROLE_SCOPES[Role.USER], key_id="key_1")


ENDINGS: dict[str, Any] = {
    "the key is revoked": lambda now: update(APIKey).values(revoked_at=now),
    "the user is disabled": lambda now: update(User).values(disabled_at=now),
    "the tenant is disabled": lambda now: update(Tenant).values(disabled_at=now),
    "the role is narrowed": lambda now: update(User).values(role="analyst"),
}


@pytest.mark.parametrize("ending", ENDINGS)
async def test_a_batch_stops_once_nobody_may_have_it_done_any_more(place: Desk, provider: OpenAIFake, ending: str) -> None:
    provider.then(Reply(), Reply()).always(Fault.SILENT)
    batch = await begin(place, requests(6), principal=await _key_of_its_own(place))

    async def two_are_done() -> bool:
        return (await shown(place, batch)).answered == 2

    with place.worker():
        await eventually(two_are_done)
        async with place.database.transaction(all_tenants=True) as session:
            await session.exec(ENDINGS[ending](utc_now()))
        batch = await ended(place, batch)
    assert (batch.state, [error["code"] for error in batch.errors]) == (BatchState.FAILED, ["access_revoked"])
    assert len(await lines(place, batch.output_file_id)) == 2
    errors = await lines(place, batch.error_file_id)
    assert [row["custom_id"] for row in errors] == [f"row-{number}" for number in range(2, 6)]
    assert {row["error"]["code"] for row in errors} == {"access_revoked"}
    assert (await Jobs(place.database).get(SYSTEM, batch.job_id)).state == JobState.FAILED


@ON_SQLITE
async def test_a_batch_of_a_revoked_key_is_not_begun(place: Desk, provider: OpenAIFake) -> None:
    batch = await begin(place, requests(2), send=False, principal=await _key_of_its_own(place))
    async with place.database.transaction(all_tenants=True) as session:
        await session.exec(update(APIKey).values(revoked_at=utc_now()))
    await run_batch(place.context, batch.id)
    batch = await shown(place, batch)
    assert (batch.state, batch.errors[0]["code"]) == (BatchState.FAILED, "access_revoked")
    assert not asked(provider)


@ON_SQLITE
async def test_a_batch_that_is_being_finished_is_finished_all_the_same(place: Desk, provider: OpenAIFake) -> None:
    """Its answers are made: there is nothing left to keep from anybody, and files that are never written help nobody."""
    batch = await begin(place, requests(1), send=False, principal=await _key_of_its_own(place))
    async with place.database.transaction(all_tenants=True) as session:
        await session.exec(update(APIKey).values(revoked_at=utc_now()))
        await session.exec(update(Batch).values(state=BatchState.FINALIZING))
    await run_batch(place.context, batch.id)
    assert BatchState((await shown(place, batch)).state).finished


@ON_SQLITE
async def test_the_rows_of_a_batch_keep_to_the_policies_of_its_tenant(place: Desk, provider: OpenAIFake) -> None:
    policies = place.resources.models.policies
    rows = requests(2)
    rows[0]["body"]["messages"][0]["content"] = "Please write to Maria Schmidt."
    rows[1]["body"]["messages"][0]["content"] = "The key is ghp_" + "a1B2" * 9
    rules = [{"mode": "block", "types": ["SECRET"]}, {"mode": "pseudonymise"}]
    policies.defaults = Policy.model_validate({"pii": {"*": rules}})
    provider.always(Reply("I wrote to <PERSON_1>."))
    with place.worker():
        batch = await ended(place, await begin(place, rows))
        assert asked(provider) == ["Please write to <PERSON_1>."]
        [answer] = await lines(place, batch.output_file_id)
        assert answer["response"]["body"]["choices"][0]["message"]["content"] == "I wrote to Maria Schmidt."
        [refusal] = await lines(place, batch.error_file_id)
        assert refusal["response"]["body"]["error"]["code"] == "pii_blocked"
        policies.defaults = Policy.model_validate({"data": {"providers": ["azure"]}})
        provider.clear()
        batch = await ended(place, await begin(place, requests(2)))
    refusals = await lines(place, batch.error_file_id)
    assert [each["response"]["body"]["error"]["code"] for each in refusals] == ["data_policy", "data_policy"]
    assert provider.sent == []
