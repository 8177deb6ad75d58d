"""Wrapped data keys in the database, over connections of their own: they are needed in any thread, and rarely."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, create_engine, delete, event, func, insert, select, update
from sqlalchemy.pool import NullPool

from core.tables.encryption import WrappedKey
from core.tenancy import ALL, SETTING

_TABLE: Any = WrappedKey.__table__  # type: ignore[attr-defined]  # SQLModel does not declare it
_COLUMNS = (_TABLE.c.id, _TABLE.c.tenant, _TABLE.c.wrapped, _TABLE.c.wrapped_by)


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A data key as the database has it."""

    id: bytes
    tenant: str
    wrapped: bytes
    wrapped_by: str


class DataKeys:
    """`url` is SQLAlchemy's, of a synchronous engine. Blocking, safe in threads. Raises SQLAlchemy's errors."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", _wait_for_others)
        else:
            event.listen(self._engine, "connect", _see_all)

    def current(self, tenant: str) -> StoredKey | None:
        """The one that seals."""
        newest = (_TABLE.c.created_at.desc(), _TABLE.c.id.desc())
        query = select(*_COLUMNS).where(_TABLE.c.tenant == tenant, _TABLE.c.retired_at.is_(None)).order_by(*newest).limit(1)
        return next(self._read(query), None)

    def get(self, key_id: bytes) -> StoredKey | None:
        return next(self._read(select(*_COLUMNS).where(_TABLE.c.id == key_id.hex())), None)

    def all(self) -> list[StoredKey]:
        return list(self._read(select(*_COLUMNS).order_by(_TABLE.c.id)))

    def wrapped_by(self) -> list[str]:
        """What has wrapped any of them."""
        with self._engine.connect() as connection:
            return list(connection.execute(select(_TABLE.c.wrapped_by).distinct()).scalars())

    def one_of_each_source(self) -> list[StoredKey]:
        """One of each, to try whether it can be unwrapped."""
        some = select(func.max(_TABLE.c.id)).group_by(_TABLE.c.wrapped_by)
        return list(self._read(select(*_COLUMNS).where(_TABLE.c.id.in_(some))))

    def tenants(self) -> list[str]:
        """Those that have a key."""
        with self._engine.connect() as connection:
            return list(connection.execute(select(_TABLE.c.tenant).distinct().order_by(_TABLE.c.tenant)).scalars())

    def add(self, key: StoredKey) -> None:
        values = {"id": key.id.hex(), "tenant": key.tenant, "wrapped": key.wrapped, "wrapped_by": key.wrapped_by}
        with self._writing() as connection:
            connection.execute(insert(_TABLE).values(**values, created_at=datetime.now(UTC)))

    def replace(self, key_id: bytes, wrapped: bytes, wrapped_by: str) -> None:
        """The same key, wrapped anew."""
        with self._writing() as connection:
            statement = update(_TABLE).where(_TABLE.c.id == key_id.hex())
            connection.execute(statement.values(wrapped=wrapped, wrapped_by=wrapped_by))

    def retire(self, tenant: str, *, but: bytes) -> None:
        """The tenant's other keys seal no more."""
        others = (_TABLE.c.tenant == tenant, _TABLE.c.id != but.hex(), _TABLE.c.retired_at.is_(None))
        with self._writing() as connection:
            connection.execute(update(_TABLE).where(*others).values(retired_at=datetime.now(UTC)))

    def delete(self, tenant: str) -> int:
        """All keys of the tenant, for good. How many."""
        with self._writing() as connection:
            return connection.execute(delete(_TABLE).where(_TABLE.c.tenant == tenant)).rowcount

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._engine.begin() as connection:
            yield connection

    def _read(self, query: Select[Any]) -> Iterator[StoredKey]:
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        yield from map(_stored, rows)


def _stored(row: Row[Any]) -> StoredKey:
    return StoredKey(bytes.fromhex(row.id), row.tenant, bytes(row.wrapped), row.wrapped_by)


def _see_all(connection: Any, _record: Any) -> None:
    """Which tenant's key is meant, each query says; row-level security is told that any may be."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET {SETTING} = '{ALL}'")
    connection.commit()


def _wait_for_others(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA busy_timeout=15000")
    connection.execute("PRAGMA secure_delete=ON")  # a key that is destroyed is overwritten
