import asyncio

from structlog.testing import capture_logs

from core.background import ended, told


async def test_a_task_that_fails_is_told_at_once_and_one_that_is_ended_is_not() -> None:
    async def fails() -> None:
        raise RuntimeError("gone")

    async def goes_on() -> None:
        await asyncio.Event().wait()

    with capture_logs() as logged:
        failing, going = told(asyncio.create_task(fails()), "fails"), told(asyncio.create_task(goes_on()), "goes on")
        await asyncio.wait([failing])
        going.cancel()
        await asyncio.gather(failing, going, return_exceptions=True)
    assert [(line["event"], line["task"], line["error"]) for line in logged] == [("background.failed", "fails", "RuntimeError")]


async def test_a_task_that_loses_its_first_cancellation_ends() -> None:
    async def loses_one() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.Event().wait()

    lost = asyncio.create_task(loses_one())
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        await ended([lost], again_s=0.01)
    assert lost.cancelled()
