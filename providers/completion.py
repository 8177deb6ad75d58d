"""Continuing a raw text, with the same failover, limits and metering as chat.

A model that continues texts by itself does so; any other one is asked to in a chat.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage, HumanMessage, SystemMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig
from pydantic import Field

from core.bridge import call, iterate
from core.errors import InvalidRequest, UnsupportedFeature
from core.shown_names import shown
from providers.base import Completes
from providers.caching import AliasCache
from providers.collecting import merged
from providers.failover import FailoverChatModel
from providers.neutral import MISREAD, unreadable
from providers.privacy import protected_text
from providers.routing import Route
from providers.served import Served
from providers.synchronous import AsynchronousChatModel
from providers.usage import Running, readable

INSTRUCTION = "Continue the text that the user gives. Answer with the continuation alone and never repeat the text."
PARAMETERS = frozenset({"max_tokens", "temperature", "stop", "seed", "top_p", "presence_penalty", "frequency_penalty"})


class Completion(Runnable[dict[str, Any], str]):
    """`{prompt, max_tokens?, temperature?, stop?, seed?, suffix?}` → the text that comes next, whole or in pieces.

    Raises what `FailoverChatModel` raises; UnsupportedFeature for a `suffix` where no deployment fills in the middle.
    """

    def __init__(self, route: Route, kept: AliasCache | None = None) -> None:
        self._route = route
        self._kept = kept

    async def astream(
        self,
        input: dict[str, Any],  # noqa: A002 - named by `Runnable`
        config: RunnableConfig | None = None,
        **_: Any,
    ) -> AsyncIterator[str]:
        """The pieces of the text as they come."""
        async with aclosing(self.chunks(input)) as chunks:
            async for chunk in chunks:
                if chunk.text:
                    yield chunk.text

    async def chunks(self, asked: dict[str, Any]) -> AsyncGenerator[ChatGenerationChunk]:
        """The pieces with what else they tell: why the text ended, and its usage."""
        model, messages, parameters = self._prepare(await self._protected(asked))
        async with aclosing(model._astream(messages, **parameters)) as chunks:  # noqa: SLF001 - no run of its own
            async for chunk in chunks:
                yield chunk

    async def ainvoke(self, input: dict[str, Any], config: RunnableConfig | None = None, **_: Any) -> str:  # noqa: A002
        """The whole text."""
        model, messages, parameters = self._prepare(await self._protected(input))
        result = await model._agenerate(messages, **parameters)  # noqa: SLF001 - no run of its own
        return str(result.generations[0].text)

    def stream(self, input: dict[str, Any], config: RunnableConfig | None = None, **_: Any) -> Iterator[str]:  # noqa: A002
        """The pieces of the text as they come."""
        yield from iterate(lambda: self.astream(input), None)

    def invoke(self, input: dict[str, Any], config: RunnableConfig | None = None, **_: Any) -> str:  # noqa: A002
        """The whole text."""
        return call(self.ainvoke(input), None)

    async def _protected(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What goes beside the messages, which the model protects itself."""
        suffix = asked.get("suffix")
        return asked | {"suffix": await protected_text(self._route.privacy, suffix)} if suffix else asked

    def _prepare(self, asked: dict[str, Any]) -> tuple[Any, list[BaseMessage], dict[str, Any]]:
        prompt, suffix = asked.get("prompt"), asked.get("suffix")
        if not isinstance(prompt, str) or not prompt:
            raise InvalidRequest("The prompt is empty.", param="prompt")
        if unknown := sorted(asked.keys() - PARAMETERS - {"prompt", "suffix"}):
            name = shown(unknown[0])
            raise UnsupportedFeature(f"The parameter {name!r} cannot be set.", param=name)
        able = self._route.deployments
        if suffix:
            able = tuple(
                served for served in able if served.facts.fill_in_the_middle and isinstance(served.provider, Completes)
            )
            if not able:
                raise UnsupportedFeature("The model cannot fill in the middle of a text.", param="suffix")
        route = replace(self._route, deployments=able, chat=partial(_completing, suffix), raw=partial(_completes, suffix))
        kept = self._kept.apart(f"completion/{suffix or ''}") if self._kept is not None else None
        model = FailoverChatModel(route=route, kept=kept)
        return model, [HumanMessage(prompt)], {name: asked[name] for name in PARAMETERS if asked.get(name) is not None}


def _completes(suffix: str | None, served: Served) -> bool | None:
    """Whether a deployment continues the text itself: one that fills in the middle does nothing else."""
    if not isinstance(served.provider, Completes):
        return False
    return True if suffix else served.provider.completes(served.model)


def _completing(suffix: str | None, served: Served) -> BaseChatModel:
    """A chat model that continues the text of the messages that it gets."""
    provider = served.provider

    def start(prompt: str, parameters: dict[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        if not isinstance(provider, Completes):
            raise UnsupportedFeature("The provider does not continue raw texts.")
        if suffix:
            parameters["suffix"] = suffix
        return provider.completion(served.model, served.timeouts, prompt, parameters)

    def chatted() -> None:
        if isinstance(provider, Completes):
            provider.chatted(served.model)

    return _CompletingChatModel(start=start, instead=served.chat(), chatted=chatted)


class _CompletingChatModel(AsynchronousChatModel):
    """Streams a completion as a chat model streams its answer. What was answered so far is a part of the text."""

    start: Callable[[str, dict[str, Any]], AsyncGenerator[dict[str, Any]]] = Field(exclude=True, repr=False)
    instead: Any = Field(exclude=True, repr=False)
    chatted: Callable[[], None] = Field(exclude=True, repr=False)

    @property
    def _llm_type(self) -> str:
        return "genai-completion"

    async def _astream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        parameters = kwargs | ({"stop": stop} if stop else {})
        prompt = "".join(message.text for message in messages)
        told, running, texts = False, Running(), _Texts()
        try:
            async with aclosing(self.start(prompt, parameters)) as events:
                async for event in events:
                    told = True
                    try:
                        chunk = running.of(texts.chunk(event))
                    except MISREAD as error:
                        raise unreadable() from error
                    yield chunk
                return
        except UnsupportedFeature:
            if told or parameters.get("suffix"):
                raise
        asked = [SystemMessage(INSTRUCTION), *messages]
        async with aclosing(self.instead._astream(asked, stop, None, **kwargs)) as chunks:  # noqa: SLF001 - a wrapper of a model
            async for chunk in chunks:
                if not told:
                    self.chatted()
                    told = True
                yield chunk

    async def _agenerate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        async with aclosing(self._astream(messages, stop, None, **kwargs)) as chunks:  # type: ignore[type-var] # a generator
            return merged([chunk async for chunk in chunks])


class _Texts:
    """The events of `/completions` as chunks of a chat. Some servers give their chat's own there."""

    def __init__(self) -> None:
        self._begun = False

    def chunk(self, event: dict[str, Any]) -> ChatGenerationChunk:
        """Raises TypeError or LookupError: it is no event of a text."""
        choice: dict[str, Any] = next(iter(event.get("choices") or ()), {})
        message = AIMessageChunk(content=self._text(choice) if choice else "")
        if usage := readable(event.get("usage")):
            given, made = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
            message.usage_metadata = UsageMetadata(input_tokens=given, output_tokens=made, total_tokens=given + made)
        reason = choice.get("finish_reason")
        return ChatGenerationChunk(message=message, generation_info={"finish_reason": reason} if reason else None)

    def _text(self, choice: dict[str, Any]) -> str:
        text = choice.get("text")
        if text is None:
            said = choice.get("delta", choice.get("message"))
            if said is None and "text" not in choice and not (self._begun and choice.get("finish_reason")):
                raise LookupError
            text = (said or {}).get("content")
        if not isinstance(text, str | None):
            raise TypeError
        self._begun = True
        return text or ""
