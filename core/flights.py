"""Work that several callers share: each reads its pieces from the first one on, and it goes on as long as one of them reads."""

import asyncio
import copy
from collections.abc import AsyncGenerator, Coroutine
from decimal import Decimal
from typing import Any, Generic, TypeVar

from core.context import RequestContext, serving
from core.errors import DeadlineExceeded, PlatformError, Unavailable

T = TypeVar("T")


class Flight(Generic[T]):
    """One piece of shared work, on one event loop.

    The work runs in a task and a `RequestContext` of its own, so that no caller who hangs up takes it from the others. The
    reader who has stayed the longest is charged for it, call by call; the others are told what it used and pay nothing.
    """

    def __init__(self, request: RequestContext) -> None:
        self.context = request.beside()
        self.finished = False
        self._given_up = False
        self._charged = request.beside()
        self._pieces: list[T] = []
        self._error: BaseException | None = None
        self._news = asyncio.Event()
        self._readers: list[object] = []
        self._payers: set[object] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def pieces(self) -> list[T]:
        """What has come so far."""
        return self._pieces

    @property
    def took(self) -> RequestContext:
        """What it has taken so far, whoever was charged for it."""
        total = self.context.beside()
        total.add(self._charged)
        total.add(self.context)
        return total

    @property
    def joinable(self) -> bool:
        """Whether one more reader will get the whole: it did not fail, and was not given up by its last reader."""
        return self._error is None and not self._given_up and (self.finished or bool(self._readers))

    def start(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Begin. The work calls `emit` and, where it has more to do once the pieces are whole, `finish`."""
        self._task = asyncio.create_task(self._run(work))
        return self._task

    def emit(self, piece: T) -> None:
        """Give a piece to all readers."""
        self._pieces.append(piece)
        self._tell()

    def finish(self, error: BaseException | None = None) -> None:
        """Nothing more comes. Readers get what they have not had yet, then `error`."""
        self.finished, self._error = True, error
        self._tell()

    async def read(self, request: RequestContext, until: float) -> AsyncGenerator[T]:
        """All pieces, for `request`, at most `until` on the loop's clock. Leaving early is no harm to the other readers.

        Raises:
            DeadlineExceeded: it is later than `until`.
            whatever the work raised
        """
        reader = object()
        self._readers.append(reader)
        try:
            position = 0
            while True:
                while position < len(self._pieces):
                    self._charge(request, reader)
                    position += 1
                    yield self._pieces[position - 1]
                if self.finished:
                    break
                await self._more(until)
            if self._error is not None:
                raise _again(self._error)
            self._charge(request, reader)
            took = self.took
            if reader not in self._payers and took.provider is not None and took.model is not None:
                request.called(provider=took.provider, model=took.model, usage=took.usage, cost_usd=Decimal(0), seconds=0)
        finally:
            try:
                if len(self._readers) == 1 and not self.finished:
                    await self._abandon()
            finally:
                self._charge(request, reader)
                self._readers.remove(reader)

    async def _more(self, until: float) -> None:
        try:
            async with asyncio.timeout_at(until):
                await self._news.wait()
        except TimeoutError:
            raise DeadlineExceeded("The request took longer than it may.") from None

    def _charge(self, request: RequestContext, reader: object) -> None:
        if self._readers[0] is not reader:
            return
        if self.context.provider is not None:
            self._payers.add(reader)
        self._charged.add(self.context)
        request.add(self.context)
        self.context.clear()

    async def _run(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            with serving(self.context):
                await work
        except asyncio.CancelledError:
            self.finish(Unavailable("The work was given up."))
            raise
        except Exception as error:  # noqa: BLE001 - it is raised by every reader
            self.finish(error)
        else:
            if not self.finished:
                self.finish()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _abandon(self) -> None:
        self._given_up = True  # before the work is told: while it ends, nobody may join it any more
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])


def _again(error: BaseException) -> BaseException:
    """An error for one more reader: each raises one of its own, since raising adds to an error where it has been."""
    return copy.copy(error) if isinstance(error, PlatformError) else error
