"""What Compose gives the platform is settings that it starts with: secrets of `make-secrets`, each profile's variables."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

import langserve_app
from core.settings import Settings
from infra.lint.application import ROOT

HOME = ROOT / "infra/compose"


def variables(file: str) -> dict[str, str]:
    lines = (line for line in (HOME / file).read_text().splitlines() if line and not line.startswith("#"))
    return {name: value.strip("'") for name, _, value in (line.partition("=") for line in lines)}


def interpolated(value: str, given: dict[str, str]) -> str:
    return re.sub(r"\$\{(\w+):?-([^}]*)\}", lambda found: given.get(found[1]) or found[2], value)


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("secrets") / "of-compose"
    subprocess.run(["sh", str(HOME / "make-secrets"), str(directory)], check=True)
    return directory


def test_secrets_are_made_once_and_each_is_its_own(secrets: Path) -> None:
    before = {file.name: file.read_text() for file in secrets.iterdir()}
    subprocess.run(["sh", str(HOME / "make-secrets"), str(secrets)], check=True)
    assert {file.name: file.read_text() for file in secrets.iterdir()} == before
    random = [text for name, text in before.items() if not name.endswith("_url")]
    assert len(set(random)) == len(random) == 10
    assert all(re.fullmatch("[0-9a-f]{64}", text) for text in random)
    assert before["database_password"] in before["database_url"]
    assert oct(secrets.stat().st_mode)[-3:] == "700"


@pytest.mark.parametrize(("argument", "code"), [("--help", 0), ("-h", 0), ("--list", 2)])
def test_who_asks_how_secrets_are_made_is_told_and_none_are(argument: str, code: int, tmp_path: Path) -> None:
    answer = subprocess.run(
        ["sh", str(HOME / "make-secrets"), argument], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert answer.returncode == code
    assert answer.stderr.startswith("usage: make-secrets [DIRECTORY]")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("models", ["models.toml", "models-without-local.toml"])
@pytest.mark.parametrize("profile", ["dev.env", "full.env"])
@pytest.mark.parametrize("service", ["platform", "worker"])
def test_the_platform_takes_what_compose_gives_it(
    service: str, profile: str, models: str, secrets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compose = yaml.safe_load((HOME / "compose.yaml").read_text())
    for name in [name for name in os.environ if name.startswith("GENAI_")]:
        monkeypatch.delenv(name)
    for name, value in compose["services"][service]["environment"].items():
        if name.startswith("GENAI_"):
            given = interpolated(value, variables(profile))
            monkeypatch.setenv(name, given.replace("/run/secrets", str(secrets)))
    monkeypatch.setenv("GENAI_CONFIG", str(HOME / "config" / models))
    monkeypatch.setenv("GENAI_DATA_DIR", str(tmp_path / "data"))
    settings = Settings.load()
    langserve_app.check_names(settings)
    assert settings.database_url == (secrets / "database_url").read_text()
    assert settings.retrieval.store == "pgvector"
    assert settings.retrieval.other_stores == (("qdrant_server", "weaviate") if profile == "full.env" else ())
