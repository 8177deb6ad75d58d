"""The settings of what Prometheus reads."""

from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator

from core.sections import SHORTEST_SECRET, Section


class MetricsSettings(Section):
    """Where `/metrics` is, and for whom. Without a token and a port it is nowhere."""

    token: SecretStr | None = Field(
        None, description="what Prometheus shows for /metrics, 32 characters or more; empty: it is not on the platform's port"
    )
    port: int | None = Field(
        None, ge=0, le=65535, description="port of a listener for /metrics alone; 0 takes a free one; empty: there is none"
    )
    host: str = Field("127.0.0.1", description="address of that listener")
    conventions: Literal["current", "previous", "both"] | None = Field(
        None,
        description="current, previous or both: send OpenTelemetry's gen_ai.* metrics by OTLP, under these names; empty: none",
    )

    @field_validator("token")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < SHORTEST_SECRET:
            raise ValueError("it must have 32 characters or more")
        return value

    @field_validator("port", "conventions", mode="before")
    @classmethod
    def _none_where_empty(cls, value: Any) -> Any:
        return None if value == "" else value

    @property
    def on(self) -> bool:
        """Whether anybody may read them or is sent any, so that they are counted."""
        return self.token is not None or self.port is not None or self.conventions is not None
