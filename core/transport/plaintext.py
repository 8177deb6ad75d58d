"""Where data may travel in plaintext: within this machine, and to hosts that `tls.allow_plaintext` names.

A host is of this machine by its name alone: a loopback address, or `localhost`. No name is resolved for it, since what a name
means can change afterwards.
"""

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from core.settings import SettingsError, setting_name, usual_variable
from core.transport.sections import TLSSettings

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from core.settings import Settings

_PLAIN_SCHEMES = frozenset({"http", "redis", "ftp", "ws"})
#: libpq's modes that may end in plaintext (postgresql.org/docs/18/libpq-ssl.html).
_PLAIN_MODES = frozenset({"disable", "allow", "prefer"})
#: What moves the address of an object store away from the cloud's own, by the URL's scheme.
_STORE_VARIABLES = {
    "s3": ("FSSPEC_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    "s3a": ("FSSPEC_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    "gs": ("FSSPEC_GCS_ENDPOINT_URL", "STORAGE_EMULATOR_HOST"),
    "gcs": ("FSSPEC_GCS_ENDPOINT_URL", "STORAGE_EMULATOR_HOST"),
}
_AZURE_SCHEMES, _AZURE_VARIABLE = frozenset({"az", "abfs", "abfss"}), "AZURE_STORAGE_CONNECTION_STRING"


def is_here(host: str) -> bool:
    """Whether the host is this machine: `localhost`, or a loopback address."""
    name = host.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or bool(getattr(address, "ipv4_mapped", None) and address.ipv4_mapped.is_loopback)  # type: ignore[union-attr]


def may_be_plain(host: str, tls: TLSSettings) -> bool:
    """Whether the host may be spoken to without TLS."""
    if is_here(host):
        return True
    allowed = tls.allow_plaintext
    return allowed if isinstance(allowed, bool) else host.lower() in {each.lower() for each in allowed}


def problem_of(url: str, tls: TLSSettings) -> str | None:
    """Why the address may not be used as it is, in words that hold no part of it but the host; None where it may."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or parse_qs(parts.query).get("host", [""])[-1]  # which Redis' client takes from there
    except ValueError:
        return None  # no address at all, which others say better
    if parts.scheme.lower() not in _PLAIN_SCHEMES or not host or may_be_plain(host, tls):
        return None
    instead = {"redis": "rediss://", "http": "https://"}.get(parts.scheme.lower(), "an encrypted protocol")
    return refusal(host, f"use {instead}")


def refusal(host: str, instead: str) -> str:
    """The sentence for a host that may not be spoken to in plaintext."""
    return (
        f"{host} is beyond this machine, and plaintext would go there: {instead}, or allow it by "
        f"{setting_name(('tls', 'allow_plaintext'))}"
    )


def refuse_plaintext(url: str, setting: str, tls: TLSSettings) -> None:
    """For an address that is only known when it is used.

    Raises:
        SettingsError: plaintext would go beyond this machine; the message names `setting`.
    """
    if (problem := problem_of(url, tls)) is not None:
        raise SettingsError(f"{setting}: {problem}")


def check_outward(settings: "Settings") -> None:
    """Hold every address in the settings against `tls.allow_plaintext`. Nothing is connected to.

    Raises:
        SettingsError: plaintext would go beyond this machine; the message names each setting.
    """
    problems = [f"  {setting}: {problem}" for setting, problem in _problems(settings)]
    if problems:
        raise SettingsError("These settings cannot be used:\n" + "\n".join(problems))


def check_listening(settings: "Settings") -> None:
    """Refuse to take requests from other machines in plaintext, where no proxy is said to stand between.

    Raises:
        SettingsError: naming `GENAI_HOST`, or `GENAI_METRICS__HOST`.
    """
    check_metrics_listening(settings)
    host, tls = settings.host, settings.tls
    if tls.serves or settings.proxies.trusted or may_be_plain(host, tls):
        return
    shown = host or "every interface"
    certificate, proxies = setting_name(("tls", "certificate_file")), setting_name(("proxies", "trusted"))
    raise SettingsError(
        f"These settings cannot be used:\n  {setting_name(('host',))}: other machines would send keys and prompts to {shown} "
        f"in plaintext. Set {certificate} to serve TLS, or {proxies} to the network of a proxy that does; or, where something "
        f"else protects them, GENAI_TLS__ALLOW_PLAINTEXT='[\"{host}\"]'"
    )


def check_metrics_listening(settings: "Settings") -> None:
    """Refuse a listener for metrics that tells everybody on a network, or that a token would be sent to in plaintext.

    Raises:
        SettingsError: naming `GENAI_METRICS__HOST`.
    """
    metrics = settings.metrics
    if metrics.port is None or is_here(metrics.host):
        return
    shown, token = metrics.host or "every interface", setting_name(("metrics", "token"))
    if metrics.token is None:
        problem = f"whoever reaches {shown} would read the metrics. Set {token}"
    elif not may_be_plain(metrics.host, settings.tls):
        problem = (
            f"{token} would be sent to {shown} in plaintext. Have /metrics scraped on the platform's own port; or, where "
            f"something else protects it, set GENAI_TLS__ALLOW_PLAINTEXT='[\"{metrics.host}\"]'"
        )
    else:
        return
    raise SettingsError(f"These settings cannot be used:\n  {setting_name(('metrics', 'host'))}: {problem}")


def _problems(settings: "Settings") -> Iterator[tuple[str, str]]:
    tls = settings.tls
    vectors = settings.retrieval.pgvector_url
    databases = (
        (("database_url",), settings.database_url),
        (("database", "direct_url"), settings.database.direct_url),
        (("retrieval", "pgvector_url"), vectors.get_secret_value() if vectors is not None else None),
    )
    for path, address in databases:
        if address and (problem := _database_problem(address, tls)):
            yield setting_name(path), problem
    addresses: list[tuple[str, str | None]] = [
        (setting_name(("redis_url",)), settings.redis_url),
        (setting_name(("files_url",)), settings.files_url),
        (setting_name(("local", "chat_model")), settings.local.chat_model),
        (setting_name(("retrieval", "chroma_url")), settings.retrieval.chroma_url),
        (setting_name(("retrieval", "qdrant_url")), settings.retrieval.qdrant_url),
        (setting_name(("retrieval", "weaviate_url")), settings.retrieval.weaviate_url),
        (setting_name(("retrieval", "weaviate_grpc_url")), settings.retrieval.weaviate_grpc_url),
        (setting_name(("retrieval", "pinecone_url")), settings.retrieval.pinecone_url),
    ]
    scheme = (settings.files_url or "").partition("://")[0]
    addresses += [(name, usual_variable(name)) for name in _STORE_VARIABLES.get(scheme, ())]
    if scheme in ("s3", "s3a"):
        addresses.append((setting_name(("files_url",)), _endpoint_of_profile()))
    if scheme in _AZURE_SCHEMES:
        addresses.append((_AZURE_VARIABLE, _blob_endpoint(usual_variable(_AZURE_VARIABLE) or "")))
    addresses += [(f"providers.{name}.base_url", each.base_url) for name, each in settings.providers.items()]
    addresses += [(f"sign_in.oidc: the issuer of {each.name!r}", each.issuer) for each in settings.sign_in.oidc]
    for alias in settings.models:
        for deployment in alias.deployments:
            if deployment.provider.partition(":")[0] == "local":
                addresses.append((f"models: the alias {alias.alias!r}", deployment.model))
    for setting, address in addresses:
        if address and (problem := problem_of(address, tls)):
            yield setting, problem


def _endpoint_of_profile() -> str | None:
    """Where AWS's files of profiles have S3; None where there are none, or the driver is not here."""
    files = (
        usual_variable("AWS_CONFIG_FILE") or "~/.aws/config",
        usual_variable("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials",
    )
    if not any(Path(file).expanduser().exists() for file in files):
        return None
    try:
        from botocore.exceptions import BotoCoreError
        from botocore.session import get_session
    except ImportError:
        return None
    unused = {"region_name": "us-east-1", "aws_access_key_id": "none", "aws_secret_access_key": "none"}  # no chain is asked
    try:
        endpoint: str = get_session().create_client("s3", **unused).meta.endpoint_url
    except (BotoCoreError, ValueError):  # a profile that is not there, or no address, which the store says better
        return None
    return endpoint


def _blob_endpoint(connection: str) -> str:
    """Where a connection string of Azure's has its blobs; empty where it does not say so."""
    told = dict(part.partition("=")[::2] for part in connection.split(";"))
    if endpoint := told.get("BlobEndpoint"):
        return endpoint
    named = "AccountName" in told and "DefaultEndpointsProtocol" in told
    suffix = told.get("EndpointSuffix", "core.windows.net")
    return f"{told['DefaultEndpointsProtocol']}://{told['AccountName']}.blob.{suffix}" if named else ""


def _database_problem(database_url: str, tls: TLSSettings) -> str | None:
    from sqlalchemy.engine import make_url

    url = make_url(database_url)
    mode = _mode(url)
    exposed = next((host for host in _hosts(url) if not may_be_plain(host, tls)), None)
    if exposed is None or mode is None or mode not in _PLAIN_MODES:
        return None
    return refusal(exposed, f"sslmode={mode} does not keep it encrypted; use verify-full")


def encrypted_database(url: "URL", tls: TLSSettings) -> "URL":
    """The address of a PostgreSQL server with its transport settled: beyond this machine, and where the address itself does not
    say otherwise, a server must show a certificate for its name (`verify-full`), of an authority that is trusted here."""
    from core.transport.trust import trusted_file

    mode = _mode(url)
    if mode is None and not all(may_be_plain(host, tls) for host in _hosts(url)):
        mode = "verify-full"
        url = url.update_query_dict({"sslmode": mode})
    if mode in ("verify-ca", "verify-full") and "sslrootcert" not in url.query and not usual_variable("PGSSLROOTCERT"):
        url = url.update_query_dict({"sslrootcert": trusted_file()})
    return url


def _mode(url: "URL") -> str | None:
    given = url.query.get("sslmode")
    return given if isinstance(given, str) else usual_variable("PGSSLMODE")


def _hosts(url: "URL") -> list[str]:
    """The hosts that libpq would connect to over a network; none for sockets. A service file may name any."""
    if url.get_backend_name() not in ("postgresql", "postgres"):
        return []
    address = url.query.get("hostaddr") or usual_variable("PGHOSTADDR")  # where it connects, whatever the host is called
    named = address or url.query.get("host") or url.host or usual_variable("PGHOST")
    if named is None:
        return ["the service's host"] if "service" in url.query or usual_variable("PGSERVICE") else []
    every = named.split(",") if isinstance(named, str) else [part for each in named for part in each.split(",")]
    hosts = [host.rpartition(":")[0] if host.count(":") == 1 else host for host in every]
    return [host for host in hosts if host and not host.startswith(("/", "@"))]
