"""What opens the places of sources: which secrets make a credential, of which kind of place."""

from collections.abc import Mapping
from typing import Any

from core.credential_forms import checked_secrets
from core.errors import InvalidRequest

#: By scheme of a bucket: whose forms of credentials its are.
_FORMS = {"s3": "bedrock", "gs": "vertex"}
_AZURE = ({"account_key"}, {"sas_token"})
_LONGEST = 4096


def checked(kind: str, location: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, str]:
    """The secrets as they are kept.

    Raises:
        InvalidRequest: `invalid_credential`: they open no place of this kind. The message shows none of them.
    """
    scheme = str(location.get("url", "")).partition("://")[0] if kind == "blobs" else ""
    if scheme in _FORMS and "api_key" not in secrets:
        return checked_secrets(_FORMS[scheme], secrets)
    fits = scheme == "az" and set(secrets) in _AZURE
    if not fits or not all(0 < len(value) <= _LONGEST and value.isprintable() for value in secrets.values()):
        raise InvalidRequest(
            "A bucket of S3 is opened with access_key_id and secret_access_key, one of Google with service_account, one of "
            "Azure with account_key or sas_token; other sources with nothing.",
            code="invalid_credential",
            param="secrets",
        )
    return dict(secrets)
