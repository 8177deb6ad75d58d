"""Rotation while serving: new keys, then everything that is stored sealed with them, a little at a time.

What was stored before encryption was on is sealed by it as well; with encryption off, it is opened for good. A rotation that
was cut short goes on where it was. Callers notice nothing: what is not resealed yet is opened with the key before, and a row
is locked for the moment in which it changes.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import structlog
from sqlmodel import SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core import audit
from core.database import Database, utc_now
from core.encryption.envelope import key_id_of, sealed_in_json
from core.encryption.keyring import CURRENT_S
from core.encryption.sealed_columns import SEALED_COLUMNS, SealedColumn
from core.errors import DecryptionFailed
from core.files import Files
from core.principals import SYSTEM
from core.tables import DataRequest, Document, KeyRotation, StoredFile

log = structlog.get_logger()

_ROWS_AT_ONCE = 100
_FILES_AT_ONCE = 20
#: Tables that name files, their columns that do, and the one that says whose they are.
_FILES: tuple[tuple[type[SQLModel], tuple[str, ...], str], ...] = (
    (Document, ("file_key", "text_key", "chunks_key"), "tenant"),
    (StoredFile, ("key",), "tenant"),
    (DataRequest, ("file_key",), "subject_tenant"),
)


class Rotation:
    """One run. `settle_s`: seconds until every process has learned of the new keys, and seals with them."""

    def __init__(self, database: Database, files: Files, *, settle_s: float = CURRENT_S + 1) -> None:
        self._database = database
        self._keyring = database.keyring
        self._files = files
        self._settle_s = settle_s

    async def run(self) -> KeyRotation:
        """Rotate, or go on with a rotation that was cut short; give it once it is finished.

        Raises:
            DecryptionFailed: something that is stored cannot be opened; the log says what. The rotation can be gone on with.
            Unavailable: the database, the file store or a source of keys is away.
        """
        state = await self._begin()
        log.info("encryption.rotation_began", rotation=state.id)
        await asyncio.sleep(self._settle_s)
        for column in SEALED_COLUMNS:
            async for position, resealed in self._rows(column, state.positions.get(column.name)):
                await self._note(state, column.name, position, resealed)
        for model, columns, owner in _FILES:
            name = str(model.__tablename__)
            async for position, resealed in self._stored(model, columns, owner, state.positions.get(name)):
                await self._note(state, name, position, resealed)
        state.finished_at = utc_now()
        async with self._database.transaction(all_tenants=True) as session:
            await session.merge(state)
            await _record(session, state, "finished")
        log.info("encryption.rotated", rotation=state.id, resealed=state.resealed)
        return state

    async def _begin(self) -> KeyRotation:
        async with self._database.session(all_tenants=True) as session:
            unfinished = select(KeyRotation).where(col(KeyRotation.finished_at).is_(None))
            found = (await session.exec(unfinished.order_by(col(KeyRotation.started_at)))).first()
        if found is not None:
            await asyncio.to_thread(self._keyring.rewrap)
            return found
        await asyncio.to_thread(self._keyring.rotate)
        state = KeyRotation()
        async with self._database.transaction(all_tenants=True) as session:
            session.add(state)
            await _record(session, state, "begun")
        return state

    async def _note(self, state: KeyRotation, name: str, position: Sequence[Any], resealed: int) -> None:
        state.positions = state.positions | {name: list(position)}
        state.resealed += resealed
        async with self._database.transaction(all_tenants=True) as session:
            await session.merge(state)

    async def _rows(self, column: SealedColumn, after: Sequence[Any] | None) -> AsyncIterator[tuple[Sequence[Any], int]]:
        """(the last row that was looked at, how many were sealed anew) for some rows at a time."""
        while True:
            async with self._database.session(all_tenants=True) as session:
                rows = (await (await session.connection()).execute(column.page(after, _ROWS_AT_ONCE))).all()
            if not rows:
                return
            stale, plain = [], 0
            for row in rows:
                key, (tenant, value) = column.key_of(row), row[len(column.key) :]
                with _told(column, key):
                    owner = await self._owner_of_stale(column, tenant, value)
                if owner is not None:
                    stale.append((key, owner))
                    plain += _says_something_in_the_clear(column, value)
            if stale:
                await self._reseal(column, stale)
            if plain:
                log.warning("encryption.was_in_the_clear", column=column.name, values=plain)
            after = column.key_of(rows[-1])
            yield after, len(stale)

    async def _owner_of_stale(self, column: SealedColumn, tenant: str | None, value: Any) -> str | None:
        """The tenant of a value that is not sealed as it would be now, its key and the current one known from now on."""
        if value is None:
            return None
        data = sealed_in_json(value) if column.json else bytes(value)
        key_id = None if data is None else key_id_of(data)
        if tenant is None:
            if key_id is None:  # an answer that is kept for a day, from before encryption was on
                return None
            tenant = (await asyncio.to_thread(self._keyring.find, key_id)).tenant
        if await asyncio.to_thread(self._keyring.seals_with, key_id, tenant):
            return None
        if key_id is not None:
            await asyncio.to_thread(self._keyring.find, key_id)
        return tenant

    async def _reseal(self, column: SealedColumn, rows: Sequence[tuple[Sequence[Any], str]]) -> None:
        sealers = {tenant: await self._keyring.sealer(tenant) for tenant in {tenant for _, tenant in rows}}
        async with self._database.transaction(all_tenants=True) as session:
            connection = await session.connection()
            for key, tenant in rows:
                value = (await connection.execute(column.read(key))).scalar()
                if value is None:
                    continue
                place = column.place(tenant, key)
                where = (place.table, place.column, place.row)
                with _told(column, key):
                    if column.json:
                        opened = await self._keyring.open_json(place, value, fits=column.fits)
                        sealed = sealers[tenant].seal_json(*where, opened)
                    else:
                        sealed = sealers[tenant].seal(*where, await self._keyring.open(place, bytes(value)))
                await connection.execute(column.write(key, sealed))

    async def _stored(
        self, model: type[SQLModel], columns: Sequence[str], owner: str, after: Sequence[Any] | None
    ) -> AsyncIterator[tuple[Sequence[Any], int]]:
        """The same for files, by the rows that name them."""
        identifier: Any = model.id  # type: ignore[attr-defined]  # all have one
        while True:
            query = select(model).order_by(identifier).limit(_FILES_AT_ONCE)
            async with self._database.session(all_tenants=True) as session:
                rows: Sequence[Any] = (await session.exec(query if after is None else query.where(identifier > after[0]))).all()
            if not rows:
                return
            resealed = 0
            for row in rows:
                for key in filter(None, (getattr(row, name) for name in columns)):
                    if await self._files.reseal(key, tenant=getattr(row, owner)):
                        resealed += 1
                        await self._let_go(model, columns, row.id, key)
            after = [rows[-1].id]
            yield after, resealed

    async def _let_go(self, model: type[SQLModel], columns: Sequence[str], row_id: str, key: str) -> None:
        """A file that was deleted while it was sealed anew has come back by that: delete it again."""
        async with self._database.session(all_tenants=True) as session:
            row = await session.get(model, row_id)
        if row is None or key not in [getattr(row, name) for name in columns]:
            await self._files.delete(key)


async def _record(session: AsyncSession, state: KeyRotation, stage: str) -> None:
    details: dict[str, audit.Detail] = {"stage": stage, "resealed": state.resealed}
    on = ("key_rotation", state.id)
    await audit.record(session, audit.Action.ENCRYPTION_KEY_ROTATED, on=on, details=details, principal=SYSTEM)


@contextmanager
def _told(column: SealedColumn, key: Sequence[Any]) -> Iterator[None]:
    """What cannot be opened is named in the log, so that an operator finds it."""
    try:
        yield
    except DecryptionFailed as error:
        log.warning("encryption.not_opened", column=column.name, row="/".join(map(str, key)), **error.context)
        raise


def _says_something_in_the_clear(column: SealedColumn, value: Any) -> bool:
    """Of each value that was never sealed is told: it is from before encryption was on, or somebody has put it there. One that
    is empty tells nobody anything."""
    if column.json:
        return value != {} and sealed_in_json(value) is None
    return key_id_of(bytes(value)) is None
