"""Whose rows are whose: each table's way to its tenant, and sessions that hold every statement to one tenant.

A table belongs to a tenant by its column `tenant`, through the row that it hangs on (`THROUGH`), or to nobody (`SHARED`).
What a statement selects, changes or deletes is narrowed here, wherever in it the table stands; what is inserted is checked.
`core.row_security` holds the same rule in PostgreSQL itself.
"""

from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, Table, inspect, or_, select
from sqlalchemy.event import listens_for
from sqlalchemy.orm import ORMExecuteState, SessionTransaction, UOWTransaction, with_loader_criteria
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import TextClause
from sqlalchemy.sql.visitors import ExternallyTraversible
from sqlmodel import Session, SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

#: Stands for every tenant; no tenant may be called so.
ALL = "*"
#: PostgreSQL's setting that row-level security reads.
SETTING = "genai.tenant"
#: Tables without a tenant of their own: (column, table whose `id` it holds), any of which leads to the tenant.
THROUGH: Mapping[str, tuple[tuple[str, str], ...]] = {
    "answer_sources": (("conversation_id", "conversations"),),
    "batch_rows": (("batch_id", "batches"),),
    "browser_sessions": (("key_id", "api_keys"), ("user_id", "users")),
    "collection_shares": (("collection_id", "collections"),),
    "conversation_messages": (("conversation_id", "conversations"),),
    "eval_examples": (("dataset_id", "eval_datasets"),),
    "eval_results": (("run_id", "eval_runs"),),
    "invoice_lines": (("invoice_id", "invoices"),),
    "job_events": (("job_id", "jobs"),),
    "refresh_tokens": (("family_id", "token_families"),),
    "sign_in_tokens": (("key_id", "api_keys"),),
    "team_members": (("team_id", "teams"),),
}
#: Tables that hold nothing of any tenant.
SHARED = frozenset(
    {
        "access_epoch",
        "key_rotations",
        "monitor_turns",
        "registry_events",
        "registry_heads",
        "registry_versions",
        "sign_in_attempts",
        "signing_keys",
        "unclaimed_files",
        "usage_turns",
    }
)


class TenantMissing(RuntimeError):
    """A session was asked for where nobody has said whose: give `tenant`, or say `all_tenants`."""


class OtherTenant(RuntimeError):
    """A statement that leaves the session's tenant: a mistake of ours, never a caller's."""


class _TenantSession(Session):
    """A session whose `info["tenant"]` says whose rows it may touch."""


class TenantSession(AsyncSession):
    """The same, asynchronous. Made by `core.database.Database` alone."""

    sync_session_class = _TenantSession


def own_column(table: Table) -> str | None:
    """The column that holds the tenant itself; None for a table that has none."""
    if table.name == "tenants":
        return "id"
    return "tenant" if "tenant" in table.c else None


@listens_for(_TenantSession, "do_orm_execute")
def _narrow(state: ORMExecuteState) -> None:
    tenant = state.session.info["tenant"]
    if tenant == ALL:
        return
    tables, mapped = _tables_of(state)
    if past := tables - mapped:
        raise OtherTenant(f"a statement past the mapped classes in a tenant's session: {', '.join(sorted(past))}")
    if not tables:
        return
    if state.is_insert:
        (name,) = tables
        _check_inserted(state, name, tenant)
        return
    if state.is_update and any(getattr(column, "key", column) == "tenant" for column in _changed(state)):
        raise OtherTenant("a row cannot be given to another tenant")
    state.statement = state.statement.options(*(_criteria(name, tenant) for name in sorted(tables)))


@listens_for(_TenantSession, "before_flush")
def _check_written(session: Session, _context: UOWTransaction, _instances: object) -> None:
    tenant = session.info["tenant"]
    if tenant == ALL:
        return
    for row in (*session.new, *session.dirty, *session.deleted):
        table = row.__table__
        column = own_column(table)
        if column is not None:
            _check_same(table.name, tenant, getattr(row, column))
        elif row in session.new:
            _check_parents(session, table.name, tenant, [{name: getattr(row, name) for name, _ in THROUGH.get(table.name, ())}])


@listens_for(_TenantSession, "after_begin")
def _tell_database(session: Session, transaction: SessionTransaction, connection: Connection) -> None:
    if connection.dialect.name == "postgresql" and not transaction.nested:
        connection.exec_driver_sql(f"SET LOCAL {SETTING} = {_quoted(session.info['tenant'])}")


def _tables_of(state: ORMExecuteState) -> tuple[set[str], set[str]]:
    """The tables of tenants that a statement speaks of, and those of them that it names by their mapped classes: loader
    criteria reach these alone."""
    tables: set[str] = set()
    mapped: set[str] = set()
    for element in visitors.iterate(cast("ExternallyTraversible", state.statement)):
        if isinstance(element, TextClause) and not state.is_orm_statement:
            raise OtherTenant("plain SQL in a tenant's session")
        if isinstance(element, Table):
            tables.add(element.name)
        entity = getattr(element, "_annotations", {}).get("parententity")  # no public way to ask
        if entity is not None:
            mapped.add(entity.mapper.local_table.name)
    return tables - SHARED, mapped


def _quoted(value: str) -> str:
    """As a literal: SET takes no parameters, and what does, a query, would fix the transaction's isolation level."""
    escaped = value.replace("\\", "\\\\").replace("'", "''").replace("%", "%%")
    return f"E'{escaped}'"


def _check_inserted(state: ORMExecuteState, name: str, tenant: str) -> None:
    """An `insert()` with its rows beside it, as parameters."""
    given = state.parameters or {}
    rows: Iterable[Mapping[str, Any]] = [given] if isinstance(given, Mapping) else given
    column = own_column(_table(name))
    if column is not None:
        for row in rows:
            _check_same(name, tenant, row.get(column))
    else:
        _check_parents(state.session, name, tenant, rows)


def _check_same(name: str, tenant: str, found: object) -> None:
    if found != tenant:
        raise OtherTenant(f"a row of {name} that is another tenant's")


def _check_parents(session: Any, name: str, tenant: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """The rows that these hang on are the tenant's. Those that the session has loaded or is adding are."""
    for column, parent in THROUGH.get(name, ()):
        wanted = {row[column] for row in rows if row.get(column) is not None}
        at_hand = {row.id for row in (*session.identity_map.values(), *session.new) if row.__table__.name == parent}
        for identifier in wanted - at_hand:
            table = _table(parent)
            with session.no_autoflush:
                found = session.connection().execute(
                    select(table.c.id).where(table.c.id == identifier, table.c.tenant == tenant)
                )
            if found.first() is None:
                raise OtherTenant(f"a row of {name} that hangs on another tenant's")


def _changed(state: ORMExecuteState) -> Iterable[Any]:
    """What an `update()` sets. SQLAlchemy 2.0 has no public way to ask."""
    return (*(getattr(state.statement, "_values", None) or ()), *(getattr(state.statement, "_multi_values", None) or ()))


def _table(name: str) -> Table:
    return SQLModel.metadata.tables[name]


@cache
def _classes() -> dict[str, Any]:
    from core.tables import Job  # here: tables import the column types of core.database, which stands on this module

    mapped = ((mapper.local_table, mapper.class_) for mapper in inspect(Job).registry.mappers)
    return {table.name: entity for table, entity in mapped if isinstance(table, Table)}


@lru_cache(maxsize=4096)
def _criteria(name: str, tenant: str) -> Any:
    """The option that narrows a table to a tenant's rows, wherever it stands in a statement."""
    mapped = _classes()[name]
    column = own_column(_table(name))
    if column is not None:
        condition: ColumnElement[bool] = getattr(mapped, column) == tenant
    else:
        ways = []
        for own, parent in THROUGH[name]:
            table = _table(parent)
            ways.append(getattr(mapped, own).in_(select(table.c.id).where(table.c.tenant == tenant)))
        condition = or_(*ways)
    return with_loader_criteria(mapped, condition, include_aliases=True)
