"""What a capability is: a name, models of its input and output, the scope it asks for, and how its runnable is built."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

from chains.protection.guarding import Guards
from core.principals import Scope
from core.redaction.analyser import Analyser

if TYPE_CHECKING:
    from chains.conversations import Conversations
    from chains.root import OpaqueRoot
    from core.settings import Settings
    from providers.models import Models
    from retrievers.library import Library


@dataclass(frozen=True, slots=True)
class ChainDeps:
    """What runnables are built from; made once a process, in the lifespan. `guards` are those of all of them."""

    settings: "Settings"
    models: "Models"
    library: "Library"
    conversations: "Conversations"
    analyser: Analyser = field(default_factory=Analyser)
    guards: Guards = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "guards", Guards(self.models))


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

    `input` is the model of the input: under `input` in LangServe's bodies, with `stream` beside it as the REST body. `output`
    is the type of what the runnable returns, and `answer` a model of the capability's own fields in the flat REST answer.
    `prompts` are file names below `chains/prompts/`. `example` is an input that works on a fresh installation; the playground's
    form shows its fields, the model, and what is marked as a file.
    """

    name: str
    title: str
    description: str
    input: type[BaseModel]
    output: Any
    scope: Scope
    build: Callable[[ChainDeps], "OpaqueRoot"]
    prompts: tuple[str, ...] = ()
    playground: Literal["default", "chat"] = "default"
    answer: type[BaseModel] | None = None
    example: dict[str, Any] = field(default_factory=dict)
