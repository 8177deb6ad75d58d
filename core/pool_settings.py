"""The settings of connection pools. Those to providers are each provider's: `connections` in its table."""

from pydantic import Field, field_validator

from core.sections import Section
from core.transport.addresses import checked_database_url


class DatabaseSettings(Section):
    """Connections to the database. What serves requests has a pool of them, the worker inside the process another."""

    connections: int = Field(10, ge=1, le=1000, description="connections of a pool that are kept open")
    extra_connections: int = Field(10, ge=0, le=1000, description="connections beside them, closed again when nobody waits")
    wait_s: float = Field(5, gt=0, description="seconds that is waited for a free connection; then 503 database_busy")
    answer_s: float = Field(
        60, gt=0, description="seconds that a request or job waits for an answer of PostgreSQL; then 503 database_unavailable"
    )
    prepared_statements: bool = Field(
        True, description="let PostgreSQL remember statements; false behind PgBouncer in transaction mode before its 1.21"
    )
    direct_url: str | None = Field(
        None, description="the same database without the pooler that database_url names, for migrations and locks"
    )

    migrate: bool = Field(
        True, description="bring the database to the newest schema at the start; false where `make migrate` does it before"
    )

    @field_validator("direct_url")
    @classmethod
    def _known_database(cls, value: str | None) -> str | None:
        return checked_database_url(value)


class RedisSettings(Section):
    """Connections to Redis or Valkey."""

    connections: int = Field(32, ge=1, le=10_000, description="connections of a pool that are open at once")
    wait_s: float = Field(
        0.25, gt=0, le=1, description="seconds that a request waits for its answer; a server that takes longer counts as away"
    )
