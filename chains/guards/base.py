"""What a guard is: a runnable from a text to a finding, or None where there is nothing to object to."""

# ruff: noqa: A002 - `input` is what the Runnable interface calls it

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.runnables import Runnable, RunnableConfig
from pydantic import BaseModel, ConfigDict

from core import bridge
from core.policies.policy import Side

if TYPE_CHECKING:
    from providers.models import Models

#: Characters of a stream that are read together, and those of them that are read again with the next ones.
WINDOW, OVERLAP = 400, 200


class Options(BaseModel):
    """What can be set for a guard: a base."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a guard objects to. `reason` is one of the guard's own words or the operator's, never a part of the text;
    `score` says how sure it is, 0 to 1."""

    reason: str
    score: float = 1.0


class Guard(Runnable[str, Finding | None]):
    """A base: a subclass says what it can be set to and where it may stand, and writes `read`.

    Built once for its options and used by many requests at once, also on several event loops. `whole`: it can judge a whole
    text alone, so that a stream is held back to its end; others read a stream in windows of `window` characters.
    """

    options_type: ClassVar[type[Options]] = Options
    sides: ClassVar[frozenset[Side]] = frozenset(Side)
    usual: ClassVar[tuple[Side, ...]] = (Side.INPUTS,)
    whole: ClassVar[bool] = False
    window: ClassVar[int] = WINDOW

    def __init__(self, options: Options, models: "Models") -> None:
        self.options: Any = options
        self.models = models

    @classmethod
    def check(cls, options: Options) -> None:
        """Refuse options that pass their types and cannot be used: raises `ValueError`, whose message may be shown."""

    @abstractmethod
    async def read(self, text: str) -> Finding | None:
        """What there is to object to.

        Raises:
            PlatformError: it cannot be said; the text does not pass then, where the guard blocks.
        """

    async def read_beside(self, text: str) -> Finding | None:
        """The same for what a request holds beside what was said: messages of the system and the model, descriptions and names
        of tools. A guard that judges what a conversation is about need not judge these so."""
        return await self.read(text)

    async def ainvoke(self, input: str, config: RunnableConfig | None = None, **kwargs: Any) -> Finding | None:
        """What there is to object to in a text."""
        return await self._acall_with_config(self.read, input, config)

    def invoke(self, input: str, config: RunnableConfig | None = None, **kwargs: Any) -> Finding | None:
        """As `ainvoke`, from synchronous code in any thread."""
        return bridge.call(self.ainvoke(input, config), None)
