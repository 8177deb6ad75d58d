"""Events that become true together with the act, in its transaction."""

from collections.abc import Mapping

from sqlalchemy import event as database_events
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit.actions import Action, Outcome
from core.audit.chain import append
from core.audit.events import Detail, Who, happened
from core.audit.stream import tell, tell_refused
from core.database import SECRET
from core.keys import Hasher
from core.principals import Principal


async def record(
    session: AsyncSession,
    action: Action,
    *,
    on: tuple[str, str] | None = None,
    details: Mapping[str, Detail] | None = None,
    outcome: Outcome = Outcome.SUCCESS,
    principal: Principal | None = None,
    tenant: str | None = None,
) -> None:
    """Put an act on record, in the transaction that does it: `Database.transaction`. Call it last in the block: others who
    write to the tenant's chain wait from here to its end.

    Args:
        session: of the act.
        action: what is done.
        on: the type and the identifier of the object, `("key", "key_…")`.
        details: identifiers and numbers; never a prompt, a secret, or what names a person.
        outcome: how it ends.
        principal: who does it; None: whom the request acts for.
        tenant: whose chain it goes to; None: the principal's.
    """
    event = happened(action, outcome, on, details, Who(principal, tenant))
    await session.flush()
    connection = await session.connection()
    rows = await connection.run_sync(append, Hasher(session.info[SECRET]()), [event])

    def committed(_: object) -> None:
        tell(rows)
        tell_refused(event)

    database_events.listen(session.sync_session, "after_commit", committed, once=True)
