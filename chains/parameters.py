"""What callers may ask of a model beside the text: sampling, tools, the form of the answer. Nothing else reaches a provider."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from core.json_schemas import leading_nowhere

MAX_SEED = 2**63 - 1
MAX_STOPS = 16
_STOP_CHARACTERS = 256

StopText = Annotated[str, Field(min_length=1, max_length=_STOP_CHARACTERS)]


def _few_and_short(stop: Any) -> Any:
    """What is wrong with a text or texts is said whole: of a choice of types the first would be named alone."""
    texts = [stop] if isinstance(stop, str) else stop
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        return stop
    if not 1 <= len(texts) <= MAX_STOPS or not all(1 <= len(text) <= _STOP_CHARACTERS for text in texts):
        raise ValueError(f"give one text or 1 to {MAX_STOPS} of them, each of 1 to {_STOP_CHARACTERS} characters")
    return stop


class Strict(BaseModel):
    """An input of ours: unknown names and values of another type are errors, not guesses."""

    model_config = ConfigDict(strict=True, extra="forbid")


def misplaced(param: str, message: str) -> PydanticCustomError:
    """What a validator of a whole request raises where one field of it, `param`, does not go with the others."""
    return PydanticCustomError("misplaced", message, {"param": param})


class ModelChoice(Strict):
    """Which model answers, and at most how long."""

    model: str | None = Field(
        None, max_length=128, description="a model alias; empty: `default`", examples=["default"], title="Model"
    )
    max_tokens: int | None = Field(None, ge=1, le=1_000_000, description="tokens of the answer at most")
    temperature: float | None = Field(
        None, ge=0, le=2, allow_inf_nan=False, description="0 is the likeliest answer, higher is more varied"
    )
    seed: int | None = Field(None, ge=0, le=MAX_SEED, description="the same seed tends to give the same answer")


class Sampling(ModelChoice):
    """How an answer is chosen and where it ends."""

    stop: Annotated[
        StopText | Annotated[list[StopText], Field(min_length=1, max_length=MAX_STOPS)] | None, BeforeValidator(_few_and_short)
    ] = Field(None, description="texts that end the answer; they are not a part of it")
    top_p: float | None = Field(
        None, gt=0, le=1, allow_inf_nan=False, description="only the likeliest tokens that together have this probability"
    )
    presence_penalty: float | None = Field(
        None, ge=-2, le=2, allow_inf_nan=False, description="above 0, tokens that have come before are less likely"
    )
    frequency_penalty: float | None = Field(
        None, ge=-2, le=2, allow_inf_nan=False, description="above 0, tokens are less likely the more often they have come"
    )


class Details(Strict):
    """What only some models can: see `providers.parameters`."""

    logprobs: bool | None = Field(None, description="tell each token's log probability")
    top_logprobs: int | None = Field(None, ge=0, le=20, description="and those of so many others; asks for `logprobs`")
    logit_bias: Annotated[dict[str, Annotated[float, Field(ge=-100, le=100)]], Field(max_length=1024)] | None = Field(
        None, description="by token (the number that the model's tokenizer has for it), what to add to its likelihood"
    )
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = Field(
        None, description="how much a reasoning model thinks before it answers"
    )

    @model_validator(mode="after")
    def _of_logprobs(self) -> Self:
        if self.top_logprobs is not None and not self.logprobs:
            raise misplaced("top_logprobs", "'top_logprobs' asks for 'logprobs' to be true")
        return self


class ToolFunction(Strict):
    """A function that the model may ask to be called; `parameters` is a JSON schema."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    description: str | None = Field(None, max_length=8192)
    parameters: dict[str, Any] = Field(default_factory=lambda: {"type": "object", "properties": {}})
    strict: bool | None = None


class Tool(Strict):
    """A tool in OpenAI's shape."""

    type: Literal["function"] = "function"
    function: ToolFunction


class ChosenFunction(Strict):
    """The name of a tool."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")


class ChosenTool(Strict):
    """The one tool that must be called."""

    type: Literal["function"] = "function"
    function: ChosenFunction


#: What a schema holds of values: a `$ref` in them is none.
_VALUES = frozenset({"const", "enum", "default", "examples"})


def _a_json_schema(schema: dict[str, Any]) -> dict[str, Any]:
    import jsonschema  # .1 s, and few requests bring a schema

    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise ValueError(f"This is no JSON schema: see {error.json_path}.") from None
    references = list(_references(schema))
    if not all(reference.startswith("#") for reference in references):  # another document, which nobody fetches for a caller
        raise ValueError(
            "A $ref of the schema leads outside of it: give what it stands for below $defs and refer to it by #/$defs/NAME."
        )
    if (lost := leading_nowhere(schema, references)) is not None:
        raise ValueError(f"A $ref of the schema leads nowhere: {lost[:100]}")
    return schema


def _references(schema: dict[str, Any]) -> Iterator[str]:
    left: list[Any] = [schema]
    while left:
        part = left.pop()
        if isinstance(part, list):
            left += part
        elif isinstance(part, dict):
            yield from (to for name in ("$ref", "$dynamicRef") if isinstance(to := part.get(name), str))
            left += [inside for name, inside in part.items() if name not in _VALUES]


class JSONSchema(BaseModel):
    """A JSON schema with a name, as OpenAI takes it."""

    model_config = ConfigDict(strict=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)

    name: str = Field("answer", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    description: str | None = Field(None, max_length=8192)
    schema_: Annotated[dict[str, Any], AfterValidator(_a_json_schema)] = Field(alias="schema")
    strict: bool | None = None


class PlainFormat(Strict):
    """Text, or any JSON object."""

    type: Literal["text", "json_object"]


class SchemaFormat(Strict):
    """JSON that fits a schema."""

    type: Literal["json_schema"]
    json_schema: JSONSchema


ResponseFormat = Annotated[PlainFormat | SchemaFormat, Field(discriminator="type")]


class Tooling(Strict):
    """Tools and the form of the answer, in OpenAI's shapes."""

    tools: list[Tool] | None = Field(None, min_length=1, max_length=128, description="functions that the model may ask for")
    tool_choice: (
        Annotated[Literal["none", "auto", "required"], BeforeValidator(lambda value: "required" if value == "any" else value)]
        | ChosenTool
        | None
    ) = Field(None, description="whether a tool must be called, or which")
    parallel_tool_calls: bool | None = Field(None, description="whether one answer may ask for several calls")
    response_format: ResponseFormat | None = Field(None, description="plain text, any JSON, or JSON by a schema")

    @field_validator("tools", mode="after")
    @classmethod
    def _named_once(cls, tools: list[Tool] | None) -> list[Tool] | None:
        names = [tool.function.name for tool in tools or ()]
        if len(names) != len(set(names)):
            raise ValueError("two tools have the same name")
        return tools

    @field_validator("tool_choice", mode="after")
    @classmethod
    def _there_to_choose(cls, choice: str | ChosenTool | None, info: ValidationInfo) -> str | ChosenTool | None:
        if choice in (None, "none", "auto") or "tools" not in info.data:
            return choice
        names = {tool.function.name for tool in info.data["tools"] or ()}
        if not names:
            raise ValueError("a tool must be called, and there are no tools")
        if not isinstance(choice, str | None) and choice.function.name not in names:
            raise ValueError("the tool that must be called is none of the tools")
        return choice


#: Fields that go to the model under their own names.
_NAMES = (
    "temperature", "max_tokens", "stop", "seed", "top_p", "presence_penalty", "frequency_penalty",
    "top_logprobs", "logit_bias", "reasoning_effort",
)  # fmt: skip


def bind(
    model: BaseChatModel, asked: BaseModel, defaults: Mapping[str, Any] | None = None
) -> Runnable[LanguageModelInput, AIMessage]:
    """The model with what the caller asked for; `defaults` hold where the caller is silent.

    Whether a model can do it is the model's to say: it raises `UnsupportedFeature` when it is called.
    """
    values = dict(defaults or {}) | call_parameters(asked)
    return model.bind(**values) if values else model


def call_parameters(asked: BaseModel) -> dict[str, Any]:
    """What the caller asked for, as keyword arguments of a chat model. What they left open is not in it."""
    values: dict[str, Any] = {}
    for name in _NAMES:
        if (value := getattr(asked, name, None)) is not None:
            values[name] = [value] if name == "stop" and isinstance(value, str) else value
    if getattr(asked, "logprobs", None):
        values["logprobs"] = True
    if isinstance(asked, Tooling):
        values |= _tooling(asked)
    return values


def _tooling(asked: Tooling) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if asked.tools:
        values["tools"] = [tool.model_dump(exclude_none=True) for tool in asked.tools]
        if asked.tool_choice is not None:
            choice = asked.tool_choice
            values["tool_choice"] = choice if isinstance(choice, str) else choice.model_dump()
        if asked.parallel_tool_calls is not None:
            values["parallel_tool_calls"] = asked.parallel_tool_calls
    if asked.response_format is not None and asked.response_format.type != "text":
        values["response_format"] = asked.response_format.model_dump(exclude_none=True)
    return values
