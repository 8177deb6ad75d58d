"""The PrometheusRule is infra/prometheus, group by group."""

import yaml

from infra.k8s.rules import WRITTEN, manifest
from infra.lint.application import ROOT


def test_the_manifest_holds_every_group_as_it_is() -> None:
    rule = yaml.safe_load(manifest(ROOT / "infra/prometheus"))
    files = [yaml.safe_load((ROOT / "infra/prometheus" / name).read_text()) for name in ("recording-rules.yml", "alerts.yml")]
    assert rule["spec"]["groups"] == [group for file in files for group in file["groups"]]


def test_what_is_committed_is_what_is_written() -> None:
    assert WRITTEN.read_text() == manifest(ROOT / "infra/prometheus")
