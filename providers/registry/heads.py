"""What can be done with a name of the registry: each act changes its head and notes an event, in the caller's transaction."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core import audit
from core.database import utc_now
from core.epoch import raise_epoch
from core.errors import Conflict, NotFound
from core.principals import Principal
from core.tables import Registered, RegistryEvent, RegistryHead, RegistryVersion, VersionState
from providers.registry.content import alias_of, check_may_be_tried, check_stands_in, says_the_same
from providers.registry.plans import Plan
from providers.registry.taken_back import stop_experiments

#: Live versions of before that are remembered, to go back to.
_PAST: Final = 50
_OBJECT_CHARACTERS: Final = 200

_CANARY = audit.Action.MODEL_CANARY_CHANGED
_ACTIONS: Final = {
    (Registered.MODEL, "created"): audit.Action.MODEL_VERSION_CREATED,
    (Registered.MODEL, "approved"): audit.Action.MODEL_VERSION_APPROVED,
    (Registered.MODEL, "deployed"): audit.Action.MODEL_DEPLOYED,
    (Registered.MODEL, "promoted"): audit.Action.MODEL_DEPLOYED,
    (Registered.MODEL, "canary_started"): _CANARY,
    (Registered.MODEL, "canary_advanced"): _CANARY,
    (Registered.MODEL, "canary_rolled_back"): audit.Action.MODEL_ROLLED_BACK,
    (Registered.MODEL, "rolled_back"): audit.Action.MODEL_ROLLED_BACK,
    (Registered.MODEL, "withdrawn"): audit.Action.MODEL_WITHDRAWN,
    (Registered.PROMPT, "created"): audit.Action.PROMPT_VERSION_CREATED,
    (Registered.PROMPT, "deployed"): audit.Action.PROMPT_DEPLOYED,
    (Registered.PROMPT, "rolled_back"): audit.Action.PROMPT_ROLLED_BACK,
}


class Acting:
    """One name, locked for a transaction, and who changes it why."""

    def __init__(self, session: AsyncSession, head: RegistryHead, principal: Principal, reason: str) -> None:
        self.session, self.head, self._principal, self._reason = session, head, principal, reason
        self._subject = Registered(head.subject)

    @classmethod
    async def on(
        cls, session: AsyncSession, principal: Principal, subject: Registered, name: str, *, reason: str, make: bool = False
    ) -> "Acting":
        """Lock the name. `make`: there may be none of it yet.

        Raises:
            NotFound: `model_not_found`, `prompt_not_found`.
        """
        query = select(RegistryHead).where(RegistryHead.subject == subject.value, RegistryHead.name == name)
        head = (await session.exec(query.with_for_update())).first()
        if head is None:
            if not make:
                raise NotFound(f"There is no {subject.value} of that name.", code=f"{subject.value}_not_found")
            head = RegistryHead(subject=subject.value, name=name, step_since=utc_now())
            session.add(head)
            await session.flush()
        return cls(session, head, principal, reason)

    async def version(self, number: int) -> RegistryVersion:
        """Raises NotFound (`version_not_found`)."""
        return await found(self.session, self._subject, self.head.name, number)

    async def add(self, content: Mapping[str, Any], digest: str, source: str) -> RegistryVersion:
        """A new version, as a draft."""
        newest = select(col(RegistryVersion.number)).where(*_of(self._subject, self.head.name))
        last = (await self.session.exec(newest.order_by(col(RegistryVersion.number).desc()).limit(1))).first() or 0
        row = RegistryVersion(
            subject=self.head.subject,
            name=self.head.name,
            number=last + 1,
            content=dict(content),
            digest=digest,
            source=source,
            created_by=self._principal.id,
            reason=self._reason,
        )
        self.session.add(row)
        await self._note("created", row.number)
        return row

    async def has_draft(self, content: Mapping[str, Any]) -> bool:
        """Whether a version that waits to be deployed says the same of an alias."""
        waiting = col(RegistryVersion.state).in_([VersionState.DRAFT.value, VersionState.CANDIDATE.value])
        query = select(RegistryVersion.content).where(*_of(self._subject, self.head.name), waiting)
        return any(says_the_same(each, content) for each in (await self.session.exec(query)).all())

    async def approve(self, row: RegistryVersion, evaluation: str, score: float | None) -> None:
        """An evaluation has approved the version: a draft is a candidate from now on."""
        row.evaluation, row.score = evaluation, score
        if row.state == VersionState.DRAFT.value:
            row.state = VersionState.CANDIDATE.value
        self.session.add(row)
        await self._note("approved", row.number, {"evaluation": evaluation} | ({} if score is None else {"score": score}))

    async def deploy(self, row: RegistryVersion, *, checked: bool = True) -> None:
        """The version is live from now on, for all requests; a canary is over. Not `checked`: it need not fit in its place.

        Raises:
            Conflict: `already_live`.
            InvalidRequest: `kind_differs`, `vectors_differ`.
        """
        if self.head.live == row.number and self.head.candidate is None:
            raise Conflict(f"Version {row.number} is live already.", code="already_live")
        if checked:
            await self.check_stands_in(row)
        act = "promoted" if self.head.candidate == row.number else "deployed"
        await self._end_canary(but=row.number)
        await self._go_live(row, remember=True)
        await self._note(act, row.number)

    async def start_canary(self, row: RegistryVersion, plan: Plan) -> None:
        """The version is given the first step's share of the requests.

        Raises:
            Conflict: `already_live`; `nothing_live`: there is nothing beside which it could be tried.
            InvalidRequest: `kind_differs`, `vectors_differ`, `embeddings_not_shared`.
        """
        if self.head.live == row.number:
            raise Conflict(f"Version {row.number} is live already.", code="already_live")
        if self.head.live is None:
            raise Conflict("No version is live: deploy one first.", code="nothing_live")
        await self.check_stands_in(row)
        if self._subject is Registered.MODEL:
            check_may_be_tried(alias_of(row.content))
        await self._end_canary(but=row.number)
        self.head.candidate, self.head.plan = row.number, plan.model_dump(mode="json")
        self._step(plan, 0)
        row.state = VersionState.CANDIDATE.value
        self.session.add(row)
        await self._note("canary_started", row.number)

    async def advance(self, figures: Mapping[str, Any]) -> None:
        """The candidate has done well: the next step's share, or after the last one all requests."""
        plan, row = Plan.model_validate(self.head.plan), await self.version(self.head.candidate or 0)
        if self.head.step + 1 < len(plan.steps):
            self._step(plan, self.head.step + 1)
            await self._note("canary_advanced", row.number, figures)
            return
        self._no_canary()
        await self._go_live(row, remember=True)
        await self._note("promoted", row.number, figures)

    async def roll_back(self, to: int | None = None, figures: Mapping[str, Any] | None = None) -> int:
        """A canary is taken back where there is one; else the version that was live before is live again, or `to`. Before a
        prompt's first version the one was live that is built in. The number of what is live afterwards, 0 for that.
        Experiments that give an alias's version which is taken back are stopped, in all tenants.

        Raises:
            Conflict: `nothing_to_roll_back`; `already_live`; `never_live`: there is no going back to what was not live.
            NotFound: `version_not_found`.
            InvalidRequest: `kind_differs`, `vectors_differ`.
        """
        head = self.head
        if head.candidate is not None and to in (None, head.live):
            taken = head.candidate
            await self._end_canary()
            await self._note("canary_rolled_back", taken, await self._taken_back({taken}, figures))
            return head.live or 0
        if to is None and not head.past and self._subject is Registered.PROMPT and head.live is not None:
            await self._retire(head.live)
            head.live, head.step_since = None, utc_now()
            await self._note("rolled_back", None)
            return 0
        if to is None and not head.past:
            raise Conflict("No version was live before this one.", code="nothing_to_roll_back")
        number = head.past[-1] if to is None else to
        if number == head.live:
            raise Conflict(f"Version {number} is live already.", code="already_live")
        row = await self.version(number)
        if not await self._was_live(number):
            raise Conflict(f"Version {number} was never live: deploy it instead.", code="never_live")
        await self.check_stands_in(row)
        taken_back = {each for each in (head.live, head.candidate) if each is not None}
        await self._end_canary(but=number)
        if number in head.past:
            place = head.past.index(number)
            taken_back.update(head.past[place:])
            past = head.past[:place]
            await self._go_live(row, remember=False)
            head.past = past
        else:  # it was taken back before: what is live now is what the next rollback goes to
            await self._go_live(row, remember=True)
        await self._note("rolled_back", number, await self._taken_back(taken_back - {number}, figures))
        return number

    async def withdraw(self) -> None:
        """The name is served no more; what was live is what a rollback goes back to."""
        await self._end_canary()
        if self.head.live is not None:
            self.head.past = [*self.head.past, self.head.live][-_PAST:]
        await self._retire(self.head.live)
        self.head.live = self.head.file_digest = None
        await self._note("withdrawn", None)

    async def check_stands_in(self, row: RegistryVersion) -> None:
        """Raises InvalidRequest (`kind_differs`, `vectors_differ`): the version could not stand in for what is live."""
        if self._subject is Registered.MODEL and self.head.live is not None:
            check_stands_in(alias_of(row.content), alias_of((await self.version(self.head.live)).content))

    def _step(self, plan: Plan, step: int) -> None:
        self.head.step, self.head.step_since, self.head.share = step, utc_now(), plan.share(step)

    async def _was_live(self, number: int) -> bool:
        query = select(RegistryEvent.id).where(
            RegistryEvent.subject == self._subject.value, RegistryEvent.name == self.head.name, RegistryEvent.live == number
        )
        return (await self.session.exec(query.limit(1))).first() is not None

    def _no_canary(self) -> None:
        self.head.step_since = utc_now()
        self.head.candidate, self.head.plan, self.head.share, self.head.step = None, None, 0.0, 0

    async def _end_canary(self, but: int | None = None) -> None:
        """A candidate is given nothing more; but for `but` it is retired."""
        candidate = self.head.candidate
        self._no_canary()
        if candidate != but:
            await self._retire(candidate)

    async def _go_live(self, row: RegistryVersion, *, remember: bool) -> None:
        before = self.head.live
        if before is not None and before != row.number:
            await self._retire(before)
            if remember:
                self.head.past = [*self.head.past, before][-_PAST:]
        self.head.live = row.number
        row.state = VersionState.LIVE.value
        self.session.add(row)

    async def _taken_back(self, versions: AbstractSet[int], figures: Mapping[str, Any] | None) -> dict[str, Any]:
        """Let nobody be given the versions any more; the figures, with how many experiments were stopped for it."""
        told = dict(figures or {})
        if self._subject is Registered.MODEL:
            stopped = await stop_experiments(self.session, self._principal, self.head.name, versions)
            told |= {"experiments_stopped": stopped} if stopped else {}
        return told

    async def _retire(self, number: int | None) -> None:
        if number is not None:
            row = await self.version(number)
            row.state = VersionState.RETIRED.value
            self.session.add(row)

    async def _note(self, act: str, version: int | None, figures: Mapping[str, Any] | None = None) -> None:
        head = self.head
        head.revision += 1
        self.session.add(head)
        self.session.add(
            RegistryEvent(
                subject=head.subject,
                name=head.name,
                revision=head.revision,
                at=utc_now(),
                act=act,
                version=version,
                live=head.live,
                candidate=head.candidate,
                share=head.share,
                created_by=self._principal.id,
                reason=self._reason,
                figures=dict(figures or {}),
            )
        )
        await raise_epoch(self.session)
        await audit.record(
            self.session,
            _ACTIONS[self._subject, act],
            on=(self._subject.value, head.name[:_OBJECT_CHARACTERS]),
            details={"act": act} | ({} if version is None else {"version": version}),
            principal=self._principal,
        )


async def found(session: AsyncSession, subject: Registered, name: str, number: int) -> RegistryVersion:
    """A version. Raises NotFound (`version_not_found`)."""
    query = select(RegistryVersion).where(*_of(subject, name), RegistryVersion.number == number)
    row = (await session.exec(query)).first()
    if row is None:
        raise NotFound(f"There is no version {number} of that name.", code="version_not_found")
    return row


def _of(subject: Registered, name: str) -> tuple[Any, ...]:
    return RegistryVersion.subject == subject.value, RegistryVersion.name == name
