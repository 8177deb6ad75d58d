"""Chat messages as callers send them: `{role, content}` or `{type, content}`, and nothing else.

LangChain's own message classes are not used for this: as request types they turn `{"role": "system"}` into a human message.
"""

import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.prompt_values import PromptValue
from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator
from pydantic_core import PydanticCustomError

MAX_MESSAGES = 2000
MAX_TOOL_CALLS = 128

#: Every way to say who speaks, and which of the four it is. The types are those of LangChain's serialised messages.
_KINDS = {
    "system": "system",
    "developer": "system",
    "SystemMessageChunk": "system",
    "user": "user",
    "human": "user",
    "HumanMessageChunk": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "AIMessageChunk": "assistant",
    "tool": "tool",
    "ToolMessageChunk": "tool",
}


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class TextPart(_Part):
    """A stretch of text."""

    type: Literal["text"]
    text: str


class ImageAddress(_Part):
    """Where an image is: a `data:` URL, or an address that the platform fetches."""

    url: str = Field(pattern=r"^(data:image/[a-z0-9.+-]+;base64,|https?://)")
    detail: Literal["auto", "low", "high"] = "auto"

    @field_validator("url")
    @classmethod
    def _nothing_but_an_image(cls, url: str) -> str:
        """Of a `data:` URL there is base64 alone, without line breaks: what stood behind it would go out unread."""
        if not url.startswith("data:"):
            return url
        head, _, encoded = url.partition(",")
        head = head.replace("data:image/jpg;", "data:image/jpeg;")  # written so everywhere, and no media type
        try:
            binascii.a2b_base64(encoded, strict_mode=True)
        except ValueError:
            encoded = "".join(encoded.split())
            try:
                binascii.a2b_base64(encoded, strict_mode=True)
            except ValueError:
                raise PydanticCustomError("not_base64", "a data URL must hold an image in base64, and nothing else") from None
        return f"{head},{encoded}"


class ImagePart(_Part):
    """An image, for models that see."""

    type: Literal["image_url"]
    image_url: ImageAddress


Content = str | Annotated[list[TextPart | ImagePart], Field(min_length=1)]


class ToolCall(_Part):
    """A call that the model asked for; taken in LangChain's shape (`args`) and in OpenAI's (`function.arguments`).

    `arguments` is what the model wrote, where that is known. Cut off, it is no JSON: `args` then holds it under `INVALID_JSON`,
    for the models that take objects alone.
    """

    id: str | None = None
    name: str = Field(min_length=1, max_length=128)
    args: dict[str, Any] = Field(default_factory=dict)
    arguments: str | None = Field(None, description="the arguments as the model wrote them")

    @model_validator(mode="before")
    @classmethod
    def _from_openai(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        function = value.get("function")
        if not isinstance(function, Mapping):
            return dict(value) | _written(value["args"]) if isinstance(value.get("args"), str) else value
        arguments = function.get("arguments", {})
        given = _written(arguments) if isinstance(arguments, str) else {"args": arguments}
        return {"id": value.get("id"), "name": function.get("name"), **given}

    def to_openai(self) -> dict[str, Any]:
        """In OpenAI's shape, the arguments as the model wrote them."""
        arguments = json.dumps(self.args, ensure_ascii=False) if self.arguments is None else self.arguments
        return {"type": "function", "id": self.id, "function": {"name": self.name, "arguments": arguments}}


def _written(arguments: str) -> dict[str, Any]:
    """The fields of a call whose arguments are written so."""
    if not arguments.strip():
        return {"args": {}}
    try:
        args = json.loads(arguments)
    except (ValueError, RecursionError):
        args = None
    return {"args": args if isinstance(args, dict) else {"INVALID_JSON": arguments}, "arguments": arguments}


class _Message(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    def text(self) -> str:
        """The message's text, images left out."""
        content: Any = getattr(self, "content", "")
        return content if isinstance(content, str) else "\n".join(part.text for part in content if isinstance(part, TextPart))

    def has_images(self) -> bool:
        """Whether a model must see in order to read this."""
        content: Any = getattr(self, "content", "")
        return not isinstance(content, str) and any(isinstance(part, ImagePart) for part in content)


class System(_Message):
    """Instructions to the model."""

    role: Literal["system"] = "system"
    content: Content
    name: str | None = Field(None, max_length=128)


class User(_Message):
    """What a person says."""

    role: Literal["user"] = "user"
    content: Content
    name: str | None = Field(None, max_length=128)


class Assistant(_Message):
    """What the model said."""

    role: Literal["assistant"] = "assistant"
    content: Content = ""
    tool_calls: list[ToolCall] = Field(default_factory=list, max_length=MAX_TOOL_CALLS)
    name: str | None = Field(None, max_length=128)

    @model_validator(mode="before")
    @classmethod
    def _with_invalid_calls(cls, value: object) -> object:
        """LangChain keeps calls whose arguments are no JSON apart."""
        if isinstance(value, Mapping) and isinstance(invalid := value.get("invalid_tool_calls"), list) and invalid:
            return {**value, "tool_calls": [*(value.get("tool_calls") or ()), *invalid]}
        return value

    @field_validator("content", mode="before")
    @classmethod
    def _none_is_empty(cls, value: object) -> object:
        return "" if value is None or value == [] else value

    @field_validator("tool_calls", mode="before")
    @classmethod
    def _none_is_no_call(cls, value: object) -> object:
        return [] if value is None else value


class Tool(_Message):
    """What a tool returned for a call."""

    role: Literal["tool"] = "tool"
    content: Content
    tool_call_id: str = Field(min_length=1, max_length=256)


def _kind(value: object) -> str | None:
    """Which of the four a message is; None makes it an error."""
    if isinstance(value, _Message):
        return str(value.role)  # type: ignore[attr-defined]
    if not isinstance(value, Mapping):
        return None
    said = value.get("role") or value.get("type")
    return _KINDS.get(said) if isinstance(said, str) else None


def _normalised(value: object) -> object:
    """LangChain's own message objects as mappings, and one name for the speaker."""
    if isinstance(value, BaseMessage):
        value = value.model_dump()
    if isinstance(value, Mapping) and (kind := _kind(value)):
        return {**value, "role": kind}
    return value


Message = Annotated[
    Annotated[System, Tag("system")]
    | Annotated[User, Tag("user")]
    | Annotated[Assistant, Tag("assistant")]
    | Annotated[Tool, Tag("tool")],
    Discriminator(
        _kind,
        custom_error_type="not_a_message",
        custom_error_message="a message is an object with a role (system, user, assistant or tool) and a content",
    ),
    BeforeValidator(_normalised),
]


def _as_list(value: object) -> object:
    """What a prompt template hands on is a list of messages, too; over the wire it comes as its fields."""
    if isinstance(value, PromptValue):
        return value.to_messages()
    if not isinstance(value, Mapping):
        return value
    if "messages" in value and value.keys() <= {"messages", "type"}:
        return value["messages"]
    if value.get("type") == "StringPromptValue":
        return [{"role": "user", "content": value.get("text")}]
    return value


Messages = Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES), BeforeValidator(_as_list)]


def to_langchain(messages: Sequence[_Message]) -> list[BaseMessage]:
    """The messages as chat models take them."""
    return [_one_to_langchain(message) for message in messages]


def _one_to_langchain(message: _Message) -> BaseMessage:
    match message:
        case System():
            return SystemMessage(_content(message.content), name=message.name)
        case User():
            return HumanMessage(_content(message.content), name=message.name)
        case Assistant():
            calls = [{"name": call.name, "args": call.args, "id": call.id} for call in message.tool_calls]
            written = any(call.arguments is not None for call in message.tool_calls)
            more = {"tool_calls": [call.to_openai() for call in message.tool_calls]} if written else {}
            return AIMessage(_content(message.content), tool_calls=calls, name=message.name, additional_kwargs=more)
        case Tool():
            return ToolMessage(_content(message.content), tool_call_id=message.tool_call_id)
    raise TypeError(type(message).__name__)


def _content(content: Any) -> Any:
    return content if isinstance(content, str) else [part.model_dump() for part in content]
