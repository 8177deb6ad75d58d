"""Which versions a run goes by: those that are live as it is made, or of its target the one that its suite names."""

from core import denials
from core.database import Database
from core.principals import DEFAULT_TENANT, Principal
from core.tables import Registered, VersionState
from evals.run_steps import RunLease
from evals.run_work import RunWork
from evals.suites import Suite
from providers.registry.loading import Editions
from providers.registry.pins import Pinned, Pins
from providers.registry.store import Registry

#: What everybody may have asked: it was approved, or is given requests.
_RELEASED = frozenset({VersionState.CANDIDATE.value, VersionState.LIVE.value})


async def pins_of(database: Database, versions: Editions, suite: Suite) -> Pins:
    """What is live now, with the version that the suite's target names in its alias's place."""
    named = suite.target.version
    return await versions.pins(database, {} if named is None else {suite.target.alias: named})


async def pinned_of(database: Database, versions: Editions, work: RunWork, lease: RunLease, suite: Suite) -> Pinned | None:
    """The versions that the run goes by, from its start to its end, ready to be called. One that was made without any goes by
    what is live now. None: the lease was lost.

    Raises:
        PlatformError: its target's version cannot be called here.
    """
    if lease.run.pins:
        return await versions.pinned(database, Pins.of(lease.run.pins))
    pins = await pins_of(database, versions, suite)
    pinned = await versions.pinned(database, pins)
    pinned.require(suite.target.alias)
    return pinned if await work.pin(lease, pins, pinned.label(suite.target.alias)) else None


async def check_named(database: Database, principal: Principal, suite: Suite) -> None:
    """Let somebody have the version asked that the suite's target names.

    Raises:
        NotFound: `version_not_found`.
        Forbidden: `operators_only`: nobody has approved it, and it is not deployed: it is the operator's own to try.
    """
    named = suite.target.version
    if named is None:
        return
    row = await Registry(database).version(Registered.MODEL, suite.target.alias, named)
    if row.state not in _RELEASED and principal.tenant != DEFAULT_TENANT:
        text = "The version is neither approved nor deployed: the operator's own tenant alone tries it."
        raise denials.barred(principal, text, code="operators_only", param="version")
