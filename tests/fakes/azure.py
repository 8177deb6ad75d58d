"""A loopback Azure OpenAI: OpenAI's protocol under deployment paths, Azure's filter, and App Service's managed identity."""

from collections.abc import Mapping
from typing import Any, ClassVar

from aiohttp import web

from tests.fakes.openai import Errors, OpenAIFake
from tests.fakes.wire import Fault, Reply, Sent

TOKEN = "entra-token"
_FILTER = {"hate": {"filtered": False, "severity": "safe"}, "violence": {"filtered": True, "severity": "high"}}


class AzureFake(OpenAIFake):
    """Answers at `url`."""

    errors: ClassVar[Errors] = {
        **OpenAIFake.errors,
        Fault.RATE: (429, "429", "Requests have exceeded the token rate limit of your current pricing tier."),
        Fault.RATE_BARE: (429, "429", "Requests have exceeded the token rate limit of your current pricing tier."),
        Fault.SERVER: (500, "InternalServerError", "The server had an error while processing your request."),
        Fault.UNAVAILABLE: (503, "ServiceUnavailable", "The service is temporarily unable to process your request."),
        Fault.CREDENTIAL: (401, "401", "Access denied due to invalid subscription key or wrong API endpoint."),
        Fault.FORBIDDEN: (403, "403", "Access denied due to Virtual Network/Firewall rules."),
        Fault.MISSING: (404, "DeploymentNotFound", "The API deployment for this resource does not exist."),
        Fault.INVALID: (400, "BadRequest", "Unrecognized request argument."),
        Fault.REFUSED: (400, "content_filter", "The response was filtered due to the prompt triggering the content policy."),
    }

    def is_aside(self, sent: Sent) -> bool:
        return sent.path == "/msi/token"

    def aside(self, sent: Sent) -> web.Response:
        return web.json_response({"access_token": TOKEN, "expires_on": "4102444800", "resource": sent.query["resource"]})

    def error(self, fault: Fault, code: str, message: str) -> dict[str, Any]:
        error: dict[str, Any] = {"code": code, "message": message}
        if fault is Fault.REFUSED:
            error["innererror"] = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": _FILTER}
        return error

    def answered(self, reply: Reply, body: Mapping[str, Any]) -> dict[str, Any]:
        answer = super().answered(reply, body) | {"model": "gpt-4o-2024-11-20"}
        if reply.finish == "content_filter":
            for choice in answer["choices"]:
                choice["content_filter_results"] = _FILTER
        return answer

    def streamed(self, reply: Reply, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The first event is Azure's own, with the filter's results and no choice."""
        events = [event | {"model": "gpt-4o-2024-11-20"} for event in super().streamed(reply, body)]
        for choice in (choice for event in events for choice in event["choices"]):
            if choice["finish_reason"] == "content_filter":
                choice["content_filter_results"] = _FILTER
        return [{**events[0], "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}, *events]
