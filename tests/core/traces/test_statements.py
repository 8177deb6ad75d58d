"""Statements of the database in a trace."""

from collections.abc import Callable

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from core import traces
from core.database import Database, blocking_engine
from core.settings import Settings
from core.tables import Job
from core.traces import statements
from core.traces.sending import Tracing
from tests.collector import Sent, Tree


async def test_a_statement_is_told_by_its_verb_and_table(
    tracing: Tracing, database: Database, sent: Callable[[], list[Sent]]
) -> None:
    statements.watch(database.engine.sync_engine)
    with traces.joining("job", None):
        async with database.transaction("default") as session:
            session.add(Job(owner="canary-owner", kind="canary"))
        async with database.engine.connect() as connection:
            with pytest.raises(DBAPIError):
                await connection.execute(text("SELECT 'canary' FROM nothing"))
    tree = Tree(sent())
    insert, select = tree.one("INSERT jobs"), tree.one("SELECT nothing")
    assert insert.attributes["db.collection.name"] == "jobs"
    assert (insert.kind, insert.failed, tree.above(insert)) == ("CLIENT", False, ["job"])
    assert select.failed
    assert "canary" not in str(tree.spans)


def test_what_belongs_to_no_request_is_not_told(tracing: Tracing, settings: Settings, sent: Callable[[], list[Sent]]) -> None:
    engine = blocking_engine(settings)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1
    engine.dispose()
    assert sent() == []
