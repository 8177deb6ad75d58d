"""Settings that only refer to their secrets: resolved from each manager at the wire, and named when they cannot be."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from core.settings import Settings, SettingsError
from tests.core.key_services import services
from tests.fakes.key_services import TOKEN, KeyServices

__all__ = ["services"]

SECRET = "s3cret-" + "x" * 40


def key_of(reference: str, tmp_path: Path) -> str:
    key = Settings.load(data_dir=tmp_path, admin_key=reference).admin_key
    assert key is not None
    return key.get_secret_value()


def test_a_variable_and_a_file_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", SECRET)
    (tmp_path / "key").write_text(SECRET + "\n")
    (tmp_path / "keys.json").write_text(json.dumps({"admin": SECRET}))
    assert key_of("env:MY_KEY", tmp_path) == SECRET
    assert key_of(f"file:{tmp_path}/key", tmp_path) == SECRET
    assert key_of(f"file://{tmp_path}/keys.json#admin", tmp_path) == SECRET


@pytest.mark.parametrize(
    ("reference", "name", "kept"),
    [
        ("aws:genai/admin", "genai/admin", SECRET),
        ("aws:genai/all#admin", "genai/all", json.dumps({"admin": SECRET})),
        ("gcp:projects/p/secrets/admin/versions/latest", "projects/p/secrets/admin/versions/latest", SECRET),
        ("azure:URL/azure/secrets/admin", "admin", SECRET),
        ("vault:secret/data/genai#admin", "secret/data/genai", {"data": {"admin": SECRET}, "metadata": {"version": 3}}),
        ("vault:kv/genai#admin", "kv/genai", {"admin": SECRET}),
    ],
)
def test_each_manager_is_asked_in_its_own_way(
    reference: str, name: str, kept: Any, services: KeyServices, tmp_path: Path
) -> None:
    services.secrets[name] = kept
    assert key_of(reference.replace("URL", services.url), tmp_path) == SECRET


def test_every_kind_of_secret_may_be_a_reference(
    services: KeyServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, redis = "postgresql://u:" + "p@127.0.0.1/db", "redis://:" + "p@127.0.0.1:1/0"
    services.secrets["genai"] = json.dumps({"key": SECRET, "database": database, "redis": redis})
    file = tmp_path / "genai.toml"
    file.write_text(
        '[providers.openai]\napi_key = "aws:genai#key"\n[providers."openai_compatible:x"]\napi_key = "aws:genai#key"\n'
    )
    monkeypatch.setenv("GENAI_CONFIG", str(file))
    monkeypatch.setenv("GENAI_DATABASE_URL", "aws:genai#database")
    monkeypatch.setenv("GENAI_REDIS_URL", "aws:genai#redis")
    monkeypatch.setenv("GENAI_ENCRYPTION__KEY", "aws:genai#key")
    settings = Settings.load(data_dir=tmp_path, secret_key="aws:genai#key")
    found = [settings.secret_key, settings.encryption.key, *(each.api_key for each in settings.providers.values())]
    assert [secret and secret.get_secret_value() for secret in found] == [SECRET] * 4
    assert (settings.database_url, settings.redis_url) == (database, redis)


def test_what_a_reference_gives_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "env:" + "Z" * 40
    monkeypatch.setenv("MY_KEY", secret)
    assert key_of("env:MY_KEY", tmp_path) == secret


def test_the_managers_are_asked_at_the_same_time(
    services: KeyServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = threading.Barrier(3, timeout=20)
    answer = services.answer

    def wait_for_the_others(path: str, headers: dict[str, str], body: dict[str, Any]) -> Any:
        together.wait()
        return answer(path, headers, body)

    monkeypatch.setattr(services, "answer", wait_for_the_others)
    services.secrets |= dict.fromkeys(("a", "b", "c"), SECRET)
    providers = {f"openai_compatible:{name}": {"api_key": f"aws:{name}"} for name in ("a", "b", "c")}
    assert len(Settings.load(data_dir=tmp_path, providers=providers).providers) == 3


@pytest.mark.parametrize(
    "reference",
    [
        "env:NOT_SET_ANYWHERE",
        "file:/nowhere/at/all",
        "aws:missing",
        "aws:plain#field",
        "gcp:projects/p/secrets/missing/versions/latest",
        "azure:URL/azure/secrets/missing",
        "azure:http://vault.example/secrets/x",
        "vault:secret/data/missing#admin",
        "vault:kv/genai#other",
    ],
)
def test_a_secret_that_cannot_be_had_names_its_setting_and_no_secret(
    reference: str, services: KeyServices, tmp_path: Path
) -> None:
    services.secrets |= {"plain": SECRET, "kv/genai": {"admin": SECRET}}
    with pytest.raises(SettingsError) as caught:
        Settings.load(data_dir=tmp_path, providers={"openai": {"api_key": reference.replace("URL", services.url)}})
    assert "GENAI_PROVIDERS__OPENAI__API_KEY (providers.openai.api_key in the TOML file)" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_several_that_cannot_be_had_are_all_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"(?s)GENAI_ADMIN_KEY.*GENAI_SECRET_KEY|GENAI_SECRET_KEY.*GENAI_ADMIN_KEY"):
        Settings.load(data_dir=tmp_path, admin_key="env:NOT_A", secret_key="env:NOT_B")
