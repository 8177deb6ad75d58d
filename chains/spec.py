"""What a capability is: a name, models of its input and output, the scope it asks for, and how its runnable is built."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.runnables import Runnable
from pydantic import BaseModel

from core.principals import Scope

if TYPE_CHECKING:
    from chains.conversations import Conversations
    from core.settings import Settings
    from providers.models import Models
    from retrievers.library import Library


@dataclass(frozen=True, slots=True)
class ChainDeps:
    """What runnables are built from; made once a process, in the lifespan."""

    settings: "Settings"
    models: "Models"
    library: "Library"
    conversations: "Conversations"


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a streamed answer, as a capability's own code yields it; the last one carries `final`.

    `text` is what to append to the output. `data` are fields of the answer that are known now (citations, tool calls).
    `final` is the whole answer, equal to what `invoke` returns.
    """

    text: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    final: Any = None


@dataclass(frozen=True, slots=True)
class ChainSpec:
    """A capability. `build` gives the served runnable: an opaque root (see `chains.root`), sync, async and streaming.

    `flat_input` is the REST body and `input` the LangServe input; they have the same fields (`flat_input` adds `stream`).
    `prompts` are file names below `chains/prompts/`.
    """

    name: str
    title: str
    description: str
    input: type[BaseModel]
    output: Any
    scope: Scope
    build: Callable[[ChainDeps], Runnable[Any, Any]]
    prompts: tuple[str, ...] = ()
    playground: Literal["default", "chat"] = "default"
    example: dict[str, Any] = field(default_factory=dict)


Answering = Callable[[Any], AsyncIterator[Delta]]
