"""The columns that are sealed: where each value is, whose it is, and how to read them all in order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Table, and_, literal, null, select, tuple_, update
from sqlalchemy.sql.dml import Update
from sqlmodel import SQLModel

from core.encryption.envelope import Place
from core.encryption.plain_forms import is_message, is_object, is_privacy, is_secrets
from core.tables import (
    AlertRoute,
    Batch,
    BatchRow,
    Conversation,
    ConversationMessage,
    EvalDataset,
    EvalExample,
    EvalResult,
    EvalRun,
    EvalSuite,
    IdempotencyRecord,
    ProviderCredential,
    Source,
)


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """`key` is the primary key, whose parts with `/` between them are the row in the value's place.

    The tenant is in the row, or in that of `owner` (table, its column that is referred to, the one that refers); where it is in
    neither, only the data key knows it. `fits` says whether a value that was never sealed can be one of a JSON column.
    """

    model: type[SQLModel]
    column: str
    key: tuple[str, ...] = ("id",)
    owner: tuple[type[SQLModel], str, str] | None = None
    json: bool = False
    fits: Callable[[Any], bool] = is_object

    @property
    def table(self) -> Table:
        table: Table = self.model.__table__  # type: ignore[attr-defined]  # SQLModel does not declare it
        return table

    @property
    def name(self) -> str:
        return f"{self.table.name}.{self.column}"

    def place(self, tenant: str, key: Sequence[Any]) -> Place:
        return Place(tenant, self.table.name, self.column, "/".join(map(str, key)))

    def page(self, after: Sequence[Any] | None, limit: int) -> Select[Any]:
        """Rows after that key, as (key's parts …, tenant or NULL, value)."""
        table, parts = self.table, self._parts
        tenant: Any = table.c.tenant if "tenant" in table.c else null()
        source: Any = table
        if self.owner is not None:
            model, referred, referring = self.owner
            other: Table = model.__table__  # type: ignore[attr-defined]
            source, tenant = table.join(other, other.c[referred] == table.c[referring]), other.c.tenant
        query = (
            select(*parts, tenant.label("of_tenant"), table.c[self.column]).select_from(source).order_by(*parts).limit(limit)
        )
        if after is None:
            return query
        return query.where(tuple_(*parts) > tuple_(*(literal(value) for value in after)))

    def read(self, key: Sequence[Any]) -> Select[Any]:
        """The value of one row, locked until the transaction ends."""
        return select(self.table.c[self.column]).where(self._is(key)).with_for_update()

    def write(self, key: Sequence[Any], value: Any) -> Update:
        return update(self.table).where(self._is(key)).values({self.column: value})

    def key_of(self, row: Row[Any]) -> list[Any]:
        return list(row[: len(self.key)])

    @property
    def _parts(self) -> list[ColumnElement[Any]]:
        return [self.table.c[name] for name in self.key]

    def _is(self, key: Sequence[Any]) -> ColumnElement[bool]:
        return and_(*(part == value for part, value in zip(self._parts, key, strict=True)))


SEALED_COLUMNS = (
    SealedColumn(ConversationMessage, "payload", owner=(Conversation, "id", "conversation_id"), json=True, fits=is_message),
    SealedColumn(Conversation, "privacy", json=True, fits=is_privacy),
    SealedColumn(IdempotencyRecord, "body"),
    SealedColumn(BatchRow, "result", key=("batch_id", "number"), owner=(Batch, "id", "batch_id")),
    SealedColumn(EvalExample, "content", key=("dataset_id", "number"), owner=(EvalDataset, "id", "dataset_id")),
    SealedColumn(EvalSuite, "definition"),
    SealedColumn(EvalRun, "definition"),
    SealedColumn(EvalResult, "outcome", key=("run_id", "number"), owner=(EvalRun, "id", "run_id")),
    SealedColumn(EvalResult, "details", key=("run_id", "number"), owner=(EvalRun, "id", "run_id")),
    SealedColumn(ProviderCredential, "secrets", json=True, fits=is_secrets),
    SealedColumn(ProviderCredential, "pending", json=True, fits=is_secrets),
    SealedColumn(Source, "secrets", json=True, fits=is_secrets),
    SealedColumn(AlertRoute, "target", json=True, fits=is_secrets),
)
