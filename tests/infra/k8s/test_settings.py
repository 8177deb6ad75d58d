"""The platform takes the settings and the models of each overlay, as a pod would give them to it."""

import re
from pathlib import Path

import certifi
import pytest

from core.settings import Settings
from core.transport.plaintext import check_listening, check_outward
from infra.lint.cluster import CLOUDS, PLACES
from langserve_app import check_names

K8S = Path(__file__).parents[3] / "infra/k8s"
SECRETS = {
    "GENAI_ADMIN_KEY": "a" * 40,
    "GENAI_SECRET_KEY": "b" * 40,
    "GENAI_METRICS__TOKEN": "c" * 40,
    "GENAI_DATABASE_URL": "postgresql://genai:word@db.internal/genai",
    "GENAI_REDIS_URL": "rediss://:word@cache.internal:6379/0",
}


def variables(environment: str, cloud: str) -> dict[str, str]:
    """Those of the files that kustomize merges; the environment's own literals as well."""
    files = [K8S / "base/settings.env", K8S / f"components/{cloud}/settings.env"]
    files.append(K8S / f"overlays/{environment}/{cloud}/settings.env")
    component = "production" if environment == "second" else environment
    literals = re.findall(
        r"^      - ([A-Z][A-Z_]+=.*)$", (K8S / f"components/{component}/kustomization.yaml").read_text(), re.M
    )
    lines = [line for file in files for line in file.read_text().splitlines() if line] + literals
    return dict(line.split("=", 1) for line in lines)


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("environment", PLACES)
def test_the_platform_takes_an_overlays_settings(
    environment: str, cloud: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = variables(environment, cloud)
    assert given["GENAI_CONFIG"] == "/etc/genai/models/platform.toml"
    paths = {
        "GENAI_CONFIG": str(K8S / f"components/{cloud}/platform.toml"),
        "GENAI_DATA_DIR": str(tmp_path),
        "GENAI_TLS__CA_FILE": certifi.where(),
    }
    for name, value in (given | SECRETS | paths).items():
        monkeypatch.setenv(name, value)
    settings = Settings.load()
    check_listening(settings)
    check_outward(settings)
    assert {alias.alias for alias in settings.models} == {"default", "large", "embeddings"}
    assert not settings.database.migrate
    assert not settings.jobs.embedded_worker
    # the driver of the object store and the certificate's files are the image's and the pod's
    here = {"files_url": None, "tls": settings.tls.model_copy(update={"certificate_file": None})}
    check_names(settings.model_copy(update=here))
