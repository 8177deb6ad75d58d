"""Access to an Azure OpenAI resource: its address, and a key or Entra ID's token.

Without a key the credential is Entra ID's: Azure's variables, workload identity, managed identity, or the Azure CLI's login.
"""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from core.settings import ProviderSettings, usual_variable
from providers.joined_work import JoinedWork
from providers.neutral import not_configured

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken
    from azure.identity import DefaultAzureCredential

_SCOPE = "https://cognitiveservices.azure.com/.default"
#: The newest version of the API that is generally available under deployment paths.
#: learn.microsoft.com/azure/ai-services/openai/api-version-lifecycle, November 2026.
_API_VERSION = "2024-10-21"
#: Seconds before its end in which a token is renewed, as Azure's own SDKs do.
_RENEW_BEFORE_S = 300
#: Seconds in which what gives tokens has to take a connection, and in which it may be silent; azure-core would wait for 300.
_CONNECT_S, _SILENT_S = 2, 5


class AzureAccess:
    """Shared by all models of a provider; safe in threads. Nothing is read or asked before it is needed."""

    def __init__(self, configured: ProviderSettings) -> None:
        self._configured = configured
        self._renewing: JoinedWork[AccessToken] = JoinedWork("azure-token")
        self._credential: DefaultAzureCredential | None = None
        self._token: AccessToken | None = None

    @property
    def endpoint(self) -> str:
        """The address without a slash at its end.

        Raises:
            ModelAuthenticationError: none is configured.
        """
        endpoint = self._configured.base_url or usual_variable("AZURE_OPENAI_ENDPOINT")
        if not endpoint:
            raise not_configured("Azure OpenAI has no address: set providers.azure.base_url or AZURE_OPENAI_ENDPOINT.")
        return endpoint.rstrip("/")

    @property
    def api_version(self) -> str:
        return self._configured.api_version or usual_variable("OPENAI_API_VERSION") or _API_VERSION

    @property
    def key(self) -> str | None:
        """The key, None where Entra ID is used."""
        key = self._configured.api_key.get_secret_value() if self._configured.api_key else None
        return key or usual_variable("AZURE_OPENAI_API_KEY")

    def token(self) -> str:
        """A token that is good for some minutes at least. Blocking where it has to be asked for: once for all who ask at once.

        Raises:
            azure.core.exceptions.ClientAuthenticationError: Entra ID gives none.
        """
        return (self._good() or self._renewing.wait(None, self._renewed)).token

    async def atoken(self) -> str:
        """As `token`, without blocking the event loop or one of its threads."""
        return (self._good() or await self._renewing.of(None, self._renewed)).token

    async def headers(self) -> Mapping[str, str]:
        """What goes with every request."""
        if key := self.key:
            return {"api-key": key, **self._configured.extra_headers}
        return {"authorization": f"Bearer {await self.atoken()}", **self._configured.extra_headers}

    def close(self) -> None:
        """Blocking, short."""
        if self._credential is not None:
            self._credential.close()

    def _good(self) -> "AccessToken | None":
        token = self._token
        return token if token is not None and token.expires_on - time.time() > _RENEW_BEFORE_S else None

    def _renewed(self) -> "AccessToken":
        from azure.identity import DefaultAzureCredential

        self._credential = self._credential or DefaultAzureCredential(
            connection_timeout=_CONNECT_S, read_timeout=_SILENT_S, retry_connect=0, retry_read=0
        )
        self._token = self._good() or self._credential.get_token(_SCOPE)
        return self._token
