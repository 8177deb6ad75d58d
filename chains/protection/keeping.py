"""Kept conversations under a tenant's policies: what of them may go into a prompt, pseudonyms that last as long as a session,
and what is written down."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from chains.conversations import KeptMessage, Reading
from chains.prompting import own_words
from chains.protection.guarding import ask
from chains.protection.inputs import written_in
from chains.protection.protection import refuse_blocked
from chains.spec import ChainDeps
from core.context import current
from core.errors import GuardBlocked, PersonalDataBlocked
from core.policies.policy import PIIMode, Place, Side
from core.policies.privacy import Passing, record_of
from core.policies.retention import keeps_nothing, refuse_keeping
from providers.models import DEFAULT

#: Stands for a message that may not be written down.
_WITHHELD: Final = "<WITHHELD>"
#: Guards that a message is known to have passed, at most: a session may be gone on with under other aliases.
_REMEMBERED: Final = 16


class History:
    """A session's messages as one run recalls them. `reread` are those that guards have read in it."""

    def __init__(self, deps: ChainDeps, kept: Sequence[KeptMessage]) -> None:
        self._deps = deps
        self._kept = {id(each.message): each for each in kept}
        self.messages = [each.message for each in kept]
        self.reread: list[KeptMessage] = []

    async def admit(self, sent: Sequence[Any], alias: str | None) -> None:
        """Have those of the messages that are sent judged as what a caller writes is: the policies may be newer than they are.
        A guard reads each message once for as long as it is set in the same way.

        Raises:
            GuardBlocked, PersonalDataBlocked
        """
        standing = self._deps.guards.posted(Side.INPUTS, alias or DEFAULT)
        keys = frozenset(each.key for each in standing)
        for message in sent:
            given, kept = written_in(message), self._kept[id(message)]
            await refuse_blocked(self._deps.models.privacy, given)
            unread = [each for each in standing if each.key not in kept.passed]
            if not unread:
                continue
            try:
                await ask(unread, given.said, Side.INPUTS, beside=given.beside(frozenset(own_words())))
            except GuardBlocked as error:
                text = f"{error.message} What it objects to is kept under this session: go on under another session_id."
                raise GuardBlocked(text) from error
            passed = kept.passed | keys
            self.reread.append(replace(kept, passed=passed if len(passed) <= _REMEMBERED else keys))


async def recalled(deps: ChainDeps, session_id: str) -> History:
    """The session's messages. Its pseudonyms hold for the rest of the run, so that a value keeps its own.

    Raises:
        InvalidRequest: `nothing_kept`: a request of which nothing is kept has no session.
        Forbidden: `session_not_allowed`: collections were asked in it that the key is not for.
    """
    principal = current().principal
    refuse_keeping(deps.models.policies, current(), "it cannot belong to a session", "session_id")
    if deps.models.policies.of(principal.tenant).handles_pii:
        record_of(current()).take_up(await deps.conversations.privacy(principal, session_id))
    return History(deps, await deps.conversations.recall(principal, session_id))


async def keep(
    deps: ChainDeps,
    session_id: str,
    history: History,
    *,
    said: Sequence[Any],
    answer: Any,
    collection: str | None = None,
    cited: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Add what the caller said and the answer to the session, whose `history` was recalled, as the rules for what is written
    down say, and the pseudonyms of the run. Which guards have read what of the session is kept as well.
    `collection` is the one that was asked, `cited` the places in documents that the answer stands on."""
    request = current()
    if keeps_nothing(deps.models.policies, request):  # decided meanwhile
        return
    modes = deps.models.privacy.modes(Place.LOGS)
    messages = [*said, answer]
    written = list(messages)
    if modes:
        passing = deps.models.privacy.passing(modes, first=Place.LOGS)
        written = [await _written(passing, message) for message in messages]
        passing.told()
    renames = PIIMode.PSEUDONYMISE in modes.get(Place.LOGS, {}).values()
    unchanged = [message == original for message, original in zip(written[:-1], said, strict=True)]
    await deps.conversations.append(
        request.principal,
        session_id,
        written,
        capability=request.capability or "chat",
        privacy=request.privacy,
        renames=renames,
        read=Reading(
            passed=[*(request.passed if same else frozenset[str]() for same in unchanged), frozenset[str]()],
            reread=history.reread,
        ),
        collection=collection,
        sources=sorted({str(one["document_id"]) for one in cited}),
        cited=cited,
    )


async def _written(passing: Passing, message: Any) -> Any:
    try:
        news: dict[str, Any] = {}
        if isinstance(message.content, str):
            news["content"] = await passing.text(message.content)
        else:
            texts = iter(await passing.parts([part.text for part in message.content if hasattr(part, "text")]))
            news["content"] = [
                part.model_copy(update={"text": next(texts)}) if hasattr(part, "text") else part for part in message.content
            ]
        if calls := getattr(message, "tool_calls", None):
            news["tool_calls"] = [call.model_copy(update={"args": await passing.value(call.args)}) for call in calls]
    except PersonalDataBlocked:
        news = {"content": _WITHHELD} | ({"tool_calls": []} if hasattr(message, "tool_calls") else {})
    return message.model_copy(update=news)
