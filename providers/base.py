"""What every provider gives, and the facts of a model that routing and prompts need."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel

from core.settings import ProviderSettings, Settings, Timeouts

#: Parameters, by OpenAI's names, that only some models take. Every model takes the others of `providers.parameters.ALLOWED`.
OPENAI_PARAMETERS = frozenset(
    {
        "top_p",
        "presence_penalty",
        "frequency_penalty",
        "logprobs",
        "top_logprobs",
        "logit_bias",
        "parallel_tool_calls",
        "reasoning_effort",
    }
)


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a model can do. `context_tokens` is None where it is not known.

    `prefill`: an answer that begins with a last assistant message is continued, so that a cut stream can be taken up.

    `structured_output`: it keeps to a JSON schema by a grammar; `strict_tools`: it can be held to those of its tools as well
    (OpenAI's `strict`).

    `small` marks a model that follows only the simplest instructions: chains then use short prompts with an example, quote
    rather than reason, and check more.

    `system_anywhere`: system messages may stand between the others; elsewhere templates want them first.

    `temperature`: it can be set; a model that samples in one way alone goes without.

    `parameters` are those of `OPENAI_PARAMETERS` that it takes. `schema_rules`: how large the schemas that it is held to may be
    (see `providers.grammars`); None where its provider says so itself.
    """

    context_tokens: int | None = None
    images: bool = False
    tools: bool = False
    structured_output: bool = False
    strict_tools: bool = False
    fill_in_the_middle: bool = False
    prefill: bool = False
    small: bool = False
    system_anywhere: bool = False
    temperature: bool = True
    parameters: frozenset[str] = frozenset()
    schema_rules: int | None = None


@dataclass(frozen=True, slots=True)
class ModelState:
    """`state`: `ready`, `loading`, `idle` (loads at first use) or `failed`; `detail` is safe to show."""

    name: str
    state: str
    detail: str = ""
    extra: dict[str, object] = field(default_factory=dict)


@runtime_checkable
class Provider(Protocol):
    """Built once a process, in the lifespan or at worker boot, and shared by all requests.

    A provider's constructor is cheap: SDKs and models load in `chat`, `embeddings` or `warm`.
    """

    def __init__(self, name: str, settings: Settings, configured: ProviderSettings) -> None: ...

    def chat(self, model: str, timeouts: Timeouts) -> BaseChatModel:
        """A chat model: tools, structured output, images and streaming with usage as far as its facts say.

        It does not retry. It raises langchain-core's neutral errors, or `core.errors` where the cause is known
        (`ContextLengthExceeded`, `ContentRefused`, `RateLimited`).
        """
        ...

    def embeddings(self, model: str, timeouts: Timeouts) -> Embeddings:
        """Raises `UnsupportedFeature` where the provider has none."""
        ...

    def facts(self, model: str) -> ModelFacts: ...

    def count_tokens(self, model: str, text: str) -> int:
        """Tokens of a text, exact where the tokenizer is at hand, else estimated. Blocking, short."""
        ...

    async def warm(self, model: str, timeouts: Timeouts | None = None) -> None:
        """Load what `model` needs with these timeouts, so that the first call does not wait. May be called again."""
        ...

    def state(self, model: str) -> ModelState:
        """How the model stands, from memory: never a network call."""
        ...

    async def probe(self, model: str) -> None:
        """Ask the provider whether it serves the model, at no cost or next to none; raises when it does not."""
        ...

    async def close(self) -> None: ...


@runtime_checkable
class TakesTurns(Protocol):
    """A provider that answers few callers at once."""

    def turn(self, model: str) -> AbstractAsyncContextManager[None]:
        """Wait for a turn, load the model where it is not loaded, and hold the turn for the block.

        This time counts against `total` alone, not against the limit on the first token.

        Raises:
            RateLimited: code `queue_full`: too many wait already.
            Unavailable: code `model_unavailable`: it cannot be loaded.
        """
        ...

    def patient(self, timeouts: Timeouts) -> Timeouts:
        """The limits that hold for it where its deployment carries none of its own."""
        ...


class Reranker(Protocol):
    """Says how well texts answer a query."""

    async def scores(self, query: str, texts: list[str]) -> tuple[list[float], int | None]:
        """From 0 to 1 each, in the order of the texts; and the tokens that were used, None where that is not told.

        Raises:
            the errors that `Provider.chat` raises.
        """
        ...


@runtime_checkable
class Reranks(Protocol):
    """A provider that serves rerankers."""

    def reranker(self, model: str, timeouts: Timeouts) -> Reranker: ...


@runtime_checkable
class HoldsConnections(Protocol):
    """A provider whose SDKs have connections of their own, which calls would wait for unseen."""

    def connection(self, model: str) -> AbstractAsyncContextManager[None]:
        """Wait for one that is free, and hold it for the block.

        Raises:
            ConnectionsBusy
        """
        ...


@runtime_checkable
class Completes(Protocol):
    """A provider whose models, or some of them, continue a raw text."""

    def completion(
        self, model: str, timeouts: Timeouts, prompt: str, parameters: Mapping[str, Any]
    ) -> AsyncGenerator[dict[str, Any]]:
        """The events of an OpenAI text completion, streamed with usage. Parameters: `max_tokens`, `temperature`, `stop`,
        `seed`, and `suffix` where the model's facts say that it fills in the middle.

        Raises:
            UnsupportedFeature: the model continues none.
            the errors that `Provider.chat` raises.
        """
        ...

    def completes(self, model: str) -> bool | None:
        """Whether the model continues raw texts; None as long as that is not known."""
        ...

    def chatted(self, model: str) -> None:
        """The model has answered by chat what `completion` said that it does not continue: so for a time it is not asked."""
        ...
