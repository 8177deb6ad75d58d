"""Claude on Vertex AI: `ChatAnthropicVertex` with neutral errors and OpenAI's parameters."""

from collections.abc import AsyncIterator, Callable, Collection
from functools import cache
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.exceptions import ModelConnectionError, ModelTimeoutError
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, Field

from core.errors import UnsupportedFeature
from providers.claude_sampling import sampled
from providers.claude_usage import complete
from providers.google_access import GoogleAccess
from providers.histories import CLAUDES_IMAGES, images_of, with_a_turn
from providers.neutral import Declined, NeutralChatModel, of_status, refused
from providers.reported import reporting
from providers.usage import AddingUp
from providers.waits import retry_after

#: An error event of a stream has a type and no status. docs.anthropic.com/en/api/errors, November 2026.
_STATUS = {
    "api_error": 500,
    "authentication_error": 401,
    "invalid_request_error": 400,
    "not_found_error": 404,
    "overloaded_error": 529,
    "permission_error": 403,
    "rate_limit_error": 429,
    "request_too_large": 413,
    "timeout_error": 504,
}


def translate(error: Exception) -> Exception:
    """What Anthropic's SDK raises, as a neutral error."""
    import anthropic
    import httpx2

    from providers.vertex_gemini import translate as translate_google

    if isinstance(error, anthropic.APITimeoutError | httpx2.TimeoutException):
        return ModelTimeoutError("Vertex AI did not answer in time.")
    if isinstance(error, anthropic.APIStatusError):
        body: Any = error.body if isinstance(error.body, dict) else {}
        told: Any = body.get("error") if isinstance(body.get("error"), dict) else {}
        status = _STATUS.get(told.get("type", ""), 500) if error.status_code < 400 else error.status_code
        return of_status(status, told.get("message") or error.message, retry_after(error.response.headers))
    if isinstance(error, anthropic.APIConnectionError | httpx2.HTTPError | anthropic.APIResponseValidationError):
        return ModelConnectionError(type(error).__name__)
    if isinstance(error, anthropic.AnthropicError):
        return Declined(type(error).__name__)
    return translate_google(error)


class ClaudeTranslation(NeutralChatModel):
    """Claude's errors, refusals and parameters."""

    def translated(self, error: Exception) -> Exception:
        return translate(error)

    def ended(self, generation: ChatGeneration) -> str | None:
        return generation.message.response_metadata.get("stop_reason")

    def refusals(self) -> Collection[str]:
        return ("refusal",)

    def prepared(self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]) -> object:
        model: Any = self
        return model._format_params(messages=messages, stop=stop, **self.arguments(kwargs))  # noqa: SLF001

    def arguments(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        given = {name: value for name, value in kwargs.items() if name != "seed"}  # Claude has none
        form = (given.pop("response_format", None) or {}).get("type", "text")
        if form != "text":
            raise UnsupportedFeature(f"Claude on Vertex AI has no response format {form!r}.", param="response_format")
        return self._tools(self._sampled(given))

    def _sampled(self, given: dict[str, Any]) -> dict[str, Any]:
        """Temperature and top_p, in the body itself: anthropic 2 has no parameters for them. Some models refuse them."""
        asked = {name: given.pop(name) for name in ("temperature", "top_p") if name in given}
        model: Any = self
        sampling = sampled(model.model_name or "", {name: value for name, value in asked.items() if value is not None})
        if not sampling or (self.profile or {}).get("temperature") is False:
            return given
        return given | {"extra_body": sampling}

    def _tools(self, given: dict[str, Any]) -> dict[str, Any]:
        """Tools and the choice among them, from OpenAI's form to Anthropic's."""
        choice = given.get("tool_choice")
        if isinstance(choice, dict) and "function" in choice:
            given["tool_choice"] = {"type": "tool", "name": choice["function"]["name"]}
        elif choice in ("required", "any", True):
            given["tool_choice"] = {"type": "any"}
        elif choice in ("auto", "none"):
            given["tool_choice"] = {"type": choice}
        elif isinstance(choice, str):
            given["tool_choice"] = {"type": "tool", "name": choice}
        if any("function" in tool for tool in given.get("tools") or ()):
            given["tools"] = self.bind_tools([_described(tool) for tool in given["tools"]]).kwargs["tools"]  # type: ignore[attr-defined]
        return {name: value for name, value in given.items() if value is not None}

    def admit(self, messages: list[BaseMessage]) -> None:
        super().admit(messages)
        images_of(messages, CLAUDES_IMAGES)

    def _format_params(self, *, messages: list[BaseMessage], **kwargs: Any) -> dict[str, Any]:
        params: dict[str, Any] = super()._format_params(messages=with_a_turn(messages), **kwargs)  # type: ignore[misc]
        return params

    def _format_output(self, data: Any, **kwargs: Any) -> ChatResult:
        result: ChatResult = super()._format_output(data, **kwargs)  # type: ignore[misc]
        for generation in result.generations:  # as a stream's last chunk has it
            generation.message.response_metadata["stop_reason"] = data.stop_reason
            complete(generation, data.usage)
        if data.stop_reason == "refusal":
            with reporting(lambda: result.generations[0]):
                raise refused(["refusal"])
        return result


def _described(tool: dict[str, Any]) -> dict[str, Any]:
    """The tool with what LangChain's translation wants of each and OpenAI's form leaves open: a description, and parameters."""
    function = tool["function"]
    return tool | {
        "function": {"description": function["name"], "parameters": {"type": "object", "properties": {}}, **function}
    }


class ClaudeStream(BaseChatModel):
    """Streams as `ChatAnthropicVertex` makes them, event by event, with all that the events say of what was used: its own
    method keeps them to itself. It stands right before that class.

    A token is renewed before each call: the SDK would do that in the event loop's threads, and wait for minutes."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    access: GoogleAccess = Field(exclude=True, repr=False)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        await self.access.ready()
        return await super()._agenerate(messages, stop, run_manager, **kwargs)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        from langchain_google_vertexai import model_garden

        garden: Any = model_garden  # what is private in it is held by the tests of each cloud's streams
        model: Any = self
        params = model._format_params(messages=messages, stop=stop, **kwargs)  # noqa: SLF001
        of_text = not (
            garden._tools_in_params(params) or garden._documents_in_params(params) or garden._thinking_in_params(params)  # noqa: SLF001
        )
        params.pop("stream", None)
        await self.access.ready()
        async with await model.async_client.messages.create(**params, stream=True) as events:
            async for event in events:
                message = garden._make_message_chunk_from_anthropic_event(event, coerce_content_to_string=of_text)  # noqa: SLF001
                if message is None:
                    continue
                chunk = ChatGenerationChunk(message=message)
                if event.type == "message_start":
                    complete(chunk, event.message.usage)
                elif event.type == "message_delta":
                    complete(chunk, event.usage)
                yield chunk


@cache
def claude_class() -> Callable[..., BaseChatModel]:
    """The chat model's class, made when the SDK is first needed."""
    from langchain_google_vertexai.model_garden import ChatAnthropicVertex

    class ClaudeChat(ClaudeTranslation, AddingUp, ClaudeStream, ChatAnthropicVertex):
        """Claude with neutral errors."""

    return ClaudeChat
