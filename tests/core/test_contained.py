"""Code that is not ours ends nothing but itself."""

import asyncio
import sys
import threading

import pytest

from core.contained import ExitAsked, contained, keep_running


@pytest.mark.parametrize("raised", [SystemExit(3), BaseException(), asyncio.CancelledError()], ids=repr)
async def test_what_would_end_a_process_or_a_task_is_an_error_of_the_code_that_raised_it(raised: BaseException) -> None:
    with pytest.raises(ExitAsked, match=type(raised).__name__), contained():
        raise raised


async def test_a_cancelled_task_is_cancelled() -> None:
    async def wait() -> None:
        with contained():
            await asyncio.sleep(600)

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


def test_ctrl_c_passes_where_python_raises_it_and_nowhere_else() -> None:
    caught: list[BaseException] = []

    def interrupted() -> None:
        raise KeyboardInterrupt

    def interrupt() -> None:
        try:
            with contained():
                interrupted()
        except BaseException as error:  # noqa: BLE001 - it is what the test asks for
            caught.append(error)

    interrupt()
    thread = threading.Thread(target=interrupt)
    thread.start()
    thread.join()
    assert [type(error) for error in caught] == [KeyboardInterrupt, ExitAsked]


def test_a_loop_goes_on_after_a_task_that_exits() -> None:
    async def leave() -> None:
        sys.exit(3)

    async def answer() -> int:
        return 42

    loop = asyncio.new_event_loop()
    over = threading.Event()
    thread = threading.Thread(target=keep_running, args=(loop, over.is_set))
    thread.start()
    with pytest.raises(SystemExit):
        asyncio.run_coroutine_threadsafe(leave(), loop).result(10)
    assert asyncio.run_coroutine_threadsafe(answer(), loop).result(10) == 42
    over.set()
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    assert not thread.is_alive()
    loop.close()
