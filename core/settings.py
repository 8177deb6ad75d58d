"""Every setting of the platform, read once: keyword arguments, then `GENAI_…` variables, then the TOML file of `GENAI_CONFIG`.

This is the only module that reads environment variables. `__` goes down a level: `GENAI_LOCAL__SLOTS=4`.
"""

import os
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

MODEL_KINDS = Literal["chat", "embeddings"]
CREDENTIAL_REFERENCE = "env:"


class SettingsError(Exception):
    """A setting that cannot be used; the message names it and says what would do."""


class Section(BaseModel):
    """A level of the settings. An unknown name is an error, so that a typing mistake is never silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Timeouts(Section):
    """Seconds. `total` bounds the whole call, retries, waiting for a slot and failover included."""

    connect: float = Field(5, gt=0, description="seconds to open a connection to a provider")
    first_token: float = Field(
        15, gt=0, description="seconds to the first token, counted from when the provider takes the call"
    )
    between_tokens: float = Field(15, gt=0, description="seconds between two tokens of a stream")
    total: float = Field(120, gt=0, description="seconds for the whole request, queueing, retries and failover included")


class BreakerSettings(Section):
    """When a deployment that fails is left alone, and when it is tried again."""

    failures: int = Field(5, ge=1, description="failures in a row after which a deployment is left alone")
    failure_rate: float = Field(0.5, gt=0, le=1, description="share of failed calls within the window that does the same")
    window_s: float = Field(30, gt=0, description="seconds over which that share is counted")
    window_calls: int = Field(20, ge=1, description="calls within the window from which on that share counts")
    probe_s: float = Field(10, gt=0, description="seconds at most until one call tries such a deployment again")


class RetrySettings(Section):
    """How often a request is tried. Moving on to another deployment counts as well."""

    attempts: int = Field(5, ge=1, description="calls of providers that one request may make")
    pause_s: float = Field(0.5, gt=0, description="seconds at most before a deployment is called again; doubled each time")
    longest_pause_s: float = Field(10, gt=0, description="seconds at most, also where a provider asks for more by Retry-After")
    share: float = Field(0.2, ge=0, description="repeated calls of the same deployment for each request, over all requests")


class DeploymentPrice(Section):
    """What an operator pays, in dollars per million tokens, where the list price is not it: by contract, or for a model."""

    input_usd_per_million: Decimal = Field(ge=0)
    output_usd_per_million: Decimal = Field(Decimal(0), ge=0)
    cached_usd_per_million: Decimal | None = Field(None, ge=0, description="read from the provider's cache; empty: as input")
    cache_write_usd_per_million: Decimal | None = Field(None, ge=0, description="written into it; empty: as input")
    valid_from: date | None = Field(None, description="the list price holds before this day; empty: it always holds")


class Deployment(Section):
    """One model at one provider."""

    provider: str
    model: str
    weight: float = Field(1, ge=0, description="share of the traffic under the strategy `weighted`")
    timeouts: Timeouts | None = None
    context_tokens: int | None = Field(None, gt=0, description="context length, where the platform does not know it")
    images: bool | None = Field(None, description="whether the model sees, where the platform does not know it")
    tools: bool | None = Field(None, description="whether the model calls tools, where the platform does not know it")
    prefill: bool | None = Field(None, description="whether the model takes up an answer that is begun for it")
    requests_per_minute: int | None = Field(None, gt=0, description="calls in a minute, all processes together")
    tokens_per_minute: int | None = Field(None, gt=0, description="tokens in and out in a minute, all processes together")
    concurrent: int | None = Field(None, gt=0, description="calls at once, all processes together")
    serves: str | None = Field(None, description="the model behind the name, for embeddings under one alias")
    price: DeploymentPrice | None = Field(None, description="what it costs, where the list price is not it")

    @property
    def served_model(self) -> str:
        """The model behind the deployment's name: what says whether two deployments give the same vectors."""
        return (self.serves or self.model.partition("#")[2] or self.model).casefold()

    @property
    def known_facts(self) -> dict[str, Any]:
        """What the operator says of the model, by the names of the model's facts."""
        said = {
            "context_tokens": self.context_tokens,
            "images": self.images,
            "tools": self.tools,
            "prefill": self.prefill,
        }
        return {name: value for name, value in said.items() if value is not None}


class AnswerCache(Section):
    """Which of an alias's answers are given again. Nothing is kept where neither `exact` nor `semantic` is on."""

    exact: bool = Field(False, description="give the answer of the same request again")
    semantic: bool = Field(False, description="and that of a request whose last message means the same")
    threshold: float = Field(0.95, ge=0.5, le=1, description="cosine similarity from which two messages mean the same")
    ttl_s: float = Field(3600, ge=1, le=30 * 24 * 3600, description="seconds that an answer is given again")
    requests: Literal["deterministic", "all"] = Field(
        "deterministic", description="deterministic: those with temperature 0 or a seed, and those that ask for it · all"
    )

    @property
    def on(self) -> bool:
        return self.exact or self.semantic


class ModelAlias(Section):
    """The name that a caller uses, and the deployments behind it in order."""

    alias: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$")
    kind: MODEL_KINDS = "chat"
    strategy: Literal["failover", "weighted", "latency", "cost", "least_busy"] = "failover"
    deployments: tuple[Deployment, ...] = Field(min_length=1)
    cache: AnswerCache = AnswerCache()

    @model_validator(mode="after")
    def _vectors_compare(self) -> "ModelAlias":
        served = {deployment.served_model for deployment in self.deployments}
        if self.kind == "embeddings" and len(served) > 1:
            raise ValueError(
                f"the vectors of {' and '.join(sorted(served))} do not compare, so one cannot stand in for the other; where "
                "these are names of one model, say which by `serves` in each deployment"
            )
        return self


class ProviderSettings(Section):
    """Where a provider is and what it is called with. Only an operator sets this; a caller never can.

    `api_key` and the other secrets may be `env:NAME`, which reads that variable. None means the cloud's usual variables.
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
    connections: int = Field(100, ge=1, description="connections to the provider that are open at once")
    transport: Literal["direct", "sdk"] = Field(
        "direct", description="OpenAI's protocol: over the platform's own connections, or by the SDK's own transport"
    )
    extra_headers: dict[str, str] = Field(default_factory=dict)

    @field_validator("api_key", "access_key_id", "secret_access_key", "session_token", mode="before")
    @classmethod
    def _dereference(cls, value: object) -> object:
        if isinstance(value, str) and value.startswith(CREDENTIAL_REFERENCE):
            name = value.removeprefix(CREDENTIAL_REFERENCE)
            if not os.environ.get(name):
                raise ValueError(f"the variable {name} that it refers to is not set")
            return os.environ[name]
        return value


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


class ConversationSettings(Section):
    """How kept conversations come back into a prompt."""

    history_tokens: int = Field(2048, ge=128, description="tokens of a kept conversation that go into a prompt")


class RetrievalSettings(Section):
    """Defaults of every collection."""

    store: str = Field("chroma", description="where the vectors are kept")
    chunk_tokens: int = Field(
        250, ge=32, le=2048, description="tokens of a chunk with its headings, as the embedding model counts"
    )
    chunk_overlap_tokens: int = Field(40, ge=0, description="tokens that a chunk repeats of the one before")
    results: int = Field(5, ge=1, le=100, description="passages that go into a RAG prompt")

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


class ChainSettings(Section):
    """What belongs to one capability alone."""

    rag: RAGSettings = RAGSettings()


class ProbeSettings(Section):
    """Asking providers whether they are there, beside the calls of callers. Local models are not probed."""

    unhealthy_s: float = Field(10, gt=0, description="seconds between two probes of a deployment that is not well")
    idle_s: float = Field(300, gt=0, description="seconds without a call after which a deployment that is well is probed")
    timeout_s: float = Field(10, gt=0, description="seconds that a probe may take")


class AlertSettings(Section):
    """Telling operators of trouble."""

    window_s: float = Field(3600, gt=0, description="seconds in which the same alert is raised once, over all processes")


class JobSettings(Section):
    """Workers, and what one document may cost them."""

    embedded_worker: bool = Field(True, description="run a worker inside the server process")
    threads: int = Field(2, ge=1, description="documents that one worker works on at once")
    max_attempts: int = Field(4, ge=1, description="tries of one document before it is parked as failed")
    lease_s: float = Field(30, gt=0, description="seconds after which work without a sign of life is given to another worker")
    parse_timeout_s: float = Field(60, gt=0, description="seconds that reading one file may take")
    parse_memory_bytes: int = Field(1024 * 2**20, gt=0, description="memory that reading one file may take, in bytes")
    ocr_pages: int = Field(200, ge=0, description="pages of one document that may be pictures, to be read by OCR")


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


class LogSettings(Section):
    """What is logged, and how it looks."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "pretty"] = Field("auto", description="auto: pretty in a terminal, JSON elsewhere")


class Settings(BaseSettings):
    """The whole of it. `Settings.load()` is the way in: every mistake becomes a `SettingsError` that names the setting."""

    model_config = SettingsConfigDict(
        env_prefix="GENAI_", env_nested_delimiter="__", extra="forbid", frozen=True, nested_model_default_partial_update=True
    )
    #: GENAI_URL and GENAI_API_KEY belong to the command line, which is a client of the platform.
    NOT_FIELDS: ClassVar[frozenset[str]] = frozenset({"GENAI_CONFIG", "GENAI_URL", "GENAI_API_KEY"})

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    public_url: str | None = Field(None, description="the address that people use, where it is not http://HOST:PORT")
    data_dir: Path = Field(Path("data"), description="everything that is kept: database, broker, vectors, files")
    database_url: str | None = Field(None, description="postgresql://…; empty: SQLite in the data directory")
    redis_url: str | None = Field(None, description="redis://…; empty: an embedded Valkey in the data directory")
    files_url: str | None = Field(None, description="s3://…, gs://…, file://…; empty: the data directory")
    admin_key: SecretStr | None = Field(None, description="the administrator's key, 32 characters or more")
    secret_key: SecretStr | None = Field(
        None, description="hashes stored keys, 32 characters or more; empty: a file in the data directory"
    )
    session_hours: float = Field(12, gt=0, description="how long a browser stays signed in")
    handbook: bool = Field(True, description="keep a collection with the platform's own documentation")

    log: LogSettings = LogSettings()
    local: LocalSettings = LocalSettings()
    limits: RequestLimits = RequestLimits()
    conversations: ConversationSettings = ConversationSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    chains: ChainSettings = ChainSettings()
    probes: ProbeSettings = ProbeSettings()
    alerts: AlertSettings = AlertSettings()
    jobs: JobSettings = JobSettings()
    batches: BatchSettings = BatchSettings()
    fetch: FetchSettings = FetchSettings()
    timeouts: Timeouts = Timeouts()
    breaker: BreakerSettings = BreakerSettings()
    cache: CacheSettings = CacheSettings()
    retries: RetrySettings = RetrySettings()
    providers: dict[str, ProviderSettings] = Field(default_factory=dict)
    models: tuple[ModelAlias, ...] = ()

    @field_validator("admin_key", "secret_key")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 32:
            raise ValueError("it must have 32 characters or more")
        return value

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str | None) -> str | None:
        if value and not value.startswith(("postgresql://", "postgres://", "postgresql+psycopg://", "sqlite:///")):
            raise ValueError("it must begin with postgresql:// or sqlite:///")
        return value or None

    @field_validator("redis_url")
    @classmethod
    def _known_broker(cls, value: str | None) -> str | None:
        if value and not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("it must begin with redis://, rediss:// or unix://")
        return value or None

    @model_validator(mode="after")
    def _aliases_once(self) -> "Settings":
        names = [model.alias for model in self.models]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"models: the alias {twice[0]!r} is given twice")
        return self

    @model_validator(mode="after")
    def _steps_have_models(self) -> "Settings":
        named = self.chains.rag.rewrite_model
        if named and named not in {alias.alias for alias in self.aliases if alias.kind == "chat"}:
            raise ValueError(f"chains.rag.rewrite_model: there is no chat alias {named!r}")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, InitSettingsSource(settings_cls, _toml_file())

    @classmethod
    def load(cls, **overrides: Any) -> "Settings":
        """Read all sources. `overrides` win over all of them.

        Raises:
            SettingsError: a value is wrong, a name is unknown, or the TOML file cannot be read.
        """
        _refuse_unknown_variables(cls)
        try:
            return cls(**overrides)
        except ValidationError as error:
            lines = [
                f"  {_setting_name(problem['loc'])}: {problem['msg'].removeprefix('Value error, ')}"
                for problem in error.errors()
            ]
            raise SettingsError("These settings cannot be used:\n" + "\n".join(lines)) from None
        except ValueError as error:  # pydantic-settings: a JSON value in a variable that does not parse
            raise SettingsError(f"A setting cannot be read: {error}") from None

    @property
    def aliases(self) -> tuple[ModelAlias, ...]:
        """The configured aliases; `default` and `embeddings` are the local models where the operator names no others."""
        configured = {model.alias for model in self.models}
        builtin = (
            ModelAlias(alias="default", deployments=(Deployment(provider="local", model=self.local.chat_model),)),
            ModelAlias(
                alias="embeddings",
                kind="embeddings",
                deployments=(Deployment(provider="local", model=self.local.embedding_model),),
            ),
        )
        return self.models + tuple(model for model in builtin if model.alias not in configured)

    def path(self, *parts: str) -> Path:
        """A path below the data directory, absolute; the directory above it exists afterwards.

        Raises:
            SettingsError: it cannot be made; the message names `GENAI_DATA_DIR`.
        """
        path = self.data_dir.expanduser().resolve().joinpath(*parts)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = f"{path.parent} cannot be made: {error.strerror}"
            raise SettingsError(
                f"These settings cannot be used:\n  GENAI_DATA_DIR (data_dir in the TOML file): {reason}"
            ) from error
        return path

    @property
    def base_url(self) -> str:
        """The address that people type, without a slash at the end."""
        if self.public_url:
            return self.public_url.rstrip("/")
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104 - compared, not bound
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


def platform_address() -> str:
    """Where the command line finds the platform that these variables and the TOML file describe; a port of 0 says nothing.

    Nothing else is checked: a client needs no setting but these.

    Raises:
        SettingsError: the TOML file cannot be read.
    """
    file = _toml_file()
    names = ("public_url", "host", "port")
    given: dict[str, Any] = {
        name: value for name in names if (value := os.environ.get(f"GENAI_{name.upper()}") or file.get(name))
    }
    if str(given.get("port")) == "0":
        del given["port"]
    return Settings.model_construct(**given).base_url


def usual_variable(*names: str) -> str | None:
    """The first of a cloud's usual variables that is set (`AZURE_OPENAI_ENDPOINT`), for where a setting is empty."""
    return next((os.environ[name] for name in names if os.environ.get(name)), None)


def child_environment() -> dict[str, str]:
    """The variables that a child process of `core.child` gets: paths and locale, never a credential."""
    passed = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    given = {name: os.environ[name] for name in passed if name in os.environ}
    # PASSIVE: threads that wait for each other sleep. Spinning, llama.cpp stood still for minutes on a machine with other work.
    tuning = {"MALLOC_ARENA_MAX": "2", "OMP_WAIT_POLICY": "PASSIVE"}
    return given | tuning | {"PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def _toml_file() -> dict[str, Any]:
    """What the file that `GENAI_CONFIG` names holds; empty without one."""
    name = os.environ.get("GENAI_CONFIG")
    if not name:
        return {}
    try:
        return tomllib.loads(Path(name).read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"GENAI_CONFIG names {name}, which cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"GENAI_CONFIG names {name}, which is not TOML: {error}") from None


def describe(section: type[BaseModel] = Settings, prefix: str = "GENAI_") -> Iterator[tuple[str, str, str]]:
    """Every setting that a variable can carry, as (variable, default, meaning), for `--help` and the documentation."""
    for name, field in section.model_fields.items():
        variable = prefix + name.upper()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from describe(field.annotation, variable + "__")
        elif name not in ("providers", "models"):
            default = "" if field.default is None else str(field.default)
            choices = get_args(field.annotation) if "Literal" in repr(field.annotation) else ()
            yield variable, default, field.description or " · ".join(map(str, choices))


def _setting_name(location: tuple[int | str, ...]) -> str:
    """`("local", "slots")` → `GENAI_LOCAL__SLOTS (local.slots in the TOML file)`."""
    if not location:
        return "settings"
    variable = "GENAI_" + "__".join(str(part).upper() for part in location)
    return f"{variable} ({'.'.join(map(str, location))} in the TOML file)"


def _refuse_unknown_variables(cls: type[Settings]) -> None:
    known: Mapping[str, str] = {variable: default for variable, default, _ in describe(cls)}
    open_ended = ("GENAI_PROVIDERS", "GENAI_MODELS")
    sections = {f"GENAI_{name.upper()}" for name in cls.model_fields}
    for variable in os.environ:
        if not variable.startswith("GENAI_") or variable in cls.NOT_FIELDS or variable.startswith(open_ended):
            continue
        if variable not in known and variable not in sections:
            near = get_close_matches(variable, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SettingsError(f"There is no setting {variable}{hint} (`.venv/bin/genai serve --help` lists them)")
