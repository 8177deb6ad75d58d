"""The search for one answer: kept, kept for a message that means the same, being made elsewhere, or else made and kept."""

import asyncio
import hashlib
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Hashable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

import orjson
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk

from core import traces
from core.cache import NOTHING, Cache
from core.context import CacheUse, RequestContext
from core.errors import DeadlineExceeded
from core.flights import Flight
from core.settings import AnswerCache
from providers.likeness import KEY_BYTES, Likeness, comparable, likest, record
from providers.replay import Kept, compact, read, worth_keeping
from providers.wording import says_the_same

Chunks = AsyncGenerator[ChatGenerationChunk]

#: How long a request waits for another process's call before it makes its own: seconds, and the share of the time that is left.
WAIT_S: Final = 10.0
WAIT_SHARE: Final = 0.25
#: Seconds between two looks at whether that call has ended: the first and the longest.
_PAUSE_S: Final = (0.02, 0.25)
_RENEW_S: Final = 1.0
#: Messages that one is compared with at most, of the same alias, tenant, rights, history and parameters.
COMPARED: Final = 1000
#: What of a message says nothing to a model.
_OF_ONE_TELLING: Final = {"id", "response_metadata", "usage_metadata", "artifact"}
#: Parameters with which the answer depends on the very words of the message: a call's arguments, fields taken from a text.
_PRECISE: Final = frozenset({"tools", "response_format", "logprobs"})


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request's `Cache-Control` says. `max_age_s`: no older answer will do."""

    store: bool = True
    max_age_s: float | None = None

    @property
    def asked_for(self) -> bool:
        """Whether the caller says that an answer of some age will do, although theirs need not be the same each time."""
        return bool(self.max_age_s)


@lru_cache(maxsize=256)
def wish_of(header: str) -> Wish:
    """`no-store`: neither read nor written. `no-cache`: written alone. `max-age=N`: read where it is no older than N seconds,
    also for a request that is not deterministic."""
    store, max_age_s = True, None
    for part in header.lower().split(","):
        name, _, value = part.strip().partition("=")
        if name == "no-store":
            store = False
        elif name == "no-cache":
            max_age_s = 0.0
        elif name == "max-age" and value.strip('"').isdecimal():
            max_age_s = min(float(value.strip('"')[:9]), 1e9 if max_age_s is None else max_age_s)
    return Wish(store, max_age_s)


@dataclass(frozen=True, slots=True)
class Call:
    """A request for an answer, and how it is made where none is found."""

    request: RequestContext
    wish: Wish
    messages: Sequence[BaseMessage]
    parameters: Mapping[str, Any]
    make: Callable[[], Chunks]
    whole: bool
    total_s: float
    #: What may refuse the request or bound its answer.
    limits: Hashable = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A request in the names of the cache. `text` is its last message and `space` names all else, where it may be compared."""

    tenant: str
    key: bytes
    text: str | None
    space: str

    @property
    def name(self) -> str:
        return _name(self.key)


@dataclass(frozen=True, slots=True)
class Keeping:
    """Where the answers of an alias are kept, which ones, how long one may be, and for how many seconds."""

    store: Cache
    settings: AnswerCache
    likeness: Likeness
    most_bytes: int
    ttl_s: float


class Search:
    """The search for one answer: kept, kept for another message, being made elsewhere, or else made here and kept."""

    def __init__(self, keeping: Keeping, asked: Asked, call: Call, until: float) -> None:
        self.name = asked.name
        #: Whether this process makes the same answer under other limits: there is nothing to wait for, it will not be shared.
        self.beside: Callable[[], bool] = lambda: False
        self._keeping = keeping
        self._store = keeping.store
        self._settings = keeping.settings
        self._asked = asked
        self._call = call
        self._until = until
        self._token = secrets.token_hex(8)
        self._look = NOTHING
        self._vector: bytes | None = None
        self._worth = True
        self.use: CacheUse = "miss"
        #: The answer that was found; None where it is made.
        self.kept: Kept | None = None
        self.flight: Flight[ChatGenerationChunk] = Flight(call.request)
        oldest = call.wish.max_age_s
        #: Requests that would take the same answer, under the same limits, share it; one that wants a new one has it made.
        self.shared_as: tuple[Hashable, ...] = (asked.key, self._token if oldest == 0 else oldest, call.limits)

    def start(self) -> asyncio.Task[None]:
        return self.flight.start(self._run())

    @property
    def joinable(self) -> bool:
        """Whether another request may take its answer: it is being looked for, or about to be kept."""
        return self.flight.joinable and self._worth

    def makes(self, other: "Search") -> bool:
        """Whether it holds the claim to make the answer that the other looks for."""
        return self._look.claimed and self.name == other.name

    async def _run(self) -> None:
        fresh = self._call.wish.max_age_s == 0
        with traces.span("look up answer"):
            self._look = await self._store.look(self._asked.tenant, self._asked.name, token="" if fresh else self._token)
        kept = False
        try:
            if not fresh:
                found = await self._found()
                if found is not None:
                    kept = True
                    self._give(found)
                    return
            async with self._renewed():
                await self._make()
            kept = await self._keep()
        finally:
            if self._look.claimed:
                await self._store.let_go(self._asked.tenant, self._asked.name, self._token, kept=kept)

    async def _found(self) -> Kept | None:
        """The answer that is kept, or that another process comes to while it is waited for."""
        if (kept := self._usable(self._look.entry)) is not None:
            self.use = "hit"
            return kept
        if self._settings.semantic and (kept := await self._alike()) is not None:
            self.use = "semantic"
            return kept
        if self._look.held and not self.beside():
            await self._wait()
            if (kept := self._usable(self._look.entry)) is not None:
                self.use = "hit"
        return kept

    def _usable(self, entry: bytes | None) -> Kept | None:
        kept = None if entry is None else read(entry)
        oldest = self._call.wish.max_age_s
        too_old = kept is not None and oldest is not None and time.time() - kept.at > oldest
        return None if too_old else kept

    async def _alike(self) -> Kept | None:
        """The answer to a message that means the same."""
        if self._asked.text is None:
            return None
        self._vector = await self._keeping.likeness.vector(self._asked.text)
        if self._vector is None:
            return None
        records = await self._store.records(self._asked.tenant, self._asked.space)
        if records is None:
            return None
        for key in await asyncio.to_thread(likest, records, self._vector, self._settings.threshold, time.time()):
            kept = self._usable(await self._store.get(self._asked.tenant, _name(key)))
            if kept is not None and kept.asked is not None and says_the_same(kept.asked, self._asked.text):
                return kept
        return None

    async def _wait(self) -> None:
        """Until the one who makes the answer is done, has died, or takes too long."""
        loop = asyncio.get_running_loop()
        now, pause = loop.time(), _PAUSE_S[0]
        end = now + min(WAIT_S, (self._until - now) * WAIT_SHARE)
        while self._look.held and loop.time() < end:
            await asyncio.sleep(min(pause, max(end - loop.time(), 0)))
            pause = min(pause * 1.5, _PAUSE_S[1])
            self._look = await self._store.look(self._asked.tenant, self._asked.name, token=self._token)

    @asynccontextmanager
    async def _renewed(self) -> AsyncIterator[None]:
        """Hold the claim, if there is one, for as long as the block lasts."""
        if not self._look.claimed:
            yield
            return

        async def renew() -> None:
            while True:
                await asyncio.sleep(_RENEW_S)
                await self._store.renew(self._asked.tenant, self._asked.name, self._token)

        renewing = asyncio.create_task(renew())
        try:
            yield
        finally:
            renewing.cancel()

    async def _make(self) -> None:
        """Have the provider answer. The time that was waited counts."""
        try:
            async with asyncio.timeout_at(self._until), aclosing(self._call.make()) as chunks:
                async for chunk in chunks:
                    self.flight.emit(chunk)
        except TimeoutError:
            raise DeadlineExceeded("The request took longer than it may.") from None
        worth = worth_keeping(self.flight.pieces, limited=self._call.parameters.get("max_tokens") is not None)
        self._worth = worth and not self.flight.took.degraded
        self.flight.finish()

    def _give(self, kept: Kept) -> None:
        self.kept = kept
        self.flight.context.called(provider=kept.provider, model=kept.model, usage=kept.usage, cost_usd=Decimal(0), seconds=0)
        for chunk in kept.answer():
            self.flight.emit(chunk)
        self.flight.finish()

    async def _keep(self) -> bool:
        """Keep the answer, if it is worth it. Whether it is there now."""
        chunks, took, now = self.flight.pieces, self.flight.took, time.time()
        if took.provider is None or took.model is None or not self._worth:
            return False
        asked = self._asked if self._settings.semantic else None
        kept = Kept(compact(chunks), took.provider, took.model, took.usage, now, asked.text if asked else None, took.cost_usd)
        try:
            data = kept.dump()
        except TypeError:
            return False
        if len(data) > self._keeping.most_bytes:
            return False
        ttl_s, epoch = self._keeping.ttl_s, self._look.epoch
        if not await self._store.put(self._asked.tenant, self._asked.name, data, ttl_s=ttl_s, epoch=epoch):
            return False
        if asked is not None and asked.text is not None:
            if self._vector is None:
                self._vector = await self._keeping.likeness.vector(asked.text)
            if self._vector is not None:
                entry = record(asked.key, now + ttl_s, self._vector)
                await self._store.append(asked.tenant, asked.space, entry, ttl_s=ttl_s, epoch=epoch, records=COMPARED)
        return True


async def asked_for(version: str, call: Call) -> Asked | None:
    """The request in the names of the cache; None where it has no canonical form."""
    try:
        if any(isinstance(message.content, list) for message in call.messages):  # images: hashing them takes its time
            return await asyncio.to_thread(_canonical, version, call)
        return _canonical(version, call)
    except TypeError:
        return None


def _canonical(version: str, call: Call) -> Asked:
    principal, parameters = call.request.principal, dict(call.parameters)
    if "temperature" in parameters:
        parameters["temperature"] = float(parameters["temperature"])
    messages = [message.model_dump(exclude=_OF_ONE_TELLING) for message in call.messages]
    text = comparable(call.messages[-1]) if call.messages and not parameters.keys() & _PRECISE else None
    told = [version, principal.rights, parameters]
    space = "" if text is None else _name(digest([*told, "like", messages[:-1]]))
    return Asked(principal.tenant, digest([*told, messages]), text, space)


def digest(value: Any) -> bytes:
    """Raises TypeError where the value has no JSON."""
    return hashlib.blake2b(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), digest_size=KEY_BYTES).digest()


def _name(key: bytes) -> str:
    return f"answer:{key.hex()}"


def copy_of(chunk: ChatGenerationChunk) -> ChatGenerationChunk:
    """A chunk for one reader: LangChain writes into those that it is given."""
    return chunk.model_copy(update={"message": chunk.message.model_copy()})
