"""What a failed model call means: the error that the caller would see, and whether another deployment may do better.

Provider packages raise langchain-core's neutral tree; a local server or an OpenAI-compatible one says more in the body.
Providers' own messages are not passed on: they can repeat the prompt or a part of a key.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
)

from core.errors import (
    ConnectionsBusy,
    ContentRefused,
    ContextLengthExceeded,
    DeadlineExceeded,
    InvalidRequest,
    Killed,
    PlatformError,
    ProviderFailed,
    RateLimited,
    Unavailable,
    UnsupportedFeature,
)
from providers import neutral, refusals, waits


class Kind(StrEnum):
    """Why a call failed. The first four are the caller's: only they are raised as they are.

    `DECLINED`: this deployment takes no such request, is switched off, or no connection to it is free, and another may take it;
    it is as well as before.
    """

    CONTEXT = "context_length"
    CONTENT = "content_refused"
    REQUEST = "invalid_request"
    UNSUPPORTED = "unsupported"
    DECLINED = "declined"
    RATE = "rate_limited"
    AUTH = "authentication"
    MISSING = "model_missing"
    SERVER = "server_error"
    CONNECTION = "connection"
    TIMEOUT = "timeout"
    CUT = "stream_cut"
    UNAVAILABLE = "unavailable"


CALLERS_OWN = frozenset({Kind.CONTEXT, Kind.CONTENT, Kind.REQUEST, Kind.UNSUPPORTED})
#: They say nothing of the deployment: a caller can bring them about.
HARMLESS = CALLERS_OWN | {Kind.DECLINED}
#: How often the same deployment may be called again after it: it may well answer a second time. A silent one has cost a
#: caller its whole limit already.
REPEATS = {Kind.SERVER: 4, Kind.CONNECTION: 4, Kind.CUT: 4, Kind.RATE: 4, Kind.TIMEOUT: 1}
#: An operator has to look at it.
ALARMING = frozenset({Kind.AUTH, Kind.MISSING})

_CONTEXT_TYPES = frozenset({"exceed_context_size_error", "context_length_exceeded"})
_CONTENT_CODES = frozenset({"content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation", "moderation_blocked"})


class StreamCut(Exception):
    """A provider's stream ended before its final marker."""


@dataclass(frozen=True, slots=True)
class Failure:
    """`error` is safe to show. `retry_after_s` is what the provider asked for, None where it did not."""

    kind: Kind
    error: PlatformError
    retry_after_s: float | None = None


def understand(error: Exception) -> Failure:
    """Sort an exception of a provider's call into a `Failure`. A programming error is none of them and is raised again."""
    if (failure := known(error)) is None:
        raise error
    return failure


def known(error: Exception) -> Failure | None:
    """The same; None for what is no error of a provider's call."""
    if isinstance(error, PlatformError):
        return Failure(_kind_of(error), error, error.retry_after_s)
    body = _body(error)
    named = {name for name in (body.get("type"), body.get("code")) if isinstance(name, str)}
    if isinstance(error, ContextOverflowError) or _is_too_long(error) or _CONTEXT_TYPES & named:
        return Failure(Kind.CONTEXT, _context_error(body))
    if _CONTENT_CODES & named:
        return Failure(Kind.CONTENT, neutral.refused(refusals.of_error(body) or _CONTENT_CODES & named))
    if isinstance(error, ModelInvalidRequestError):
        kind = Kind.DECLINED if isinstance(error, neutral.Declined) else Kind.REQUEST
        return Failure(kind, InvalidRequest(_refusal(body), code="provider_rejected_request"))
    if isinstance(error, ModelRateLimitError):
        wait = _retry_after(error)
        return Failure(Kind.RATE, RateLimited("The provider limits the rate of requests.", retry_after_s=wait), wait)
    found = next((kind for types, kind in _NEUTRAL if isinstance(error, types)), None)
    if found is None:
        status = getattr(error, "status_code", None)
        if isinstance(status, int):
            return known(neutral.of_status(status, ""))
        if not hasattr(error, "body"):
            return None
        found = Kind.SERVER  # an error event within a stream
    failed = ProviderFailed("The provider failed.", context={"reason": found, "error": type(error).__name__})
    return Failure(found, failed, _retry_after(error))


_NEUTRAL: tuple[tuple[tuple[type[BaseException], ...], Kind], ...] = (
    ((ModelAuthenticationError, ModelPermissionDeniedError), Kind.AUTH),
    ((ModelNotFoundError,), Kind.MISSING),
    ((ModelTimeoutError, TimeoutError), Kind.TIMEOUT),
    ((StreamCut,), Kind.CUT),
    ((ModelConnectionError, OSError), Kind.CONNECTION),
    ((ModelAPIError,), Kind.SERVER),
)


def _kind_of(error: PlatformError) -> Kind:
    known: tuple[tuple[type[PlatformError], Kind], ...] = (
        (ContextLengthExceeded, Kind.CONTEXT),
        (ContentRefused, Kind.CONTENT),
        (UnsupportedFeature, Kind.UNSUPPORTED),
        (InvalidRequest, Kind.REQUEST),
        (Killed, Kind.DECLINED),
        (RateLimited, Kind.RATE),
        (DeadlineExceeded, Kind.TIMEOUT),
        (ConnectionsBusy, Kind.DECLINED),
        (Unavailable, Kind.UNAVAILABLE),
    )
    return next((kind for cls, kind in known if isinstance(error, cls)), Kind.SERVER)


def _body(error: Exception) -> dict[str, Any]:
    body = getattr(error, "body", None)
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        body = body["error"]
    return body if isinstance(body, dict) else {}


def _context_error(body: dict[str, Any]) -> ContextLengthExceeded:
    prompt, window = body.get("n_prompt_tokens"), body.get("n_ctx")
    if isinstance(prompt, int) and isinstance(window, int):
        return ContextLengthExceeded(f"The input has {prompt} tokens; the model's context holds {window}.")
    return ContextLengthExceeded("The input is longer than the model's context.")


def _refusal(body: dict[str, Any]) -> str:
    """What is safe of a provider's 400: its code and the parameter's name, never its message."""
    details = [f"{name} {value}" for name in ("code", "param") if isinstance(value := body.get(name), str) and len(value) < 80]
    return "The provider rejected the request" + (f" ({', '.join(details)})." if details else ".")


def _retry_after(error: Exception) -> float | None:
    """What the provider asked for, at most a day."""
    wait = getattr(error, "retry_after_s", None)
    if wait is None:
        wait = waits.retry_after(getattr(getattr(error, "response", None), "headers", None) or {})
    return wait if wait is not None and 0 <= wait < waits.LONGEST_WAIT_S else None


def _is_too_long(error: Exception) -> bool:
    return isinstance(error, ModelInvalidRequestError) and neutral.is_too_long(str(error))
