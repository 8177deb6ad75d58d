"""The levels of the settings: what each setting means, its default and its bounds. `core.settings` reads them."""

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, SecretStr, field_validator, model_validator

from core.hosted_vectors import HostedVectors
from core.policies.policy import BrowserPolicy, DataPolicy, GuardRule, PIIRules, Policy
from core.policies.retention import RetentionPolicy
from core.transport.addresses import checked_database_url
from core.vector_settings import VectorServers

#: Characters of a secret that an operator makes up.
SHORTEST_SECRET = 32
MODEL_KINDS = Literal["chat", "embeddings", "rerank"]


class Section(BaseModel):
    """A level of the settings. An unknown name is an error, so that a typing mistake is never silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Timeouts(Section):
    """Seconds. `total` bounds a request with all of its steps: model calls, retries, waiting for a slot, failover, search."""

    connect: float = Field(5, gt=0, description="seconds to open a connection to a provider")
    first_token: float = Field(
        15, gt=0, description="seconds to the first token, counted from when the provider takes the call"
    )
    between_tokens: float = Field(15, gt=0, description="seconds between two tokens of a stream")
    total: float = Field(120, gt=0, description="seconds for the whole request, queueing, retries and failover included")


class LocalSettings(Section):
    """The models that run on this machine."""

    chat_model: str = Field(
        "bundled",
        description="bundled · a path to a GGUF file · ollama or ollama/MODEL · vllm or vllm/MODEL · http://HOST:PORT/v1#MODEL",
    )
    embedding_model: Literal["all-MiniLM-L6-v2"] = "all-MiniLM-L6-v2"
    slots: int = Field(2, ge=1, le=64, description="generations at once")
    context_tokens: int = Field(4096, ge=512, le=1_048_576, description="context length of each slot, in tokens")
    queue: int = Field(16, ge=0, description="generations that may wait for a slot; one more gets 429")
    threads: int | None = Field(None, ge=1, description="threads of the model; empty: the machine's cores")
    warm: bool = Field(True, description="load in the background at start, rather than at first use")


class RequestLimits(Section):
    """What one request may be at most; above it the answer is 413 or 422."""

    body_bytes: int = Field(4 * 2**20, gt=0, description="JSON body in bytes")
    upload_bytes: int = Field(64 * 2**20, gt=0, description="multipart upload in bytes")
    inline_bytes: int = Field(24 * 2**20, gt=0, description="JSON body that carries images or documents, in bytes")
    json_depth: int = Field(64, gt=0, description="levels of nesting in a JSON body")
    batch: int = Field(50, gt=0, description="inputs of one /batch call")
    batch_concurrency: int = Field(8, gt=0, description="inputs of one /batch call that are answered at once")
    files_per_upload: int = Field(200, gt=0, description="files of one upload")
    image_pixels: int = Field(50_000_000, gt=0, description="width times height of one image")


class PrivacySettings(Section):
    """The search for personal data."""

    max_characters: int = Field(100_000, ge=1, description="characters that one request has searched for personal data")


class PolicySettings(Section):
    """What holds for tenants that have not decided otherwise; see docs/guards.md and docs/privacy.md for the forms."""

    pii: dict[str, PIIRules] = Field(
        default_factory=dict, description="what is done with personal data, by capability, as JSON or in the TOML file"
    )
    guards: tuple[GuardRule, ...] = Field((), description="guards before and behind models, as JSON or in the TOML file")
    data: DataPolicy = Field(DataPolicy(), description="providers and regions that may see data, as JSON or in the TOML file")
    browsers: BrowserPolicy = Field(BrowserPolicy(), description='whose pages may call the API: {"origins": ["https://…"]}')

    @model_validator(mode="after")
    def _holds_together(self) -> "PolicySettings":
        self.policy()
        return self

    def policy(self, retention: RetentionPolicy | None = None) -> Policy:
        """The policy of a tenant that has decided nothing."""
        return Policy(
            pii=self.pii,
            guards=self.guards,
            data=self.data,
            browsers=self.browsers,
            retention=retention or RetentionPolicy(),
        )


class ConversationSettings(Section):
    """How kept conversations come back into a prompt."""

    history_tokens: int = Field(2048, ge=128, description="tokens of a kept conversation that go into a prompt")


class RetrievalSettings(Section, VectorServers, HostedVectors):
    """Defaults of every collection."""

    store: str = Field(
        "chroma",
        description="where the vectors of new collections are kept: chroma, chroma_server, pgvector, qdrant, qdrant_server, "
        "weaviate, pinecone",
    )
    other_stores: tuple[str, ...] = Field(
        (), description='stores beside it, that collections are moved to or from, as JSON: ["pgvector"]'
    )
    embeddings: str = Field("embeddings", description="alias of the embedding model of new collections")
    keep_generations_s: float = Field(
        7 * 86_400, ge=0, description="seconds that a collection's former vectors are kept after it was moved, to go back to"
    )
    pgvector_url: SecretStr | None = Field(
        None, description="postgresql://… of the vectors, where they are not in the platform's own database"
    )
    pgvector_connections: int = Field(10, ge=1, le=1000, description="connections to it that a process has open at most")
    chunk_tokens: int = Field(
        250, ge=32, le=2048, description="tokens of a chunk with its headings, as the embedding model counts"
    )
    chunk_overlap_tokens: int = Field(40, ge=0, description="tokens that a chunk repeats of the one before")
    results: int = Field(5, ge=1, le=100, description="passages that go into a RAG prompt")
    cross_encoder: Path | None = Field(
        None,
        description="directory with `model.onnx` and `tokenizer.json` of a cross-encoder for reranking; empty: there is none",
    )

    @property
    def stores(self) -> tuple[str, ...]:
        """All stores that are opened, that of new collections first."""
        return tuple(dict.fromkeys((self.store, *self.other_stores)))

    @field_validator("pgvector_url")
    @classmethod
    def _known_database(cls, value: SecretStr | None) -> SecretStr | None:
        address = value.get_secret_value() if value is not None else ""
        if address.startswith("sqlite:"):
            raise ValueError("it must begin with postgresql://")
        return value if checked_database_url(address) else None

    @model_validator(mode="after")
    def _overlap_fits(self) -> "RetrievalSettings":
        if self.chunk_overlap_tokens >= self.chunk_tokens:
            raise ValueError("chunk_overlap_tokens must be smaller than chunk_tokens")
        return self


class RAGSettings(Section):
    """The steps of RAG that may have a model of their own."""

    rewrite_model: str | None = Field(
        None, description="alias that puts a follow-up question into words of its own; empty: the request's model"
    )
    grade_model: str | None = Field(
        None, description="alias that is asked whether the passages answer the question, and whose no is final; empty: none is"
    )


class ChainSettings(Section):
    """What belongs to one capability alone."""

    rag: RAGSettings = RAGSettings()


class JobSettings(Section):
    """Workers, and what one document may cost them."""

    embedded_worker: bool = Field(True, description="run a worker inside the server process")
    threads: int = Field(2, ge=1, description="documents that one worker works on at once")
    max_attempts: int = Field(4, ge=1, description="tries of one document before it is parked as failed")
    lease_s: float = Field(20, gt=0, description="seconds after which work without a sign of life is given to another worker")
    parse_timeout_s: float = Field(60, gt=0, description="seconds that reading one file may take")
    parse_memory_bytes: int = Field(1024 * 2**20, gt=0, description="memory that reading one file may take, in bytes")
    ocr_pages: int = Field(200, ge=0, description="pages of one document that may be pictures, to be read by OCR")
    reconcile_every_s: float = Field(
        86_400, ge=0, description="seconds between two comparisons of a collection's stores with its documents; 0: none"
    )


class BatchSettings(Section):
    """Batches: files of requests that are answered in the background."""

    requests: int = Field(50_000, ge=1, description="requests of one batch")
    concurrency: int = Field(4, ge=1, le=256, description="requests of one batch that are answered at once")
    at_once: int = Field(1, ge=1, description="batches that one worker works on at once")


class FetchSettings(Section):
    """Documents that are fetched from an address which a caller gives."""

    timeout_s: float = Field(30, gt=0, description="seconds for one document, redirects included")
    private_networks: tuple[IPvAnyNetwork, ...] = Field(
        (), description='networks that are not public but may be fetched from, as JSON: ["10.1.0.0/16"]'
    )


class CacheSettings(Section):
    """What the response cache may take. Which answers are kept is each alias's to say, in `[models.cache]`."""

    answer_bytes: int = Field(256 * 2**10, gt=0, description="one answer in the response cache at most, in bytes")
    tenant_bytes: int = Field(64 * 2**20, gt=0, description="all answers of one tenant in the response cache, in bytes")


class EncryptionSettings(Section):
    """How what is stored is encrypted: where the key comes from that wraps the keys of the tenants."""

    source: str | None = Field(
        None,
        description="file, setting, aws_kms, google_kms, azure_key_vault, vault_transit or off; empty: file, or setting",
    )
    key: SecretStr | None = Field(None, description="the key itself, 32 characters or more")
    key_file: Path | None = Field(
        None, description="file with the key; empty: encryption.key in the data directory, made at first"
    )
    key_id: str | None = Field(
        None, description="the key of a key service: ARN or alias, resource name, https://VAULT/keys/NAME, or transit's name"
    )
    address: str | None = Field(None, description="address of the key service, where it is not the cloud's own")
    previous_keys: tuple[SecretStr, ...] = Field(
        (), description='former keys, which still unwrap, as JSON: ["setting:THE-KEY", "aws_kms:THE-ARN"]'
    )

    @field_validator("key")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < SHORTEST_SECRET:
            raise ValueError("it must have 32 characters or more")
        return value

    @property
    def chosen(self) -> str:
        """The source, by its name in `KEY_SOURCES`, or `off`."""
        return self.source or ("setting" if self.key is not None else "file")


class TokenSettings(Section):
    """Access and refresh tokens, and the keys that sign them."""

    access_s: int = Field(600, ge=30, le=3600, description="seconds that an access token is good for")
    browser_s: int = Field(900, ge=30, le=3600, description="seconds that a browser token is good for at most")
    refresh_s: int = Field(30 * 86_400, ge=60, description="seconds after which the tokens of one sign-in end for good")
    audience: str = Field("genai", min_length=1, max_length=255, description="whom access tokens are for, in their claim `aud`")
    key_days: float = Field(90, gt=0, description="days after which another key signs access tokens")


class OIDCProvider(Section):
    """An identity provider that people sign in with, found by its issuer's discovery document."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")
    label: str = Field("", max_length=100, description="what the button says; empty: the name")
    issuer: str = Field(description="its address, as its discovery document gives it")
    client_id: str = Field(min_length=1)
    client_secret: SecretStr | None = Field(None, description="may be env:NAME; empty: a public client, by PKCE alone")
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    tenant: str = Field("default", description="the tenant that its people belong to")
    groups_claim: str = Field("groups", description="the claim that lists a person's groups")
    roles: dict[str, str] = Field(
        default_factory=dict, description="group = role; the first that fits counts, at each sign-in; empty: roles are set here"
    )
    default_role: str | None = Field(None, description="the role of who is in none of these groups; empty: they are refused")
    email_domains: tuple[str, ...] = Field((), description="only people with a verified address in one of these; empty: all")
    verified_email: bool = Field(True, description="take an e-mail address only where the provider says that it is verified")
    link_by_email: bool = Field(False, description="take over the tenant's account that has the same verified address")

    @field_validator("issuer")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        address = urlsplit(value)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError("it must begin with https://")
        return value.removesuffix("/.well-known/openid-configuration")

    @model_validator(mode="after")
    def _somebody_gets_in(self) -> "OIDCProvider":
        if not self.roles and not self.default_role:
            raise ValueError("give default_role, or roles for groups: otherwise nobody may sign in")
        if "openid" not in self.scopes:
            raise ValueError("scopes must hold openid")
        return self


class SignInSettings(Section):
    """How people sign in, beside keys and links."""

    passwords: bool = Field(True, description="people who have a password may sign in with it")
    password_characters: int = Field(12, ge=8, le=128, description="characters that a new password has at least")
    attempts: int = Field(5, ge=1, description="failed attempts after which an account has to wait, longer each time")
    address_attempts: int = Field(50, ge=1, description="the same for all attempts from one network address")
    first_wait_s: float = Field(30, gt=0, description="seconds of the first wait; doubled with each further failure")
    longest_wait_s: float = Field(900, gt=0, description="seconds of the longest wait")
    oidc: tuple[OIDCProvider, ...] = ()

    @model_validator(mode="after")
    def _providers_once(self) -> "SignInSettings":
        names = [provider.name for provider in self.oidc]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"oidc: the name {twice[0]!r} is given twice")
        return self
