"""Answers in a form that is given as a JSON schema, from models that call tools and have no grammar: the form is a tool's, and
the arguments of its call are the answer. They are held to the schema here, since nothing else holds them."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, cast

import orjson
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field, InstanceOf

from core.errors import UnsupportedFeature
from core.json_schemas import Unusable, fits
from providers.base import ModelFacts
from providers.collecting import THINKS, as_chunk, finish_reason, merged
from providers.lazy_chat import ModelBeingBuilt
from providers.reported import reporting
from providers.synchronous import AsynchronousChatModel

_DESCRIPTION = "Give the whole answer by one call of this function."
#: Reasons for the end that mean that the answer is longer than it may be.
_CUT = frozenset({"length", "max_tokens"})
#: What a call's reason for the end is called of an answer without one.
_ENDS = {"tool_calls": "stop", "function_call": "stop", "tool_use": "end_turn"}


def by_tool(facts: ModelFacts, parameters: dict[str, Any]) -> bool:
    """Whether a model gives the form that a call asks for by a tool."""
    form = parameters.get("response_format") or {}
    return not facts.structured_output and facts.tools and form.get("type") == "json_schema" and _is_object(form)


def _is_object(form: dict[str, Any]) -> bool:
    """Whether the schema is one of objects, as the arguments of tools are."""
    schema = form["json_schema"]["schema"]
    return bool(schema.get("type", "object") == "object")


def asking_by_tool(parameters: dict[str, Any]) -> tuple[dict[str, Any], "AsForm | None"]:
    """The parameters that ask by a tool, and how to read what comes; None where a certain tool must be called: then what comes
    is its call. Where there are other tools, the model calls one of them or answers."""
    form = parameters["response_format"]["json_schema"]
    left = {name: value for name, value in parameters.items() if name != "response_format"}
    tools, choice = left.get("tools") or [], left.get("tool_choice")
    if isinstance(choice, dict):
        return left, None
    name, taken = form.get("name") or "answer", {tool["function"]["name"] for tool in tools}
    while name in taken:
        name = f"{name[:50]}_answer"
    function = {"name": name, "description": form.get("description") or _DESCRIPTION, "parameters": form["schema"]}
    chosen = "required" if tools and choice != "none" else {"type": "function", "function": {"name": name}}
    asked = {"tools": [*tools, {"type": "function", "function": function}], "tool_choice": chosen}
    return left | asked, AsForm(name, form["schema"], frozenset() if choice == "none" else frozenset(taken))


class AsForm:
    """Makes the text of an answer of the call by which it was given. `others` are the tools that may be called besides."""

    def __init__(self, name: str, schema: dict[str, Any], others: frozenset[str]) -> None:
        self._name, self._schema, self._others = name, schema, others

    def of(self, model: BaseChatModel) -> BaseChatModel:
        """The model, whose answers are texts in the form."""
        if not isinstance(model, ModelBeingBuilt):
            return _InForm(model=model, form=self)

        async def find() -> BaseChatModel:
            return _InForm(model=await model.find(), form=self)

        return ModelBeingBuilt(find=find)

    def read(self, result: ChatResult) -> ChatResult:
        """The answer.

        Raises:
            UnsupportedFeature: the model has not kept to the form.
        """
        generation = result.generations[0]
        message = cast("AIMessage", generation.message)
        reason = finish_reason(cast("Any", generation))
        others = [call for call in message.tool_calls if call["name"] in self._others]
        if others:  # it asks for what it needs to answer
            kept = {name: value for name, value in message.additional_kwargs.items() if name != "tool_calls"}
            asking = message.model_copy(update={"tool_calls": others, "additional_kwargs": kept})
            return ChatResult(generations=[ChatGeneration(message=asking, generation_info=generation.generation_info)])
        text = self._text(message)
        if reason not in _CUT and not self._fits(text):
            raise UnsupportedFeature("The model did not keep to the response format.", param="response_format")
        made = AIMessage(
            content=text,
            id=message.id,
            response_metadata=_ended(message.response_metadata),
            usage_metadata=message.usage_metadata,
        )
        info = _ended(generation.generation_info or {})
        return ChatResult(generations=[ChatGeneration(message=made, generation_info=info or None)])

    def _text(self, message: AIMessage) -> str:
        calls = [call["args"] for call in message.tool_calls if call["name"] == self._name]
        broken = [call["args"] or "" for call in message.invalid_tool_calls if call["name"] == self._name]
        return orjson.dumps(calls[0]).decode() if calls else broken[0] if broken else str(message.text)

    def _fits(self, text: str) -> bool:
        try:
            return fits(self._schema, orjson.loads(text))
        except (orjson.JSONDecodeError, Unusable):
            return False


def _ended(told: dict[str, Any]) -> dict[str, Any]:
    return {name: _ENDS.get(value, value) if isinstance(value, str) else value for name, value in told.items()}


class _InForm(AsynchronousChatModel):
    """A model whose answers are read as a form. A stream's come in one piece, since only a whole one can be held to it."""

    model: InstanceOf[BaseChatModel] = Field(exclude=True, repr=False)
    form: InstanceOf[AsForm] = Field(exclude=True, repr=False)

    @property
    def _llm_type(self) -> str:
        return "genai-in-form"

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        model: Any = self.model
        held: list[ChatGenerationChunk] = []
        async with aclosing(model._astream(messages, stop, None, **kwargs)) as chunks:  # noqa: SLF001 - a wrapper of a model
            async for chunk in chunks:
                held.append(chunk)
                yield _sign_of_life(chunk)
        if held:
            yield as_chunk(self.form.read(merged(held)))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        result = await self.model._agenerate(messages, stop, None, **kwargs)  # noqa: SLF001 - a wrapper of a model
        if not result.generations:
            return result
        with reporting(lambda: result.generations[0]):
            return self.form.read(result)


def _sign_of_life(chunk: ChatGenerationChunk) -> ChatGenerationChunk:
    """A chunk that says what was used by now, and that the model is at work where it has told something. The chunk loses both
    its usage and its mark, which are told then."""
    message: Any = chunk.message
    thinks = (chunk.generation_info or {}).pop(THINKS, False)
    tells = bool(thinks or message.content or message.tool_call_chunks)
    used, message.usage_metadata = message.usage_metadata, None
    sign = AIMessageChunk(content="", usage_metadata=used)
    return ChatGenerationChunk(message=sign, generation_info={THINKS: True} if tells else None)
