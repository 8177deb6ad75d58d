"""Suites that are kept: put, read, deleted by their name."""

from sqlmodel import col, select

from core import audit
from core.database import Database, utc_now
from core.encryption.envelope import Place
from core.errors import NotFound
from core.principals import Principal
from core.tables import EvalSuite
from evals.ownership import theirs
from evals.suites import Suite, parse


class StoredSuites:
    """What callers do with suites."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, principal: Principal, suite: Suite, text: str) -> EvalSuite:
        """Keep the suite under its name, in the place of one that has it."""
        async with self._database.session(principal.tenant) as session:
            kept = (await session.exec(select(EvalSuite).where(*_mine(principal, suite.name)))).first()
        row = kept or EvalSuite(tenant=principal.tenant, owner=principal.id, name=suite.name, definition=b"")
        row.definition = await self._database.keyring.seal(suite_place(row), text.encode())
        row.updated_at = utc_now()
        async with self._database.transaction(principal.tenant) as session:
            row = await session.merge(row)
            await session.flush()
            await audit.record(session, audit.Action.EVAL_SUITE_CHANGED, on=("eval_suite", row.id), principal=principal)
        return row

    async def get(self, principal: Principal, name: str) -> tuple[EvalSuite, str]:
        """The row and its text. Raises NotFound (`suite_not_found`)."""
        async with self._database.session(principal.tenant) as session:
            own_first = (col(EvalSuite.owner) == principal.id).desc()
            query = select(EvalSuite).where(EvalSuite.name == name, theirs(EvalSuite, principal)).order_by(own_first)
            row = (await session.exec(query.limit(1))).first()
        if row is None:
            raise NotFound("There is no such suite.", code="suite_not_found")
        return row, (await self._database.keyring.open(suite_place(row), row.definition)).decode()

    async def suite(self, principal: Principal, name: str) -> Suite:
        """The suite of that name. Raises NotFound (`suite_not_found`)."""
        return parse((await self.get(principal, name))[1])

    async def delete(self, principal: Principal, name: str) -> None:
        """Runs of it stay. Raises NotFound (`suite_not_found`)."""
        row, _ = await self.get(principal, name)
        async with self._database.transaction(principal.tenant) as session:
            await session.delete(row)
            await audit.record(session, audit.Action.EVAL_SUITE_DELETED, on=("eval_suite", row.id), principal=principal)


def _mine(principal: Principal, name: str) -> tuple[bool, bool]:
    return EvalSuite.name == name, EvalSuite.owner == principal.id


def suite_place(row: EvalSuite) -> Place:
    """Where a suite's text is, for its seal."""
    return Place(row.tenant, EvalSuite.__tablename__, "definition", row.id)
