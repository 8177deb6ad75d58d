"""The `chat` capability: a list of messages in, the model's reply out."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from functools import partial
from itertools import takewhile
from typing import Annotated, Any, Literal, cast

from langchain_core.messages import AIMessage, AIMessageChunk, SystemMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.fields import FieldInfo
from pydantic.json_schema import SkipJsonSchema

from chains.conversations import SessionField
from chains.histories import open_turn, room, trimmed, without_open_calls
from chains.messages import Assistant, Messages, System, to_langchain
from chains.parameters import Details, Sampling, Tooling, call_parameters
from chains.pictures import parts_of, with_images_inside
from chains.prompting import prompt
from chains.protection.keeping import History, keep, recalled
from chains.replies import answered
from chains.root import OpaqueRoot, opaque
from chains.spec import ChainDeps, ChainSpec, Delta
from chains.text_chunks import TextChunks
from chains.unseen import PROMPT as UNSEEN
from chains.unseen import seen_or_read
from core.context import RequestContext
from core.principals import Scope
from core.tables.columns import new_id
from providers.base import ModelFacts

PROMPT = "chat_small.txt"


class ChatRequest(Details, Tooling, Sampling):
    """A conversation, and how to continue it."""

    messages: Messages = Field(description="the conversation so far; with a session_id, what is new in it")
    session_id: SessionField = None


def _hidden(field: FieldInfo) -> tuple[Any, FieldInfo]:
    return Annotated[field.rebuild_annotation(), SkipJsonSchema()], field  # type: ignore[type-arg]  # it takes none where it is metadata


_HIDDEN: dict[str, Any] = {name: _hidden(field) for name, field in ChatRequest.model_fields.items() if name != "messages"}

#: The same, with every field but `messages` out of the published schema: the chat playground takes one visible list.
ChatInput = create_model(
    "ChatInput",
    __base__=ChatRequest,
    __doc__="A conversation; the parameters of `POST /api/v1/chat` may stand beside the messages.",
    **_HIDDEN,
)


class Usage(BaseModel):
    """Tokens of the call."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


class Reply(BaseModel):
    """The reply, as LangChain writes an `AIMessage`."""

    model_config = ConfigDict(extra="allow")

    # the chat playground asks for an `enum`; pydantic alone would write `const`
    type: Literal["ai"] = Field("ai", json_schema_extra={"enum": ["ai"]})
    content: str
    id: str | None = None
    tool_calls: list[dict[str, Any]] = []
    usage_metadata: Usage | None = None
    response_metadata: dict[str, Any] = {}


class ChatAnswer(BaseModel):
    """The chat's own fields of the flat answer."""

    output: str = Field(description="the reply's text")
    tool_calls: list[dict[str, Any]] | None = Field(None, description="calls that the model asks for: name, args, id")
    invalid_tool_calls: list[dict[str, Any]] | None = Field(None, description="calls whose `args` are a text that is no JSON")
    finish_reason: str | None = Field(None, description="why the reply ended: stop, length, tool_calls or content_filter")
    logprobs: list[dict[str, Any]] | None = Field(None, description="of each token, where they were asked for")
    refusal: bool | None = Field(None, description="true: `output` is what the model says of why it will not answer")
    session_id: str | None = Field(None, description="the session that the messages are kept in, where there is one")


class MessageForm:
    """A reply as a message: `AIMessageChunk`s in a stream, an `AIMessage` with its usage as a whole."""

    def __init__(self) -> None:
        self._id = new_id("msg")()
        self._chunks = TextChunks(self._id)
        self._session: str | None = None
        self._pieces: list[str] = []

    def chunk(self, delta: Delta) -> AIMessageChunk | None:
        if not delta.text:
            return None
        self._pieces.append(delta.text)
        return self._chunks.of(delta.text)

    def whole(self, final: Any, run: RequestContext) -> AIMessage:
        reply = cast("AIMessage", final)
        self._session = run.session_id
        usage = reply.usage_metadata or UsageMetadata(
            input_tokens=run.usage.input_tokens,
            output_tokens=run.usage.output_tokens,
            total_tokens=run.usage.total_tokens,
        )
        metadata = reply.response_metadata
        told = {name: metadata[name] for name in ("finish_reason", "logprobs", "refusal") if name in metadata}
        who = {"model_name": run.model, "model_provider": run.provider}
        return AIMessage(
            reply.text,
            id=self._id,
            tool_calls=reply.tool_calls,
            invalid_tool_calls=reply.invalid_tool_calls,
            usage_metadata=usage,
            response_metadata=told | who,
        )

    def rest(self, whole: Any) -> AIMessageChunk:
        sent = "".join(self._pieces)
        return AIMessageChunk(
            content=whole.content.removeprefix(sent) if whole.content.startswith(sent) else "",
            id=self._id,
            tool_call_chunks=[
                tool_call_chunk(name=call["name"], args=json.dumps(call["args"]), id=call["id"], index=index)
                for index, call in enumerate(whole.tool_calls)
            ],
            usage_metadata=whole.usage_metadata,
            response_metadata=whole.response_metadata,
            chunk_position="last",
        )

    def flat(self, whole: Any) -> dict[str, Any]:
        fields: dict[str, Any] = {"output": whole.content, "finish_reason": whole.response_metadata.get("finish_reason")}
        if whole.tool_calls:
            fields["tool_calls"] = [{name: call[name] for name in ("id", "name", "args")} for call in whole.tool_calls]
        if whole.invalid_tool_calls:
            fields["invalid_tool_calls"] = [
                {name: call[name] for name in ("id", "name", "args")} for call in whole.invalid_tool_calls
            ]
        if "logprobs" in whole.response_metadata:
            fields["logprobs"] = whole.response_metadata["logprobs"]["content"]
        if whole.response_metadata.get("refusal"):
            fields["refusal"] = True
        if self._session is not None:
            fields["session_id"] = self._session
        return fields


async def converse(deps: ChainDeps, asked: ChatRequest) -> AsyncIterator[Delta]:
    """Answer, with the kept messages before the new ones where there is a session; then keep both."""
    facts = deps.models.facts(asked.model)
    model = deps.models.chat(asked.model)
    history = None if asked.session_id is None else await recalled(deps, asked.session_id)
    told = asked.messages if history is None else await _with_history(deps, asked, facts, history)
    messages = await with_images_inside(told, deps.settings)
    whole: AIMessage | None = None

    def answer(messages: Sequence[Any]) -> AsyncGenerator[Delta]:
        return answered(model, _prompt(messages, facts), call_parameters(asked))

    pictured = bool(parts_of(messages))
    async with aclosing(seen_or_read(deps, asked.model, messages, answer) if pictured else answer(messages)) as deltas:
        async for delta in deltas:
            if delta.final is None:
                yield delta
            else:
                whole = cast("AIMessage", delta.final)
    if whole is None:
        return
    if asked.session_id is not None and history is not None:
        reply = Assistant(
            content=whole.text, tool_calls=[_call(call) for call in (*whole.tool_calls, *whole.invalid_tool_calls)]
        )
        await keep(deps, asked.session_id, history, said=asked.messages, answer=reply)
    yield Delta(final=whole)


async def _with_history(deps: ChainDeps, asked: ChatRequest, facts: ModelFacts, history: History) -> Sequence[Any]:
    kept = history.messages
    if any(isinstance(message, System) for message in asked.messages):
        kept = [message for message in kept if not isinstance(message, System)]
    lead = list(takewhile(lambda message: isinstance(message, System), asked.messages))

    def fitting() -> list[Any]:
        count = partial(deps.models.count_tokens, alias=asked.model)
        tools = call_parameters(asked).get("tools")
        beside = [*_prompt(asked.messages, facts), *([SystemMessage(json.dumps(tools))] if tools else [])]
        most = deps.settings.conversations.history_tokens
        budget = room(beside, most=most, window=facts.context_tokens, answer=asked.max_tokens, count=count)
        whole = without_open_calls(kept, asked.messages)
        return trimmed(whole, budget_tokens=budget, count=count, pinned=open_turn(whole, asked.messages))

    before = await asyncio.to_thread(fitting)
    await history.admit(before, asked.model)
    return [*lead, *before, *asked.messages[len(lead) :]]


def _prompt(messages: Sequence[Any], facts: ModelFacts) -> list[Any]:
    """A small model without a system message gets a few plain words."""
    lead = facts.small and not any(isinstance(message, System) for message in messages)
    return [*([SystemMessage(prompt(PROMPT).substitute())] if lead else []), *to_langchain(messages)]


def _call(call: Any) -> Any:
    return {name: call[name] for name in ("id", "name", "args")}


def build(deps: ChainDeps) -> OpaqueRoot:
    """The served runnable."""
    return opaque(
        "chat",
        partial(converse, deps),
        deps=deps,
        input_type=ChatRequest,
        output_type=Reply | str,
        form=MessageForm,
        published_input=ChatInput,
    )


SPEC = ChainSpec(
    name="chat",
    title="Chat",
    description="Messages in, a reply out, with tools, structured answers and kept conversations.",
    input=ChatRequest,
    output=Reply | str,
    scope=Scope.CHAT_INVOKE,
    build=build,
    prompts=(PROMPT, UNSEEN),
    playground="chat",
    answer=ChatAnswer,
    example={"messages": [{"role": "user", "content": "Why is the sky blue?"}]},
)
