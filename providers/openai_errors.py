"""The errors of OpenAI's protocol as langchain-core's neutral tree has them, by whichever transport they come."""

from typing import Any, cast

import aiohttp
import httpx2
import openai
from langchain_core.exceptions import ModelError
from langchain_openai.chat_models.base import _handle_openai_api_error, _handle_openai_bad_request

from providers.neutral import MISREAD, Declined, of_event, of_status
from providers.openai_events import REQUEST, error_event
from providers.waits import retry_after

#: Statuses below 500 for which langchain-openai has an error of the neutral tree.
_OF_LANGCHAIN = frozenset({400, 401, 403, 404, 408, 429})


def neutral(error: Exception) -> Exception:
    """The error of langchain-core's neutral tree that langchain-openai would raise; the same where it is none of the wire's."""
    if isinstance(error, ModelError):
        return error
    if isinstance(error, TimeoutError | httpx2.TimeoutException):
        error = openai.APITimeoutError(request=REQUEST)
    elif isinstance(error, aiohttp.ClientError | OSError | httpx2.HTTPError) or "JSONDecodeError" in type(error).__name__:
        error = openai.APIConnectionError(message="Connection error.", request=REQUEST)
    if isinstance(error, openai.APIError) and not isinstance(error, openai.APIStatusError | openai.APIConnectionError):
        return within_a_stream(error)
    if isinstance(error, openai.APIStatusError) and error.status_code not in _OF_LANGCHAIN and error.status_code < 500:
        return of_status(error.status_code, str(error.message), retry_after(error.response.headers))
    try:
        if isinstance(error, openai.BadRequestError):
            _handle_openai_bad_request(error)
        elif isinstance(error, openai.APIError):
            try:
                raise error
            except openai.APIError as raised:
                _handle_openai_api_error(raised)
    except MISREAD:  # of the error's body
        return of_status(getattr(error, "status_code", 500), "")
    except (openai.APIError, ModelError) as found:
        return found
    return error


def unless_error(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer. Raises openai.APIError: it is an error, whatever its status was."""
    if answer.get("error") and not answer.keys() & {"choices", "data"}:
        raise error_event(answer["error"])
    return answer


def declined(error: openai.APIStatusError, message: str) -> Declined:
    """The error of a server that does not take what the platform adds to a request, however it is sent."""
    made: Any = Declined(message)
    made.body, made.response = error.body, error.response
    return cast("Declined", made)


def within_a_stream(error: openai.APIError) -> Exception:
    """The neutral error of an error event, which has no status: langchain-openai passes it on as the SDK's."""
    made: Any = of_event(error.code, error.message)
    made.body = error.body  # as the SDK's errors have it
    return cast("Exception", made)
