"""What the running server holds: built in `server.lifespan`, reached by routes through `get_state`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from core.database import Database
from core.queue import Queue
from core.redaction.analyser import Analyser
from core.settings import Settings
from server.access.access import Access
from server.dashboard.watching import Watching
from server.readiness import Readiness

if TYPE_CHECKING:
    from chains.conversations import Conversations
    from chains.retrieval.retrieval import Retrieval
    from core.metrics.exposition import Exposition
    from providers.models import Models
    from retrievers.library import Library


@dataclass(slots=True)
class State:
    """Engines, clients and services of this process, on the server's event loop."""

    settings: Settings
    readiness: Readiness
    database: Database
    redis_url: str
    queue: Queue
    access: Access
    models: "Models"
    library: "Library"
    conversations: "Conversations"
    analyser: Analyser = field(default_factory=Analyser)
    #: None where nobody is to read any.
    metrics: "Exposition | None" = None
    #: Whether the worker of this process runs; None where it has none.
    worker_runs: Callable[[], bool] | None = None
    #: Made with the capabilities, by `server.app`.
    retrieval: "Retrieval" = field(init=False)
    watching: Watching = field(init=False)

    def __post_init__(self) -> None:
        self.watching = Watching(self.database)


def get_state(request: Request) -> State:
    """The state of the server that answers `request`."""
    state: State = request.app.state.platform
    return state


CurrentState = Annotated[State, Depends(get_state)]
