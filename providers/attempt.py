"""One call of one deployment, watched: its turn, its first token, the gaps between tokens, its end, and what it used."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from core.errors import DeadlineExceeded
from core.settings import Timeouts
from providers.base import ModelFacts, Provider, TakesTurns
from providers.failures import StreamCut
from providers.prices import Price
from providers.standing import Standing

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Served:
    """A deployment that is ready to be called. `model` is what the operator configured, `name` what callers are told."""

    provider_name: str
    provider: Provider
    model: str
    timeouts: Timeouts
    facts: ModelFacts
    standing: Standing
    price: Price | None = None

    @property
    def name(self) -> str:
        return self.provider.state(self.model).name


@dataclass(frozen=True, slots=True)
class Deadline:
    """When the whole request has to be over, on the running loop's clock."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        return cls(asyncio.get_running_loop().time() + seconds)

    @property
    def remaining(self) -> float:
        return self.at - asyncio.get_running_loop().time()

    def check(self) -> None:
        """Raises DeadlineExceeded once it has passed."""
        if self.remaining <= 0:
            raise DeadlineExceeded("The request took longer than it may.")


@dataclass(slots=True)
class Attempt(Generic[T]):
    """Pieces of one call, as they come. `tells` says of a piece whether it carries something for the caller, and `ends`
    whether it is the provider's final word. `started` and `seconds` are of the provider's work alone, without the queue."""

    served: Served
    deadline: Deadline
    tells: Callable[[T], bool]
    ends: Callable[[T], bool]
    called: Callable[[], None] = field(default=lambda: None)
    told: bool = False
    ended: bool = False
    started: float = 0.0

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started if self.started else 0.0

    async def pieces(self, open_stream: Callable[[], AsyncIterator[T]]) -> AsyncGenerator[T]:
        """The pieces of `open_stream()`, from the first that tells something on; what came before it is sent with it.

        Raises:
            DeadlineExceeded: the request's time is over.
            TimeoutError: the provider was silent for longer than its limits allow.
            StreamCut: the stream ended without the provider's final word.
            whatever the provider raises
        """
        async with AsyncExitStack() as stack:
            await self._take_turn(stack)
            self.called()
            self.started = time.perf_counter()
            stream: Any = open_stream()
            await stack.enter_async_context(aclosing(stream))
            held: list[T] = []
            while True:
                try:
                    piece = await self._next(stream)
                except StopAsyncIteration:
                    break
                self.ended = self.ended or self.ends(piece)
                self.told = self.told or self.tells(piece)
                held.append(piece)
                if self.told:
                    for each in held:
                        yield each
                    held.clear()
            if not self.ended:
                raise StreamCut
            for each in held:
                yield each

    async def _take_turn(self, stack: AsyncExitStack) -> None:
        provider = self.served.provider
        if not isinstance(provider, TakesTurns):
            return
        try:
            async with asyncio.timeout(max(self.deadline.remaining, 0)):
                await stack.enter_async_context(provider.turn(self.served.model))
        except TimeoutError:
            self.deadline.check()
            raise

    async def _next(self, stream: AsyncIterator[T]) -> T:
        limits = self.served.timeouts
        limit = limits.between_tokens if self.told else limits.first_token
        try:
            async with asyncio.timeout(max(min(limit, self.deadline.remaining), 0)):
                return await anext(stream)
        except TimeoutError:
            self.deadline.check()
            raise
