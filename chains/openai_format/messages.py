"""Messages as OpenAI's clients send them. What is not known in them is refused, as all over a request in OpenAI's form.

What OpenAI's own answers carry may be sent back: an assistant's `refusal` is what it said, empty fields and `annotations`
change nothing.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from chains.messages import (
    MAX_MESSAGES,
    MAX_TOOL_CALLS,
    Assistant,
    ImageAddress,
    ImagePart,
    System,
    TextPart,
    Tool,
    ToolCall,
    User,
)
from chains.parameters import Strict

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}


class SentText(Strict):
    """A stretch of text."""

    type: Literal["text"]
    text: str

    def ours(self) -> TextPart:
        return TextPart.model_construct(type="text", text=self.text)


class SentAddress(ImageAddress):
    """Where an image is: a `data:` URL, or an address that the platform fetches."""

    model_config = Strict.model_config


class SentImage(Strict):
    """An image, for models that see."""

    type: Literal["image_url"]
    image_url: SentAddress

    def ours(self) -> ImagePart:
        address = ImageAddress.model_construct(url=self.image_url.url, detail=self.image_url.detail)
        return ImagePart.model_construct(type="image_url", image_url=address)


class SentRefusal(Strict):
    """Why the model would not answer: what it said."""

    type: Literal["refusal"]
    refusal: str

    def ours(self) -> TextPart:
        return TextPart.model_construct(type="text", text=self.refusal)


def _refuse(value: object) -> None:
    raise PydanticCustomError("unsupported", "parts of this type are not supported")


_Refused = Annotated[None, BeforeValidator(_refuse)]


class SentAudio(Strict):
    """Refused by name."""

    type: Literal["input_audio"]
    input_audio: _Refused


class SentFile(Strict):
    """Refused by name."""

    type: Literal["file"]
    file: _Refused


# The tags stand in the places that pydantic tells of a problem: none of them is the name of a field.
def _type(value: object) -> str | None:
    said = value.get("type") if isinstance(value, Mapping) else getattr(value, "type", None)
    return f"a {said}" if isinstance(said, str) else None


_NO_PART: dict[str, Any] = {
    "custom_error_type": "not_a_part",
    "custom_error_message": "a part of a message is an object of the type 'text' or 'image_url', an assistant's also 'refusal'",
}
_Parts = Annotated[
    list[
        Annotated[
            Annotated[SentText, Tag("a text")]
            | Annotated[SentImage, Tag("a image_url")]
            | Annotated[SentAudio, Tag("a input_audio")]
            | Annotated[SentFile, Tag("a file")],
            Discriminator(_type, **_NO_PART),
        ]
    ],
    Field(min_length=1),
]
_SaidParts = Annotated[
    list[
        Annotated[
            Annotated[SentText, Tag("a text")]
            | Annotated[SentImage, Tag("a image_url")]
            | Annotated[SentRefusal, Tag("a refusal")],
            Discriminator(_type, **_NO_PART),
        ]
    ],
    Field(min_length=1),
]
_Name = Annotated[str | None, Field(max_length=128)]


def _ours(content: Any) -> Any:
    return content if isinstance(content, str) else [part.ours() for part in content]


class SentSystem(Strict):
    """Instructions to the model."""

    role: Literal["system", "developer"]
    content: str | _Parts
    name: _Name = None

    def ours(self) -> System:
        return System.model_construct(role="system", content=_ours(self.content), name=self.name)


class SentUser(Strict):
    """What a person says."""

    role: Literal["user"]
    content: str | _Parts
    name: _Name = None

    def ours(self) -> User:
        return User.model_construct(role="user", content=_ours(self.content), name=self.name)


class SentFunction(Strict):
    """Which function a call is of; the arguments as the model wrote them."""

    name: str = Field(min_length=1, max_length=128)
    arguments: str


class SentCall(Strict):
    """A call that the model asked for. `index`, which clients that put a stream together leave in, changes nothing."""

    id: str
    type: Literal["function"] = "function"
    function: SentFunction
    index: int | None = None


class SentAssistant(Strict):
    """What the model said."""

    role: Literal["assistant"]
    content: Annotated[str | _SaidParts | None, BeforeValidator(lambda value: None if value == [] else value)] = None
    refusal: str | None = None
    tool_calls: Annotated[list[SentCall], Field(max_length=MAX_TOOL_CALLS)] | None = None
    name: _Name = None
    annotations: list[Any] | None = None
    audio: None = None
    function_call: None = None

    def ours(self) -> Assistant:
        calls = [
            ToolCall.model_validate({"id": call.id, "function": call.function.model_dump()}) for call in self.tool_calls or ()
        ]
        content = _ours(self.content or self.refusal or "")
        return Assistant.model_construct(role="assistant", content=content, tool_calls=calls, name=self.name)


class SentResult(Strict):
    """What a tool returned for a call."""

    role: Literal["tool"]
    content: str | _Parts
    tool_call_id: str = Field(min_length=1, max_length=256)

    def ours(self) -> Tool:
        return Tool.model_construct(role="tool", content=_ours(self.content), tool_call_id=self.tool_call_id)


def _role(value: object) -> str | None:
    said = value.get("role") if isinstance(value, Mapping) else getattr(value, "role", None)
    return f"a {_ROLES[said]}" if isinstance(said, str) and said in _ROLES else None


def _known(value: object) -> object:
    if isinstance(value, Mapping) and value.get("role") == "function":
        raise PydanticCustomError(
            "unsupported", "messages of the role 'function' are not supported: send 'tool' and tool_calls"
        )
    return value


SentMessage = Annotated[
    Annotated[SentSystem, Tag("a system")]
    | Annotated[SentUser, Tag("a user")]
    | Annotated[SentAssistant, Tag("a assistant")]
    | Annotated[SentResult, Tag("a tool")],
    Discriminator(
        _role,
        custom_error_type="not_a_message",
        custom_error_message="a message is an object with a role (developer, system, user, assistant or tool) and a content",
    ),
    BeforeValidator(_known),
]
#: Validated as they are sent, then as the chains have them.
SentMessages = Annotated[
    list[SentMessage],
    Field(min_length=1, max_length=MAX_MESSAGES),
    AfterValidator(lambda messages: [message.ours() for message in messages]),
]
