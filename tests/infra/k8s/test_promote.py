"""A version is moved on from one environment to the next."""

from pathlib import Path

import pytest

from infra.k8s.promote import CLOUDS, NotPromoted, main, promote, version_of
from tests.infra.planted import copied


@pytest.fixture
def overlays(tmp_path: Path) -> Path:
    return copied(tmp_path, "infra/k8s/overlays").root / "infra/k8s/overlays"


def test_a_version_goes_through_the_environments_one_by_one(overlays: Path) -> None:
    assert promote(overlays, "dev", CLOUDS, source=None, version="7.0.1") == [
        f"dev/{cloud}: 0.1.0 -> 7.0.1" for cloud in CLOUDS
    ]
    assert promote(overlays, "staging", ["gcp"], source="dev", version=None) == ["staging/gcp: 0.1.0 -> 7.0.1"]
    assert promote(overlays, "production", CLOUDS, source="staging", version=None) == [
        "production/gcp: 0.1.0 -> 7.0.1",
        "second/gcp: 0.1.0 -> 7.0.1",
    ]
    assert [version_of(overlays / "production" / cloud) for cloud in CLOUDS] == ["0.1.0", "0.1.0", "7.0.1"]


def test_nothing_but_the_version_changes(overlays: Path) -> None:
    file = overlays / "dev/aws/kustomization.yaml"
    before = file.read_text()
    promote(overlays, "dev", ["aws"], source=None, version="7.0.1")
    assert file.read_text() == before.replace("newTag: 0.1.0", "newTag: 7.0.1") != before


@pytest.mark.parametrize(
    ("target", "source", "version", "why"),
    [
        ("production", "dev", None, "not the environment before"),
        ("dev", "staging", None, "not the environment before"),
        ("production", None, "7.0.1", "begins in dev"),
        ("dev", None, "latest", "no exact version"),
        ("dev", None, "", "dev needs a version"),
        ("dev", None, "7.0.1\n  evil: true", "no exact version"),
    ],
)
def test_an_environment_is_not_skipped_and_a_version_is_exact(
    overlays: Path, target: str, source: str | None, version: str | None, why: str
) -> None:
    before = {file: file.read_text() for file in overlays.rglob("kustomization.yaml")}
    with pytest.raises(NotPromoted, match=why):
        promote(overlays, target, CLOUDS, source=source, version=version)
    assert {file: file.read_text() for file in before} == before


def test_the_command_fails_where_nothing_changes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--from", "dev", "--to", "production"]) == 1
    assert "not the environment before" in capsys.readouterr().err
