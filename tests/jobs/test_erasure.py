"""An erasure whose worker is killed in the middle, and one that meets a store that is away: finished, and counted once."""

from dataclasses import replace

from sqlmodel import SQLModel, col, func, select

from core.belongings import STAYING, of_tenant, of_user
from core.data_requests import open_request
from core.database import Database
from core.principals import SYSTEM
from core.redis_clients import RedisClients
from core.tables import (
    Collection,
    Conversation,
    ConversationMessage,
    DataRequest,
    DataRequestKind,
    Document,
    Job,
    JobState,
    Tenant,
    User,
)
from core.tenancy import SHARED
from tests.desks import Desk, eventually, note, opened
from tests.jobs.test_crash import WorkerProcess

MESSAGES = 6000
#: Tables that name somebody in a column of these names, and are not theirs to be deleted by it.
OWNERS = {"owner", "user_id", "subject", "created_by"}


async def filled(desk: Desk) -> tuple[str, str]:
    """A user with a collection and very many messages, and the job of an erasure that nobody has begun."""
    ada = replace(SYSTEM, id="usr_ada", name="Ada")
    async with desk.database.transaction(all_tenants=True) as session:
        session.add(User(id=ada.id, tenant="default", name="Ada", role="developer"))
        chat = Conversation(owner=ada.id, name="s")
        session.add(chat)
        await session.flush()
        session.add_all([ConversationMessage(conversation_id=chat.id, position=n, role="user") for n in range(MESSAGES)])
    collection = await desk.library.collections.create(ada, "adas")
    job, _ = await desk.library.documents.add(ada, collection, [note("a.md"), note("b.md")])
    with desk.worker():
        await desk.finished(job.id)
    async with desk.database.transaction(all_tenants=True) as session:
        request, job = await open_request(session, SYSTEM, DataRequestKind.ERASE_USER, subject=ada.id, subject_tenant="default")
    return ada.id, request.id


async def left(database: Database) -> int:
    async with database.session(all_tenants=True) as session:
        return int((await session.exec(select(func.count()).select_from(ConversationMessage))).one())


async def test_after_a_kill_in_the_middle_everything_is_gone_and_counted_once(desk: Desk) -> None:
    ada, request_id = await filled(desk)
    desk.resources.close()
    process = WorkerProcess(desk)
    await process.working()

    async def halfway() -> bool:
        return await left(desk.database) < MESSAGES

    await eventually(halfway)
    await process.kill()
    async with opened(desk.settings, desk.database, desk.resources.models) as alive:
        with alive.worker():

            async def ended() -> Job | None:
                async with alive.database.session(all_tenants=True) as session:
                    request = await session.get_one(DataRequest, request_id)
                    return await session.get_one(Job, request.job_id) if request.finished_at else None

            job: Job = await eventually(ended)
        assert (job.state, job.errors) == (JobState.SUCCEEDED, [])
        found = {(one["kind"], one["place"]): one["count"] for one in (job.result or {})["found"]}
        assert found["conversation_messages", "database"] == MESSAGES
        assert (found["documents", "database"], found["documents", "files"], found["collections", "database"]) == (2, 6, 1)
        assert await left(alive.database) == 0
        async with alive.database.session(all_tenants=True) as session:
            assert await session.get(User, ada) is None
            assert (await session.exec(select(Document))).all() == (await session.exec(select(Collection))).all() == []
        files = desk.settings.path("files")
        assert [file for file in files.rglob("*") if file.is_file()] == []


async def test_a_cache_that_is_away_is_waited_for(desk: Desk) -> None:
    """Its entries would stay otherwise: the request is taken up until they are gone."""
    _, request_id = await filled(desk)
    answers = desk.resources.models.answers
    away = RedisClients(f"unix://{desk.settings.path('nobody.sock')}")
    answers.connect(away)
    try:
        with desk.worker():

            async def tried() -> bool:
                async with desk.database.session(all_tenants=True) as session:
                    return (await session.get_one(DataRequest, request_id)).attempts > 0

            await eventually(tried)
            async with desk.database.session(all_tenants=True) as session:
                assert (await session.get_one(DataRequest, request_id)).finished_at is None
            answers.connect(RedisClients(desk.redis_url))

            async def ended() -> bool:
                async with desk.database.session(all_tenants=True) as session:
                    return (await session.get_one(DataRequest, request_id)).finished_at is not None

            await eventually(ended)
    finally:
        answers.store = None


def test_every_table_that_names_somebody_is_thought_of() -> None:
    """A new table with an owner has to be erased and exported with them, or be named here with the reason."""
    apart = {
        "alerts",  # of a budget or a model: nobody is their subject
        "alert_routes",  # the tenant's, whoever made them
        "collections",  # with their stores
        "stored_files",  # with their bytes
        "data_requests",  # exports with their bytes; erasures are finished
        "closed_months",  # the tenant's, whoever closed them
        "invoices",  # the tenant's, whoever imported them
        "ledger_adjustments",  # the tenant's, whoever made them
        "experiments",  # the tenant's, whoever made them
        "kill_switches",  # the tenant's, whoever set them
        "provider_credentials",  # the tenant's, whoever put them in
        "registry_versions",  # the installation's, whoever made them
        "registry_events",  # the same
        "registry_heads",  # the same
        "sign_in_attempts",  # digests, for a day
    }
    named = {
        table.name
        for table in SQLModel.metadata.sorted_tables
        if OWNERS & {column.name for column in table.columns} and table.name not in STAYING
    }
    assert named - apart <= {belonging.kind for belonging in of_user("acme", "usr_x")}
    everything = {table.name for table in SQLModel.metadata.sorted_tables}
    assert {belonging.kind for belonging in of_tenant("acme")} == everything - SHARED - STAYING


async def test_rows_of_a_tenant_are_found_through_those_that_they_hang_on(database: Database) -> None:
    for tenant in ("acme", "globex"):
        async with database.transaction(all_tenants=True) as session:
            session.add(Tenant(id=tenant, name=tenant))
            chat = Conversation(tenant=tenant, owner="x", name="s")
            session.add(chat)
            await session.flush()
            session.add(ConversationMessage(conversation_id=chat.id, position=0, role="user"))
    async with database.transaction(all_tenants=True) as session:
        dropped = {one.kind: await one.drop_some(session) for one in of_tenant("acme")}
    assert {kind: number for kind, number in dropped.items() if number} == {"conversation_messages": 1, "conversations": 1}
    async with database.session(all_tenants=True) as session:
        assert (await session.exec(select(Conversation.tenant))).all() == ["globex"]
        assert len((await session.exec(select(ConversationMessage).where(col(ConversationMessage.position) == 0))).all()) == 1
