"""What Terraform tells goes into an overlay, and nothing else of it changes."""

import copy
from pathlib import Path
from typing import Any

import pytest

from infra.k8s.installation import NotWritten, write
from tests.infra.planted import copied

TOLD: dict[str, Any] = {
    "image": "444444444444.dkr.ecr.eu-west-3.amazonaws.com/genai-platform",
    "values": {"region": "eu-west-3", "certificate": "arn:aws:acm:eu-west-3:444444444444:certificate/1"},
    "settings": {"GENAI_PROXIES__TRUSTED": '["10.10.0.0/16","198.51.100.0/24"]'},
    "argocd": {"certificate-role": "arn:aws:iam::444444444444:role/genai-dev-certificates"},
}


@pytest.fixture
def infra(tmp_path: Path) -> Path:
    return copied(tmp_path, "infra/k8s/overlays/dev/aws", "infra/argocd/overlays/dev/aws").root / "infra"


def test_values_settings_image_and_argo_cds_names_are_written(infra: Path) -> None:
    overlay, argocd = infra / "k8s/overlays/dev/aws", infra / "argocd/overlays/dev/aws/values.yaml"
    before = {file: file.read_text().splitlines() for file in (*overlay.iterdir(), argocd)}
    changed = write(infra, "dev/aws", TOLD)
    assert changed == ["region", "certificate", "GENAI_PROXIES__TRUSTED", "newName", "certificate-role"]
    differing = [
        new for file, old in before.items() for was, new in zip(old, file.read_text().splitlines(), strict=True) if was != new
    ]
    assert sorted(differing) == [
        "    newName: 444444444444.dkr.ecr.eu-west-3.amazonaws.com/genai-platform",
        "  certificate-role: arn:aws:iam::444444444444:role/genai-dev-certificates",
        "  certificate: arn:aws:acm:eu-west-3:444444444444:certificate/1",
        "  region: eu-west-3",
        'GENAI_PROXIES__TRUSTED=["10.10.0.0/16","198.51.100.0/24"]',
    ]
    assert write(infra, "dev/aws", TOLD) == []


@pytest.mark.parametrize(
    ("place", "part", "told", "message"),
    [
        ("dev/gcp", "values", {}, "there is no overlay dev/gcp"),
        ("dev/aws", "values", None, "tells no values"),
        ("dev/aws", "values", {"colour": "red"}, "has no line for colour"),
        ("dev/aws", "settings", {"AWS_REGION": None}, "AWS_REGION is None"),
    ],
)
def test_what_cannot_be_written_changes_nothing(infra: Path, place: str, part: str, told: Any, message: str) -> None:
    before = {file: file.read_bytes() for file in infra.rglob("*") if file.is_file()}
    with pytest.raises(NotWritten, match=message):
        write(infra, place, {**copy.deepcopy(TOLD), part: told})
    assert {file: file.read_bytes() for file in infra.rglob("*") if file.is_file()} == before
