"""Work that several callers share: what each gets, who pays, and what happens when one leaves."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from decimal import Decimal

import pytest

from core.context import RequestContext, Usage, current
from core.errors import DeadlineExceeded, ProviderFailed
from core.flights import Flight
from core.principals import SYSTEM


def request() -> RequestContext:
    return RequestContext(request_id="r", principal=SYSTEM)


def soon() -> float:
    return asyncio.get_running_loop().time() + 60


class Work:
    """Emits its steps when it is told to, and records a call that cost a dollar."""

    def __init__(self) -> None:
        self.flight: Flight[str] = Flight(request())
        self.steps: asyncio.Queue[str | Exception | None] = asyncio.Queue()
        self.cancelled = False
        self.task = self.flight.start(self._run())

    async def _run(self) -> None:
        current().attempts += 1
        try:
            while (step := await self.steps.get()) is not None:
                if isinstance(step, Exception):
                    raise step
                self.flight.emit(step)
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        finally:
            current().called(provider="p", model="m", usage=Usage(3, 2), cost_usd=Decimal(1), seconds=1)

    def read(self, by: RequestContext) -> AsyncGenerator[str]:
        return self.flight.read(by, soon())


async def all_of(pieces: AsyncGenerator[str]) -> list[str]:
    return [piece async for piece in pieces]


async def test_every_reader_gets_the_whole_whenever_it_comes_and_one_pays() -> None:
    work, first, second, late = Work(), request(), request(), request()
    early = [asyncio.create_task(all_of(work.read(by))) for by in (first, second)]
    work.steps.put_nowait("a")
    work.steps.put_nowait("b")
    work.steps.put_nowait(None)
    assert await asyncio.gather(*early) == [["a", "b"]] * 2
    assert await all_of(work.read(late)) == ["a", "b"]
    assert [(by.attempts, by.cost_usd, by.provider) for by in (first, second)] == [(1, Decimal(1), "p"), (0, Decimal(0), "p")]
    assert [by.usage.total_tokens for by in (first, second, late)] == [5, 5, 5]
    assert late.cost_usd == 0


async def test_pieces_come_as_they_are_made() -> None:
    work = Work()
    async with aclosing(work.read(request())) as pieces:
        work.steps.put_nowait("a")
        assert await anext(pieces) == "a"
        assert not work.flight.finished


async def test_one_who_leaves_takes_nothing_from_the_others_and_the_next_pays() -> None:
    work, leaver, stayer = Work(), request(), request()
    leaving = work.read(leaver)
    first = asyncio.create_task(anext(leaving))
    await asyncio.sleep(0)
    staying = asyncio.create_task(all_of(work.read(stayer)))
    work.steps.put_nowait("a")
    assert await first == "a"
    await leaving.aclose()
    work.steps.put_nowait("b")
    work.steps.put_nowait(None)
    assert await staying == ["a", "b"]
    assert leaver.cost_usd == 0
    assert stayer.cost_usd == 1


async def test_the_last_who_leaves_ends_the_work_and_pays_for_what_was_done() -> None:
    work, first, second = Work(), request(), request()
    readings = [work.read(by) for by in (first, second)]
    work.steps.put_nowait("a")
    assert [await anext(each) for each in readings] == ["a", "a"]
    await readings[0].aclose()
    assert not work.cancelled
    await readings[1].aclose()
    assert work.cancelled
    assert not work.flight.joinable
    assert (first.attempts, second.attempts) == (1, 0)
    assert first.cost_usd == 0
    assert second.cost_usd == 1


async def test_work_that_was_given_up_is_joined_by_nobody_while_it_ends() -> None:
    may_end, ending = asyncio.Event(), asyncio.Event()
    flight: Flight[str] = Flight(request())

    async def slow_to_end() -> None:
        try:
            flight.emit("a")
            await asyncio.Event().wait()
        finally:
            ending.set()
            await may_end.wait()

    flight.start(slow_to_end())
    reading = flight.read(request(), soon())
    assert await anext(reading) == "a"
    assert flight.joinable
    leaving = asyncio.create_task(reading.aclose())
    await ending.wait()
    assert not flight.joinable
    may_end.set()
    await leaving
    assert not flight.joinable


async def test_a_failure_reaches_every_reader_after_what_came_before_it() -> None:
    work = Work()
    readers = [asyncio.create_task(all_of(work.read(request()))) for _ in range(3)]
    work.steps.put_nowait("a")
    work.steps.put_nowait(ProviderFailed("It failed.", code="stream_interrupted"))
    raised = await asyncio.gather(*readers, return_exceptions=True)
    assert [(type(error), error.code) for error in raised] == [(ProviderFailed, "stream_interrupted")] * 3  # type: ignore[union-attr]
    assert len({id(error) for error in raised}) == 3, "each has its own"


async def test_a_reader_waits_no_longer_than_it_may_and_the_work_goes_on_for_the_others() -> None:
    work = Work()
    patient = asyncio.create_task(all_of(work.read(request())))
    await asyncio.sleep(0)
    with pytest.raises(DeadlineExceeded):
        await all_of(work.flight.read(request(), asyncio.get_running_loop().time()))
    work.steps.put_nowait(None)
    assert await patient == []
