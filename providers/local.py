"""Models that run on this machine and need no key: the bundled ones, any GGUF file, or an Ollama or vLLM server found here."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage

from core.errors import Unavailable, UnsupportedFeature
from core.settings import ProviderSettings, Settings, SettingsError, Timeouts
from providers.base import OPENAI_PARAMETERS, ModelFacts, ModelState
from providers.control_tokens import as_text, control_tokens
from providers.gguf import Header, read_header
from providers.lazy_chat import LazyChatModel
from providers.local_chat import LlamaServer
from providers.local_embeddings import MAX_TOKENS, LocalEmbeddings
from providers.local_found import FoundServer, found_server
from providers.local_tokens import tokenizer_of
from providers.local_weights import (
    BUNDLED,
    DEPLOYMENT,
    SETTING,
    Weights,
    bundled_chat,
    check_own_file,
    embedding_model,
    own_file,
)
from providers.tokens import Counter, estimate

#: Below some three thousand million weights a model follows only the simplest instructions.
SMALL_BELOW_WEIGHTS = 3_000_000_000
#: An alternative more costs a token up to a millisecond.
MOST_SCHEMA_RULES = 1_000


class LocalProvider:
    """`model` is what `GENAI_LOCAL__CHAT_MODEL` may be, or the name of the embedding model.

    A prompt is processed as fast as the machine can, so the limit on the first token is the whole time allowed: a child that
    hangs is left then, one that dies at once.
    """

    def __init__(self, name: str, settings: Settings, configured: ProviderSettings) -> None:
        self.name = name
        self._settings = settings
        self._servers: dict[str, LlamaServer] = {}
        self._found: dict[str, FoundServer] = {}
        self._embeddings = LocalEmbeddings()

    def check(self, model: str) -> None:
        """Raises SettingsError where `model` names nothing that can be served."""
        if model == embedding_model().name or model == BUNDLED or found_server(model) is not None:
            return
        said = SETTING if model == self._settings.local.chat_model else DEPLOYMENT
        if own_file(model) is None:
            raise SettingsError(
                f"{said}: {model!r} is none of bundled, PATH.gguf, ollama[/MODEL], vllm[/MODEL], http://HOST/v1#MODEL"
            )
        check_own_file(model, said)

    def chat(self, model: str, timeouts: Timeouts) -> BaseChatModel:
        if (found := self._found_server(model)) is not None:
            return found.chat(timeouts)
        server, name = self._server(model), _weights(model).name

        path = _weights(model).path

        async def find() -> BaseChatModel:
            await asyncio.to_thread(control_tokens, path)
            return (await server.endpoint()).chat(name, timeouts)

        def rewrite(messages: list[BaseMessage]) -> list[BaseMessage]:
            tokens = control_tokens(path)
            return messages if tokens is None else as_text(messages, tokens)

        return LazyChatModel(find=find, rewrite=rewrite, adapt=_repeatable)

    def patient(self, timeouts: Timeouts) -> Timeouts:
        """The limits for a model on this machine; see the class."""
        return timeouts.model_copy(update={"first_token": timeouts.total, "between_tokens": timeouts.total})

    @asynccontextmanager
    async def turn(self, model: str) -> AsyncIterator[None]:
        if self._found_server(model) is not None:
            yield
            return
        server = self._server(model)
        async with server.slots.turn():
            await server.endpoint()
            ended = False
            try:
                yield
                ended = True
            finally:
                if not ended:
                    server.left()

    async def completion(
        self, model: str, timeouts: Timeouts, prompt: str, parameters: Mapping[str, Any]
    ) -> AsyncGenerator[dict[str, Any]]:
        if (found := self._found_server(model)) is not None:
            endpoint, name = found.endpoint, await found.model()
        else:
            endpoint, name = await self._server(model).endpoint(), _weights(model).name
        async with aclosing(endpoint.completion(name, timeouts, prompt, parameters)) as events:
            async for event in events:
                yield event

    def completes(self, model: str) -> bool | None:
        found = self._found_server(model)
        return True if found is None else found.endpoint.raw_texts.known(found.state().name)

    def chatted(self, model: str) -> None:
        if (found := self._found_server(model)) is not None:
            found.endpoint.raw_texts.chatted(found.state().name)

    def embeddings(self, model: str, timeouts: Timeouts) -> Embeddings:
        if model != embedding_model().name:
            raise UnsupportedFeature(f"The local provider has no embedding model {model!r}.")
        return self._embeddings

    def embedding_tokens(self, text: str) -> list[tuple[int, int]]:
        """Offsets in characters of the embedding model's tokens."""
        return self._embeddings.tokens(text)

    def facts(self, model: str) -> ModelFacts:
        if model == embedding_model().name:
            return ModelFacts(context_tokens=MAX_TOKENS)
        if self._found_server(model) is not None:
            return ModelFacts(tools=True, structured_output=True, strict_tools=True, parameters=OPENAI_PARAMETERS)
        header = _header(_weights(model).path)
        configured = self._settings.local.context_tokens
        return ModelFacts(
            context_tokens=min(configured, header.context_tokens or configured),
            tools=header.calls_tools,
            structured_output=True,
            strict_tools=True,  # llama.cpp holds each call to its tool's schema
            fill_in_the_middle=header.fills_in,
            small=(header.parameters or 0) < SMALL_BELOW_WEIGHTS,
            parameters=OPENAI_PARAMETERS - {"logit_bias", "reasoning_effort"},
            schema_rules=MOST_SCHEMA_RULES,
        )

    def count_tokens(self, model: str, text: str) -> int:
        if self._found_server(model) is not None:
            return estimate(text)
        if model == embedding_model().name:
            return len(self._embeddings.tokens(text))
        return _counter(_weights(model).path)(text)

    async def warm(self, model: str, timeouts: Timeouts | None = None) -> None:
        if model == embedding_model().name:
            await asyncio.to_thread(self._embeddings.load)
        elif (found := self._found_server(model)) is not None:
            await found.model()
        else:
            await asyncio.to_thread(self.count_tokens, model, "")
            await self._server(model).endpoint()

    def state(self, model: str) -> ModelState:
        if model == embedding_model().name:
            return self._embeddings.state()
        if (found := self._found_server(model)) is not None:
            return found.state()
        return self._server(model).state()

    async def probe(self, model: str) -> None:
        if (found := self._found_server(model)) is not None:
            await found.model(again=True)
        elif (state := self.state(model)).state == "failed":
            raise Unavailable(state.detail, code="model_unavailable")

    async def close(self) -> None:
        for server in self._servers.values():
            await server.close()
        for found in self._found.values():
            await found.endpoint.close()
        self._embeddings.close()

    def _server(self, model: str) -> LlamaServer:
        if model not in self._servers:
            facts = self.facts(model)
            local = self._settings.local.model_copy(update={"context_tokens": facts.context_tokens})
            self._servers[model] = LlamaServer(_weights(model), local, small=facts.small)
        return self._servers[model]

    def _found_server(self, model: str) -> FoundServer | None:
        if model not in self._found:
            found = found_server(model)
            if found is None:
                return None
            self._found[model] = found
        return self._found[model]


def _repeatable(parameters: dict[str, Any]) -> dict[str, Any]:
    """Who gives a seed wants the same answer again. llama.cpp rounds otherwise where it goes on from what a slot still holds of
    the request before, which is enough for another word at a temperature of 0."""
    return parameters | {"cache_prompt": False} if parameters.get("seed") is not None else parameters


def _weights(model: str) -> Weights:
    weights = bundled_chat() if model == BUNDLED else own_file(model)
    if weights is None:
        raise Unavailable(f"There is no local model {model!r}.", code="model_unavailable")
    return weights


@lru_cache(maxsize=8)
def _header(path: Path) -> Header:
    """The header without its long lists, which are read again for the tokenizer."""
    header = read_header(path)
    summary = dict(header.values)
    parameters = header.parameters
    for name, value in header.values.items():
        if isinstance(value, list):
            summary[name] = ()
    return Header(summary, parameters)


@lru_cache(maxsize=8)
def _counter(path: Path) -> Counter:
    return tokenizer_of(path) or estimate
