"""The aliases as OpenAI's list of models shows them."""

from typing import Any

from core.context import current
from providers.models import Models

#: Aliases have no date of their own; clients ask for one. The first of January 2026.
_CREATED = 1_767_225_600
_OWNER = "genai-platform"


def listed(models: Models) -> list[dict[str, Any]]:
    """Every alias that the request's principal can name; what is switched off says so."""
    return [
        {"id": state["alias"], "object": "model", "created": _CREATED, "owned_by": _OWNER, "kind": state["kind"]}
        | ({"killed": True} if models.is_killed(state["alias"]) else {})
        for state in models.states()
        if current().principal.may_use_model(state["alias"])
    ]
