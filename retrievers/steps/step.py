"""What passes from step to step of a search, and what a step is: a LangChain runnable that fails by being left out."""

# ruff: noqa: A002 - `input` and `filter` are what their interfaces call them

import asyncio
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import structlog
from langchain_core.runnables import Runnable, RunnableConfig

from core import traces
from core.bridge import call
from core.errors import PlatformError, PolicyRefused, UnsupportedFeature
from retrievers.base import Passage, Shelf
from retrievers.filters import Filter

log = structlog.get_logger()

#: Seconds that a step may take; what it would add is worth no longer wait.
STEP_S = 30.0


@dataclass(frozen=True, slots=True)
class StepTaken:
    """That a step was taken, or why not: `skipped` is the code of an error."""

    name: str
    skipped: str | None = None


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What was asked, what is found of it so far, best first, and the steps that led here.

    `limit` is how many passages are wanted in the end. `degraded` and `by_words`: see `retrievers.search.Findings`.
    """

    shelf: Shelf
    query: str
    limit: int
    passages: tuple[Passage, ...] = ()
    steps: tuple[StepTaken, ...] = ()
    degraded: bool = False
    by_words: bool = False
    mode: Literal["hybrid", "dense", "lexical"] = "hybrid"
    filter: Mapping[str, Any] | Filter | None = field(default=None)

    @property
    def impaired(self) -> bool:
        """Whether anything was left out that should have been done."""
        return self.degraded or any(step.skipped for step in self.steps)

    def with_step(self, name: str, skipped: str | None = None) -> "Retrieved":
        return replace(self, steps=(*self.steps, StepTaken(name, skipped)))


class Step(Runnable[Retrieved, Retrieved]):
    """One optional step. Where it fails, what was found before it is what it gives, and `steps` says so.

    It tells nobody of its runs but the platform's own traces: a caller's event stream would show passages that guards have not
    read yet. What a tenant's policies refuse is refused.
    """

    #: As it is called in settings, traces and answers.
    step: str

    @abstractmethod
    async def take(self, found: Retrieved) -> Sequence[Passage]:
        """The passages that the step makes of those that were found, best first.

        Raises:
            PlatformError: it cannot.
        """

    async def ainvoke(self, input: Retrieved, config: RunnableConfig | None = None, **kwargs: Any) -> Retrieved:
        """What was found, after this step."""
        try:
            with traces.span("search step", {"genai.search.step": self.step}) as span:
                async with asyncio.timeout(STEP_S):
                    passages = tuple(await self.take(input))
                if span is not None:
                    span.set_attribute("genai.search.results", len(passages))
        except PolicyRefused:
            raise
        except (PlatformError, TimeoutError) as error:
            code = error.code if isinstance(error, PlatformError) else "step_timeout"
            log.warning("search.step_skipped", step=self.step, collection_id=input.shelf.collection_id, reason=code)
            return input.with_step(self.step, code)
        return replace(input, passages=passages).with_step(self.step)

    def invoke(self, input: Retrieved, config: RunnableConfig | None = None, **kwargs: Any) -> Retrieved:
        """As `ainvoke`, from synchronous code outside of the event loop of its database."""
        return call(self.ainvoke(input, config), None)


class Unable(UnsupportedFeature):
    """A step cannot be taken here, whatever is asked."""

    code = "step_not_possible"
