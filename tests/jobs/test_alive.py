"""A lease that is kept while work goes on."""

import asyncio

import pytest

from jobs.alive import LeaseLost, kept_alive


async def test_a_lease_that_is_lost_in_the_moment_in_which_the_work_is_done_is_lost() -> None:
    asked = asyncio.Event()

    async def renew() -> bool:
        asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:  # the work is done; the database has answered
            return False
        return True

    async def work() -> None:
        async with kept_alive(renew, lease_s=0.01):
            await asked.wait()

    with pytest.raises(LeaseLost):
        await asyncio.create_task(work())
