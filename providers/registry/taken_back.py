"""What a rollback does to experiments: those that give a version which is taken back are stopped, whose ever they are."""

from collections.abc import Set as AbstractSet

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core import audit
from core.database import utc_now
from core.principals import DEFAULT_TENANT, SYSTEM, Principal
from core.tables import Experiment, ExperimentState
from providers.experiment_definition import Definition

#: Why such an experiment has ended.
ROLLED_BACK = "rolled_back"


async def stop_experiments(session: AsyncSession, principal: Principal, alias: str, versions: AbstractSet[int]) -> int:
    """Stop the running experiments on the alias that give one of the versions, so that a rollback holds for who is in them,
    too. How many these were. In each one's tenant it is on record; who did it is told in their own alone."""
    running = select(Experiment).where(Experiment.alias == alias, Experiment.state == ExperimentState.RUNNING.value)
    rows = (await session.exec(running.order_by(col(Experiment.id)).with_for_update())).all()
    stopped = 0
    # the chains of audit events in one order, the operator's last, where the registry's event goes: nobody waits in a circle
    for row in sorted(rows, key=lambda each: (each.tenant == DEFAULT_TENANT, each.tenant)):
        given = {variant.version for variant in Definition.model_validate(row.definition).variants}
        if not given & versions:
            continue
        row.state, row.end_reason, row.ended_at = ExperimentState.STOPPED.value, ROLLED_BACK, utc_now()
        row.verdict = {"winner": None, "promote": False}
        session.add(row)
        await audit.record(
            session,
            audit.Action.EXPERIMENT_ENDED,
            on=("experiment", row.id),
            details={
                "name": row.name,
                "alias": alias,
                "everywhere": row.everywhere,
                "reason": ROLLED_BACK,
                "winner": None,
            },
            principal=principal if row.tenant == principal.tenant else SYSTEM,
            tenant=row.tenant,
        )
        stopped += 1
    return stopped
