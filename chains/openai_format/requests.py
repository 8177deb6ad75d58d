"""What OpenAI's clients send, as models that only take what is known and is done here.

A field that OpenAI does not have is refused as OpenAI refuses it, so that a mistyped name is never silently without effect.
Of the fields that it has, what only labels a request is taken and not used; what would change the answer and cannot be done
is refused by name.
"""

from typing import Annotated, Any, Generic, Literal, Self, TypeVar

import orjson
from pydantic import BaseModel, BeforeValidator, Field, TypeAdapter, ValidationError, model_validator

from chains.chat import ChatRequest
from chains.completion import DEFAULT_MAX_TOKENS, CompletionInput
from chains.openai_format.errors import unfit
from chains.openai_format.messages import SentMessages
from chains.parameters import MAX_SEED, MAX_STOPS, StopText, Strict, misplaced
from core.errors import InvalidRequest, MalformedJSON

#: Answers to one request. Each is a call of its own.
MAX_CHOICES = 16
MAX_PROMPTS = 50
#: OpenAI's limits of one embeddings request (2025).
MAX_INPUTS = 2048

Model = TypeVar("Model", bound=BaseModel)
Stops = Annotated[
    StopText | Annotated[list[StopText], Field(max_length=MAX_STOPS)] | None, BeforeValidator(lambda value: value or None)
]


class StreamOptions(Strict):
    """`include_obfuscation`: padding against the guessing of texts by the sizes of packets; there is none."""

    include_usage: bool | None = None
    include_obfuscation: Literal[False] | None = None


class _Labels(Strict):
    """What labels a request without changing its answer."""

    user: str | None = Field(None, max_length=512, description="taken, not used: the key says who calls")


class Streamed(Strict):
    """Whether pieces are sent as they come."""

    stream: bool | None = Field(None, description="server-sent events, the last `data: [DONE]`")
    stream_options: StreamOptions | None = Field(None, description="`include_usage`: a last chunk with the usage")

    @model_validator(mode="after")
    def _of_a_stream(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise misplaced("stream_options", "'stream_options' is only allowed when 'stream' is true")
        return self

    @property
    def with_usage(self) -> bool:
        """Whether a stream tells its usage."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)


class ChatCompletionRequest(ChatRequest, Streamed, _Labels):
    """The body of `POST /v1/chat/completions`. Beside OpenAI's fields it takes `session_id`, as `POST /api/v1/chat` does."""

    messages: SentMessages = Field(  # type: ignore[assignment]  # they become what the chains have
        description="the conversation so far; with a session_id, what is new in it"
    )
    seed: int | None = Field(None, ge=-MAX_SEED, le=MAX_SEED, description="the same seed tends to give the same answer")
    stop: Stops = Field(None, description="texts that end the answer; they are not a part of it")
    n: int | None = Field(None, ge=1, le=MAX_CHOICES, description="answers to give; each is a call of its own")
    max_completion_tokens: int | None = Field(None, ge=1, le=1_000_000, description="the same as `max_tokens`")
    metadata: dict[str, Any] | None = Field(None, description="taken, not used")
    safety_identifier: str | None = Field(None, description="taken, not used")
    prompt_cache_key: str | None = Field(None, description="taken, not used")
    prompt_cache_retention: str | None = Field(None, description="taken, not used")
    prompt_cache_options: dict[str, Any] | None = Field(None, description="taken, not used")
    prediction: dict[str, Any] | None = Field(None, description="taken, not used: it changes the speed alone")
    service_tier: Literal["auto", "default"] | None = Field(None, description="there is one tier")
    modalities: list[Literal["text"]] | None = Field(None, description="answers are text")
    store: Literal[False] | None = Field(None, description="nothing is stored; a session_id keeps a conversation")
    verbosity: Literal["medium"] | None = Field(None, description="OpenAI's default, and no other")
    audio: None = None
    functions: None = None
    function_call: None = None
    moderation: None = None
    web_search_options: None = None

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if self.max_completion_tokens is not None:
            if self.max_tokens is not None:
                message = "'max_tokens' and 'max_completion_tokens' cannot be set at the same time"
                raise misplaced("max_completion_tokens", message)
            self.max_tokens = self.max_completion_tokens
        return self

    @model_validator(mode="after")
    def _of_tools(self) -> Self:
        for name in ("tool_choice", "parallel_tool_calls"):
            if getattr(self, name) is not None and not self.tools:
                raise misplaced(name, f"'{name}' is only allowed when 'tools' are given")
        return self

    @model_validator(mode="after")
    def _one_conversation(self) -> Self:
        if self.session_id is not None and (self.n or 1) > 1:
            raise misplaced(
                "n", "a conversation that is kept goes on with one answer: 'n' above 1 does not go with 'session_id'"
            )
        return self

    def choices(self) -> list["ChatCompletionRequest"]:
        """One request an answer. A seed counts on, or all answers would be the same."""
        if self.n is None or self.n == 1:
            return [self]
        return [
            self if self.seed is None else self.model_copy(update={"seed": _next(self.seed, index)}) for index in range(self.n)
        ]


def _next(seed: int, index: int) -> int:
    """The seed of an answer: they count on, after the largest from 0."""
    return (seed + index) % (MAX_SEED + 1) if seed >= 0 else seed + index


Token = Annotated[int, Field(ge=0, lt=200_000)]
Tokens = Annotated[list[Token], Field(min_length=1, fail_fast=True)]
Text = Annotated[str, Field(min_length=1)]


class CompletionRequest(Streamed, _Labels):
    """The body of `POST /v1/completions`."""

    model: str | None = Field(None, max_length=128, description="a model alias; empty: `default`")
    prompt: Text | Annotated[list[Text], Field(min_length=1, max_length=MAX_PROMPTS)] = Field(
        description="the text to continue, or several"
    )
    suffix: str | None = Field(None, description="what comes after the gap; for models that fill in the middle")
    max_tokens: int | None = Field(
        None, ge=1, le=1_000_000, description=f"of one answer at most; {DEFAULT_MAX_TOKENS} if empty"
    )
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(None, gt=0, le=1, allow_inf_nan=False)
    presence_penalty: float | None = Field(None, ge=-2, le=2, allow_inf_nan=False)
    frequency_penalty: float | None = Field(None, ge=-2, le=2, allow_inf_nan=False)
    seed: int | None = Field(None, ge=0, le=MAX_SEED)
    stop: Stops = None
    n: int | None = Field(None, ge=1, le=MAX_CHOICES, description="continuations of each prompt")
    best_of: Literal[1] | None = Field(None, description="none is left out")
    echo: bool | None = Field(None, description="begin each answer with its prompt")
    logprobs: None = None
    logit_bias: Annotated[dict[str, Any], Field(max_length=0)] | None = None

    @property
    def prompts(self) -> list[str]:
        """The texts to continue."""
        return [self.prompt] if isinstance(self.prompt, str) else self.prompt

    def choices(self) -> list[CompletionInput]:
        """One input an answer: `n` of the first prompt, then of the next."""
        values = {
            name: value
            for name in ("model", "max_tokens", "temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "stop")
            if (value := getattr(self, name)) is not None
        }
        if self.suffix:
            values["suffix"] = self.suffix
        return [
            CompletionInput(prompt=prompt, **values | ({} if self.seed is None else {"seed": _next(self.seed, index)}))
            for prompt in self.prompts
            for index in range(self.n or 1)
        ]


class EmbeddingsRequest(_Labels):
    """The body of `POST /v1/embeddings`."""

    model: str | None = Field(None, max_length=128, description="an alias of an embedding model; empty: `embeddings`")
    input: (
        Text
        | Annotated[list[Text], Field(min_length=1, max_length=MAX_INPUTS, fail_fast=True)]
        | Tokens
        | Annotated[list[Tokens], Field(min_length=1, max_length=MAX_INPUTS, fail_fast=True)]
    ) = Field(description="a text or several; or tokens of cl100k_base, as OpenAI's embedding models have them")
    encoding_format: Literal["float", "base64"] | None = Field(None, description="base64: little-endian 32-bit floats")
    dimensions: int | None = Field(None, ge=1, le=16_384, description="for models whose vectors can be shortened")

    def texts(self) -> list[str] | None:
        """The inputs; None where they are tokens."""
        given: Any = self.input
        if isinstance(given, str):
            return [given]
        return given if isinstance(given[0], str) else None

    def tokens(self) -> list[list[int]]:
        """The inputs, where they are tokens."""
        given: Any = self.input
        return [given] if isinstance(given[0], int) else given


class RequestReader(Generic[Model]):
    """Reads one kind of body: from JSON in one step, without making Python objects of it first."""

    def __init__(self, model: type[Model]) -> None:
        self._adapter = TypeAdapter(model)

    def __call__(self, body: bytes) -> Model:
        """The request.

        Raises:
            MalformedJSON, InvalidRequest: with OpenAI's codes; `param` names the field.
        """
        try:
            request = self._adapter.validate_json(body)
        except ValidationError as error:
            problems = error.errors(include_url=False, include_input=False)
            if problems[0]["type"] == "json_invalid":
                raise MalformedJSON("The body is not valid JSON.") from None
            raise unfit(problems, orjson.loads(body)) from None
        except RecursionError:
            raise InvalidRequest("The body is nested too deeply.") from None
        return request
