"""The settings of a provider: where it is, and what it is called with."""

from typing import Literal

from pydantic import Field, SecretStr

from core.sections import Section


class ProviderSettings(Section):
    """Where a provider is and what it is called with. Only an operator sets this; a caller never can.

    None means the cloud's usual variables.
    """

    base_url: str | None = None
    api_key: SecretStr | None = None
    region: str | None = None
    project: str | None = None
    api_version: str | None = None
    profile: str | None = Field(None, description="AWS: a profile of the shared configuration")
    role: str | None = Field(None, description="AWS: the ARN of a role to assume")
    access_key_id: SecretStr | None = Field(None, description="AWS: an access key, with secret_access_key")
    secret_access_key: SecretStr | None = None
    session_token: SecretStr | None = None
    service_account: SecretStr | None = Field(None, description="Google: the JSON key file of a service account")
    credentials: Literal["configured", "run_time"] = Field(
        "configured", description="run_time: called with credentials alone that administrators keep at run time"
    )
    connections: int = Field(100, ge=1, description="connections to the provider that are open at once")
    transport: Literal["direct", "sdk"] = Field(
        "direct", description="OpenAI's protocol: over the platform's own connections, or by the SDK's own transport"
    )
    stream_options: bool = Field(
        True, description="OpenAI's protocol: whether streams are asked for their usage; without, it is estimated"
    )
    extra_headers: dict[str, str] = Field(default_factory=dict)
