"""The errors that callers see, in one tree.

PlatformError
├── InvalidRequest                422  invalid_request (and narrower codes)
│   ├── ContextLengthExceeded     422  context_length_exceeded
│   ├── UnsupportedFeature        422  unsupported_feature
│   ├── UnreadableFile            422  unreadable_file (and narrower codes)
│   └── PluginUnavailable         422  plugin_unavailable (and narrower codes)
├── MalformedJSON                 400  malformed_json
├── Unauthenticated               401  unauthenticated
├── BudgetExceeded                402  budget_exceeded
├── Forbidden                     403  forbidden
├── NotFound                      404  not_found (and narrower codes)
├── Conflict                      409  conflict (and narrower codes)
├── TooLarge                      413  too_large (and narrower codes)
├── UnsupportedMediaType          415  unsupported_media_type
├── RateLimited                   429  rate_limited (and narrower codes)
├── ContentRefused                422  content_refused
├── PolicyRefused                 422  policy_refused
│   ├── PersonalDataBlocked       422  pii_blocked
│   ├── GuardBlocked              422  guard_blocked
│   ├── DataPolicyRefused         403  data_policy
│   └── Killed                    403  killed
├── Internal                      500  internal_error
├── DecryptionFailed              500  decryption_failed
├── ProviderFailed                502  provider_failed
├── Unavailable                   503  unavailable (and narrower codes)
│   └── ConnectionsBusy           503  provider_connections_busy
└── DeadlineExceeded              504  deadline_exceeded

A subclass is made for what code must tell apart; a narrower `code` for what only callers tell apart.
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class PlatformError(Exception):
    """A failure with a stable code and a message that is safe to show.

    `message` must never hold a prompt, a key or personal data. `context` is for the log alone and is never sent.
    `retry_after_s` becomes the `Retry-After` header; None leaves it out.
    """

    code: str = "internal_error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.param = param
        self.retry_after_s = retry_after_s
        self.context = dict(context or {})

    def body(self, request_id: str | None = None) -> dict[str, dict[str, Any]]:
        """The error shape of the public contract: `{"error": {"code", "message", "request_id"[, "param"]}}`."""
        error: dict[str, Any] = {"code": self.code, "message": self.message, "request_id": request_id}
        if self.param is not None:
            error["param"] = self.param
        return {"error": error}


class InvalidRequest(PlatformError):
    """What was sent is understood and cannot be done; sent again it fails again."""

    code, status = "invalid_request", 422


class ContextLengthExceeded(InvalidRequest):
    """The prompt, with the answer it asks for, is longer than the model's context."""

    code = "context_length_exceeded"


class UnsupportedFeature(InvalidRequest):
    """The model or deployment cannot do what was asked (tools, images, fill in the middle)."""

    code = "unsupported_feature"


class UnreadableFile(InvalidRequest):
    """A caller's file that cannot be used. Narrower codes: `empty_file`, `encrypted_file`, `corrupt_file`,
    `unsupported_file_type`, `legacy_format`, `file_too_complex`, `image_too_large`, `no_text_found`, `chunk_too_large`."""

    code = "unreadable_file"


class PluginUnavailable(InvalidRequest):
    """A plugin of an installed package that cannot be loaded, or made. Narrower code: `metric_unavailable`."""

    code = "plugin_unavailable"


class ContentRefused(InvalidRequest):
    """The provider refused the content by its policy."""

    code = "content_refused"


class PolicyRefused(PlatformError):
    """A tenant's policy does not let this happen: no step on the way to an answer does without it and goes on."""

    code, status = "policy_refused", 422


class PersonalDataBlocked(PolicyRefused):
    """Personal data of a type that must not pass. The message names types and place, never what was found."""

    code = "pii_blocked"


class GuardBlocked(PolicyRefused):
    """A guard found what it is there to stop. The message names the guard, never what it read."""

    code = "guard_blocked"


class DataPolicyRefused(PolicyRefused):
    """No deployment of the alias may see the tenant's data."""

    code, status = "data_policy", 403


class Killed(PolicyRefused):
    """An administrator has switched off the model, its providers, or the tenant's use of models. Asking again does not help, so
    no client is told to."""

    code, status = "killed", 403


class MalformedJSON(PlatformError):
    """The body is not JSON, or JSON that no caller means (nested too deep, lone surrogates)."""

    code, status = "malformed_json", 400


class Unauthenticated(PlatformError):
    """No credential, or one that is unknown, expired or revoked: these are not told apart."""

    code, status = "unauthenticated", 401


class BudgetExceeded(PlatformError):
    """There is no room for the request in a budget that it falls under. Narrower code: `budget_unpriced`, no price is known for
    what would be called, and the budget is in dollars."""

    code, status = "budget_exceeded", 402


class Forbidden(PlatformError):
    """A good credential without the scope that the route asks for."""

    code, status = "forbidden", 403


class NotFound(PlatformError):
    """Narrower codes: `collection_not_found`, `document_not_found`, `job_not_found`, `model_not_found`,
    `session_not_found`, `key_not_found`, `credential_not_found`,
    `kill_switch_not_found`."""

    code, status = "not_found", 404


class Conflict(PlatformError):
    """Narrower codes: `already_exists`, `idempotency_in_progress`, `store_not_shareable`."""

    code, status = "conflict", 409


class TooLarge(PlatformError):
    """Narrower codes: `body_too_large`, `batch_too_large`, `text_too_large`."""

    code, status = "too_large", 413


class UnsupportedMediaType(PlatformError):
    """The request's `Content-Type` is not one that the route reads."""

    code, status = "unsupported_media_type", 415


class RateLimited(PlatformError):
    """Narrower codes: `queue_full` (a bounded queue: the local model's, the search for personal data),
    `request_over_rate_limit` (it alone asks for more than a window has)."""

    code, status, retryable = "rate_limited", 429, True


class Internal(PlatformError):
    """Our own mistake. The cause is in the log under the request id, never in the answer."""

    code, status = "internal_error", 500


class DecryptionFailed(PlatformError):
    """What is stored was changed, was moved from the place it was sealed for, or its key is missing. Never taken for
    nothing."""

    code, status = "decryption_failed", 500


class ProviderFailed(PlatformError):
    """Every deployment of the alias failed; the last reason is in `context`."""

    code, status, retryable = "provider_failed", 502, True


class Unavailable(PlatformError):
    """Narrower codes: `starting`, `server_stopping`, `queue_unavailable`, `store_unavailable`, `keys_unavailable`."""

    code, status, retryable = "unavailable", 503, True


class ConnectionsBusy(Unavailable):
    """All of the platform's own connections to a provider are in use, which says nothing of the provider."""

    code = "provider_connections_busy"


class DeadlineExceeded(PlatformError):
    """The deadline `timeouts.total` passed before the answer was whole."""

    code, status, retryable = "deadline_exceeded", 504, True
