"""Datasets as callers have them: versions by what is in them, examples sealed."""

from collections.abc import AsyncGenerator, Sequence

from sqlalchemy import func, insert
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, delete, select

from core import audit
from core.database import Database
from core.encryption.envelope import Place
from core.errors import Conflict, NotFound
from core.principals import Principal
from core.tables import EvalDataset, EvalExample, EvalRun, RunState
from evals.base import Example
from evals.dataset_files import digest_of, plain, restored
from evals.ownership import theirs

#: Where a dataset comes from.
UPLOAD, SESSIONS = "upload", "sessions"
_AT_ONCE = 500
_OPEN = tuple(state.value for state in RunState if not state.finished)


class Datasets:
    """Made, read, deleted."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self,
        principal: Principal,
        name: str,
        examples: Sequence[Example],
        *,
        source: str = UPLOAD,
        subjects: Sequence[str | None] = (),
        from_collections: bool = False,
    ) -> EvalDataset:
        """The version with these examples: a new one, or the one of the same name that has the same content already.
        `subjects`: whose each of them is; `from_collections`: they hold what collections say."""
        digest, tenant, keyring = digest_of(examples), principal.tenant, self._database.keyring
        whose = list(subjects) or [None] * len(examples)
        mine = (EvalDataset.name == name, EvalDataset.owner == principal.id)
        query = select(EvalDataset).where(*mine).order_by(col(EvalDataset.number).desc())
        async with self._database.session(tenant) as session:
            same = (await session.exec(query.where(EvalDataset.digest == digest))).first()
        if same is not None:
            return same
        row = EvalDataset(
            tenant=tenant,
            owner=principal.id,
            name=name,
            number=1,
            digest=digest,
            source=source,
            from_collections=from_collections,
            examples=len(examples),
        )
        rows = [
            {
                "dataset_id": row.id,
                "number": number,
                "subject": whose[number - 1],
                "content": await keyring.seal(example_place(tenant, row.id, number), plain(example)),
            }
            for number, example in enumerate(examples, start=1)
        ]
        try:
            async with self._database.transaction(tenant) as session:
                newest = (await session.exec(query.limit(1))).first()
                row.number = newest.number + 1 if newest is not None else 1
                session.add(row)
                await session.flush()
                for first in range(0, len(rows), _AT_ONCE):
                    await session.exec(insert(EvalExample), params=rows[first : first + _AT_ONCE])
                await audit.record(
                    session,
                    audit.Action.EVAL_DATASET_ADDED,
                    on=("eval_dataset", row.id),
                    details={"examples": len(examples), "source": source},
                    principal=principal,
                )
        except IntegrityError:
            raise Conflict("Another version of the dataset is being added.", code="already_exists") from None
        return row

    async def get(self, principal: Principal, dataset_id: str) -> EvalDataset:
        """Raises NotFound (`dataset_not_found`)."""
        async with self._database.session(principal.tenant) as session:
            row = (
                await session.exec(select(EvalDataset).where(EvalDataset.id == dataset_id, theirs(EvalDataset, principal)))
            ).first()
        if row is None:
            raise _missing()
        return row

    async def named(self, principal: Principal, name: str) -> EvalDataset:
        """The newest version of that name, their own before others'; of `name@number` that one; or the one with that id.
        Raises NotFound (`dataset_not_found`)."""
        wanted, _, number = name.rpartition("@")
        query = select(EvalDataset).where((col(EvalDataset.name) == name) | (col(EvalDataset.id) == name))
        if wanted and number.isdecimal():
            query = select(EvalDataset).where(EvalDataset.name == wanted, EvalDataset.number == int(number[:9]))
        async with self._database.session(principal.tenant) as session:
            own_first = (col(EvalDataset.owner) == principal.id).desc()
            query = query.where(theirs(EvalDataset, principal)).order_by(own_first, col(EvalDataset.number).desc())
            row = (await session.exec(query.limit(1))).first()
        if row is None:
            raise _missing()
        return row

    async def examples(self, row: EvalDataset, *, after: int = 0) -> AsyncGenerator[list[tuple[int, Example, str | None]]]:
        """Numbers, examples and whose they are, in order, some at a time. Holds no session open between two reads."""
        while found := await self.some(row, after=after, limit=_AT_ONCE):
            yield found
            after = found[-1][0]

    async def some(self, row: EvalDataset, *, after: int, limit: int) -> list[tuple[int, Example, str | None]]:
        """The next examples after a number."""
        query = select(EvalExample).where(EvalExample.dataset_id == row.id, col(EvalExample.number) > after)
        async with self._database.session(row.tenant) as session:
            rows = (await session.exec(query.order_by(col(EvalExample.number)).limit(limit))).all()
        return [(one.number, restored(await self._opened(row.tenant, one)), one.subject) for one in rows]

    async def delete(self, principal: Principal, dataset_id: str) -> None:
        """Delete a version with its examples; what runs have made of it stays.

        Raises:
            NotFound: `dataset_not_found`.
            Conflict: `dataset_in_use`: a run that has not ended reads it.
        """
        row = await self.get(principal, dataset_id)
        async with self._database.transaction(principal.tenant) as session:
            reading = (
                select(func.count())
                .select_from(EvalRun)
                .where(col(EvalRun.dataset_id) == row.id, col(EvalRun.state).in_(_OPEN))
            )
            if (await session.exec(reading)).one():
                raise Conflict("A run that has not ended reads the dataset.", code="dataset_in_use")
            await session.exec(delete(EvalExample).where(col(EvalExample.dataset_id) == row.id))
            await session.exec(delete(EvalDataset).where(col(EvalDataset.id) == row.id))
            await audit.record(session, audit.Action.EVAL_DATASET_DELETED, on=("eval_dataset", row.id), principal=principal)

    async def _opened(self, tenant: str, row: EvalExample) -> bytes:
        place = example_place(tenant, row.dataset_id, row.number)
        return await self._database.keyring.open(place, row.content)


def example_place(tenant: str, dataset_id: str, number: int) -> Place:
    """Where an example is, for its seal."""
    return Place(tenant, EvalExample.__tablename__, "content", f"{dataset_id}/{number}")


def _missing() -> NotFound:
    return NotFound("There is no such dataset.", code="dataset_not_found")
