"""What belongs to one event loop, beside others that come and go."""

import asyncio

import pytest

from core import per_loop
from core.per_loop import PerLoop, close_loop


async def test_a_loop_that_stops_in_the_moment_does_not_keep_the_others_from_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(per_loop, "_ELSEWHERE_S", 0.01)
    closed: list[str] = []

    async def close(value: str) -> None:
        closed.append(value)

    values, stopped = PerLoop(close), asyncio.new_event_loop()

    async def there() -> None:
        values.get("connection", lambda: "theirs")

    await asyncio.to_thread(stopped.run_until_complete, there())
    values.get("connection", lambda: "ours")
    with monkeypatch.context() as patched:
        patched.setattr(stopped, "is_running", lambda: True)  # it was, when it was asked
        async with asyncio.timeout(60):
            await values.close()
    assert closed == ["ours"]
    await asyncio.to_thread(stopped.run_until_complete, asyncio.sleep(0))  # what was handed to it is over
    stopped.close()


async def test_a_loop_that_ends_closes_what_was_made_on_it_whoever_made_it() -> None:
    closed: list[str] = []

    async def close(value: str) -> None:
        if value == "broken":
            raise OSError
        closed.append(value)

    first, second, elsewhere = PerLoop(close), PerLoop(close), asyncio.new_event_loop()

    async def there() -> None:
        first.get("connection", lambda: "theirs")
        first.get("broken", lambda: "broken")
        first.get("another", lambda: "and theirs")
        second.get("connection", lambda: "of another")
        await close_loop()

    first.get("connection", lambda: "ours")
    await asyncio.to_thread(elsewhere.run_until_complete, there())
    elsewhere.close()
    assert sorted(closed) == ["and theirs", "of another", "theirs"]
    assert (first.values(), second.values()) == (["ours"], [])
