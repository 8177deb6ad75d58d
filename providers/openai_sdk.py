"""OpenAI's protocol over the SDK's own transport, for an operator who wants it back (`transport = "sdk"`): the same errors and
the same methods as `providers.openai_transport` has."""

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any, Self

import openai
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.exceptions import ModelError
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI
from pydantic import model_validator

from providers.call_numbers import CallNumbers
from providers.collecting import as_chunk
from providers.neutral import NeutralChatModel, translating, unreadable
from providers.openai_answers import WITHHELD
from providers.openai_decoder import Decoder
from providers.openai_errors import neutral, unless_error
from providers.openai_events import error_event, whole_as_events
from providers.openai_model import AsWritten, OfOthers


class SDKTransport(NeutralChatModel, AsWritten):
    """A mixin as `DirectTransport` is, over the SDK's own connections. A stream's end is known by its finish reason.

    The SDK parses answers in a given form, and refuses some with tools; only where the form is a class that is wanted.
    """

    @model_validator(mode="after")
    def _read_json_as_well(self) -> Self:
        for client in (self.root_client, self.root_async_client):
            if client is not None:
                client._make_sse_decoder = partial(Decoder, ends_unnamed=not self.names_ends)  # noqa: SLF001
        return self

    def _get_request_payload(self, input_: Any, *, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        payload: dict[str, Any] = super()._get_request_payload(input_, stop=stop, **kwargs)
        if isinstance(payload.get("response_format"), dict):
            payload["extra_body"] = {**(payload.get("extra_body") or {}), "response_format": payload.pop("response_format")}
        return payload

    def translated(self, error: Exception) -> Exception:
        return neutral(error)

    def ended(self, generation: ChatGeneration) -> str | None:
        return (generation.generation_info or {}).get("finish_reason")

    def refusals(self) -> Collection[str]:
        return (WITHHELD,)

    def prepared(self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]) -> object:
        return self._get_request_payload(messages, stop=stop, **kwargs)

    def _create_chat_result(self, response: Any, generation_info: dict[str, Any] | None = None) -> ChatResult:
        error = response.get("error") if isinstance(response, dict) else getattr(response, "error", None)
        if error:
            raise error_event(error)  # whatever its status was
        return super()._create_chat_result(response, generation_info)

    def admit(self, messages: list[BaseMessage]) -> None:
        """Images by address are the provider's to fetch."""

    async def post(self, path: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON object that answers `payload`. Errors are those of `ainvoke`."""
        client: openai.AsyncOpenAI = self.root_async_client
        with translating(self.translated):
            answer: Any = await client.post(path, body=dict(payload), cast_to=object)
            if not isinstance(answer, dict):
                raise unreadable()
            return unless_error(answer)

    async def events(self, path: str, payload: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        """The JSON objects of the stream that answers `payload`. Errors are those of `astream`."""
        sent, refused = self._fitted(payload), list[tuple[str, Any]]()
        with translating(self.translated):
            while True:
                try:
                    answer = await self._open(path, sent)
                except openai.APIStatusError as error:
                    if (less := self._less(sent, error, refused)) is None:
                        raise
                    sent = less
                    continue
                self._learn(refused, sent)
                if "stream" not in sent:
                    for event in whole_as_events(answer, ends_unnamed=not self.names_ends):
                        yield event
                    return
                async with answer:
                    async for event in answer:
                        yield event
                return

    async def _open(self, path: str, payload: dict[str, Any]) -> Any:
        """The SDK's stream of events; the JSON of an answer that is asked for whole."""
        client: openai.AsyncOpenAI = self.root_async_client
        if "stream" not in payload:
            return await client.post(path, body=payload, cast_to=object)
        return await client.post(path, body=payload, cast_to=object, stream=True, stream_cls=openai.AsyncStream[object])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        """As that of the direct transport, which leaves out what the server does not take as well."""
        numbers, refused = CallNumbers(), list[tuple[str, Any]]()
        sent = self._fitted(kwargs | {"stream": True, "stream_options": {}})
        while True:
            told = False
            try:
                async with aclosing(self._pieces(messages, stop, run_manager, sent, kwargs)) as chunks:
                    async for chunk in chunks:
                        if not told:
                            self._learn(refused, sent)
                            told = True
                        numbers.renumber(chunk)
                        yield chunk
            except ModelError as error:
                status = error.__cause__
                less = self._less(sent, status, refused) if not told and isinstance(status, openai.APIStatusError) else None
                if less is None:
                    raise
                sent = less
            else:
                return

    async def _pieces(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        run_manager: AsyncCallbackManagerForLLMRun | None,
        sent: Mapping[str, Any],
        kwargs: dict[str, Any],
    ) -> AsyncGenerator[ChatGenerationChunk]:
        if "stream" not in sent:
            yield as_chunk(await self._agenerate(messages, stop, None, **kwargs))
            return
        usage = "stream_options" in sent
        answer: Any = super()._astream(messages, stop, run_manager, **{"stream_usage": usage} | kwargs)
        async with aclosing(answer) as chunks:
            async for chunk in chunks:
                yield chunk

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        numbers = CallNumbers()
        for chunk in super()._stream(messages, stop, run_manager, **kwargs):
            numbers.renumber(chunk)
            yield chunk


class SDKChatOpenAI(SDKTransport, ChatOpenAI):
    """OpenAI over the SDK's transport."""


class CompatibleSDKChatOpenAI(OfOthers, SDKTransport, ChatOpenAI):
    """Other servers over the SDK's transport."""
