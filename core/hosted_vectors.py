"""Where the vectors are that Weaviate or Pinecone keeps."""

from typing import Literal

from pydantic import BaseModel, Field, SecretStr, field_validator

from core.transport.addresses import checked_server_url


class HostedVectors(BaseModel):
    """The part of `core.sections.RetrievalSettings` that is about them."""

    weaviate_url: str | None = Field(None, description="http(s)://host:port of the Weaviate server, for the store weaviate")
    weaviate_grpc_url: str | None = Field(
        None, description="http(s)://host:port of its gRPC interface; empty: port 50051 of the same host"
    )
    weaviate_api_key: SecretStr | None = Field(None, description="its API key")
    weaviate_collection: str = Field(
        "GenaiChunks",
        pattern=r"^[A-Z][A-Za-z0-9_]{0,99}$",
        description="the collection in Weaviate, made when it is not there, that has the platform's chunks",
    )
    pinecone_api_key: SecretStr | None = Field(None, description="API key of the Pinecone project, for the store pinecone")
    pinecone_url: str | None = Field(
        None, description="http(s)://… of Pinecone's control plane; empty: https://api.pinecone.io"
    )
    pinecone_index: str = Field(
        "genai",
        pattern=r"^[a-z0-9]([a-z0-9-]{0,31}[a-z0-9])?$",
        description="first part of the names of the platform's indexes in Pinecone; the dimension of the vectors follows",
    )
    pinecone_cloud: Literal["aws", "gcp", "azure"] = Field("aws", description="the cloud where these are made")
    pinecone_region: str = Field("us-east-1", min_length=1, max_length=64, description="the region where these are made")
    pinecone_visible_s: float = Field(
        60, gt=0, le=600, description="seconds that Pinecone may take until it finds what was written"
    )
    store_answer_s: float = Field(
        30, gt=0, le=600, description="seconds that Weaviate or Pinecone may take for one answer; a fifth of it to connect"
    )

    @field_validator("weaviate_url", "weaviate_grpc_url", "pinecone_url")
    @classmethod
    def _known_host(cls, value: str | None) -> str | None:
        return checked_server_url(value)
