"""A chat model that does what its last message says, and a registry that gives it: for tests of chains and routes."""

# ruff: noqa: A002 - `input` is what the Runnable interface calls it

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.outputs.chat_generation import ChatGeneration
from langchain_core.runnables import Runnable
from pydantic import Field

from core.context import Usage, current
from core.errors import NotFound, ProviderFailed, RateLimited
from core.policies.privacy import Privacy
from core.policies.store import Policies
from providers.base import ModelFacts


class ScriptedChat(BaseChatModel):
    """Answers `You said: …` word by word. `busy`, `cut`, `wait` and `mistake` in the last message do what they say;
    `answers` are given in turn instead, when there are any."""

    answers: list[str] = Field(default_factory=list)
    prompts: list[Any] = Field(default_factory=list)
    bound: list[dict[str, Any]] = Field(default_factory=list)
    waiting: Any = None
    cancelled: Any = None

    def __init__(self, *answers: str, **kwargs: Any) -> None:
        super().__init__(answers=list(answers), **kwargs)
        self.waiting, self.cancelled = threading.Event(), threading.Event()

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        raise NotImplementedError

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        raise NotImplementedError

    async def _agenerate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        whole: Any = None
        async for chunk in self._astream(messages, stop, **kwargs):
            whole = chunk if whole is None else whole + chunk
        return ChatResult(generations=[ChatGeneration(message=whole.message)])

    async def _astream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        self.prompts.append(messages)
        self.bound.append(kwargs | ({"stop": stop} if stop else {}))
        current().attempts += 1
        asked = messages[-1].text
        if "busy" in asked:
            raise RateLimited("Every slot is taken.", code="queue_full", retry_after_s=2)
        if "mistake" in asked:
            raise ZeroDivisionError
        text = self.answers.pop(0) if self.answers else f"You said: {asked}"
        for index, word in enumerate(text.split(" ")):
            yield ChatGenerationChunk(message=AIMessageChunk(content=f" {word}" if index else word))
            if "cut" in asked:
                raise ProviderFailed("The provider hung up in the middle of its answer.")
            if "wait" in asked:
                self.waiting.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    self.cancelled.set()
        tokens = Usage(sum(len(message.text.split()) for message in messages), len(text.split()))
        current().called(provider="scripted", model="words-1", usage=tokens, cost_usd=Decimal("0.001"), seconds=0.01)
        yield ChatGenerationChunk(
            message=AIMessageChunk(content="", response_metadata={"finish_reason": "stop"}, chunk_position="last")
        )


class ScriptedCompletion(Runnable[dict[str, Any], str]):
    """Continues a prompt with what the scripted model says to it."""

    def __init__(self, model: ScriptedChat) -> None:
        self._model = model

    def invoke(self, input: dict[str, Any], config: Any = None, **kwargs: Any) -> str:
        raise NotImplementedError

    async def chunks(self, asked: dict[str, Any]) -> AsyncIterator[ChatGenerationChunk]:
        parameters = {name: value for name, value in asked.items() if name != "prompt"}
        async for chunk in self._model._astream([HumanMessage(asked["prompt"])], **parameters):
            yield chunk


class ScriptedModels:
    """The part of `providers.models.Models` that chains use."""

    def __init__(self, model: ScriptedChat | None = None, facts: ModelFacts | None = None) -> None:
        self.model = model or ScriptedChat()
        self.given_facts = facts or ModelFacts(context_tokens=4096)
        self.policies = Policies()
        self.privacy = Privacy(self.policies)

    def chat(self, alias: str | None = None) -> BaseChatModel:
        self._known(alias)
        return self.model

    def facts(self, alias: str | None = None, *, images: bool | None = None) -> ModelFacts:
        self._known(alias)
        return self.given_facts

    def completion(self, alias: str | None = None) -> Runnable[dict[str, Any], str]:
        self._known(alias)
        return ScriptedCompletion(self.model)

    def guards_of(self, alias: str) -> tuple[Any, ...]:
        return ()

    def count_tokens(self, text: str, alias: str | None = None) -> int:
        return len(text.split())

    def _known(self, alias: str | None) -> None:
        if alias not in (None, "default"):
            raise NotFound("There is no model of that name.", code="model_not_found", param="model")
