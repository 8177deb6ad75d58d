"""Google Secret Manager: `gcp:projects/P/secrets/S/versions/latest[#field]`
(cloud.google.com/secret-manager/docs/reference/rest)."""

import base64

from core.cloud_services import call, google_address, google_headers
from core.secret_managers.references import SecretMissing


def from_secret_manager(identifier: str) -> str:
    """The text of a secret's version. Credentials are Google's usual ones."""
    answer = call("GET", f"{google_address('secretmanager')}/v1/{identifier.strip('/')}:access", google_headers())
    try:
        return base64.b64decode(answer["payload"]["data"], validate=True).decode()
    except (KeyError, TypeError, ValueError) as error:
        raise SecretMissing("the secret is no text") from error
