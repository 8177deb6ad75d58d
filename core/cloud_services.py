"""Small calls to the clouds' key and secret services, over their documented REST APIs: who we are, and one request.

Only what an operator has configured is called. Calls block, are made at the start and at rare moments after it, and never
carry a secret in an address or an error.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from core.settings import usual_variable
from core.transport.plaintext import is_here
from core.transport.trust import outward_context

#: Seconds. They answer within tenths of one, and a request waits for them.
_CONNECT_S, _READ_S = 3, 5
_TIMEOUT = httpx.Timeout(_READ_S, connect=_CONNECT_S)
_GOOGLE_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)


class ServiceFailed(Exception):
    """A service that does not answer, or refuses. `status` is None where there was no answer; the message holds no secret."""

    def __init__(self, why: str, status: int | None = None) -> None:
        super().__init__(why)
        self.status = status


def call(method: str, url: str, headers: Mapping[str, str], body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The JSON object that the service answers with. No redirect is followed.

    Raises:
        ServiceFailed: no answer, a refusal, or what is no JSON object.
    """
    check_address(url)
    try:
        with httpx.Client(verify=outward_context(), timeout=_TIMEOUT, follow_redirects=False) as client:
            answer = client.request(method, url, headers=dict(headers), json=None if body is None else dict(body))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ServiceFailed(f"{urlsplit(url).netloc} cannot be reached ({type(error).__name__})") from error
    if answer.status_code != 200:
        raise ServiceFailed(f"{urlsplit(url).netloc} answers {answer.status_code}", answer.status_code)
    try:
        found = answer.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ServiceFailed(f"{urlsplit(url).netloc} answers with what is no JSON object")
    return found


def check_address(url: str) -> None:
    """Raises ServiceFailed: it is no https address, and not of this machine either: secrets would travel in the clear."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError as error:
        raise ServiceFailed("the address is none") from error
    if not host or (parts.scheme != "https" and not (parts.scheme == "http" and is_here(host))):
        raise ServiceFailed("the address must begin with https://")


def google_headers() -> dict[str, str]:
    """A token of Google's usual chain. Raises ServiceFailed: there is no credential, or no token for it."""
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import Request

    try:
        credentials = _google_credentials()
        if not credentials.valid:
            credentials.refresh(Request())
    except GoogleAuthError as error:
        raise ServiceFailed(f"Google gives no token ({type(error).__name__})") from error
    return {"authorization": f"Bearer {credentials.token}"}


def google_address(service: str) -> str:
    """`https://cloudkms.googleapis.com`, or where gcloud's own variable puts it."""
    override = usual_variable(f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{service.upper()}")
    return (override or f"https://{service}.googleapis.com").rstrip("/")


def azure_headers(scope: str) -> dict[str, str]:
    """A token of Azure's usual chain. Raises ServiceFailed: there is no credential, or no token for it."""
    from azure.core.exceptions import AzureError

    try:
        token = _azure_credential().get_token(scope)
    except AzureError as error:
        raise ServiceFailed(f"Entra ID gives no token ({type(error).__name__})") from error
    return {"authorization": f"Bearer {token.token}"}


def vault_address() -> str:
    """Raises ServiceFailed: Vault's variable for its address is not set."""
    address = usual_variable("VAULT_ADDR")
    if not address:
        raise ServiceFailed("VAULT_ADDR is not set")
    return address.rstrip("/")


def vault_headers() -> dict[str, str]:
    """The token of `VAULT_TOKEN`, else of the file that `vault login` or the agent writes. Raises ServiceFailed: neither."""
    token = usual_variable("VAULT_TOKEN")
    if not token:
        try:
            token = Path("~/.vault-token").expanduser().read_text(encoding="ascii").strip()
        except (OSError, ValueError, RuntimeError) as error:
            raise ServiceFailed("there is no VAULT_TOKEN and no ~/.vault-token") from error
    namespace = usual_variable("VAULT_NAMESPACE")
    return {"x-vault-token": token} | ({"x-vault-namespace": namespace} if namespace else {})


def aws_client(service: str, *, arn: str | None = None, address: str | None = None) -> Any:
    """A client of AWS's usual chain, in the region of `arn` or of the usual variables. `AWS_ENDPOINT_URL_…` is heeded.

    Raises:
        ServiceFailed: no region, a profile that is not there, or an address that is not https.
    """
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError
    from botocore.session import get_session

    parts = (arn or "").split(":")
    region = (parts[3] if len(parts) > 5 else None) or usual_variable("AWS_REGION", "AWS_DEFAULT_REGION")
    config = Config(connect_timeout=_CONNECT_S, read_timeout=_READ_S, retries={"total_max_attempts": 2, "mode": "standard"})
    try:
        client = get_session().create_client(service, region_name=region, endpoint_url=address, config=config)
    except BotoCoreError as error:
        raise ServiceFailed(f"AWS is not configured ({type(error).__name__})") from error
    check_address(client.meta.endpoint_url)  # its variables and profiles may name another than AWS's own
    return client


@lru_cache(maxsize=1)
def _google_credentials() -> Any:
    import google.auth

    return google.auth.default(scopes=_GOOGLE_SCOPES)[0]


@lru_cache(maxsize=1)
def _azure_credential() -> Any:
    from azure.identity import DefaultAzureCredential

    return DefaultAzureCredential()
