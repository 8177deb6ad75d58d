"""Experiments as people handle them: made, changed while they are drafts, started, ended, promoted. Each act is on record, and
known to every process within a second."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import structlog
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, delete, func, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from core import audit, denials
from core.database import Database, utc_now
from core.epoch import raise_epoch
from core.errors import Conflict, InvalidRequest, NotFound, PlatformError
from core.principals import DEFAULT_TENANT, SYSTEM, Principal, Scope
from core.tables import Experiment, ExperimentState, Exposure
from evals.experiments.ending import Ending
from evals.experiments.versions import Versioned
from providers.experiment_definition import Definition

log = structlog.get_logger()

#: Experiments of one alias that may run at once: each request asks them in turn.
MOST_RUNNING: Final = 20
#: For how long after the end a promotion that failed is tried again.
PROMOTED_WITHIN: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class NewExperiment:
    """`everywhere`: of all tenants' requests."""

    name: str
    alias: str
    definition: Definition
    everywhere: bool = False


class ExperimentBook:
    """The experiments of a tenant. Another's is not found."""

    def __init__(self, database: Database, versions: Versioned) -> None:
        self._database, self._versions = database, versions

    async def create(self, principal: Principal, new: NewExperiment) -> Experiment:
        """A draft.

        Raises:
            Forbidden: for all tenants, without the right to.
            NotFound: `model_not_found`, `version_not_found`.
            Conflict: `experiment_exists`.
        """
        self._may(principal, new.definition, everywhere=new.everywhere)
        await self._check(principal, new.alias, new.definition)
        row = Experiment(
            tenant=principal.tenant,
            name=new.name,
            everywhere=new.everywhere,
            alias=new.alias,
            definition=new.definition.told(),
            created_by=principal.id,
        )
        try:
            async with self._database.transaction(principal.tenant) as session:
                session.add(row)
                await session.flush()
                await _record(session, audit.Action.EXPERIMENT_CREATED, row)
        except IntegrityError as error:
            raise Conflict("There is an experiment of that name.", code="experiment_exists", param="name") from error
        return row

    async def get(self, principal: Principal, name: str, *, tenant: str | None = None) -> Experiment:
        """One of the principal's tenant's, or of the `tenant`'s, which is for operators.

        Raises:
            NotFound: `experiment_not_found`.
            Forbidden
        """
        if tenant is not None and tenant != principal.tenant:
            self.may_see_all(principal)
        async with self._database.session(tenant or principal.tenant) as session:
            return await _found(session, tenant or principal.tenant, name)

    async def change(self, principal: Principal, name: str, definition: Definition) -> Experiment:
        """Give a draft another definition.

        Raises:
            Conflict: `experiment_started`: it is no draft any more.
            NotFound, Forbidden: as `create`.
        """
        row = await self.get(principal, name)
        self._may(principal, definition, everywhere=row.everywhere)
        await self._check(principal, row.alias, definition)
        async with self._database.transaction(principal.tenant) as session:
            row = await _found(session, principal.tenant, name, lock=True)
            _refuse_unless(row, ExperimentState.DRAFT, "experiment_started", "Only a draft can be changed.")
            row.definition = definition.told()
            session.add(row)
            await _record(session, audit.Action.EXPERIMENT_CHANGED, row)
        return row

    async def delete(self, principal: Principal, name: str) -> None:
        """Remove one that does not run, with what is known of who was in it; the ledger keeps its calls.

        Raises:
            Conflict: `experiment_running`.
            NotFound
        """
        async with self._database.transaction(all_tenants=True) as session:
            row = await _found(session, principal.tenant, name, lock=True)
            if row.state == ExperimentState.RUNNING.value:
                raise Conflict("It runs: stop it first.", code="experiment_running")
            await session.exec(delete(Exposure).where(col(Exposure.experiment_id) == row.id))
            await session.delete(row)
            await _record(session, audit.Action.EXPERIMENT_DELETED, row)

    async def start(self, principal: Principal, name: str) -> Experiment:
        """Let requests in. The control is pinned to the version that is live now.

        Raises:
            Conflict: `experiment_started`; `too_many_experiments` run on the alias; `nothing_to_compare`: a variant's version
                is live by now, and the control, which names none, would be the same.
            NotFound, Forbidden: as `create`.
        """
        row = await self.get(principal, name)
        definition = Definition.model_validate(row.definition)
        self._may(principal, definition, everywhere=row.everywhere)
        live = await self._check(principal, row.alias, definition)
        pinned = definition.pinned(live)
        control, *others = definition.variants
        if control.version is None and live in (other.version for other in others):
            raise Conflict(
                f"Version {live} is live, and a variant as well: the control would be the same. Name the control's version.",
                code="nothing_to_compare",
            )
        async with self._database.transaction(all_tenants=True) as session:
            row = await _found(session, principal.tenant, name, lock=True)
            _refuse_unless(row, ExperimentState.DRAFT, "experiment_started", "It was started before.")
            running = select(func.count()).where(
                col(Experiment.alias) == row.alias, col(Experiment.state) == ExperimentState.RUNNING.value
            )
            if (await session.exec(running)).one() >= MOST_RUNNING:
                raise Conflict(f"{MOST_RUNNING} experiments run on this alias.", code="too_many_experiments")
            row.definition, row.state, row.started_at = pinned.told(), ExperimentState.RUNNING.value, utc_now()
            session.add(row)
            await raise_epoch(session)
            await _record(session, audit.Action.EXPERIMENT_STARTED, row)
        return row

    async def end(
        self, principal: Principal, row: Experiment, ending: Ending, *, verdict: dict[str, Any] | None = None, promote: bool
    ) -> Experiment | None:
        """End it, once; None where it does not run any more. With `promote` the winner's version is deployed, unless another
        than the control was made live meanwhile."""
        told = {**(verdict or {}), "winner": ending.winner, "promote": promote and ending.winner is not None}
        values = {"state": ending.state.value, "end_reason": ending.reason, "verdict": told, "ended_at": utc_now()}
        async with self._database.transaction(all_tenants=True) as session:
            running = (col(Experiment.id) == row.id, col(Experiment.state) == ExperimentState.RUNNING.value)
            if (await session.exec(update(Experiment).where(*running).values(**values))).rowcount != 1:
                return None
            await raise_epoch(session)
            ended = await session.get_one(Experiment, row.id, populate_existing=True)
            details: dict[str, audit.Detail] = {"reason": ending.reason, "winner": ending.winner}
            if principal.tenant != ended.tenant:
                await _record(session, audit.Action.EXPERIMENT_ENDED, ended, details, SYSTEM)
            await _record(session, audit.Action.EXPERIMENT_ENDED, ended, details, principal)
        return await self.promote(principal, ended) if told["promote"] else ended

    async def promote(self, principal: Principal, row: Experiment) -> Experiment:
        """Deploy the version that has won. What the registry refuses is noted beside the verdict. May be repeated."""
        definition, verdict = Definition.model_validate(row.definition), dict(row.verdict or {})
        variant, control = definition.variants[int(verdict["winner"])], definition.variants[0]
        if variant.version is None or row.promoted is not None:
            return row
        try:
            live = await self._versions.live(row.alias)
            if live == variant.version:
                return await self._note(row, promoted=live)
            if live != control.version:
                raise Conflict("Another version was made live meanwhile.", code="live_version_changed")
            reason = f"experiment {row.name}: {variant.name} has won"
            await self._versions.deploy(principal, row.alias, variant.version, reason=reason)
        except PlatformError as error:
            log.warning("experiment.not_promoted", experiment=row.id, alias=row.alias, code=error.code)
            return await self._note(row, verdict={**verdict, "promote": error.retryable, "not_promoted": error.code})
        return await self._note(row, promoted=variant.version)

    async def unpromoted(self) -> Sequence[Experiment]:
        """Those that ended lately and whose winner is still to be deployed."""
        query = select(Experiment).where(
            Experiment.state == ExperimentState.CONCLUDED.value,
            col(Experiment.promoted).is_(None),
            col(Experiment.ended_at) > utc_now() - PROMOTED_WITHIN,
        )
        async with self._database.session(all_tenants=True) as session:
            rows = (await session.exec(query)).all()
        return [row for row in rows if (row.verdict or {}).get("promote")]

    async def claim(self, every: timedelta) -> Sequence[Experiment]:
        """Running experiments that are to be looked at now: of all processes this one alone is given each."""
        now = utc_now()
        due = (col(Experiment.looked_at).is_(None)) | (col(Experiment.looked_at) <= now - every)
        running = col(Experiment.state) == ExperimentState.RUNNING.value
        claimed = []
        async with self._database.session(all_tenants=True) as session:
            ids = (await session.exec(select(Experiment.id).where(running, due))).all()
        for identity in ids:
            async with self._database.transaction(all_tenants=True) as session:
                mine = update(Experiment).where(col(Experiment.id) == identity, running, due).values(looked_at=now)
                if (await session.exec(mine)).rowcount == 1:
                    claimed.append(await session.get_one(Experiment, identity, populate_existing=True))
        return claimed

    def _may(self, principal: Principal, definition: Definition, *, everywhere: bool) -> None:
        if everywhere and not principal.may(Scope.PROVIDERS_MANAGE):
            raise denials.lacks(principal, Scope.PROVIDERS_MANAGE, act="do that for all tenants")
        if definition.rules.promote:
            self.may_deploy(principal)
        if definition.targeting.tenants is not None and not everywhere:
            raise InvalidRequest("It is for one tenant: tenants are told apart in one of all.", param="targeting.tenants")

    @staticmethod
    def may_see_all(principal: Principal) -> None:
        """Raises Forbidden: other tenants' experiments are not the principal's to see and stop."""
        if not principal.may(Scope.PROVIDERS_MANAGE):
            raise denials.lacks(principal, Scope.PROVIDERS_MANAGE, act="do that for all tenants")
        if principal.tenant != DEFAULT_TENANT:
            raise denials.barred(principal, "Other tenants' experiments are the operator's to see.", code="operators_only")

    @staticmethod
    def may_deploy(principal: Principal) -> None:
        """Raises Forbidden: the principal may have no version deployed."""
        if not principal.may(Scope.MODELS_DEPLOY):
            raise denials.lacks(principal, Scope.MODELS_DEPLOY, act="have a version deployed")
        if principal.tenant != DEFAULT_TENANT:
            text = "Versions are everybody's: the operator's own tenant alone has one deployed."
            raise denials.barred(principal, text, code="operators_only")

    async def _check(self, principal: Principal, alias: str, definition: Definition) -> int:
        """The live version. Raises NotFound; InvalidRequest (`embeddings_not_shared`); Forbidden: a version is no candidate
        yet, or is none any more: who may deploy alone has requests go by it."""
        live = await self._versions.live(alias)
        if live is None:
            raise NotFound(f"There is no model {alias!r}.", code="model_not_found", param="alias")
        await self._versions.check_shared(alias)
        for variant in definition.variants:
            if variant.version is not None and not await self._versions.exists(alias, variant.version):
                message = f"The model {alias!r} has no version {variant.version}."
                raise NotFound(message, code="version_not_found", param="variants")
            if variant.version is not None and not await self._versions.is_released(alias, variant.version):
                self.may_deploy(principal)
        return live

    async def _note(self, row: Experiment, **values: Any) -> Experiment:
        async with self._database.transaction(all_tenants=True) as session:
            await session.exec(update(Experiment).where(col(Experiment.id) == row.id).values(**values))
            return await session.get_one(Experiment, row.id, populate_existing=True)


async def _found(session: AsyncSession, tenant: str, name: str, *, lock: bool = False) -> Experiment:
    query = select(Experiment).where(Experiment.tenant == tenant, Experiment.name == name)
    row = (await session.exec(query.with_for_update() if lock else query)).first()
    if row is None:
        raise NotFound("There is no such experiment.", code="experiment_not_found")
    return row


def _refuse_unless(row: Experiment, state: ExperimentState, code: str, message: str) -> None:
    if row.state != state.value:
        raise Conflict(message, code=code)


async def _record(
    session: AsyncSession,
    action: audit.Action,
    row: Experiment,
    details: dict[str, audit.Detail] | None = None,
    principal: Principal | None = None,
) -> None:
    told: dict[str, audit.Detail] = {"name": row.name, "alias": row.alias, "everywhere": row.everywhere, **(details or {})}
    tenant = row.tenant if principal is SYSTEM else None
    await audit.record(session, action, on=("experiment", row.id), details=told, principal=principal, tenant=tenant)
