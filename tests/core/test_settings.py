"""Settings: sources, and the error that names the setting."""

from pathlib import Path

import pytest

from core.settings import Settings, SettingsError, describe, platform_address, platform_authorities


def test_a_variable_wins_over_the_file_and_an_argument_over_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "genai.toml"
    file.write_text("port = 1\n[local]\nslots = 3\nqueue = 5\n")
    monkeypatch.setenv("GENAI_CONFIG", str(file))
    monkeypatch.setenv("GENAI_PORT", "2")
    monkeypatch.setenv("GENAI_LOCAL__SLOTS", "4")
    assert Settings.load().port == 2
    assert Settings.load(port=3).port == 3
    assert (Settings.load().local.slots, Settings.load().local.queue) == (4, 5)


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("GENAI_PORT", "http", "valid integer"),
        ("GENAI_PORT", "70000", "less than or equal to 65535"),
        ("GENAI_LOCAL__SLOTS", "0", "greater than or equal to 1"),
        ("GENAI_ADMIN_KEY", "short", "32 characters"),
        ("GENAI_ADMIN_KEY", "kein schlüssel, den ein Kopf tragen kann", "visible ASCII"),
        ("GENAI_PUBLIC_URL", "nonsense", "https://"),
        ("GENAI_PUBLIC_URL", "ftp://files.example.com", "https://"),
        ("GENAI_SESSION_HOURS", "inf", "less than or equal to 8760"),
        ("GENAI_TIMEOUTS__TOTAL", "inf", "finite"),
        ("GENAI_LOCAL", "{bad", "not JSON"),
        ("GENAI_DATABASE_URL", "mysql://x", "postgresql://"),
        ("GENAI_REDIS_URL", "localhost", "redis://"),
        ("GENAI_LOG__LEVEL", "loud", "'debug'"),
        ("GENAI_RETRIEVAL", '{"chunk_tokens": 100, "chunk_overlap_tokens": 100}', "smaller than chunk_tokens"),
    ],
)
def test_a_bad_value_is_refused_by_the_name_of_its_setting(
    variable: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    assert variable in str(caught.value)
    assert says in str(caught.value)


def test_an_unknown_variable_is_refused_with_the_nearest_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENAI_DATADIR", "/x")
    with pytest.raises(SettingsError, match=r"GENAI_DATADIR.*GENAI_DATA_DIR"):
        Settings.load()


def test_a_name_that_is_like_no_setting_is_refused_without_a_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENAI_FOO", "x")
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("port = ", "not TOML"),
        ("potr = 1", "potr"),
        ('[providers.openai]\napi_key = "env:NOT_SET_ANYWHERE"', "NOT_SET_ANYWHERE"),
        ('[[models]]\nalias = "a"\n', "deployments"),
        ('[[models]]\nalias = "a"\ndeployments = [{provider="local", model="m"}]\n' * 2, "given twice"),
    ],
)
def test_a_mistake_in_the_file_is_named(text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "genai.toml"
    file.write_text(text)
    monkeypatch.setenv("GENAI_CONFIG", str(file))
    with pytest.raises(SettingsError, match=says):
        Settings.load()


def test_a_mistake_within_a_list_is_told_alone() -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.load(models=[{"alias": "a", "deployments": [{"provider": "openai", "model": "m", "picturs": True}]}])
    assert "deployments.0.picturs" in str(refused.value)
    assert "at least 1 item" not in str(refused.value)
    with pytest.raises(SettingsError, match="at least 1 item"):
        Settings.load(models=[{"alias": "a", "deployments": []}])


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="GENAI_DATA_DIR"):
        Settings.load(data_dir=tmp_path / "file" / "data").path("genai.db")


def test_a_missing_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENAI_CONFIG", str(tmp_path / "none.toml"))
    with pytest.raises(SettingsError, match=r"GENAI_CONFIG.*No such file"):
        Settings.load()


def test_a_refused_secret_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENAI_ADMIN_KEY", "canary-secret")
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    assert "canary-secret" not in str(caught.value)


def test_a_credential_reference_reads_its_variable_and_stays_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "genai.toml"
    file.write_text('[providers.openai]\napi_key = "env:MY_CLOUD_KEY"\n')
    monkeypatch.setenv("GENAI_CONFIG", str(file))
    monkeypatch.setenv("MY_CLOUD_KEY", "canary-secret")
    settings = Settings.load()
    key = settings.providers["openai"].api_key
    assert key is not None
    assert key.get_secret_value() == "canary-secret"
    assert "canary-secret" not in repr(settings)


def test_without_configured_models_the_local_ones_answer() -> None:
    aliases = {model.alias: model for model in Settings.load().aliases}
    assert {name: model.kind for name, model in aliases.items()} == {"default": "chat", "embeddings": "embeddings"}
    assert {deployment.provider for model in aliases.values() for deployment in model.deployments} == {"local"}


def test_every_setting_is_described() -> None:
    rows = list(describe())
    assert {"GENAI_PORT", "GENAI_LOCAL__SLOTS", "GENAI_TIMEOUTS__FIRST_TOKEN"} <= {name for name, _, _ in rows}
    assert [name for name, _, meaning in rows if not meaning] == []


def test_the_command_line_finds_the_platform_where_the_settings_put_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert platform_address() == "http://127.0.0.1:8000"
    file = tmp_path / "genai.toml"
    file.write_text('port = 8100\n[providers.openai]\napi_key = "env:NOT_SET_ANYWHERE"\n')
    monkeypatch.setenv("GENAI_CONFIG", str(file))
    monkeypatch.setenv("GENAI_HOST", "0.0.0.0")
    assert platform_address() == "http://127.0.0.1:8100"
    monkeypatch.setenv("GENAI_PORT", "0")
    assert platform_address() == "http://127.0.0.1:8000"
    monkeypatch.setenv("GENAI_PUBLIC_URL", "https://genai.example/")
    assert platform_address() == "https://genai.example"
    monkeypatch.delenv("GENAI_PUBLIC_URL")
    monkeypatch.setenv("GENAI_PORT", "8443")
    file.write_text('[tls]\ncertificate_file = "genai.crt"\nca_file = "authority.pem"\n')
    assert (platform_address(), platform_authorities()) == ("https://127.0.0.1:8443", Path("authority.pem"))


def test_the_command_line_is_told_of_a_port_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENAI_PORT", "0x")
    with pytest.raises(SettingsError, match="GENAI_PORT"):
        platform_address()


@pytest.mark.parametrize(
    "name",
    ["GENAI_POLICIES__PII", "GENAI_FETCH__PRIVATE_NETWORKS", "GENAI_PROXIES__TRUSTED", "GENAI_ENCRYPTION__PREVIOUS_KEYS"],
)
def test_a_list_or_table_that_is_no_json_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "zzz")
    with pytest.raises(SettingsError, match=rf"  {name}: it is not JSON$"):
        Settings.load(data_dir=tmp_path)


@pytest.mark.parametrize("step", ["rewrite_model", "grade_model"])
def test_a_step_of_rag_names_a_chat_alias_that_there_is(tmp_path: Path, step: str) -> None:
    for name in ("nobody", "embeddings"):
        with pytest.raises(SettingsError, match=rf"GENAI_CHAINS__RAG__{step.upper()} .*: there is no chat alias '{name}'"):
            Settings.load(data_dir=tmp_path, chains={"rag": {step: name}})
    assert getattr(Settings.load(data_dir=tmp_path, chains={"rag": {step: "default"}}).chains.rag, step) == "default"


def test_the_data_directory_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    Settings.load(data_dir=tmp_path / "platform" / "data").path("store", "genai.db")
    assert (tmp_path / "platform" / "data").stat().st_mode & 0o777 == 0o700
