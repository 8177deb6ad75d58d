"""What a job is, and what it is given."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from core.database import Database
from core.queue import Queue
from core.settings import Settings
from retrievers.library import Library


@dataclass(frozen=True, slots=True)
class JobContext:
    """What the jobs of one worker share; it belongs to the worker's event loop."""

    settings: Settings
    database: Database
    queue: Queue
    library: Library


@dataclass(frozen=True, slots=True)
class JobSpec:
    """An actor: `run(context, *arguments)`, for messages that wait in `queue`.

    A message may come twice, or never: `run` asks the database what is to be done, and leaves what was not done to be found
    by the sweeper. Cancelling means that the worker stops.
    """

    queue: str
    run: Callable[..., Awaitable[None]]
