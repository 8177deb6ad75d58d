"""One event before it has its place in a chain, made from the context in which it happened."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.audit.actions import Action, Outcome
from core.context import current
from core.database import utc_now
from core.principals import Principal
from core.redaction import credentials

#: What a detail may be. Never a prompt, a key, or what names a person: identifiers do.
Detail = str | int | bool | None | list[str]
_MOST_CHARACTERS = 500
_MOST_DETAILS = 30


@dataclass(frozen=True, slots=True)
class Event:
    """What happened. `on` is the type and the identifier of the object."""

    tenant: str
    at: datetime
    action: Action
    outcome: Outcome
    actor: str
    key_id: str | None
    on: tuple[str, str] | None
    address: str | None
    request_id: str | None
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Who:
    """Who did it, where that is not the principal of the request. `tenant` names the chain; None is the principal's."""

    principal: Principal | None = None
    tenant: str | None = None


def happened(
    action: Action, outcome: Outcome, on: tuple[str, str] | None, details: Mapping[str, Detail] | None, who: Who
) -> Event:
    """The event, now. What looks like a credential is taken out of every text; what is endless, or cannot be stored, is cut."""
    request = current()
    principal = who.principal or request.principal
    return Event(
        tenant=who.tenant or principal.tenant,
        at=utc_now(),
        action=action,
        outcome=outcome,
        actor=_clean(principal.id, 64),
        key_id=None if principal.key_id is None else _clean(principal.key_id, 64),
        on=None if on is None else (_clean(on[0], 64), _clean(on[1], 200)),
        address=None if request.address is None else _clean(request.address, 64),
        request_id=None if request.request_id == "-" else _clean(request.request_id, 64),
        details={_clean(name, 64): _detail(value) for name, value in list((details or {}).items())[:_MOST_DETAILS]},
    )


def _detail(value: Detail) -> Detail:
    if isinstance(value, list):
        return [_clean(str(item), _MOST_CHARACTERS) for item in value[:_MOST_DETAILS]]
    return _clean(value, _MOST_CHARACTERS) if isinstance(value, str) else value


def _clean(text: str, most: int) -> str:
    text = "".join(character for character in text[: 4 * most] if character.isprintable())
    for found in sorted(credentials.find(text), key=lambda found: found.start, reverse=True):
        text = text[: found.start] + "…" + text[found.end :]
    return text[:most]
