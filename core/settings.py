"""Every setting of the platform, read once: keyword arguments, then `GENAI_…` variables, then the TOML file of `GENAI_CONFIG`.

This is the only module that reads environment variables. `__` goes down a level: `GENAI_LOCAL__SLOTS=4`.
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, get_args

from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as PydanticSettingsError

from core.alert_settings import AlertSettings
from core.budget_settings import BudgetSettings
from core.evaluation_settings import EvaluationSettings
from core.log_settings import LogSettings
from core.metrics_settings import MetricsSettings
from core.model_settings import AnswerCache, Deployment, ModelAlias, PromptTexts
from core.monitor_settings import MonitorSettings
from core.pool_settings import DatabaseSettings, RedisSettings
from core.price_settings import DeploymentPrice
from core.provider_settings import ProviderSettings
from core.reliability_settings import BreakerSettings, ProbeSettings, RetrySettings, ShutdownSettings
from core.retention_settings import RetentionSettings
from core.sections import (
    MODEL_KINDS,
    SHORTEST_SECRET,
    BatchSettings,
    CacheSettings,
    ChainSettings,
    ConversationSettings,
    EncryptionSettings,
    FetchSettings,
    JobSettings,
    LocalSettings,
    OIDCProvider,
    PolicySettings,
    PrivacySettings,
    RAGSettings,
    RequestLimits,
    RetrievalSettings,
    Section,
    SignInSettings,
    Timeouts,
    TokenSettings,
)
from core.setting_names import is_outside, no_json, setting_name
from core.source_settings import SourceSettings
from core.traces_settings import TracesSettings
from core.transport.addresses import checked_database_url, checked_public_url, checked_redis_url
from core.transport.sections import ProxySettings, TLSSettings

__all__ = [
    "MODEL_KINDS",
    "AlertSettings",
    "AnswerCache",
    "BatchSettings",
    "BreakerSettings",
    "BudgetSettings",
    "CacheSettings",
    "ChainSettings",
    "ConversationSettings",
    "DatabaseSettings",
    "Deployment",
    "DeploymentPrice",
    "EncryptionSettings",
    "FetchSettings",
    "JobSettings",
    "LocalSettings",
    "LogSettings",
    "MetricsSettings",
    "ModelAlias",
    "OIDCProvider",
    "PolicySettings",
    "PrivacySettings",
    "ProbeSettings",
    "ProviderSettings",
    "ProxySettings",
    "RAGSettings",
    "RedisSettings",
    "RequestLimits",
    "RetrievalSettings",
    "RetrySettings",
    "Section",
    "Settings",
    "SettingsError",
    "SignInSettings",
    "TLSSettings",
    "Timeouts",
    "TokenSettings",
    "TracesSettings",
    "child_environment",
    "describe",
    "platform_address",
    "platform_authorities",
    "set_variables",
    "setting_name",
    "usual_variable",
]


class SettingsError(Exception):
    """A setting that cannot be used; the message names it and says what would do."""


class Settings(BaseSettings):
    """The whole of it. `Settings.load()` is the way in: every mistake becomes a `SettingsError` that names the setting."""

    model_config = SettingsConfigDict(
        env_prefix="GENAI_", env_nested_delimiter="__", extra="forbid", frozen=True, nested_model_default_partial_update=True
    )
    #: GENAI_URL and GENAI_API_KEY belong to the command line, which is a client of the platform.
    NOT_FIELDS: ClassVar[frozenset[str]] = frozenset({"GENAI_CONFIG", "GENAI_URL", "GENAI_API_KEY"})

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    public_url: str | None = Field(None, description="the address that people use, where it is not http(s)://HOST:PORT")
    data_dir: Path = Field(Path("data"), description="everything that is kept: database, broker, vectors, files")
    database_url: str | None = Field(None, description="postgresql://…; empty: SQLite in the data directory")
    redis_url: str | None = Field(None, description="redis://…; empty: an embedded Valkey in the data directory")
    files_url: str | None = Field(None, description="s3://…, gs://…, file://…; empty: the data directory")
    admin_key: SecretStr | None = Field(None, description="the administrator's key, 32 characters or more")
    secret_key: SecretStr | None = Field(
        None, description="hashes stored keys, 32 characters or more; empty: a file in the data directory"
    )
    session_hours: float = Field(12, gt=0, le=8760, description="how long a browser stays signed in")
    handbook: bool = Field(True, description="keep a collection with the platform's own documentation")

    log: LogSettings = LogSettings()
    metrics: MetricsSettings = MetricsSettings()
    traces: TracesSettings = TracesSettings()
    database: DatabaseSettings = DatabaseSettings()
    redis: RedisSettings = RedisSettings()
    tls: TLSSettings = TLSSettings()
    proxies: ProxySettings = ProxySettings()
    encryption: EncryptionSettings = EncryptionSettings()
    sign_in: SignInSettings = SignInSettings()
    tokens: TokenSettings = TokenSettings()
    local: LocalSettings = LocalSettings()
    limits: RequestLimits = RequestLimits()
    privacy: PrivacySettings = PrivacySettings()
    policies: PolicySettings = PolicySettings()
    retention: RetentionSettings = RetentionSettings()
    conversations: ConversationSettings = ConversationSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    chains: ChainSettings = ChainSettings()
    probes: ProbeSettings = ProbeSettings()
    alerts: AlertSettings = AlertSettings()
    monitors: MonitorSettings = MonitorSettings()
    budgets: BudgetSettings = BudgetSettings()
    jobs: JobSettings = JobSettings()
    batches: BatchSettings = BatchSettings()
    evaluations: EvaluationSettings = EvaluationSettings()
    fetch: FetchSettings = FetchSettings()
    sources: SourceSettings = SourceSettings()
    timeouts: Timeouts = Timeouts()
    shutdown: ShutdownSettings = ShutdownSettings()
    breaker: BreakerSettings = BreakerSettings()
    cache: CacheSettings = CacheSettings()
    retries: RetrySettings = RetrySettings()
    providers: dict[str, ProviderSettings] = Field(default_factory=dict)
    models: tuple[ModelAlias, ...] = ()
    prompts: PromptTexts = ()

    @field_validator("admin_key", "secret_key")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < SHORTEST_SECRET:
            raise ValueError("it must have 32 characters or more")
        return value

    @field_validator("admin_key")
    @classmethod
    def _fits_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(r"[\x21-\x7e]+", value.get_secret_value()):
            raise ValueError("it must be visible ASCII characters without spaces: a header carries it")
        return value

    @field_validator("public_url")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        return checked_public_url(value)

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str | None) -> str | None:
        return checked_database_url(value)

    @field_validator("redis_url")
    @classmethod
    def _known_broker(cls, value: str | None) -> str | None:
        return checked_redis_url(value)

    @model_validator(mode="before")
    @classmethod
    def _with_secrets(cls, given: Any) -> Any:
        from core.secret_managers.fields import with_secrets
        from core.transport.trust import trust_configured

        if not isinstance(given, Mapping):
            return given
        trust_configured(given)
        return with_secrets(cls, given)

    @model_validator(mode="after")
    def _aliases_once(self) -> "Settings":
        names = [model.alias for model in self.models]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"models: the alias {twice[0]!r} is given twice")
        return self

    @model_validator(mode="after")
    def _steps_have_models(self) -> "Settings":
        known = {alias.alias for alias in self.aliases if alias.kind == "chat"}
        for step, named in self.chains.rag.model_dump().items():
            if named and named not in known:
                variable = f"GENAI_CHAINS__RAG__{step.upper()} (chains.rag.{step} in the TOML file)"
                raise ValueError(f"{variable}: there is no chat alias {named!r}")
        if not any(alias.alias == self.retrieval.embeddings and alias.kind == "embeddings" for alias in self.aliases):
            raise ValueError("GENAI_RETRIEVAL__EMBEDDINGS: there is no such alias of the kind embeddings")
        return self

    @model_validator(mode="after")
    def _encrypted_on_the_way(self) -> "Settings":
        from core.transport.plaintext import check_outward

        check_outward(self)
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

        A secret, `database_url` and `redis_url` may be a reference, such as `env:NAME` or `vault:PATH#field`, which is
        resolved now: see `core.secret_managers`.

        Raises:
            SettingsError: a value is wrong, a name is unknown, a secret cannot be had, or the TOML file cannot be read.
        """
        _refuse_unknown_variables(cls)
        try:
            return cls(**overrides)
        except ValidationError as error:
            problems = error.errors()
            lines = [
                f"  {setting_name(problem['loc'])}: {problem['msg'].removeprefix('Value error, ')}"
                for problem in problems
                if problem["type"] != "too_short" or not is_outside(problem["loc"], [each["loc"] for each in problems])
            ]
            raise SettingsError("These settings cannot be used:\n" + "\n".join(lines)) from None
        except PydanticSettingsError as error:  # a level as JSON in a variable: `GENAI_LOCAL={"slots": 4}`
            field = found[1] if (found := re.search(r'field "(\w+)"', str(error))) else ""
            names = no_json(cls, field, os.environ) or [f"GENAI_{field.upper()}"]
            lines = [f"  {name}: it is not JSON" for name in names]
            raise SettingsError("These settings cannot be used:\n" + "\n".join(lines)) from None

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
        """A path below the data directory, absolute; the data directory and the one above the path exist afterwards.

        Raises:
            SettingsError: it cannot be made; the message names `GENAI_DATA_DIR`.
        """
        root = self.data_dir.expanduser().resolve()
        path = root.joinpath(*parts)
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)  # for its owner alone, whichever command makes it
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            told = "These settings cannot be used:\n  GENAI_DATA_DIR (data_dir in the TOML file)"
            raise SettingsError(f"{told}: {path.parent} cannot be made: {error.strerror}") from error
        return path

    @property
    def base_url(self) -> str:
        """The address that people type, without a slash at the end."""
        if self.public_url:
            return self.public_url.rstrip("/")
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104 - compared, not bound
        scheme = "https" if self.tls.serves else "http"
        return f"{scheme}://[{host}]:{self.port}" if ":" in host else f"{scheme}://{host}:{self.port}"


def platform_address() -> str:
    """Where the command line finds the platform that these variables and the TOML file describe; a port of 0 says nothing.

    Nothing else is checked: a client needs no setting but these.

    Raises:
        SettingsError: the TOML file cannot be read; the port is none.
    """
    file = _toml_file()
    names = ("public_url", "host", "port")
    given: dict[str, Any] = {
        name: value for name in names if (value := os.environ.get(f"GENAI_{name.upper()}") or file.get(name))
    }
    if str(given.get("port")) == "0":
        del given["port"]
    elif not re.fullmatch(r"[0-9]{1,5}", port := str(given.get("port", 0))):
        raise SettingsError(f"GENAI_PORT: {port!r} is no port")
    if (certificate := _tls_file("certificate_file")) is not None:
        given["tls"] = TLSSettings.model_construct(certificate_file=certificate)
    return Settings.model_construct(**given).base_url


def platform_authorities() -> Path | None:
    """The file of `tls.ca_file`, by which the command line knows the platform's certificate. Raises as `platform_address`."""
    return _tls_file("ca_file")


def _tls_file(name: str) -> Path | None:
    section = _toml_file().get("tls")
    named = os.environ.get(f"GENAI_TLS__{name.upper()}") or (section.get(name) if isinstance(section, Mapping) else None)
    return Path(str(named)).expanduser() if named else None


def usual_variable(*names: str) -> str | None:
    """The first of a cloud's usual variables that is set (`AZURE_OPENAI_ENDPOINT`), for where a setting is empty."""
    return next((os.environ[name] for name in names if os.environ.get(name)), None)


def set_variables(variables: Mapping[str, str]) -> None:
    """For libraries that take what they need to know from the environment alone; holds for this process and its children."""
    os.environ.update(variables)


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
        elif name not in ("providers", "models", "prompts", "oidc"):
            default = "" if field.default is None else str(field.default)
            choices = get_args(field.annotation) if "Literal" in repr(field.annotation) else ()
            yield variable, default, field.description or " · ".join(map(str, choices))


def _refuse_unknown_variables(cls: type[Settings]) -> None:
    known: Mapping[str, str] = {variable: default for variable, default, _ in describe(cls)}
    open_ended = ("GENAI_PROVIDERS", "GENAI_MODELS", "GENAI_PROMPTS", "GENAI_SIGN_IN__OIDC")
    sections = {f"GENAI_{name.upper()}" for name in cls.model_fields}
    for variable in os.environ:
        if not variable.startswith("GENAI_") or variable in cls.NOT_FIELDS or variable.startswith(open_ended):
            continue
        if variable not in known and variable not in sections:
            near = get_close_matches(variable, known, n=1, cutoff=0.8)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SettingsError(f"There is no setting {variable}{hint} (`.venv/bin/genai serve --help` lists them)")
