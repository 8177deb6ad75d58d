"""Where vector stores are that run as servers of their own."""

from typing import Literal

from pydantic import BaseModel, Field, SecretStr, field_validator

from core.transport.addresses import checked_server_url


class VectorServers(BaseModel):
    """The part of `core.sections.RetrievalSettings` that is about them."""

    words: Literal["index", "store"] = Field(
        "index",
        description="what finds words: index, an index on each server, or store, the store itself, where it can: qdrant",
    )
    chroma_url: str | None = Field(None, description="http(s)://host:port of the Chroma server, for the store chroma_server")
    chroma_token: SecretStr | None = Field(None, description="what it is sent as a bearer token, where something asks for one")
    qdrant_url: str | None = Field(None, description="http(s)://host:port of the Qdrant server, for the store qdrant_server")
    qdrant_api_key: SecretStr | None = Field(None, description="its API key")
    qdrant_grpc_port: int | None = Field(
        None, ge=1, le=65535, description="port of its gRPC interface, usually 6334, which is then used; empty: HTTP"
    )

    @field_validator("chroma_url", "qdrant_url")
    @classmethod
    def _known_server(cls, value: str | None) -> str | None:
        return checked_server_url(value)
