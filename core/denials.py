"""Rights that a good credential lacks: each refusal is made here, and is on record by that, whoever raises it and shows it."""

from collections.abc import Iterable, Mapping

from core import audit
from core.errors import Forbidden
from core.principals import Principal, Scope


def lacks(principal: Principal, *scopes: Scope, act: str = "do that") -> Forbidden:
    """To raise where the principal has none of the scopes (`forbidden`)."""
    needed = " or ".join(scope.value for scope in scopes)
    audit.note(audit.Action.SCOPE_DENIED, on=("scope", needed), principal=principal)
    return Forbidden(f"This key may not {act}: it lacks the scope {needed}.")


def more_than_own(principal: Principal, wanted: Iterable[str], text: str) -> Forbidden:
    """To raise where the principal would give, make or change what can do more than they (`more_than_own`). `wanted` names the
    scopes and limits that they lack; `text` is what the caller is told."""
    note_beyond(principal, wanted)
    return Forbidden(text, code="more_than_own")


def barred(
    principal: Principal, text: str, *, code: str, param: str | None = None, details: Mapping[str, audit.Detail] | None = None
) -> Forbidden:
    """To raise where it is no scope that is lacking: another kind of credential is asked for (`sign_in_needed`), or it is for
    other models or collections. On record by its `code`."""
    audit.note(audit.Action.SCOPE_DENIED, on=("scope", code), details=details, principal=principal)
    return Forbidden(text, code=code, param=param)


def shown_a_token(principal: Principal, does_not: str) -> Forbidden:
    """To raise where a token was shown, and what is asked for would go on when the token's family has ended
    (`sign_in_needed`). `does_not` says what of it: "makes no keys"."""
    return barred(principal, f"Sign in, or show a key: a token {does_not}.", code="sign_in_needed")


def note_beyond(principal: Principal, wanted: Iterable[str]) -> None:
    """Put on record that more is wanted than the principal has, where the refusal has a shape of its own."""
    details: dict[str, audit.Detail] = {"wanted": ", ".join(wanted)}
    audit.note(audit.Action.SCOPE_DENIED, on=("scope", "more_than_own"), details=details, principal=principal)


def comes_from_elsewhere(principal: Principal, address: str | None) -> bool:
    """Whether a good key may not be used from there, which is put on record."""
    if principal.may_come_from(address):
        return False
    on = None if principal.key_id is None else ("key", principal.key_id)
    audit.note(audit.Action.NETWORK_DENIED, on=on, principal=principal)
    return True
