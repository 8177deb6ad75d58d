"""Requests in OpenAI's form, answered by the capabilities' runnables: whole, or as the events of a stream.

`root` is the served runnable of `chat` or `completion`. What a request used is added up in `core.context.current()`.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar

from chains.chat import ChatRequest
from chains.completion import CompletionInput
from chains.openai_format.answers import DONE, ChatFormat, CompletionFormat, ToolCalls, total, usage_of
from chains.openai_format.requests import ChatCompletionRequest, CompletionRequest
from chains.root import OpaqueRoot
from core.context import current
from core.deadline import Deadline
from core.errors import Internal
from providers.together import Choices

DEFAULT_ALIAS = "default"
#: Answers of one request that are made at once.
CONCURRENCY = 8

T = TypeVar("T")
#: One answer of several as a stream: its events, and at its end its usage.
Events = AsyncGenerator[bytes]


async def chat_completion(root: OpaqueRoot, asked: ChatCompletionRequest) -> dict[str, Any]:
    """The whole answer to a chat completion request."""
    form = ChatFormat(asked.model or DEFAULT_ALIAS)
    _keep_apart(asked)
    deadline = root.deadline()  # one for all of its answers
    answers = await _each(asked.choices(), asked.n, lambda one: _gather(root, one, deadline))
    choices = [form.choice(index, answer.flat) for index, answer in enumerate(answers)]
    return form.whole(choices, total([answer.usage for answer in answers]))


async def chat_completion_events(root: OpaqueRoot, asked: ChatCompletionRequest) -> Events:
    """The events of a streamed one. What it raises is for the caller of the generator to tell."""
    form = ChatFormat(asked.model or DEFAULT_ALIAS, with_usage=asked.with_usage)
    _keep_apart(asked)
    deadline = root.deadline()  # one for all of its answers
    usages: list[dict[str, Any]] = []
    streams = [_chat_events(root, one, index, form, usages, deadline) for index, one in enumerate(asked.choices())]
    async with aclosing(_side_by_side(streams, asked.n)) as events:
        async for event in events:
            yield event
    yield (form.usage(total(usages), _told()) if asked.with_usage else b"") + DONE


async def completion(root: OpaqueRoot, asked: CompletionRequest) -> dict[str, Any]:
    """The whole answer to a completion request."""
    form = CompletionFormat(asked.model or DEFAULT_ALIAS)
    _keep_apart(asked)
    deadline = root.deadline()  # one for all of its answers
    asked_one_by_one = asked.choices()
    answers = await _each(asked_one_by_one, asked.n, lambda one: _gather(root, one, deadline))
    choices = [
        form.choice(index, answer.flat | answer.data, one.prompt if asked.echo else "")
        for index, (one, answer) in enumerate(zip(asked_one_by_one, answers, strict=True))
    ]
    return form.whole(choices, total([answer.usage for answer in answers]))


async def completion_events(root: OpaqueRoot, asked: CompletionRequest) -> Events:
    """The events of a streamed one."""
    form = CompletionFormat(asked.model or DEFAULT_ALIAS, with_usage=asked.with_usage)
    _keep_apart(asked)
    deadline = root.deadline()  # one for all of its answers
    usages: list[dict[str, Any]] = []
    streams = [
        _completion_events(root, one, index, form, usages, deadline, echo=bool(asked.echo))
        for index, one in enumerate(asked.choices())
    ]
    async with aclosing(_side_by_side(streams, asked.n)) as events:
        async for event in events:
            yield event
    yield (form.usage(total(usages), _told()) if asked.with_usage else b"") + DONE


async def _chat_events(
    root: OpaqueRoot,
    asked: ChatRequest,
    index: int,
    form: ChatFormat,
    usages: list[dict[str, Any]],
    deadline: Deadline | None,
) -> Events:
    start = form.start(index)  # told with what follows it: until then a refusal can be a plain 4xx
    calls: ToolCalls | None = None
    refuses = False
    metadata: list[dict[str, Any]] = []
    async with aclosing(root.answer(asked, deadline=deadline)) as deltas:
        async for delta in deltas:
            data = delta.data
            refuses = refuses or "refusal" in data
            if delta.text and refuses:
                yield start + form.refusal(index, delta.text)
                start = b""
            elif delta.text:
                yield start + form.text(index, delta.text, data.get("logprobs") if data else None)
                start = b""
            if delta.final is not None:
                rest = calls.rest() if calls is not None else []
                last = form.calls(index, rest) if rest else b""
                usages.append(usage_of(delta.final, metadata))
                yield start + last + form.finish(index, delta.final.get("finish_reason"))
            elif data:
                if "tool_call_chunks" in data:
                    calls = calls or ToolCalls()
                    yield start + form.calls(index, [calls.add(chunk) for chunk in data["tool_call_chunks"]])
                    start = b""
                if "usage_metadata" in data:
                    metadata.append(data["usage_metadata"])


async def _completion_events(
    root: OpaqueRoot,
    asked: CompletionInput,
    index: int,
    form: CompletionFormat,
    usages: list[dict[str, Any]],
    deadline: Deadline | None,
    *,
    echo: bool,
) -> Events:
    start = form.text(index, asked.prompt) if echo else b""
    reason: str | None = None
    async with aclosing(root.answer(asked, deadline=deadline)) as deltas:
        async for delta in deltas:
            reason = delta.data.get("finish_reason") or reason
            if delta.text:
                yield start + form.text(index, delta.text)
                start = b""
            if delta.final is not None:
                usages.append(usage_of(delta.final))
                yield start + form.finish(index, reason)


@dataclass(slots=True)
class _Answer:
    """One whole answer: the flat answer, and what the deltas told beside it."""

    flat: dict[str, Any]
    metadata: list[dict[str, Any]] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def usage(self) -> dict[str, Any]:
        return usage_of(self.flat, self.metadata)


async def _gather(root: OpaqueRoot, asked: ChatRequest | CompletionInput, deadline: Deadline | None) -> _Answer:
    answer = _Answer({})
    async with aclosing(root.answer(asked, whole=True, deadline=deadline)) as deltas:
        async for delta in deltas:
            if delta.final is not None:
                answer.flat = delta.final
            elif delta.data:
                answer.data |= delta.data
                if "usage_metadata" in delta.data:
                    answer.metadata.append(delta.data["usage_metadata"])
    if not answer.flat:
        raise Internal("The answer ended before it was complete.")
    return answer


def _keep_apart(asked: ChatCompletionRequest | CompletionRequest) -> None:
    """Several answers to one request are to differ: none may be another's, out of the response cache."""
    if (asked.n or 1) > 1 and asked.seed is None and asked.temperature != 0:
        current().cache_control = "no-store"


async def _each(asked: Sequence[Any], number: int | None, answer: Callable[[Any], Awaitable[T]]) -> list[T]:
    """One answer each, in order, `number` of each prompt; the first failure cancels the others and is raised."""
    if len(asked) == 1:
        return [await answer(asked[0])]
    slots = asyncio.Semaphore(CONCURRENCY)

    async def one(each: Any) -> T:
        async with slots:
            return await answer(each)

    choices = Choices(number or 1)
    runs = [asyncio.create_task(one(each), context=choices.context()) for each in asked]
    try:
        return list(await asyncio.gather(*runs))
    finally:
        for run in runs:
            run.cancel()
        await asyncio.gather(*runs, return_exceptions=True)
        choices.close()


async def _side_by_side(streams: Sequence[Events], number: int | None) -> Events:
    """The events of several streams as they come, `number` of each prompt; the first failure ends them all and is raised."""
    if len(streams) == 1:
        async with aclosing(streams[0]) as events:
            async for event in events:
                yield event
        return
    slots = asyncio.Semaphore(CONCURRENCY)
    come: asyncio.Queue[bytes | Exception | None] = asyncio.Queue(maxsize=len(streams))

    async def pump(stream: Events) -> None:
        try:
            async with slots, aclosing(stream) as events:
                async for event in events:
                    await come.put(event)
        except Exception as error:  # noqa: BLE001 - raised again by whoever reads the queue
            await come.put(error)
        else:
            await come.put(None)

    choices = Choices(number or 1)
    runs = [asyncio.create_task(pump(stream), context=choices.context()) for stream in streams]
    try:
        left = len(runs)
        while left:
            told = await come.get()
            if isinstance(told, Exception):
                raise told
            if told is None:
                left -= 1
            else:
                yield told
    finally:
        for run in runs:
            run.cancel()
        await asyncio.gather(*runs, return_exceptions=True)
        choices.close()


def _told() -> dict[str, Any]:
    """What the headers of an answer that is not streamed tell."""
    request = current()
    found = {"pii": request.pii} if request.pii else {}
    return found | {
        "model": request.model,
        "provider": request.provider,
        "attempts": request.attempts,
        "cache": request.cache or "bypass",
        "cost_usd": None if request.cost_usd is None else float(request.cost_usd),
        "overhead_ms": round(request.overhead_s * 1000, 1),
    }
