"""The end of a server: readiness says no at once, what is open runs to its end, what takes too long is told so and cut off.

SIGTERM → notice (requests are taken, each answer closes its connection) → grace (nobody is let in, open answers go on) → what
is still open is cancelled: a stream ends with an `error` event, a whole answer is a 503, both with the code `server_stopping`.
"""

import asyncio
import socket
import time
from collections.abc import Callable

import structlog
import uvicorn

from core.reliability_settings import ShutdownSettings
from server.readiness import Readiness

log = structlog.get_logger()

#: Seconds that what was cut off has to tell its caller, and to settle what it cost.
CUT_OFF_S = 5.0
_LOOK_S = 0.05
_CLOSE = (b"connection", b"close")


class DrainingServer(uvicorn.Server):
    """uvicorn's server with an end of our own. A second Ctrl-C ends it without waiting for anything."""

    def __init__(self, config: uvicorn.Config, readiness: Readiness, shutdown: ShutdownSettings) -> None:
        super().__init__(config)
        self._readiness = readiness
        self._shutdown = shutdown
        readiness.leaving = lambda: self.should_exit

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Notice, grace, cut, and the end of the platform."""
        self.should_exit = True  # however it came to this
        await self._notice()
        for server in self.servers:
            server.close()
        for listening in sockets or []:
            listening.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        log.info("server.draining", requests=len(self.server_state.tasks), grace_s=self._shutdown.grace_s)
        if not await self._within(self._shutdown.grace_s, self._is_quiet):
            self._readiness.cut_off = True
            log.warning("server.cut_off", requests=len(self.server_state.tasks))
            for task in list(self.server_state.tasks):
                task.cancel()
            await self._within(CUT_OFF_S, self._is_quiet)
        if not self.force_exit:
            await self.lifespan.shutdown()

    async def _notice(self) -> None:
        """Serve on, for as long as load balancers need to see that they should not ask here. Each answer sends its caller
        elsewhere by closing the connection."""
        if self._shutdown.notice_s > 0:
            log.info("server.leaving", notice_s=self._shutdown.notice_s)
            self.server_state.default_headers = [*self.server_state.default_headers, _CLOSE]
            await self._within(self._shutdown.notice_s, lambda: False)

    def _is_quiet(self) -> bool:
        return not self.server_state.connections and not self.server_state.tasks

    async def _within(self, seconds: float, check: Callable[[], bool]) -> bool:
        until = time.monotonic() + seconds
        while not check():
            if self.force_exit or time.monotonic() >= until:
                return False
            await asyncio.sleep(_LOOK_S)
        return True
