"""A chat model that finds the one that it stands for at each call: a local server moves to another port when it restarts."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import Field

from providers.synchronous import AsynchronousChatModel


class LazyChatModel(AsynchronousChatModel):
    """Raises what `find` raises, and what the model raises that it gives. `rewrite` is what becomes of the messages before,
    `adapt` of the parameters."""

    find: Callable[[], Awaitable[BaseChatModel]] = Field(exclude=True, repr=False)
    rewrite: Callable[[list[BaseMessage]], list[BaseMessage]] = Field(list, exclude=True, repr=False)
    adapt: Callable[[dict[str, Any]], dict[str, Any]] = Field(dict, exclude=True, repr=False)

    @property
    def _llm_type(self) -> str:
        return "genai-lazy"

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        model: Any = await self.find()
        async with aclosing(model._astream(self.rewrite(messages), stop, run_manager, **self.adapt(kwargs))) as chunks:  # noqa: SLF001 - a wrapper of a model
            async for chunk in chunks:
                yield chunk

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        model = await self.find()
        return await model._agenerate(self.rewrite(messages), stop, run_manager, **self.adapt(kwargs))  # noqa: SLF001 - a wrapper of a model


class ModelBeingBuilt(LazyChatModel):
    """One whose `find` builds it in this process, which may take seconds and says nothing of the provider."""
