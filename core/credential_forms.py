"""What a provider's credential is made of: which secrets go together, and what of the account's address may stand beside them.

An address is the operator's to give. Others may name their Azure resource, by its host in Microsoft's domains alone: the
platform must not be led into its own network.
"""

import json
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from core import denials
from core.errors import InvalidRequest
from core.keys import key_hint
from core.principals import Principal, Scope
from core.shown_names import shown

#: What of a provider's settings is a secret that may be kept here.
SECRET_NAMES = ("api_key", "access_key_id", "secret_access_key", "session_token", "service_account")
#: And what belongs to the account that it is for.
OPTION_NAMES = ("base_url", "project", "region", "api_version")
_LONGEST_SECRET: Final = 16 * 2**10
_KEY, _PAIR = frozenset({"api_key"}), frozenset({"access_key_id", "secret_access_key"})
#: By kind of provider, which secrets make one credential. A kind that is not named, a plugin's, takes any.
_TOGETHER: Final[Mapping[str, tuple[frozenset[str], ...]]] = {
    "openai": (_KEY,),
    "openai_compatible": (_KEY,),
    "azure": (_KEY,),
    "vertex": (_KEY, frozenset({"service_account"})),
    "bedrock": (_KEY, _PAIR, _PAIR | {"session_token"}),
}
_OPTIONS: Final = {
    "project": re.compile(r"[a-z0-9][a-z0-9:.-]{0,99}"),
    "region": re.compile(r"[a-z0-9][a-z0-9-]{0,39}"),
    "api_version": re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,39}"),
}
_HOST: Final = re.compile(r"[A-Za-z0-9.:-]{1,253}")
_AZURE_HOSTS: Final = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")
#: Google's own: a key file that named another address would have the platform call it.
_GOOGLE_TOKENS: Final = "https://oauth2.googleapis.com/token"
_GOOGLE_FIELDS: Final = ("project_id", "private_key_id", "private_key", "client_email", "client_id")


def checked_secrets(provider: str, secrets: Mapping[str, str]) -> dict[str, str]:
    """The secrets as they are kept.

    Raises:
        InvalidRequest: `invalid_credential`: they make no credential of this provider. The message shows none of them.
    """
    names = ", ".join(SECRET_NAMES)
    if not secrets or any(name not in SECRET_NAMES for name in secrets):
        raise _invalid(f"A credential has one or more of {names}.")
    if not all(
        0 < len(value) <= _LONGEST_SECRET and value.isprintable()
        for name, value in secrets.items()
        if name != "service_account"
    ):
        raise _invalid("A secret is empty, longer than any is, or holds characters that none has.")
    together = _TOGETHER.get(provider.partition(":")[0])
    if together is not None and frozenset(secrets) not in together:
        ways = "; or ".join(", ".join(sorted(each)) for each in together)
        raise _invalid(f"A credential of this provider is: {ways}.")
    return {name: _service_account(value) if name == "service_account" else value for name, value in secrets.items()}


def checked_options(provider: str, options: Mapping[str, str], principal: Principal) -> dict[str, str]:
    """What stands beside the secrets.

    Raises:
        InvalidRequest: `invalid_credential`.
        Forbidden: an address that only an operator may give.
    """
    if unknown := sorted(set(options) - set(OPTION_NAMES)):
        raise _invalid(f"A credential has no option {shown(unknown[0])!r}.")
    for name, form in _OPTIONS.items():
        if name in options and not form.fullmatch(options[name]):
            raise _invalid(f"That is no {name.replace('_', ' ')}.")
    if "base_url" in options:
        _check_address(provider, options["base_url"], principal)
    return dict(options)


def hint_of(secrets: Mapping[str, str]) -> str:
    """What tells credentials apart in a list."""
    if "service_account" in secrets:
        return str(json.loads(secrets["service_account"])["client_email"])[:15] + "…"
    return key_hint(next(secrets[name] for name in SECRET_NAMES if name in secrets))


def project_of(secrets: Mapping[str, str]) -> str | None:
    """The project that a credential says it is for."""
    named = json.loads(secrets["service_account"]).get("project_id") if "service_account" in secrets else None
    return None if named is None else str(named)


def _check_address(provider: str, address: str, principal: Principal) -> None:
    try:
        parts = urlsplit(address)
        host, well = parts.hostname or "", parts.scheme in ("http", "https") and parts.username is None and parts.port != 0
    except ValueError:
        raise _invalid("That is no address.") from None
    if (
        not _HOST.fullmatch(host)
        or not well
        or parts.query
        or parts.fragment
        or len(address) > 500
        or not address.isprintable()
    ):
        raise _invalid("The address begins with https:// and has neither a user nor a query.")
    if principal.may(Scope.PROVIDERS_MANAGE):
        return
    own = provider.partition(":")[0] == "azure" and parts.scheme == "https" and parts.port in (None, 443)
    if not own or not host.endswith(_AZURE_HOSTS):
        text = "Only the platform's operator gives a provider's address; an Azure resource is https://NAME.openai.azure.com."
        raise denials.barred(principal, text, code="forbidden", details={"wanted": Scope.PROVIDERS_MANAGE.value})


def _service_account(value: str) -> str:
    """Google's key file with what is needed of it."""
    try:
        given = json.loads(value) if len(value) <= _LONGEST_SECRET else None
    except ValueError:
        given = None
    kept = {name: given[name] for name in _GOOGLE_FIELDS if isinstance(given.get(name), str)} if isinstance(given, dict) else {}
    if (
        not isinstance(given, dict)
        or given.get("type") != "service_account"
        or not {"private_key", "client_email"} <= set(kept)
    ):
        raise _invalid("service_account is the JSON key file of a Google service account.")
    return json.dumps({"type": "service_account", "token_uri": _GOOGLE_TOKENS, **kept})


def _invalid(message: str) -> InvalidRequest:
    return InvalidRequest(message, code="invalid_credential", param="secrets")
