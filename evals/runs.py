"""Runs as callers see them: made, read, cancelled, taken up again, deleted. `evals.run_work` has the workers' side."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy import insert
from sqlmodel import and_, col, delete, func, or_, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from core import audit, denials, jobs
from core.database import Database, utc_now
from core.encryption.envelope import Place
from core.errors import Conflict, InvalidRequest, NotFound
from core.principals import Principal
from core.tables import EvalDataset, EvalResult, EvalRun, JobState, ResultState, RunState
from evals.base import Example, Outcome
from evals.caps import COST_CAP
from evals.dataset_files import plain, restored
from evals.ownership import reads_all, theirs
from evals.suites import Suite, check_labels, suite_of
from providers.registry.pins import Pins

#: What workers are called by.
RUN_EVALUATION, QUEUE = "run_evaluation", "evaluations"
#: Its answers hold passages of collections.
_ASKS_COLLECTIONS = "rag"
_AT_ONCE = 1000
_ANSWERED = (ResultState.GRADING, ResultState.UNGRADED)


@dataclass(frozen=True, slots=True)
class Shown:
    """What became of one example: its row, its outcome (None: it has none), and what the metrics say beside their numbers."""

    row: EvalResult
    outcome: Outcome | None
    details: dict[str, Any]


class Runs:
    """What callers do with runs. What was asked of collections, only who may search all of
    them sees."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self,
        principal: Principal,
        suite: Suite,
        dataset: EvalDataset,
        *,
        version: str = "",
        pins: Pins | None = None,
        baseline_id: str | None = None,
    ) -> EvalRun:
        """A new run with its job. It goes by the versions that `pins` name, its target's being `version`; without them by those
        that are live when a worker begins. The caller sends `RUN_EVALUATION` after this; a message that is lost, the sweeper
        sends.

        Raises:
            Forbidden: `collection_not_allowed`: what collections say would be in it, and the key is not for all of them.
        """
        from_collections = dataset.from_collections or suite.target.capability == _ASKS_COLLECTIONS
        if from_collections and not reads_all(principal):
            why = "What collections say would be in this run, and the key is not for all of them: it would not see the run."
            raise denials.barred(principal, why, code="collection_not_allowed")
        run = EvalRun(
            tenant=principal.tenant,
            owner=principal.id,
            principal=principal.to_job(),
            suite=suite.name,
            dataset_id=dataset.id,
            dataset_digest=dataset.digest,
            from_collections=from_collections,
            capability=suite.target.capability,
            alias=suite.target.alias,
            version=version,
            pins={} if pins is None else pins.told(),
            definition=b"",
            job_id="",
            baseline_id=baseline_id,
            total=dataset.examples,
            max_cost_usd=suite.run.max_cost_usd,
        )
        text = orjson.dumps(suite.model_dump(mode="json"))
        run.definition = await self._database.keyring.seal(definition_place(run.tenant, run.id), text)
        about = {"suite": suite.name, "run": run.id}
        async with self._database.transaction(principal.tenant) as session:
            job = await jobs.open_job(session, principal, jobs.EVALUATION, total=dataset.examples, arguments=about)
            run.job_id = job.id
            session.add(run)
            await session.flush()
            for first in range(0, dataset.examples, _AT_ONCE):
                numbers = range(first + 1, min(first + _AT_ONCE, dataset.examples) + 1)
                await session.exec(insert(EvalResult), params=[_unasked(run.id, number) for number in numbers])
            await audit.record(
                session,
                audit.Action.EVAL_RUN_STARTED,
                on=("eval_run", run.id),
                details={"examples": dataset.examples, "alias": suite.target.alias},
                principal=principal,
            )
        return run

    async def get(self, principal: Principal, run_id: str) -> EvalRun:
        """Raises NotFound (`run_not_found`)."""
        async with self._database.session(principal.tenant) as session:
            run = (await session.exec(select(EvalRun).where(EvalRun.id == run_id, theirs(EvalRun, principal)))).first()
        if run is None:
            raise NotFound("There is no such run.", code="run_not_found")
        return run

    async def page(
        self, principal: Principal, *, limit: int, after: str | None = None, suite: str | None = None
    ) -> tuple[list[EvalRun], bool]:
        """The newest first, those after the run `after`; and whether there are more. Raises InvalidRequest
        (`invalid_cursor`)."""
        query = select(EvalRun).where(theirs(EvalRun, principal))
        if suite is not None:
            query = query.where(EvalRun.suite == suite)
        if after is not None:
            try:
                last = await self.get(principal, after)
            except NotFound:
                raise InvalidRequest("The list has no such run.", code="invalid_cursor", param="cursor") from None
            same_moment = and_(col(EvalRun.created_at) == last.created_at, col(EvalRun.id) < last.id)
            query = query.where(or_(col(EvalRun.created_at) < last.created_at, same_moment))
        async with self._database.session(principal.tenant) as session:
            ordered = query.order_by(col(EvalRun.created_at).desc(), col(EvalRun.id).desc())
            rows = (await session.exec(ordered.limit(limit + 1))).all()
        return list(rows[:limit]), len(rows) > limit

    async def suite(self, run: EvalRun) -> Suite:
        """The suite that it was made of."""
        return await suite_of_run(self._database, run)

    async def definition(self, run: EvalRun) -> dict[str, Any]:
        """The same as it was kept: it is there to be read, also where a suite may not be so any more."""
        told: dict[str, Any] = orjson.loads(await _definition(self._database, run))
        return told

    async def results(
        self, run: EvalRun, *, after: int, limit: int, states: Sequence[ResultState] = ()
    ) -> tuple[list[Shown], bool]:
        """The examples after a number, in order; and whether there are more."""
        query = select(EvalResult).where(EvalResult.run_id == run.id, col(EvalResult.number) > after)
        if states:
            query = query.where(col(EvalResult.state).in_([state.value for state in states]))
        async with self._database.session(run.tenant) as session:
            rows = (await session.exec(query.order_by(col(EvalResult.number)).limit(limit + 1))).all()
        return [await opened(self._database, run.tenant, row) for row in rows[:limit]], len(rows) > limit

    async def unpriced(self, run: EvalRun) -> int:
        """How many answers it has asked for itself of which no price is known: what it has spent is without them."""
        query = select(func.count()).where(
            EvalResult.run_id == run.id,
            col(EvalResult.outcome).is_not(None),
            col(EvalResult.error_code).is_(None),
            col(EvalResult.cost_usd).is_(None),
            col(EvalResult.reused_from).is_(None),
        )
        async with self._database.session(run.tenant) as session:
            return (await session.exec(query)).one()

    async def scores(self, run: EvalRun) -> dict[str, dict[str, Any]]:
        """Of every example, by its identifier, what was kept of its scores."""
        query = select(EvalResult.example_id, EvalResult.scores).where(EvalResult.run_id == run.id)
        async with self._database.session(run.tenant) as session:
            return {example_id: dict(scores) for example_id, scores in await session.exec(query) if example_id}

    async def outputs(self, run: EvalRun, examples: Sequence[str]) -> dict[str, str]:
        """The outputs of some examples, by their identifiers; of those that have one."""
        query = select(EvalResult).where(EvalResult.run_id == run.id, col(EvalResult.example_id).in_(examples))
        async with self._database.session(run.tenant) as session:
            rows = (await session.exec(query)).all()
        shown = [await opened(self._database, run.tenant, row) for row in rows]
        return {one.row.example_id: one.outcome.output for one in shown if one.outcome is not None}

    async def cancel(self, principal: Principal, run_id: str) -> EvalRun:
        """Ask for its end; what has been answered stays. One that no worker has begun with has ended at once. No effect on one
        that has ended. The caller sends `RUN_EVALUATION` after this, for a run that has not ended and that no worker has."""
        await self.get(principal, run_id)
        async with self._database.transaction(principal.tenant) as session:
            run = await _locked(session, run_id)
            if run.state in (RunState.QUEUED, RunState.RUNNING):
                await _cancel(session, run)
                await audit.record(session, audit.Action.EVAL_RUN_CANCELLED, on=("eval_run", run.id), principal=principal)
        return run

    async def resume(
        self, principal: Principal, run_id: str, *, max_cost_usd: Decimal | None, repeat: Sequence[ResultState]
    ) -> EvalRun:
        """Go on with a run that has ended before all was done, under a new job and with the caller's rights. Examples in a
        state of `repeat` are asked once more: they may be paid for a second time. Of those that are ungraded the answers stay.

        Raises:
            Conflict: `run_not_ended`; `run_complete`: nothing is left to do.
            InvalidRequest: `cost_cap_reached`: what it may spend is spent.
        """
        await self.get(principal, run_id)
        async with self._database.transaction(principal.tenant) as session:
            run = await _locked(session, run_id)
            if not RunState(run.state).finished:
                raise Conflict("The run has not ended.", code="run_not_ended")
            if max_cost_usd is not None:
                run.max_cost_usd = max_cost_usd
            if run.max_cost_usd is not None and run.spent_usd >= run.max_cost_usd:
                message = f"The run has spent ${run.spent_usd.normalize():f}: give it a greater max_cost_usd."
                raise InvalidRequest(message, code=COST_CAP, param="max_cost_usd")
            mine = col(EvalResult.run_id) == run.id
            await session.exec(update(EvalResult).where(mine).values(attempts=0))
            for state in repeat:
                before = ResultState.ANSWERED if state in _ANSWERED else ResultState.PENDING
                await session.exec(
                    update(EvalResult)
                    .where(mine, col(EvalResult.state) == state.value)
                    .values(state=before.value, error_code=None, scores={}, details=None)
                )
            ended = [state.value for state in ResultState if state.ended]
            states = (await session.exec(select(EvalResult.state).where(EvalResult.run_id == run.id))).all()
            if all(state in ended for state in states):
                raise Conflict("Nothing is left to do in the run.", code="run_complete")
            about = {"suite": run.suite, "run": run.id}
            job = await jobs.open_job(session, principal, jobs.EVALUATION, total=run.total, arguments=about)
            job.done = sum(state in ended for state in states)
            run.job_id, run.principal, run.state = job.id, principal.to_job(), RunState.QUEUED
            run.failed = states.count(ResultState.FAILED.value)
            run.interrupted = states.count(ResultState.INTERRUPTED.value)
            run.ungraded = states.count(ResultState.UNGRADED.value)
            run.error_code, run.passed, run.ended_at = None, None, None
            await audit.record(
                session, audit.Action.EVAL_RUN_STARTED, on=("eval_run", run.id), details={"resumed": True}, principal=principal
            )
        return run

    async def delete(self, principal: Principal, run_id: str) -> None:
        """Delete a run that has ended, with all that came of it. Raises NotFound, Conflict (`run_not_ended`)."""
        run = await self.get(principal, run_id)
        async with self._database.transaction(principal.tenant) as session:
            run = await _locked(session, run.id)
            if not RunState(run.state).finished:
                raise Conflict("The run has not ended: cancel it first.", code="run_not_ended")
            await session.exec(delete(EvalResult).where(col(EvalResult.run_id) == run.id))
            await session.exec(delete(EvalRun).where(col(EvalRun.id) == run.id))
            await audit.record(session, audit.Action.EVAL_RUN_DELETED, on=("eval_run", run.id), principal=principal)


def ended_of(run: EvalRun) -> int:
    """How many of its examples have ended, those without a score included."""
    return run.scored + run.failed + run.interrupted + run.ungraded


async def suite_of_run(database: Database, run: EvalRun) -> Suite:
    """The suite that a run was made of. Raises InvalidRequest (`invalid_suite`): it may not be so any more."""
    return check_labels(suite_of(orjson.loads(await _definition(database, run))))


async def _definition(database: Database, run: EvalRun) -> bytes:
    return await database.keyring.open(definition_place(run.tenant, run.id), run.definition)


async def opened(database: Database, tenant: str, row: EvalResult) -> Shown:
    """A result with what is sealed of it."""
    outcome, details = None, {}
    if row.outcome is not None:
        content = await database.keyring.open(result_place(tenant, row.run_id, row.number, "outcome"), row.outcome)
        outcome = outcome_of(content)
    if row.details is not None:
        content = await database.keyring.open(result_place(tenant, row.run_id, row.number, "details"), row.details)
        details = orjson.loads(content)
    return Shown(row, outcome, details)


def outcome_bytes(outcome: Outcome) -> bytes:
    """An outcome with its example, to be sealed."""
    told = {
        "output": outcome.output,
        "answer": outcome.answer,
        "latency_s": outcome.latency_s,
        "first_token_s": outcome.first_token_s,
        "streamed": outcome.streamed,
        "cost_usd": None if outcome.cost_usd is None else str(outcome.cost_usd),
        "input_tokens": outcome.input_tokens,
        "output_tokens": outcome.output_tokens,
        "error": outcome.error,
    }
    example = orjson.Fragment(plain(outcome.example))
    return orjson.dumps({"example": example, "outcome": told}, default=str)


def outcome_of(content: bytes, example: Example | None = None) -> Outcome:
    """The outcome that `outcome_bytes` wrote; of another `example` with the same input where it is given."""
    told = orjson.loads(content)
    kept = told["outcome"]
    kept["cost_usd"] = None if kept["cost_usd"] is None else Decimal(kept["cost_usd"])
    return Outcome(example or restored(orjson.dumps(told["example"])), **kept)


def definition_place(tenant: str, run_id: str) -> Place:
    """Where a run's suite is, for its seal."""
    return Place(tenant, EvalRun.__tablename__, "definition", run_id)


def result_place(tenant: str, run_id: str, number: int, column: str) -> Place:
    """Where a result's `column` is, for its seal."""
    return Place(tenant, EvalResult.__tablename__, column, f"{run_id}/{number}")


async def _cancel(session: AsyncSession, run: EvalRun) -> None:
    """A worker that has begun with it sums up what there is; else there is nothing new to sum up."""
    if run.state == RunState.RUNNING:
        run.state = RunState.CANCELLING
        return
    run.state, run.ended_at = RunState.CANCELLED, utc_now()
    job = await jobs.lock_job(session, run.job_id)
    if job is not None and not JobState(job.state).finished:
        job.result = {"run": run.id, "passed": None}
        await jobs.end(session, job, JobState.CANCELLED)


async def _locked(session: AsyncSession, run_id: str) -> EvalRun:
    run = (await session.exec(select(EvalRun).where(EvalRun.id == run_id).with_for_update())).first()
    if run is None:
        raise NotFound("There is no such run.", code="run_not_found")
    return run


def _unasked(run_id: str, number: int) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "number": number,
        "example_id": "",
        "state": ResultState.PENDING.value,
        "attempts": 0,
        "scores": {},
    }
