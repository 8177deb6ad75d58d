"""Asking remote deployments whether they are there, beside the calls of callers, at no cost or next to none.

One that is not well is asked often, so that its return is noticed without waiting for a caller to try; one that nobody has
called for long is asked rarely, so that a failure shows before a caller meets it. A probe closes no breaker: it lets the next
caller try at once. Local models are not asked, and what has no good credential is asked rarely.
"""

import asyncio
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import structlog

from core.settings import ProbeSettings
from providers.failures import Kind, known
from providers.prices import FREE
from providers.served import Served

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Probed:
    """The last probe. `kind` is None where it went well; `at` is `time.monotonic()`'s."""

    at: float
    seconds: float
    kind: Kind | None = None

    def told(self) -> dict[str, Any]:
        """For operators."""
        return {
            "ok": self.kind is None,
            "error": self.kind.value if self.kind else None,
            "age_s": round(time.monotonic() - self.at, 3),
            "seconds": round(self.seconds, 3),
        }


class Prober:
    """Of a process's remote deployments. `run` until it is cancelled, on one event loop; read results from any thread."""

    def __init__(self, deployments: Callable[[], Iterable[Served]], settings: ProbeSettings) -> None:
        self._now_served = deployments
        self._settings = settings
        self._results: dict[tuple[str, str], Probed] = {}
        self._started = time.monotonic()

    @property
    def probed(self) -> dict[tuple[str, str], Served]:
        """Those that are remote, of the versions that are served now."""
        remote = (served for served in self._now_served() if served.provider_name not in FREE and not served.bare)
        return {(served.provider_name, served.model): served for served in remote}

    def result(self, served: Served) -> Probed | None:
        """The last probe of a deployment, None where there was none."""
        return self._results.get((served.provider_name, served.model))

    def refuted(self, served: Served) -> bool:
        """Whether the last probe failed and a caller has had an answer since."""
        last, standing = self.result(served), served.standing
        return last is not None and last.kind is not None and standing.last_call > max(last.at, standing.last_error_at)

    async def run(self) -> None:
        """Probe what is due, over and over."""
        self._started = time.monotonic()
        while True:
            now, served = time.monotonic(), self.probed
            waits = {key: self._due_in_s(each, now) for key, each in served.items()}
            due = [key for key, wait in waits.items() if wait <= 0]
            if due:
                await asyncio.gather(*(self.probe(served[key]) for key in due))
            else:
                # a breaker may open, or another version be served, at any time: never asleep for longer than an unwell one
                # may wait
                await asyncio.sleep(min([*waits.values(), self._settings.unhealthy_s]))

    async def probe(self, served: Served) -> Probed:
        """Ask one deployment now. Whatever goes wrong is its result."""
        started = time.monotonic()
        kind: Kind | None = None
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                await served.provider.probe(served.model)
        except Exception as error:  # noqa: BLE001 - any failure is what a probe is there to find
            kind = kind_of(error)
        now = time.monotonic()
        before, result = self.result(served), Probed(now, now - started, kind)
        self._results[served.provider_name, served.model] = result
        if kind is not (before.kind if before else None):
            (log.warning if kind else log.info)(
                "provider.probed", provider=served.provider_name, model=served.name, kind=kind.value if kind else "well"
            )
        if kind is None:
            served.standing.breaker.encourage(now)
        return result

    def _due_in_s(self, served: Served, now: float) -> float:
        last = self.result(served)
        standing = served.standing
        well = standing.breaker.closed and (last is None or last.kind is None or self.refuted(served))
        if well or (last is not None and last.kind is Kind.AUTH):  # a credential does not mend itself
            heard = max(standing.last_call, last.at if last else self._started)
            return heard + self._settings.idle_s - now
        if last is None:
            return 0.0
        return last.at + self._settings.unhealthy_s - now


def kind_of(error: Exception) -> Kind:
    """Why a probe failed. What is no error of a provider's call, an SDK's own or a mistake, counts as the server's, and is
    logged by its place."""
    if (failure := known(error)) is not None:
        return failure.kind
    place = traceback.extract_tb(error.__traceback__)[-1]
    log.error("provider.probe_broken", error=type(error).__name__, at=f"{place.filename}:{place.lineno}")
    return Kind.SERVER
