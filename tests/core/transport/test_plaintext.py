"""Plaintext stays on this machine unless the operator says otherwise; the message names the setting and holds no secret."""

from pathlib import Path
from typing import Any

import pytest

from core.database import sync_url
from core.settings import Settings, SettingsError, TLSSettings
from core.transport.plaintext import check_listening, is_here, problem_of, refuse_plaintext
from core.transport.trust import trusted_file

SECRET = "pass-word"
ALIAS = {"alias": "own", "deployments": [{"provider": "local", "model": "http://models.internal:8000/v1#m"}]}
OIDC = {"name": "corp", "issuer": "http://id.internal", "client_id": "c", "default_role": "user"}


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("localhost", True),
        ("LocalHost", True),
        ("127.0.0.1", True),
        ("127.8.0.1", True),
        ("::1", True),
        ("[::1]", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
        ("::ffff:10.0.0.1", False),
        ("redis", False),
        ("", False),
    ],
)
def test_a_host_is_here_by_its_name_alone(host: str, here: bool) -> None:
    assert is_here(host) is here


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"redis_url": f"redis://user:{SECRET}@redis.internal/0"}, "GENAI_REDIS_URL"),
        ({"redis_url": f"redis://:{SECRET}@/0?host=redis.internal"}, "GENAI_REDIS_URL"),
        ({"database_url": f"postgresql://u:{SECRET}@db.internal/x?sslmode=disable"}, "GENAI_DATABASE_URL"),
        ({"database_url": f"postgresql://u:{SECRET}@127.0.0.1,db.internal/x?sslmode=prefer"}, "GENAI_DATABASE_URL"),
        ({"database_url": f"postgresql://u:{SECRET}@/x?host=db.internal&sslmode=allow"}, "GENAI_DATABASE_URL"),
        (
            {"retrieval": {"pgvector_url": f"postgresql://u:{SECRET}@db.internal/x?sslmode=disable"}},
            "GENAI_RETRIEVAL__PGVECTOR_URL",
        ),
        ({"retrieval": {"chroma_url": "http://chroma.internal:8000"}}, "GENAI_RETRIEVAL__CHROMA_URL"),
        ({"retrieval": {"qdrant_url": "http://qdrant.internal:6333"}}, "GENAI_RETRIEVAL__QDRANT_URL"),
        ({"database": {"direct_url": f"postgresql://u:{SECRET}@db.internal/x?sslmode=disable"}}, "GENAI_DATABASE__DIRECT_URL"),
        ({"files_url": "ftp://files.internal/a"}, "GENAI_FILES_URL"),
        ({"local": {"chat_model": "http://models.internal:8000/v1#m"}}, "GENAI_LOCAL__CHAT_MODEL"),
        ({"models": [ALIAS]}, "the alias 'own'"),
        ({"providers": {"openai": {"base_url": "http://gateway.internal/v1"}}}, "providers.openai.base_url"),
        ({"sign_in": {"oidc": [OIDC]}}, "sign_in.oidc"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_an_address_beyond_this_machine_in_plaintext_stops_the_start(
    settings: dict[str, Any], named: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="plaintext") as refused:
        Settings.load(data_dir=tmp_path, **settings)
    said = str(refused.value)
    assert named in said
    assert "GENAI_TLS__ALLOW_PLAINTEXT" in said
    assert SECRET not in said
    Settings.load(data_dir=tmp_path, tls={"allow_plaintext": True}, **settings)


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_an_object_stores_address_may_come_from_the_environment(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = {"s3": "AWS_ENDPOINT_URL_S3", "gs": "STORAGE_EMULATOR_HOST"}[scheme]
    monkeypatch.setenv(name, "http://minio.internal:9000")
    with pytest.raises(SettingsError, match=f"{name}: minio.internal"):
        Settings.load(files_url=f"{scheme}://bucket/a")
    Settings.load(files_url="file:///somewhere")  # which it does not concern


@pytest.mark.parametrize(
    "said", ["BlobEndpoint=http://blobs.internal:10000/x", "DefaultEndpointsProtocol=http;AccountName=blobs"]
)
def test_so_may_azures_whose_connection_string_has_it(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", f"{said};AccountKey={SECRET}")
    with pytest.raises(SettingsError, match=r"AZURE_STORAGE_CONNECTION_STRING: blobs\.") as refused:
        Settings.load(files_url="az://container/a")
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("said", ["endpoint_url = {}", "services = own\n[services own]\ns3 =\n  endpoint_url = {}"])
def test_so_may_a_profile_of_aws(said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").write_text("[default]\n" + said.format("http://minio.internal:9000") + "\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with pytest.raises(SettingsError, match=r"GENAI_FILES_URL .*: minio\.internal"):
        Settings.load(files_url="s3://bucket/a")


def test_a_database_is_where_the_environment_puts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOSTADDR", "10.0.0.7")
    with pytest.raises(SettingsError, match=r"GENAI_DATABASE_URL .*: 10\.0\.0\.7"):
        Settings.load(database_url="postgresql://127.0.0.1/x?sslmode=disable")


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.load(redis_url="redis://a.internal", providers={"openai": {"base_url": "http://b.internal"}})
    assert [line.split(":")[0].split()[0] for line in str(refused.value).splitlines()[1:]] == [
        "GENAI_REDIS_URL",
        "providers.openai.base_url",
    ]


def test_hosts_are_allowed_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENAI_TLS__ALLOW_PLAINTEXT", '["Redis.internal"]')
    Settings.load(redis_url="redis://redis.INTERNAL/0")
    with pytest.raises(SettingsError, match=r"other\.internal"):
        Settings.load(redis_url="redis://other.internal/0")
    monkeypatch.setenv("GENAI_TLS__ALLOW_PLAINTEXT", "true")
    Settings.load(redis_url="redis://other.internal/0")


@pytest.mark.parametrize(
    "address",
    [
        "redis://127.0.0.1:6379/0",
        "redis://localhost",
        "redis:///0",
        "unix:///run/valkey.sock",
        "rediss://redis.internal/0",
        "https://models.internal/v1",
        "s3://bucket/a",
        "bundled",
    ],
)
def test_this_machine_and_encrypted_addresses_need_nothing(address: str) -> None:
    assert problem_of(address, TLSSettings()) is None


def test_what_is_configured_at_run_time_is_refused_when_it_is_used() -> None:
    with pytest.raises(SettingsError, match=r"^providers\.new\.base_url: models\.internal"):
        refuse_plaintext("http://models.internal/v1", "providers.new.base_url", TLSSettings())
    refuse_plaintext("http://models.internal/v1", "x", TLSSettings(allow_plaintext=("models.internal",)))


def _transport(database_url: str, **tls: Any) -> tuple[str | None, str | None]:
    from sqlalchemy.engine import make_url

    query = make_url(sync_url(Settings.load(database_url=database_url, tls=tls))).query
    return query.get("sslmode"), query.get("sslrootcert")  # type: ignore[return-value]


def test_postgresql_beyond_this_machine_must_show_a_certificate_for_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _transport("postgresql://u@db.internal/x") == ("verify-full", trusted_file())
    assert _transport("postgresql://u@/x?host=/run/postgresql,db.internal") == ("verify-full", trusted_file())
    monkeypatch.setenv("PGHOST", "db.internal")
    assert _transport("postgresql:///x") == ("verify-full", trusted_file())


@pytest.mark.parametrize(
    ("database_url", "transport"),
    [
        ("postgresql://u@127.0.0.1:5432/x", (None, None)),
        ("postgresql:///x?host=/run/postgresql", (None, None)),
        ("postgresql:///x", (None, None)),
        ("postgresql://u@db.internal/x?sslmode=require", ("require", None)),
        ("postgresql://u@db.internal/x?sslmode=verify-full&sslrootcert=/own.pem", ("verify-full", "/own.pem")),
    ],
)
def test_what_an_address_says_of_its_transport_stays(database_url: str, transport: tuple[str | None, str | None]) -> None:
    assert _transport(database_url) == transport


def test_an_allowed_database_is_left_to_libpq() -> None:
    assert _transport("postgresql://u@db.internal/x", allow_plaintext=["db.internal"]) == (None, None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.7", "genai.internal"])
def test_listening_to_other_machines_in_plaintext_is_refused(host: str) -> None:
    with pytest.raises(SettingsError, match="GENAI_HOST") as refused:
        check_listening(Settings.load(host=host))
    assert f"GENAI_TLS__ALLOW_PLAINTEXT='[\"{host}\"]'" in str(refused.value)
    check_listening(Settings.load(host=host, tls={"allow_plaintext": [host]}))
    check_listening(Settings.load(host=host, proxies={"trusted": ["10.1.0.0/16"]}))
    check_listening(Settings.load(host=host, tls={"certificate_file": "a.crt", "key_file": "a.key"}))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_listening_to_this_machine_needs_nothing(host: str) -> None:
    check_listening(Settings.load(host=host))
