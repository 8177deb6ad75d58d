"""A call of a deployment that goes on, as kill switches see it: refused before it begins, cut while it goes on."""

import asyncio
from contextlib import suppress

from core.context import current
from core.errors import Killed
from core.kill_switches.switches import KillSwitches, killed
from providers.served import Served
from providers.watch import Watch


def is_stopped(kills: KillSwitches, tenant: str, served: Served) -> bool:
    """Whether the deployment is switched off for the tenant."""
    return not kills.none and kills.stops(tenant, served.provider_name, (served.model, served.name))


class Call:
    """For as long as the block lasts, what `watch` waits for ends when the alias, the deployment or the tenant is killed.

    Raises:
        Killed: at the beginning, where it is already; later out of `watch`.
    """

    __slots__ = ("_alias", "_kills", "_loop", "_served", "_tenant", "_watch")

    def __init__(self, kills: KillSwitches, alias: str, served: Served, watch: Watch) -> None:
        self._kills, self._alias, self._served, self._watch = kills, alias, served, watch
        self._tenant = current().principal.tenant
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> None:
        self._kills.enter(self)
        if not self._kills.none and (error := self._refusal()) is not None:
            self._kills.leave(self)
            raise error

    def __exit__(self, *_: object) -> None:
        self._kills.leave(self)

    def look(self) -> None:
        """Called in any thread."""
        if (error := self._refusal()) is not None:
            with suppress(RuntimeError):  # its loop has ended, and it with it
                self._loop.call_soon_threadsafe(self._watch.cut, error)

    def _refusal(self) -> Killed | None:
        try:
            self._kills.refuse(self._tenant, self._alias)
        except Killed as error:
            return error
        return killed(self._alias) if is_stopped(self._kills, self._tenant, self._served) else None
