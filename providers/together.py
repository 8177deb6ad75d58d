"""Several answers to one request: there is room for all of them before a model is called for the first."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from langchain_core.messages import BaseMessage


class Closed(Protocol):
    """What gives back the room that it has taken."""

    def close(self) -> None: ...


T = TypeVar("T", bound=Closed)


@dataclass(slots=True)
class _Prompt:
    """A prompt that several answers are wanted of: bills that nobody has taken yet, or why there are none."""

    alias: str
    messages: Sequence[BaseMessage]
    left: list[Any] = field(default_factory=list)
    refusal: Exception | None = None


class Choices:
    """`number` answers are wanted of each prompt of a request. Have each of them made within `context`, and `close` it when all
    are over. An answer that needs no call takes nothing."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._prompts: list[_Prompt] = []
        self._turn = asyncio.Lock()

    def context(self) -> Context:
        """A copy of the current one, in which answers belong together."""
        here = copy_context()
        here.run(_choices.set, self)
        return here

    async def take(self, alias: str, messages: Sequence[BaseMessage], opened: Callable[[], Awaitable[T]]) -> T:
        """One of the bills that are opened for the prompt, all of them when the first is asked for; where they are used up, one
        of its own. Raises what opening them raises, then for all of them."""
        async with self._turn:
            asked = next((one for one in self._prompts if one.alias == alias and one.messages == messages), None)
            if asked is None:
                asked = _Prompt(alias, messages)
                self._prompts.append(asked)
                await self._open(asked, opened)
            if asked.refusal is not None:
                raise asked.refusal
            if asked.left:
                bill: T = asked.left.pop()
                return bill
        return await opened()

    async def _open(self, prompt: _Prompt, opened: Callable[[], Awaitable[T]]) -> None:
        try:
            for _ in range(self._number):
                prompt.left.append(await opened())
        except BaseException as error:
            _close(prompt)
            if not isinstance(error, Exception):
                raise
            prompt.refusal = error

    def close(self) -> None:
        """Give back what nobody has taken."""
        for prompt in self._prompts:
            _close(prompt)


def _close(prompt: _Prompt) -> None:
    while prompt.left:
        prompt.left.pop().close()


_choices: ContextVar[Choices | None] = ContextVar("choices", default=None)


async def one_of_all(alias: str, messages: Sequence[BaseMessage], opened: Callable[[], Awaitable[T]]) -> T:
    """A bill for a call: alone, or one of those of all answers that are wanted. Raises what `opened` does."""
    choices = _choices.get()
    return await opened() if choices is None else await choices.take(alias, messages, opened)
