"""The kill switches that are set, in memory, and the calls that they cut: read at the start, and whenever one is set anywhere
(`core.epoch`). Redis plays no part."""

import threading
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from sqlmodel import select

from core.database import Database
from core.errors import Killed
from core.tables import KillKind, KillSwitch

Key = tuple[str, str]
_NONE: Final[frozenset[Key]] = frozenset()


class Running(Protocol):
    """A call that is going on. `look` is called in any thread when switches were set: it ends the call if it is killed."""

    def look(self) -> None: ...


class KillSwitches:
    """One for a process, shared by all of its threads and event loops. Before `load` none is set."""

    def __init__(self) -> None:
        self._everywhere: frozenset[Key] = _NONE
        self._of: Mapping[str, frozenset[Key]] = {}
        self._running: set[Running] = set()
        self._lock = threading.Lock()

    @property
    def none(self) -> bool:
        """Whether nothing at all is switched off."""
        return not self._everywhere and not self._of

    @property
    def everywhere(self) -> int:
        """How many are set for all tenants."""
        return len(self._everywhere)

    async def load(self, database: Database) -> None:
        """Read all that are set, and have the calls that go on look at them."""
        async with database.session(all_tenants=True) as session:
            rows = (await session.exec(select(KillSwitch))).all()
        self.set(rows)

    def set(self, rows: Sequence[KillSwitch]) -> None:
        """These are set, and no others."""
        of: dict[str, set[Key]] = {}
        for row in rows:
            if not row.everywhere:
                of.setdefault(row.tenant, set()).add((row.kind, row.name))
        everywhere = frozenset((row.kind, row.name) for row in rows if row.everywhere)
        self._everywhere, self._of = everywhere, {tenant: frozenset(keys) for tenant, keys in of.items()}
        if self.none:
            return
        with self._lock:
            running = tuple(self._running)
        for each in running:
            each.look()

    def refuse(self, tenant: str, alias: str) -> None:
        """Raises Killed: the tenant's use of models is switched off, or this alias is."""
        if self.none:
            return
        if self.stops_tenant(tenant):
            raise Killed("This tenant's use of models is switched off.")
        if self.stops_alias(tenant, alias):
            raise killed(alias)

    def stops_tenant(self, tenant: str) -> bool:
        return (KillKind.TENANT.value, tenant) in self._everywhere

    def stops_alias(self, tenant: str, alias: str) -> bool:
        return self._is_set(tenant, KillKind.MODEL, alias)

    def stops(self, tenant: str, provider: str, models: Sequence[str]) -> bool:
        """Whether a deployment is switched off: its provider (`azure` is also every `azure:…`), or its model by one of its
        names, alone or after its provider's (`openai/gpt-4o`)."""
        family = provider.partition(":")[0]
        return any(self._is_set(tenant, KillKind.PROVIDER, name) for name in {provider, family}) or any(
            self._is_set(tenant, KillKind.MODEL, name) for model in models for name in (model, f"{provider}/{model}")
        )

    def enter(self, running: Running) -> None:
        """A call begins; `leave` follows."""
        with self._lock:
            self._running.add(running)

    def leave(self, running: Running) -> None:
        with self._lock:
            self._running.discard(running)

    def _is_set(self, tenant: str, kind: KillKind, name: str) -> bool:
        key = kind.value, name
        return key in self._everywhere or key in self._of.get(tenant, _NONE)


def killed(alias: str) -> Killed:
    """The error of a request for what is switched off."""
    return Killed(f"The model {alias[:128]!r} is switched off.", param="model")
