"""A tenant's session sees and writes that tenant's rows alone, whatever the statement, on both databases."""

from typing import Any

import pytest
from sqlalchemy import insert, text
from sqlalchemy.orm import aliased
from sqlmodel import SQLModel, col, delete, func, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

import core.tables as tables
from core.context import RequestContext, serving
from core.database import Database, utc_now
from core.principals import ANONYMOUS, DEFAULT_TENANT, Principal
from core.tables import Batch, BatchRow, Collection, Document, Job, JobEvent, Team, TeamMember, Tenant, User
from core.tenancy import SHARED, THROUGH, OtherTenant, TenantMissing, own_column

HERE, THERE = "here", "there"


@pytest.fixture
async def full(database: Database) -> Database:
    """Both tenants have one of each."""
    for tenant in (HERE, THERE):
        async with database.transaction(tenant) as session:
            session.add(Tenant(id=tenant, name=tenant))
            await session.flush()
            session.add(User(id=f"usr_{tenant}", tenant=tenant, name=tenant))
            session.add(Team(id=f"team_{tenant}", tenant=tenant, name=tenant))
            await session.flush()
            session.add(TeamMember(team_id=f"team_{tenant}", user_id=f"usr_{tenant}"))
            session.add(Collection(id=f"col_{tenant}", tenant=tenant, name="papers"))
            session.add(Job(id=f"job_{tenant}", tenant=tenant, owner="x", kind="ingestion"))
            await session.flush()
            session.add(Document(id=f"doc_{tenant}", tenant=tenant, collection_id=f"col_{tenant}", name="a", content_hash="0"))
            session.add(JobEvent(job_id=f"job_{tenant}", number=1, event="progress"))
    return database


READS: dict[str, Any] = {
    "rows": select(Document),
    "columns": select(Document.id),
    "one by its id": select(Document.id).where(Document.id == f"doc_{THERE}"),
    "an alias": select(aliased(Document)),
    "a join": select(Document.id).join(Collection, col(Collection.id) == col(Document.collection_id)),
    "the joined side": select(Collection.id).join(Document, col(Document.collection_id) == col(Collection.id)),
    "a subquery": select(Collection.id).where(col(Collection.id).in_(select(Document.collection_id))),
    "a table that hangs on another": select(JobEvent.job_id),
    "a link between two": select(TeamMember.user_id),
    "the tenants themselves": select(Tenant.id),
    "a union": select(Document.id).union(select(Collection.id)),
    "a common table expression": select(select(Document.id).cte().c.id),
    "locked rows": select(Job.id).with_for_update(),
}


async def test_a_session_reads_its_own_tenants_rows(full: Database) -> None:
    for what, statement in READS.items():
        async with full.session(HERE) as session:
            found = [str(row) for row in (await session.exec(statement)).all()]
        assert THERE not in " ".join(found), what
        assert found or "by its id" in what, what


async def test_an_outer_join_brings_no_others_side(full: Database) -> None:
    """The other side is narrowed where it is joined, so that rows without one stay."""
    async with full.session(HERE) as session:
        rows = (await session.exec(select(Collection.id, User.id).outerjoin(User, true_for_all()))).all()
    assert rows == [(f"col_{HERE}", f"usr_{HERE}")]


def true_for_all() -> Any:
    return col(User.id) != ""


async def test_an_existing_row_of_another_is_not_got_counted_or_refreshed(full: Database) -> None:
    async with full.session(HERE) as session:
        assert await session.get(Document, f"doc_{THERE}") is None
        assert await session.get(Tenant, THERE) is None
        assert (await session.exec(select(func.count()).select_from(Document))).one() == 1
        missing = ~select(Document.id).where(Document.collection_id == f"col_{THERE}").exists()
        assert (await session.exec(select(Job.id).where(missing))).all() == [f"job_{HERE}"]


async def test_an_update_and_a_delete_reach_no_other_tenant(full: Database) -> None:
    async with full.transaction(HERE) as session:
        await session.exec(update(Job).values(kind="touched"))
        await session.exec(update(JobEvent).values(event="touched"))
        await session.exec(delete(Document).where(col(Document.id).is_not(None)))
        await session.exec(delete(TeamMember))
    async with full.session(THERE) as session:
        assert (await session.exec(select(Job.kind))).all() == ["ingestion"]
        assert (await session.exec(select(JobEvent.event))).all() == ["progress"]
        assert len((await session.exec(select(Document))).all()) == len((await session.exec(select(TeamMember))).all()) == 1


async def _foreign_row(session: AsyncSession) -> None:
    session.add(Collection(tenant=THERE, name="x"))


async def _forgotten_tenant(session: AsyncSession) -> None:
    session.add(Collection(name="x"))  # the column's default is the default tenant


async def _child_of_a_foreign_row(session: AsyncSession) -> None:
    session.add(JobEvent(job_id=f"job_{THERE}", number=2, event="x"))


async def _rows_at_once(session: AsyncSession) -> None:
    await session.exec(insert(Collection), params=[{"id": "col_x", "tenant": THERE, "name": "x"}])


async def _children_at_once(session: AsyncSession) -> None:
    await session.exec(
        insert(JobEvent), params=[{"job_id": f"job_{tenant}", "number": 2, "event": "x"} for tenant in (HERE, THERE)]
    )


async def _moved_away(session: AsyncSession) -> None:
    row = await session.get_one(Job, f"job_{HERE}")
    row.tenant = THERE


async def _moved_away_at_once(session: AsyncSession) -> None:
    await session.exec(update(Job).values(tenant=THERE))


async def _plain_sql(session: AsyncSession) -> None:
    await session.exec(text("SELECT id FROM documents"))


async def _past_the_mapping(session: AsyncSession) -> None:
    await session.exec(SQLModel.metadata.tables["documents"].select())


async def _beside_the_mapping(session: AsyncSession) -> None:
    table = SQLModel.metadata.tables["documents"]
    await session.exec(select(Collection.id).join(table, table.c.collection_id != Collection.id))


async def _below_the_mapping(session: AsyncSession) -> None:
    table = SQLModel.metadata.tables["documents"]
    await session.exec(select(Collection.id).where(select(table.c.id).where(table.c.id == f"doc_{THERE}").exists()))


async def test_what_leaves_the_tenant_is_refused_and_nothing_is_written(full: Database) -> None:
    for write in (
        _foreign_row,
        _forgotten_tenant,
        _child_of_a_foreign_row,
        _rows_at_once,
        _children_at_once,
        _moved_away,
        _moved_away_at_once,
        _plain_sql,
        _past_the_mapping,
        _beside_the_mapping,
        _below_the_mapping,
    ):
        with pytest.raises(OtherTenant):
            async with full.transaction(HERE) as session:
                await write(session)
    async with full.session(all_tenants=True) as session:
        assert len((await session.exec(select(Collection.id))).all()) == 2
        assert len((await session.exec(select(JobEvent.id))).all()) == 2
        assert sorted((await session.exec(select(Job.tenant))).all()) == [HERE, THERE]


async def test_a_row_that_another_session_has_loaded_is_not_deleted(full: Database) -> None:
    async with full.session(THERE) as session:
        row = await session.get_one(Document, f"doc_{THERE}")
    with pytest.raises(OtherTenant):
        async with full.transaction(HERE) as session:
            await session.delete(row)
    async with full.session(THERE) as session:
        assert await session.get(Document, f"doc_{THERE}") is not None


async def test_rows_of_ones_own_are_inserted_one_by_one_and_at_once(full: Database) -> None:
    async with full.transaction(HERE) as session:
        session.add(JobEvent(job_id=f"job_{HERE}", number=2, event="x"))
        session.add(
            Batch(
                id="batch_x",
                tenant=HERE,
                owner="x",
                endpoint="/",
                job_id=f"job_{HERE}",
                input_file_id="x",
                expires_at=utc_now(),
            )
        )
        await session.flush()
        await session.exec(
            insert(BatchRow),
            params=[
                {
                    "batch_id": "batch_x",
                    "number": number,
                    "custom_id": "x",
                    "position": 0,
                    "length": 1,
                    "state": "pending",
                    "attempts": 0,
                }
                for number in (1, 2)
            ],
        )
    async with full.session(HERE) as session:
        assert len((await session.exec(select(BatchRow.number))).all()) == 2
    async with full.session(THERE) as session:
        assert (await session.exec(select(BatchRow.number))).all() == []


async def test_the_tenant_is_the_one_of_the_request_where_none_is_given(full: Database) -> None:
    principal = Principal("p", HERE, "p", "user", frozenset())
    with serving(RequestContext("r", principal)):
        async with full.session() as session:
            assert (await session.exec(select(Document.id))).all() == [f"doc_{HERE}"]


async def test_without_a_tenant_there_is_no_session(full: Database) -> None:
    """Neither outside of a request, nor before its caller is known."""
    with pytest.raises(TenantMissing):
        async with full.session():
            pass
    with serving(RequestContext("r", ANONYMOUS)), pytest.raises(TenantMissing):
        async with full.transaction():
            pass
    with pytest.raises(TenantMissing):
        async with full.session("*"):
            pass


async def test_what_is_for_all_tenants_says_so(full: Database) -> None:
    async with full.session(all_tenants=True) as session:
        assert sorted((await session.exec(select(Tenant.id))).all()) == sorted([DEFAULT_TENANT, HERE, THERE])


def test_every_table_says_whose_its_rows_are() -> None:
    assert tables.Job  # they are all registered
    for table in SQLModel.metadata.sorted_tables:
        ways = (own_column(table) is not None, table.name in THROUGH, table.name in SHARED)
        assert sum(ways) == 1, f"{table.name}: give it a column `tenant`, or list it in core.tenancy"
    for name, through in THROUGH.items():
        for column, parent in through:
            assert column in SQLModel.metadata.tables[name].c
            assert own_column(SQLModel.metadata.tables[parent]) == "tenant"
