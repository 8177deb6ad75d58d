"""Digests of images are asked of their registries, and written where the images are named."""

import os
from pathlib import Path

import pytest

from infra.docker.pin import main, named
from infra.lint.application import ROOT
from tests.infra.planted import copied

DIGEST = "sha256:" + "ab" * 32


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `crane` that knows every image but those of one registry."""
    crane = tmp_path / "bin" / "crane"
    crane.parent.mkdir()
    crane.write_text(
        '#!/bin/sh\n[ "$1" = digest ] || exit 2\n'
        'case $2 in cr.weaviate.io/*) [ -z "$AWAY" ] || { echo away >&2; exit 1; } ;; esac\n'
        f"echo {DIGEST}\n"
    )
    crane.chmod(0o755)
    monkeypatch.setenv("PATH", str(crane.parent) + os.pathsep + os.environ["PATH"])
    return crane


def test_every_image_of_others_is_pinned_and_none_of_ours(registry: Path, tmp_path: Path) -> None:
    tree = copied(tmp_path / "tree", "infra/docker", "infra/compose")
    assert main(["--root", str(tree.root), "--in-place"]) == 0
    dockerfile = (tree.root / "infra/docker/Dockerfile").read_text()
    compose = (tree.root / "infra/compose/compose.yaml").read_text()
    assert f"FROM python:3.12.12-slim-bookworm@{DIGEST} AS base" in dockerfile
    assert f"image: pgvector/pgvector:0.8.1-pg17@{DIGEST}\n" in compose
    assert "image: genai-platform:${IMAGE_TAG:-0.1.0}\n" in compose
    assert dockerfile.count("@sha256") == 3
    assert compose.count("@sha256") == len(named(compose)) == 8
    before = compose
    assert main(["--root", str(tree.root), "--in-place"]) == 0
    assert (tree.root / "infra/compose/compose.yaml").read_text() == before


def test_an_image_that_is_not_known_fails_and_writes_nothing(
    registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWAY", "1")
    tree = copied(tmp_path / "tree", "infra/docker", "infra/compose")
    assert main(["--root", str(tree.root), "--in-place"]) == 1
    assert "cr.weaviate.io/semitechnologies/weaviate:1.33.0: away" in capsys.readouterr().err
    assert "@sha256" not in (tree.root / "infra/compose/compose.yaml").read_text()


def test_no_digest_is_written_by_hand() -> None:
    files = [*(ROOT / "infra").rglob("Dockerfile"), *(ROOT / "infra").rglob("*.yaml"), *(ROOT / "infra").rglob("*.tf")]
    assert [str(file) for file in files if "@sha256:" in file.read_text()] == []
