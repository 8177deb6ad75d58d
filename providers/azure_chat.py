"""`AzureChatOpenAI` with neutral errors, Azure's content filter told apart, and OpenAI's newer name for the answer's limit."""

from collections.abc import Collection
from typing import Any

import aiohttp
import httpx2
import openai
from langchain_core.exceptions import ModelAuthenticationError, ModelConnectionError, ModelTimeoutError
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_openai import AzureChatOpenAI

from providers.neutral import NeutralChatModel, of_status, refused
from providers.openai_errors import within_a_stream
from providers.openai_sdk import SDKTransport
from providers.openai_transport import DirectTransport
from providers.refusals import of_answers, of_error
from providers.reported import reporting
from providers.waits import retry_after

_FILTERED = ("content_filter", "ResponsibleAIPolicyViolation", "content_policy_violation")


def translate(error: Exception) -> Exception:
    """What OpenAI's and Azure's SDKs raise, as a neutral error."""
    from azure.core.exceptions import ClientAuthenticationError

    if isinstance(error, openai.APITimeoutError | httpx2.TimeoutException | TimeoutError):
        return ModelTimeoutError("Azure OpenAI did not answer in time.")
    if isinstance(error, openai.APIConnectionError | httpx2.HTTPError | aiohttp.ClientError | OSError):
        return ModelConnectionError(type(error).__name__)
    if isinstance(error, ClientAuthenticationError):
        return ModelAuthenticationError("Entra ID gives no token.")
    if isinstance(error, openai.APIError):
        return _translate_answer(error)
    return error


def _translate_answer(error: openai.APIError) -> Exception:
    body: Any = error.body if isinstance(error.body, dict) else {}
    inner = body.get("innererror") if isinstance(body.get("innererror"), dict) else {}
    if error.code in _FILTERED or inner.get("code") in _FILTERED:
        return refused(of_error(body) or ["content_filter"])
    if isinstance(error, openai.APIStatusError):
        return of_status(error.status_code, f"{error.code}: {error.message}", retry_after(error.response.headers))
    return within_a_stream(error)


class AzureTranslation(NeutralChatModel):
    """Azure's errors, filter and parameters. It stands before the transport among the bases."""

    def translated(self, error: Exception) -> Exception:
        return translate(error)

    def ended(self, generation: ChatGeneration) -> str | None:
        return (generation.generation_info or {}).get("finish_reason")

    def refusals(self) -> Collection[str]:
        return ("content_filter",)

    def prepared(self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]) -> dict[str, Any]:
        model: Any = self
        payload: dict[str, Any] = model._get_request_payload(messages, stop=stop, **self.arguments(kwargs))  # noqa: SLF001
        return payload

    def admit(self, messages: list[BaseMessage]) -> None:
        """Images by address are Azure's to fetch."""

    def arguments(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        given = dict(kwargs)
        if "max_tokens" in given:
            given["max_completion_tokens"] = given.pop("max_tokens")
        return given

    def _create_chat_result(self, response: Any, generation_info: dict[str, Any] | None = None) -> ChatResult:
        answer = response if isinstance(response, dict) else response.model_dump(warnings=False)
        model: Any = self
        with reporting(lambda: model.used(answer)):
            for choice in answer.get("choices") or ():
                if choice.get("finish_reason") == "content_filter":
                    raise refused(of_answers([answer]) or ["content_filter"])
        result: ChatResult = super()._create_chat_result(response, generation_info)  # type: ignore[misc]
        return result


class AzureChat(AzureTranslation, SDKTransport, AzureChatOpenAI):
    """Azure over the SDK's transport."""


class DirectAzureChat(AzureTranslation, DirectTransport, AzureChatOpenAI):
    """Azure over our own transport."""
