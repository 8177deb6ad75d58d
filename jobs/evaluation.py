"""Working off a run: ask what is left of its examples, some at once, score the answers, sum up. Taken up again where it was
left. See `docs/evaluation.md` for what is paid when a worker is killed."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar

import structlog

from chains.conversations import Conversations
from chains.endpoints import scope_of
from chains.spec import ChainDeps
from core.contained import contained
from core.context import RequestContext, serving
from core.errors import Internal, InvalidRequest, PlatformError
from core.jobs import EVALUATION
from core.ledger import settled
from core.principals import Scope
from core.tables import ResultState, RunState
from evals.asking import BOOKED_AS, Asker, reuse_key, spent
from evals.base import Outcome, Score
from evals.caps import COST_CAP, Cap, Part, Stopped
from evals.ending import ended_as
from evals.run_steps import Answered, RunLease, Scored, Work, request_id
from evals.run_versions import pinned_of
from evals.run_work import RunWork
from evals.runs import QUEUE, RUN_EVALUATION, suite_of_run
from evals.scoring import INTERRUPTED, Scorer
from evals.suites import Suite
from jobs.alive import LeaseLost, kept_alive
from jobs.base import JobContext, JobSpec
from jobs.joining import job_of, joined
from jobs.patience import Patience
from jobs.together import Together
from providers.registry.pins import Pinned

log = structlog.get_logger()

#: Seconds in which a worker that is stopped waits for the answers to what it has asked.
LAST_ANSWERS_S = 3.0
_READ_AT_ONCE = 64

T = TypeVar("T")


async def run_evaluation(context: JobContext, run_id: str) -> None:
    """Work on the run until it has ended, if no other worker does. May be repeated, and run at once by many."""
    work = RunWork(context.database, lease_s=context.settings.jobs.lease_s)
    lease = await work.take(run_id)
    if lease is None:
        return
    job = await job_of(context.database, lease.run.job_id)
    bound = structlog.contextvars.bound_contextvars(job_id=lease.run.job_id, run_id=run_id)
    with joined(job, EVALUATION), bound:
        crashed = False
        try:
            with contained():
                await _go_on(context, work, lease)
        except LeaseLost:
            log.info("evaluation.left")
        except Exception:
            crashed = True
            raise
        finally:
            await asyncio.shield(_let_go(context, work, lease, crashed=crashed))


RUN = JobSpec(queue=QUEUE, run=run_evaluation)


async def _go_on(context: JobContext, work: RunWork, lease: RunLease) -> None:
    models = context.library.resources.models
    stopped: str | None = None
    try:
        suite = await suite_of_run(context.database, lease.run)
        pinned = await pinned_of(context.database, models.versions, work, lease, suite)
        if pinned is None:
            raise LeaseLost
        with serving(_about(lease, pinned)):
            scorer = await asyncio.to_thread(Scorer.build, suite, models)
        judges = sorted({alias for alias, _ in scorer.asks})
        pinned.require(suite.target.alias, *judges)
    except PlatformError as refusal:  # a metric's plugin is gone since, or its model, or suites may not be so any more
        await work.close(lease, RunState.FAILED, summary={}, error_code=refusal.code)
        return
    if lease.run.state != RunState.CANCELLING:
        asks = await asyncio.to_thread(scope_of, f"/api/v1/{suite.target.capability}")
        needs = {Scope.EVALS_RUN, asks, *(scope for _, scope in scorer.asks)}
        aliases = {suite.target.alias, *judges}
        try:
            await _wanted(work, lease, needs, aliases)
            async with kept_alive(lambda: work.renew(lease, needs, aliases), lease_s=context.settings.jobs.lease_s):
                stopped = await _Examples(context, work, lease, suite, scorer, pinned).answer_all()
        except LeaseLost:
            run = await work.current(lease)
            if run is None or run.state != RunState.CANCELLING:
                raise
    run = await work.current(lease)
    if run is None:
        raise LeaseLost
    with serving(_about(lease, pinned)):
        summary, passed = await ended_as(context.database, work, lease, suite, scorer)
    state = RunState.SUCCEEDED if stopped is None else RunState.FAILED
    if run.state == RunState.CANCELLING:
        state, passed = RunState.CANCELLED, None
    elif stopped is not None and passed is not None:
        passed = False
    await work.close(lease, state, summary=summary, passed=passed, error_code=stopped)
    log.info("evaluation.ended", state=state.value, passed=passed, stopped=stopped)


def _about(lease: RunLease, pinned: Pinned) -> RequestContext:
    """For what is said of the run's models while none is asked."""
    return RequestContext(lease.run.id, lease.principal, versions=pinned.versions())


async def _wanted(work: RunWork, lease: RunLease, needs: Collection[Scope], aliases: Collection[str]) -> None:
    """Raises LeaseLost: the run is not to be worked on by us."""
    if not await work.renew(lease, needs, aliases):
        raise LeaseLost


async def _let_go(context: JobContext, work: RunWork, lease: RunLease, *, crashed: bool) -> None:
    """Leave the run, if it has not ended, to the next worker; after a failure to the sweeper, in a while."""
    try:
        run = await work.release(lease, rest=crashed)
    except Exception:  # the sweeper finds it when the lease is over
        log.warning("evaluation.not_released", exc_info=True)
        return
    if run is not None and not RunState(run.state).finished and not crashed:
        await context.queue.send(RUN_EVALUATION, run.id, queue=QUEUE)


@dataclass(slots=True)
class _Examples:
    """The examples of one run that are left, asked some at once."""

    context: JobContext
    work: RunWork
    lease: RunLease
    suite: Suite
    scorer: Scorer
    pinned: Pinned
    _asker: Asker = field(init=False)
    _cap: Cap = field(init=False)
    _patience: Patience = field(default_factory=Patience)
    _secret: bytes = b""
    _next_ones: deque[Work] = field(default_factory=deque)
    _after: int = 0
    _over: bool = False
    _why: str | None = None
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    _begun: "Together[Work]" = field(init=False)
    _sending: "Together[int]" = field(init=False)
    _answered: "Together[Answered]" = field(init=False)
    _grading: "Together[int]" = field(init=False)
    _scored: "Together[Scored]" = field(init=False)

    async def answer_all(self) -> str | None:
        """Until no example is left; why it ended before that, None where it did not."""
        library, work, lease = self.context.library, self.work, self.lease
        models = library.resources.models
        deps = ChainDeps(
            settings=self.context.settings,
            models=models,
            library=library,
            conversations=Conversations(self.context.database),
            analyser=models.privacy.analyser,
        )
        self._asker = await asyncio.to_thread(Asker.build, self.suite, deps)
        self._cap = Cap(lease.run.max_cost_usd, lambda: lease.run.spent_usd, await work.dearest(lease))
        self._secret = await work.secret()
        self._begun = Together(lambda ones: work.begin(lease, [one.row for one in ones]))
        self._sending = Together(lambda numbers: work.sending(lease, numbers))
        self._answered = Together(lambda answers: work.answered(lease, answers))
        self._grading = Together(lambda numbers: work.grading(lease, numbers))
        self._scored = Together(lambda ends: work.scored(lease, ends))
        at_once = self.suite.run.concurrency or self.context.settings.evaluations.concurrency
        answering = asyncio.create_task(self._answer_by(min(at_once, self.context.settings.evaluations.most_concurrency)))
        try:
            await asyncio.shield(answering)
        except asyncio.CancelledError:
            # what is asked already is paid for: its answers are waited for, a little, and nothing more is asked
            self._over = True
            await asyncio.wait({answering}, timeout=LAST_ANSWERS_S)
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)
            raise
        finally:
            await asyncio.shield(self._settle())
        return self._why

    async def _answer_by(self, at_once: int) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(at_once):
                    group.create_task(self._answer_some())
        except* LeaseLost:
            raise LeaseLost from None

    async def _settle(self) -> None:
        for written in (self._begun, self._sending, self._answered, self._grading, self._scored):
            await written.settled()

    async def _answer_some(self) -> None:
        while not self._over and (one := await self._next()) is not None:
            try:
                await self._work_on(one)
            except Stopped as stopped:  # the others end what they have begun
                self._over, self._why = True, str(stopped)

    async def _next(self) -> Work | None:
        async with self._reading:
            if not self._next_ones:
                found = await self.work.next_ones(self.lease, after=self._after, limit=_READ_AT_ONCE)
                self._next_ones.extend(found)
                self._after = found[-1].row.number if found else self._after
            return self._next_ones.popleft() if self._next_ones else None

    async def _work_on(self, one: Work) -> None:
        row = one.row
        state = ResultState(row.state)
        worn = row.attempts >= self.context.settings.jobs.max_attempts
        repeats = self.suite.run.repeat_interrupted and not worn
        graded = state in (ResultState.ANSWERED, ResultState.GRADING)
        # what was paid for an answer, or a grading, that is lost
        lost_usd = await self.work.booked(self.lease, row, grading=graded) if one.begun else None
        if graded and (outcome := await self.work.outcome(self.lease, row)) is not None:
            if worn or (state == ResultState.GRADING and not repeats):
                await self._leave_ungraded(row.number, outcome, lost_usd, plain=not worn)
                return
            await self._put(self._begun, one)
            await self._grade(row.number, outcome, lost_usd)
        elif not one.example.id:
            await self._put(self._scored, Scored(row.number, ResultState.FAILED, error_code="example_gone"))
        elif state == ResultState.SENT and not repeats:
            # it was asked, and the answer went with the worker that had asked
            await self._put(self._scored, self._unmeasured(row.number, ResultState.INTERRUPTED, lost_usd))
        elif worn:
            await self._put(self._scored, self._unmeasured(row.number, ResultState.FAILED))
        else:
            await self._put(self._begun, one)
            await self._answer(one, lost_usd)

    def _unmeasured(self, number: int, state: ResultState, paid: Decimal | None = None) -> Scored:
        scores = {label: Score.unmeasured(INTERRUPTED) for label in self.scorer.metrics}
        return Scored(number, state, scores, cost_usd=paid, error_code=INTERRUPTED)

    async def _answer(self, one: Work, lost_usd: Decimal | None) -> None:
        """Have the example answered, or take an earlier answer; it is kept before it is scored. `lost_usd` was paid for an
        answer that is lost."""
        number = one.row.number
        try:
            key = reuse_key(self._secret, self.suite, self.pinned, one.example)
        except InvalidRequest as refusal:
            outcome = Outcome(one.example, "", error=refusal.code)
            await self._put(self._answered, Answered(number, outcome, Decimal(0)))
            await self._grade(number, outcome)
            return
        if key is not None and self.suite.run.reuse:
            found = await self.work.reusable(self.lease, key, one.example)
            if found is not None:
                await self._put(self._answered, Answered(number, found[0], lost_usd or Decimal(0), key, found[1]))
                await self._grade(number, found[0])
                return
        grading = [Part.GRADING] if self.scorer.asking else []
        await self._cap.take(Part.ANSWER, *grading)
        try:
            outcome, cost_usd = await self._asked(one)
            paid = None if cost_usd is None else cost_usd + (lost_usd or Decimal(0))
            await self._put(self._answered, Answered(number, outcome, paid, key))
        except BaseException:
            for part in (Part.ANSWER, *grading):
                await self._cap.leave(part)
            raise
        try:
            if outcome.error is not None and cost_usd == 0:
                await self._cap.leave(Part.ANSWER)
            else:
                await self._cap.settle(Part.ANSWER, cost_usd)
        except Stopped:
            for part in grading:
                await self._cap.leave(part)
            raise
        await self._grade(number, outcome, held=True)
        if self._patience.lost is not None:
            raise Stopped(self._patience.lost)

    async def _asked(self, one: Work) -> tuple[Outcome, Decimal | None]:
        """The outcome, and what was paid for it, tries in vain included."""
        number = one.row.number
        request = self._request(request_id(self.lease.run.id, number), self.suite.target.alias)
        request.before_call = self._once(self._sending, number)
        try:
            with contained():
                outcome = await self._patience.ask(lambda: self._asker.ask(one.example, request))
        except PlatformError as refusal:
            outcome = Outcome(one.example, "", error=refusal.code, cost_usd=spent(request))
        except Exception:  # the boundary of an example: the others of the run go on
            log.exception("evaluation.example_crashed", number=number)
            outcome = Outcome(one.example, "", error=Internal.code, cost_usd=spent(request))
        return outcome, spent(request)

    async def _grade(self, number: int, outcome: Outcome, lost_usd: Decimal | None = None, *, held: bool = False) -> None:
        """Score an answer that is kept, and have models grade it. `held`: the cap has room for that. `lost_usd` was paid for a
        grading that is lost."""
        plain = await self.scorer.score(outcome, asking=False)
        if not self.scorer.asking or outcome.error is not None:
            if held and self.scorer.asking:
                await self._cap.leave(Part.GRADING)
            state = ResultState.SCORED if outcome.error is None else ResultState.FAILED
            scores = plain | self.scorer.lost(outcome.error or INTERRUPTED)
            await self._put(self._scored, Scored(number, state, scores, error_code=outcome.error))
            return
        if not held:
            await self._cap.take(Part.GRADING)
        judges = sorted({alias for alias, _ in self.scorer.asks})
        request = self._request(request_id(self.lease.run.id, number, grading=True), *judges)
        put_down = self._once(self._grading, number)

        async def before_call() -> None:
            self._cap.check(spent(request))
            await put_down()

        request.before_call = before_call
        try:
            with serving(request):
                graded = await self.scorer.score(outcome, asking=True)
            await settled()
            cost_usd = spent(request)
            capped = any(score.why == COST_CAP for score in graded.values())
            # at the cap it is graded anew, once there is more to spend
            state = ResultState.ANSWERED if capped else ResultState.SCORED
            if cost_usd is None:  # no price is known for a call of it: what the others have cost is spent all the same
                paid = await self.work.booked_of(self.lease, number, grading=True)
            else:
                paid = cost_usd + (lost_usd or Decimal(0))
            await self._put(self._scored, Scored(number, state, plain | graded, paid))
        except BaseException:
            await self._cap.leave(Part.GRADING)
            raise
        await self._cap.settle(Part.GRADING, cost_usd)
        if capped:
            raise Stopped(COST_CAP)

    async def _leave_ungraded(self, number: int, outcome: Outcome, paid: Decimal | None, *, plain: bool) -> None:
        """A worker that is gone had begun to ask models about it, and their word is lost. `plain`: the other metrics score it;
        else scoring it has ended its worker each time."""
        scores = {label: Score.unmeasured(INTERRUPTED) for label in self.scorer.metrics}
        if plain:
            scores |= await self.scorer.score(outcome, asking=False)
        await self._put(self._scored, Scored(number, ResultState.UNGRADED, scores, paid, error_code=INTERRUPTED))

    def _request(self, named: str, *aliases: str) -> RequestContext:
        return RequestContext(
            request_id=named,
            principal=self.lease.principal,
            cache_control="no-store",
            booked_as=BOOKED_AS,
            tags={"evaluation": self.lease.run.id},
            versions=self.pinned.versions(*aliases),
        )

    def _once(self, written: "Together[int]", number: int) -> Callable[[], Awaitable[None]]:
        """Puts down, before the first call of a provider, that there is one; calls at once wait for the same writing."""
        writing: asyncio.Task[bool] | None = None

        async def before_call() -> None:
            nonlocal writing
            if writing is None:
                writing = asyncio.create_task(written.write(number))
            if not await asyncio.shield(writing):
                raise LeaseLost

        return before_call

    async def _put(self, written: "Together[T]", one: T) -> None:
        if not await written.write(one):
            raise LeaseLost
