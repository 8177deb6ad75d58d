"""The chat model of this machine: llama.cpp in a supervised child, and the bounded queue before it."""

import asyncio
import http.client
import os
import secrets
import threading
import time
import urllib.request

import structlog

from core.child import ChildError, ChildFailed, ServingChild
from core.errors import Unavailable
from core.settings import LocalSettings
from providers.base import ModelState
from providers.local_slots import Slots
from providers.local_weights import Weights
from providers.openai_protocol import Endpoint

log = structlog.get_logger()

LOAD_TIMEOUT_S = 120.0
#: Seconds that one token, or 512 of a prompt, may take while a caller has left before it is ended; and before that is told.
STUCK_S = 30.0
SILENT_S = 5.0
#: After a failed start the next one waits, so that a model that cannot load is not loaded again and again.
PAUSE_AFTER_FAILURE_S = 10.0
#: Greedy decoding with a light repeat penalty: without one SmolLM2 loops; with 1.1 it no longer quotes what is in its prompt.
#: Of 12 questions on facts, 8 on a passage and 9 fields to extract it had right: 1.0: 9, 4, 9; 1.05: 10, 4, 9; 1.1: 9, 2, 5
#: (November 2026; a temperature of 0.2 made facts and sums worse).
SMALL_MODEL_SAMPLING = {"temp": 0.0, "penalty_repeat": 1.05, "penalty_last_n": 64, "top_p": 0.9}


def _goes_on(endpoint: Endpoint) -> bool:
    """Whether llama.cpp comes to the end of a token, or of a part of a prompt, within `STUCK_S`. Blocking."""
    address = endpoint.base_url.removesuffix("/v1") + "/slots"
    asked = urllib.request.Request(address, headers={"authorization": f"Bearer {endpoint.api_key}"})  # noqa: S310 - the child's
    try:
        with urllib.request.urlopen(asked, timeout=STUCK_S) as answer:  # noqa: S310
            answer.read()
    except (OSError, http.client.HTTPException):
        return False
    return True


class LlamaServer:
    """Starts the child at first use, and again after a crash. Thread-safe, shared by all event loops."""

    def __init__(self, weights: Weights, settings: LocalSettings, *, small: bool) -> None:
        self._weights = weights
        self._settings = settings
        self._small = small
        self._lock = threading.Lock()
        self._child: ServingChild | None = None
        self._endpoint: Endpoint | None = None
        self._loading = False
        self._closed = False
        self._failed: tuple[float, str] | None = None
        self._watching = threading.Lock()
        self._silent_since: float | None = None
        self.slots = Slots(settings.slots, settings.queue)

    async def endpoint(self) -> Endpoint:
        """Where the model answers; loads it where it is not loaded.

        Raises:
            Unavailable: code `model_unavailable`: it cannot be loaded.
        """
        if (endpoint := self._serving()) is not None:
            return endpoint
        before, now = self._endpoint, await asyncio.to_thread(self._start)
        if before is not None and before is not now:
            await before.close()  # of a child that is no more
        return now

    def _serving(self) -> Endpoint | None:
        child, endpoint = self._child, self._endpoint
        return endpoint if child is not None and child.alive else None

    def _start(self) -> Endpoint:
        with self._lock:
            if (endpoint := self._serving()) is not None:
                return endpoint
            if self._closed:
                raise Unavailable("The local model has been closed.", code="model_unavailable")
            if self._failed is not None and time.monotonic() - self._failed[0] < PAUSE_AFTER_FAILURE_S:
                raise Unavailable(self._failed[1], code="model_unavailable", retry_after_s=PAUSE_AFTER_FAILURE_S)
            self._loading = True
            try:
                self._endpoint = self._load()
            except ChildError as error:
                reason = error.message if isinstance(error, ChildFailed) else str(error)
                self._failed = time.monotonic(), f"The local model cannot be loaded: {reason}"
                log.warning("local_model.failed", model=self._weights.name, error=str(error))
                raise Unavailable(self._failed[1], code="model_unavailable", retry_after_s=PAUSE_AFTER_FAILURE_S) from error
            finally:
                self._loading = False
            self._failed = None
            return self._endpoint

    def _load(self) -> Endpoint:
        import providers.openai_transport  # noqa: F401 - 2 s: here in a thread, and not in the event loop

        started = time.monotonic()
        key = secrets.token_urlsafe(24)
        child = ServingChild(
            "providers.local_llama:serve",
            str(self._weights.path),
            self._weights.sha256,
            {
                "api_key": key,
                "name": self._weights.name,
                "slots": self._settings.slots,
                "context_tokens": self._settings.context_tokens,
                "threads": self._settings.threads or os.cpu_count() or 1,
                "sampling": SMALL_MODEL_SAMPLING if self._small else {},
            },
            on_exit=self._crashed,
        )
        answer = child.start(LOAD_TIMEOUT_S)
        self._child = child
        log.info("local_model.loaded", model=self._weights.name, seconds=round(time.monotonic() - started, 2), pid=child.pid)
        return Endpoint(answer["url"] + "/v1", key)

    def left(self) -> None:
        """A caller has left before its answer was whole. llama.cpp notices between two tokens; where it does not, it is ended,
        since it answers nobody else either. Returns at once."""
        if self._watching.acquire(blocking=False):
            threading.Thread(target=self._watch, name="local-model", daemon=True).start()

    def _watch(self) -> None:
        try:
            child, endpoint = self._child, self._endpoint
            if child is None or endpoint is None:
                return
            self._silent_since = time.monotonic()
            if not _goes_on(endpoint) and child.alive and not self._closed:
                log.error("local_model.stuck", model=self._weights.name, seconds=STUCK_S, pid=child.pid)
                child.close()
        finally:
            self._silent_since = None
            self._watching.release()

    def _crashed(self, status: int) -> None:
        log.error("local_model.crashed", model=self._weights.name, status=status)

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None and self._child.alive else None

    def state(self) -> ModelState:
        extra: dict[str, object] = {"busy": self.slots.busy, "waiting": self.slots.waiting, "slots": self._settings.slots}
        if self._serving() is not None:
            silent = self._silent_since
            if silent is not None and time.monotonic() - silent > SILENT_S:
                return ModelState(self._weights.name, "failed", "It works on what a caller has left.", extra)
            return ModelState(self._weights.name, "ready", extra=extra)
        if self._loading:
            return ModelState(self._weights.name, "loading", extra=extra)
        if self._failed is not None:
            return ModelState(self._weights.name, "failed", self._failed[1], extra)
        return ModelState(self._weights.name, "idle", extra=extra)

    async def close(self) -> None:
        self._closed = True
        if self._endpoint is not None:
            await self._endpoint.close()
        if self._child is not None:
            await asyncio.to_thread(self._child.close)
