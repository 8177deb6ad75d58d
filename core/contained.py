"""Code that is not ours, such as a plugin's: what it raises to end the process is a failure of it, and ends nothing else.

A `SystemExit` (`sys.exit()` in a library) goes by every `except Exception`, and asyncio lets it stop the event loop of a task.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

log = structlog.get_logger()


class ExitAsked(RuntimeError):
    """Code of somebody's own has raised what ends a process; the argument names it."""


@contextmanager
def contained() -> Iterator[None]:
    """What leaves the block is an `Exception`, or somebody really ends us: a cancelled task, or Ctrl-C, which Python raises in
    the main thread alone.

    Raises:
        ExitAsked: the block raised anything else that is no `Exception`.
    """
    try:
        yield
    except (Exception, GeneratorExit):
        raise
    except BaseException as error:
        if isinstance(error, asyncio.CancelledError) and _is_cancelled():
            raise
        if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
            raise
        raise ExitAsked(type(error).__name__) from error


def keep_running(loop: asyncio.AbstractEventLoop, over: Callable[[], bool]) -> None:
    """Run the loop until it stops and is `over`. Tasks that raise `SystemExit` would stop it: the others go on."""
    while True:
        try:
            loop.run_forever()
        except BaseException:  # the boundary of a thread: the task has ended, and nobody else's work has
            log.exception("loop.went_on")
        if over() or loop.is_closed():
            return


def _is_cancelled() -> bool:
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs in this thread
        return True
    return task is None or task.cancelling() > 0
