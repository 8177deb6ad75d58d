"""The audit log: who did what, on which object, from where, and how it ended. How it is meant: `docs/audit.md`.

    await audit.record(session, Action.KEY_REVOKED, on=("key", row.id))   # true together with the act, in its transaction
    audit.note(Action.SCOPE_DENIED, on=("scope", scope.value))            # an act without one; repetitions are counted

Both take the actor, the tenant, the key, the address and the request's identifier from `core.context`, unless they are told.
"""

from core.audit.actions import Action, Outcome
from core.audit.erasures import erase_addresses
from core.audit.events import Detail
from core.audit.recorder import Recorder, connect, note
from core.audit.recording import record

__all__ = ["Action", "Detail", "Outcome", "Recorder", "connect", "erase_addresses", "note", "record"]
