"""Access to Google Cloud: credentials, project and address of Vertex AI.

Credentials, first found: `api_key` (an access token, as a gateway in front of Vertex AI takes it), `service_account` (its key
file), then Google's own chain
(`GOOGLE_APPLICATION_CREDENTIALS`, gcloud's login, workload identity, the metadata server).
"""

import json
import threading
from functools import partial
from typing import TYPE_CHECKING

from langchain_core.exceptions import ModelAuthenticationError, ModelConnectionError

from core.settings import ProviderSettings, usual_variable
from providers.joined_work import JoinedWork
from providers.neutral import not_configured

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_DEFAULT_REGION = "us-central1"
#: Seconds that Google's token server may be silent; google-auth would wait for 120.
SILENT_S = 5.0


class GoogleAccess:
    """Shared by all models of a provider; safe in threads. Nothing is read or asked before it is needed."""

    def __init__(self, configured: ProviderSettings) -> None:
        self._configured = configured
        self._lock = threading.Lock()
        self._renewing: JoinedWork[None] = JoinedWork("google-token")
        self._found: tuple[Credentials, str | None] | None = None

    @property
    def region(self) -> str:
        return self._configured.region or usual_variable("GOOGLE_CLOUD_LOCATION", "GOOGLE_CLOUD_REGION") or _DEFAULT_REGION

    @property
    def endpoint(self) -> str:
        """The address without a slash at its end; the region `global` has no prefix."""
        if self._configured.base_url:
            return self._configured.base_url.rstrip("/")
        prefix = "" if self.region == "global" else f"{self.region}-"
        return f"https://{prefix}aiplatform.googleapis.com"

    @property
    def project(self) -> str:
        """Raises `ModelAuthenticationError` where neither the settings nor the credentials name one."""
        project = self._configured.project or usual_variable("GOOGLE_CLOUD_PROJECT") or self._find()[1]
        if not project:
            raise not_configured("Vertex AI has no project: set providers.vertex.project or GOOGLE_CLOUD_PROJECT.")
        return project

    @property
    def credentials(self) -> "Credentials":
        return self._find()[0]

    def renew(self) -> None:
        """See to it that the credentials are found and their token is good now. Blocking; who asks meanwhile waits for the same
        answer of Google's.

        Raises:
            ModelAuthenticationError: Google gives none.
            ModelConnectionError: Google cannot be reached.
        """
        if not self._are_good():
            self._renewing.wait(None, self._renew)

    async def ready(self) -> None:
        """As `renew`, without blocking the event loop or one of its threads."""
        if not self._are_good():
            await self._renewing.of(None, self._renew)

    async def headers(self) -> dict[str, str]:
        await self.ready()
        return {"authorization": f"Bearer {self.credentials.token}", **self._configured.extra_headers}

    def _are_good(self) -> bool:
        return self._found is not None and bool(self._found[0].valid)

    def _renew(self) -> None:
        from google.auth import exceptions
        from google.auth.transport.requests import Request

        credentials = self.credentials
        try:
            if not credentials.valid:
                request = partial(Request(), timeout=SILENT_S)
                credentials.refresh(request)  # type: ignore[no-untyped-call] # it has no types
        except exceptions.TransportError as error:
            raise ModelConnectionError("Google's token server cannot be reached.") from error
        except exceptions.GoogleAuthError as error:
            raise ModelAuthenticationError(f"Google gives no token: {error}") from error

    def _find(self) -> "tuple[Credentials, str | None]":
        with self._lock:
            self._found = self._found or self._search()
            return self._found

    def _search(self) -> "tuple[Credentials, str | None]":
        import google.auth
        from google.auth.exceptions import DefaultCredentialsError
        from google.oauth2.credentials import Credentials as Token

        if self._configured.api_key:
            return Token(self._configured.api_key.get_secret_value()), None  # type: ignore[no-untyped-call] # it has no types
        if self._configured.service_account:
            return _of_key_file(self._configured.service_account.get_secret_value())
        try:
            credentials, project = google.auth.default(scopes=_SCOPES)
        except DefaultCredentialsError as error:
            raise not_configured(f"Vertex AI: {error}") from error
        return credentials, project


def _of_key_file(text: str) -> "tuple[Credentials, str | None]":
    from google.auth.exceptions import GoogleAuthError
    from google.oauth2.service_account import Credentials as ServiceAccount

    try:
        made: Credentials = ServiceAccount.from_service_account_info(json.loads(text), scopes=_SCOPES)  # type: ignore[no-untyped-call] # it has no types
    except (GoogleAuthError, ValueError) as error:
        raise not_configured("Vertex AI: service_account is not the key file of a service account.") from error
    return made, getattr(made, "project_id", None)
