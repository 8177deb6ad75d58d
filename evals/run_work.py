"""Runs as workers see them: leased, worked off example by example, summed up.

The database is the truth. A worker takes a lease on a run, and every write of its work asks for that lease. Each example goes
through its states in one direction, every step in a transaction that asks for the state before it, so that an answer, and what
it has cost, is counted once. Locks are taken in one order everywhere: the run, then its job.
"""

import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy import func, literal
from sqlmodel import col, or_, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from core import jobs
from core.database import SECRET, Database, utc_now
from core.money import Money
from core.principals import Principal, Scope
from core.rights import REVOKED, REVOKED_MESSAGE, principal_now
from core.tables import EvalDataset, EvalResult, EvalRun, JobState, LedgerRow, ResultState, RunState
from evals.base import Example, Outcome, Score
from evals.caps import Part
from evals.datasets import Datasets
from evals.ownership import theirs
from evals.run_steps import Answered, RunLease, Scored, Work, request_id
from evals.runs import ended_of, opened, outcome_bytes, result_place
from evals.scoring import kept
from providers.registry.pins import Pins

_OPEN = tuple(state.value for state in RunState if not state.finished)
_ENDED = tuple(state.value for state in ResultState if state.ended)
_ANSWERABLE = (ResultState.PENDING.value, ResultState.SENT.value)


class RunWork:
    """What a worker does with runs, under leases of `lease_s` seconds."""

    def __init__(self, database: Database, *, lease_s: float) -> None:
        self._database = database
        self._lease_s = lease_s

    async def take(self, run_id: str) -> RunLease | None:
        """A lease; None where the run has ended or another worker has it."""
        async with self._database.transaction(all_tenants=True) as session:
            run = (await session.exec(select(EvalRun).where(EvalRun.id == run_id).with_for_update())).first()
            now = utc_now()
            if run is None or run.state not in _OPEN or (run.leased_until is not None and run.leased_until > now):
                return None
            lease = RunLease(secrets.token_hex(8), run, Principal.from_job(run.principal))
            run.lease, run.leased_until = lease.id, now + timedelta(seconds=self._lease_s)
            if run.state == RunState.QUEUED:
                run.state, run.started_at = RunState.RUNNING, run.started_at or now
            await jobs.begin(session, run.job_id)
        return lease

    async def renew(self, lease: RunLease, needs: Collection[Scope], aliases: Collection[str] = ()) -> bool:
        """A sign of life. False when the lease is lost, or the run is to be cancelled: by request, or since whom it is
        worked on for may not have it done any more, for which they need the scopes and the aliases."""
        async with self._database.transaction(lease.run.tenant) as session:
            principal = await principal_now(session, lease.principal)
            if principal is not None:
                lease.principal = principal
            may = principal is not None and all(map(principal.may, needs)) and all(map(principal.may_use_model, aliases))
            if not may:
                run = await _held(session, lease)
                if run is not None and run.state == RunState.RUNNING:
                    run.state, run.error_code = RunState.CANCELLING, REVOKED
                return False
            renewed = await session.exec(
                update(EvalRun)
                .where(
                    col(EvalRun.id) == lease.run.id,
                    col(EvalRun.lease) == lease.id,
                    col(EvalRun.state) == RunState.RUNNING.value,
                )
                .values(leased_until=utc_now() + timedelta(seconds=self._lease_s))
            )
        return renewed.rowcount == 1

    async def release(self, lease: RunLease, *, rest: bool = False) -> EvalRun | None:
        """Give the lease back; the row as it is now, None when another worker has it. With `rest` nobody takes the run for as
        long as a lease lasts: what failed would fail again at once."""
        async with self._database.transaction(lease.run.tenant) as session:
            run = await _held(session, lease)
            if run is not None:
                run.lease, run.leased_until = None, None
                if rest:
                    run.leased_until = utc_now() + timedelta(seconds=self._lease_s)
        return run

    async def current(self, lease: RunLease) -> EvalRun | None:
        """The row as it is now, None when another worker has it."""
        async with self._database.session(lease.run.tenant) as session:
            run = (await session.exec(select(EvalRun).where(EvalRun.id == lease.run.id))).first()
        return run if run is not None and run.lease == lease.id else None

    async def pin(self, lease: RunLease, pins: Pins, version: str) -> bool:
        """These are the versions that it goes by to its end. False when the lease was lost."""
        async with self._database.transaction(lease.run.tenant) as session:
            run = await _held(session, lease)
            if run is None:
                return False
            run.pins, run.version = pins.told(), version
        lease.run.pins, lease.run.version = pins.told(), version
        return True

    async def secret(self) -> bytes:
        """What reuse keys are made with: the installation's own."""
        async with self._database.session(all_tenants=True) as session:
            secret: bytes = session.info[SECRET]()
        return secret

    async def next_ones(self, lease: RunLease, *, after: int, limit: int) -> list[Work]:
        """The next examples that have not ended. An example that is gone from the dataset is gone from the run, as failed."""
        async with self._database.session(lease.run.tenant) as session:
            query = (
                select(EvalResult)
                .where(EvalResult.run_id == lease.run.id, col(EvalResult.number) > after, col(EvalResult.state).not_in(_ENDED))
                .order_by(col(EvalResult.number))
                .limit(limit)
            )
            rows = list((await session.exec(query)).all())
            dataset = (await session.exec(select(EvalDataset).where(EvalDataset.id == lease.run.dataset_id))).first()
        if not rows:
            return []
        begun = {row.number for row in rows if row.example_id}
        found: dict[int, tuple[Example, str | None]] = {}
        if dataset is not None:
            wanted, first = rows[-1].number - rows[0].number + 1, rows[0].number - 1
            some = await Datasets(self._database).some(dataset, after=first, limit=wanted)
            found = {number: (example, subject) for number, example, subject in some}
        for row in rows:
            if row.number in found:
                row.example_id, row.subject = found[row.number][0].id, found[row.number][1]
        gone = Example("", {})
        return [Work(row, found.get(row.number, (gone, None))[0], row.number in begun) for row in rows]

    async def outcome(self, lease: RunLease, row: EvalResult) -> Outcome | None:
        """What was kept of an example that has been answered."""
        return (await opened(self._database, lease.run.tenant, row)).outcome

    async def begin(self, lease: RunLease, rows: Sequence[EvalResult]) -> bool:
        """Count a try of examples whose work starts now. False when the lease was lost; then nothing has changed."""
        async with self._database.transaction(lease.run.tenant) as session:
            if await _held(session, lease) is None:
                return False
            for row in rows:
                await session.exec(
                    update(EvalResult)
                    .where(*_is(lease, row.number))
                    .values(attempts=col(EvalResult.attempts) + 1, example_id=row.example_id, subject=row.subject)
                )
        return True

    async def sending(self, lease: RunLease, numbers: Sequence[int]) -> bool:
        """These are asked now: from here on they may have been paid for. False when the lease was lost."""
        return await self._move(lease, numbers, ResultState.PENDING, ResultState.SENT)

    async def grading(self, lease: RunLease, numbers: Sequence[int]) -> bool:
        """Models are asked about these now. False when the lease was lost."""
        return await self._move(lease, numbers, ResultState.ANSWERED, ResultState.GRADING)

    async def _move(self, lease: RunLease, numbers: Sequence[int], before: ResultState, after: ResultState) -> bool:
        async with self._database.transaction(lease.run.tenant) as session:
            if await _held(session, lease) is None:
                return False
            await session.exec(
                update(EvalResult)
                .where(
                    col(EvalResult.run_id) == lease.run.id,
                    col(EvalResult.number).in_(numbers),
                    col(EvalResult.state) == before.value,
                )
                .values(state=after.value)
            )
        return True

    async def booked(self, lease: RunLease, row: EvalResult, *, grading: bool = False) -> Decimal | None:
        """What the ledger has of an example whose answer, or `grading`, was lost, beside what the run has counted; None where
        it has nothing, or no price."""
        query = select(LedgerRow).where(LedgerRow.request_id == request_id(lease.run.id, row.number, grading=grading))
        async with self._database.session(lease.run.tenant) as session:
            costs = [one.cost_usd for one in await session.exec(query) if one.cost_usd is not None]
        counted = (row.grading_usd if grading else row.cost_usd) or Decimal(0)
        return max(sum(costs, Decimal(0)) - counted, Decimal(0)) if costs else None

    async def dearest(self, lease: RunLease) -> dict[Part, Decimal]:
        """What the dearest answer, and the dearest grading, of the run has cost until now; nothing of what has cost nothing."""
        columns = {Part.ANSWER: EvalResult.cost_usd, Part.GRADING: EvalResult.grading_usd}
        query: Any = select(*(func.max(col(column)) for column in columns.values())).where(EvalResult.run_id == lease.run.id)
        async with self._database.session(lease.run.tenant) as session:
            most = (await session.exec(query)).one()
        return {part: usd for part, usd in zip(columns, most, strict=True) if usd}

    async def booked_of(self, lease: RunLease, number: int, *, grading: bool = False) -> Decimal | None:
        """The same of an example by its number."""
        query = select(EvalResult).where(EvalResult.run_id == lease.run.id, EvalResult.number == number)
        async with self._database.session(lease.run.tenant) as session:
            row = (await session.exec(query)).one()
        return await self.booked(lease, row, grading=grading)

    async def reusable(self, lease: RunLease, key: str, example: Example) -> tuple[Outcome, str] | None:
        """An outcome of an earlier run, that they may see, for the same question, and the run's identifier; None where there is
        none."""
        query = (
            select(EvalResult)
            .join(EvalRun, col(EvalRun.id) == col(EvalResult.run_id))
            .where(
                EvalResult.reuse_key == key, EvalResult.run_id != lease.run.id,
                or_(col(EvalResult.error_code).is_(None), EvalResult.state == ResultState.UNGRADED.value),
                col(EvalResult.outcome).is_not(None), theirs(EvalRun, lease.principal),
            )
            .order_by(col(EvalRun.created_at).desc())
            .limit(1)
        )  # fmt: skip
        async with self._database.session(lease.run.tenant) as session:
            row = (await session.exec(query)).first()
        if row is None:
            return None
        outcome = (await opened(self._database, lease.run.tenant, row)).outcome
        if outcome is None:
            return None
        answer = {name: getattr(outcome, name) for name in Outcome.__dataclass_fields__ if name != "example"}
        return Outcome(example, **answer), row.reused_from or row.run_id

    async def answered(self, lease: RunLease, answers: Sequence[Answered]) -> bool:
        """These have an outcome: kept, and paid for. False when the lease was lost; then nothing has changed."""
        tenant, keyring = lease.run.tenant, self._database.keyring
        sealed = [
            await keyring.seal(result_place(tenant, lease.run.id, one.number, "outcome"), outcome_bytes(one.outcome))
            for one in answers
        ]
        async with self._database.transaction(tenant) as session:
            run = await _held(session, lease)
            if run is None:
                return False
            for one, outcome in zip(answers, sealed, strict=True):
                written = await session.exec(
                    update(EvalResult)
                    .where(*_is(lease, one.number), col(EvalResult.state).in_(_ANSWERABLE))
                    .values(
                        state=ResultState.ANSWERED.value,
                        outcome=outcome,
                        cost_usd=_more(EvalResult.cost_usd, one.cost_usd),
                        error_code=one.outcome.error,
                        reuse_key=one.reuse_key,
                        reused_from=one.reused_from,
                    )
                )
                if written.rowcount:
                    run.spent_usd += one.cost_usd or Decimal(0)
                    run.cached += one.reused_from is not None
            lease.run.spent_usd = run.spent_usd
        return True

    async def scored(self, lease: RunLease, ends: Sequence[Scored]) -> bool:
        """These have ended. False when the lease was lost; then nothing has changed."""
        tenant, keyring = lease.run.tenant, self._database.keyring
        details = []
        for one in ends:
            told = {label: score.details for label, score in one.scores.items() if score.details}
            place = result_place(tenant, lease.run.id, one.number, "details")
            details.append(await keyring.seal(place, orjson.dumps(told, default=str)) if told else None)
        async with self._database.transaction(tenant) as session:
            run = await _held(session, lease)
            if run is None:
                return False
            errors = []
            for one, sealed in zip(ends, details, strict=True):
                values: dict[str, Any] = {
                    "state": one.state.value,
                    "scores": {label: kept(score) for label, score in one.scores.items()},
                    "details": sealed,
                }
                if one.grading_usd is not None:
                    values["grading_usd"] = _more(EvalResult.grading_usd, one.grading_usd)
                if one.cost_usd is not None:
                    values["cost_usd"] = _more(EvalResult.cost_usd, one.cost_usd)
                if one.error_code is not None:
                    values["error_code"] = one.error_code
                    errors.append({"document": f"example {one.number}", "code": one.error_code, "message": "It is unmeasured."})
                written = await session.exec(
                    update(EvalResult).where(*_is(lease, one.number), col(EvalResult.state).not_in(_ENDED)).values(values)
                )
                if not written.rowcount:
                    continue
                run.spent_usd += (one.grading_usd or Decimal(0)) + (one.cost_usd or Decimal(0))
                if one.state.ended:
                    setattr(run, one.state.value, getattr(run, one.state.value) + 1)
            lease.run.spent_usd = run.spent_usd
            await jobs.advance(session, run.job_id, done=ended_of(run), errors=errors)
        return True

    async def all_scores(self, lease: RunLease) -> list[dict[str, Any]]:
        """What was kept of the scores of each example, in order."""
        async with self._database.session(lease.run.tenant) as session:
            query = select(EvalResult.scores).where(EvalResult.run_id == lease.run.id).order_by(col(EvalResult.number))
            return [dict(scores) for scores in await session.exec(query)]

    async def all_answered(self, lease: RunLease, *, at_once: int = 500) -> list[tuple[Outcome, dict[str, Score]]]:
        """The outcomes that there are and are no failures, in order, each with its scores by a metric's label."""
        outcomes, after = [], 0
        while True:
            query = select(EvalResult).where(EvalResult.run_id == lease.run.id, col(EvalResult.number) > after)
            async with self._database.session(lease.run.tenant) as session:
                rows = (await session.exec(query.order_by(col(EvalResult.number)).limit(at_once))).all()
            for row in rows:
                shown = await opened(self._database, lease.run.tenant, row)
                if shown.outcome is not None and shown.outcome.error is None:
                    told = shown.details
                    scores = {label: Score(**score, details=told.get(label, {})) for label, score in row.scores.items()}
                    outcomes.append((shown.outcome, scores))
            if len(rows) < at_once:
                return outcomes
            after = rows[-1].number

    async def close(
        self,
        lease: RunLease,
        state: RunState,
        *,
        summary: Mapping[str, Any],
        passed: bool | None = None,
        error_code: str | None = None,
    ) -> bool:
        """The run has ended. False when the lease was lost; then nothing has changed."""
        async with self._database.transaction(lease.run.tenant) as session:
            run = await _held(session, lease)
            if run is None:
                return False
            run.state, run.ended_at, run.summary, run.passed = state, utc_now(), dict(summary), passed
            run.error_code = error_code or run.error_code
            run.lease, run.leased_until = None, None
            job = await jobs.lock_job(session, run.job_id)
            if job is not None and not JobState(job.state).finished:
                job.result = {"run": run.id, "passed": passed}
                if run.error_code is not None:
                    message = REVOKED_MESSAGE if run.error_code == REVOKED else "The run ended before its end."
                    job.errors = [*job.errors, {"document": run.suite, "code": run.error_code, "message": message}]
                ended = {RunState.SUCCEEDED: JobState.SUCCEEDED, RunState.CANCELLED: JobState.CANCELLED}
                await jobs.end(session, job, ended.get(state, JobState.FAILED))
        return True

    async def waiting(self, *, all_of_them: bool = False) -> list[str]:
        """Runs that no living worker has. `all_of_them` where no other worker can be alive: their leases end."""
        free = or_(col(EvalRun.leased_until).is_(None), col(EvalRun.leased_until) < utc_now())
        async with self._database.transaction(all_tenants=True) as session:
            if all_of_them:
                taken = update(EvalRun).where(col(EvalRun.lease).is_not(None)).values(lease=None, leased_until=None)
                await session.exec(taken)
            query = select(EvalRun.id).where(col(EvalRun.state).in_(_OPEN), free).order_by(col(EvalRun.created_at))
            return list((await session.exec(query)).all())


async def _held(session: AsyncSession, lease: RunLease) -> EvalRun | None:
    """The run, locked; None when another worker has it, or it is gone."""
    query = select(EvalRun).where(EvalRun.id == lease.run.id).with_for_update()
    run = (await session.exec(query.execution_options(populate_existing=True))).first()
    return run if run is not None and run.lease == lease.id else None


def _more(column: Any, usd: Decimal | None) -> Any:
    """The column's sum with this; NULL where no price is known."""
    return None if usd is None else func.coalesce(col(column), literal(Decimal(0), Money())) + literal(usd, Money())


def _is(lease: RunLease, number: int) -> tuple[Any, ...]:
    return col(EvalResult.run_id) == lease.run.id, col(EvalResult.number) == number
