"""Kept conversations under a tenant's policies: pseudonyms that last as long as a session, and what is written down of it."""

from collections.abc import Sequence
from typing import Any, Final

from chains.spec import ChainDeps
from core.context import current
from core.errors import PersonalDataBlocked
from core.policies.policy import PIIMode, Place
from core.policies.privacy import Passing, record_of
from core.policies.retention import keeps_nothing, refuse_keeping

#: Stands for a message that may not be written down.
_WITHHELD: Final = "<WITHHELD>"


async def recalled(deps: ChainDeps, session_id: str) -> list[Any]:
    """The session's messages. Its pseudonyms hold for the rest of the run, so that a value keeps its own.

    Raises:
        InvalidRequest: `nothing_kept`: a request of which nothing is kept has no session.
    """
    principal = current().principal
    refuse_keeping(deps.models.policies, current(), "it cannot belong to a session", "session_id")
    if deps.models.policies.of(principal.tenant).handles_pii:
        record_of(current()).take_up(await deps.conversations.privacy(principal, session_id))
    return await deps.conversations.history(principal, session_id)


async def keep(deps: ChainDeps, session_id: str, messages: Sequence[Any]) -> None:
    """Add messages to the session as the rules for what is written down say, and the pseudonyms of the run."""
    request = current()
    if keeps_nothing(deps.models.policies, request):  # decided meanwhile
        return
    modes = deps.models.privacy.modes(Place.LOGS)
    written = list(messages)
    if modes:
        passing = deps.models.privacy.passing(modes, first=Place.LOGS)
        written = [await _written(passing, message) for message in messages]
        passing.told()
    renames = PIIMode.PSEUDONYMISE in modes.get(Place.LOGS, {}).values()
    capability = request.capability or "chat"
    await deps.conversations.append(
        request.principal, session_id, written, capability=capability, privacy=request.privacy, renames=renames
    )


async def _written(passing: Passing, message: Any) -> Any:
    try:
        news: dict[str, Any] = {}
        if isinstance(message.content, str):
            news["content"] = await passing.text(message.content)
        else:
            parts = [
                part.model_copy(update={"text": await passing.text(part.text)}) if hasattr(part, "text") else part
                for part in message.content
            ]
            news["content"] = parts
        if calls := getattr(message, "tool_calls", None):
            news["tool_calls"] = [call.model_copy(update={"args": await passing.value(call.args)}) for call in calls]
    except PersonalDataBlocked:
        news = {"content": _WITHHELD} | ({"tool_calls": []} if hasattr(message, "tool_calls") else {})
    return message.model_copy(update=news)
