"""The manifests of rules and dashboards hold what infra/prometheus and infra/grafana do."""

import json

import pytest
import yaml

from infra.k8s.observed import HERE, WRITTEN, dashboards, rules
from infra.lint.application import ROOT

INFRA = ROOT / "infra"


def test_the_rule_holds_every_group_as_it_is() -> None:
    files = [yaml.safe_load((INFRA / "prometheus" / name).read_text()) for name in ("recording-rules.yml", "alerts.yml")]
    assert yaml.safe_load(rules(INFRA))["spec"]["groups"] == [group for file in files for group in file["groups"]]


def test_each_dashboard_is_a_config_map_that_grafana_finds() -> None:
    manifests = list(yaml.safe_load_all(dashboards(INFRA)))
    held = {name.removeprefix("genai-"): json.loads(text) for each in manifests for name, text in each["data"].items()}
    assert held == {file.name: json.loads(file.read_text()) for file in (INFRA / "grafana").glob("*.json")}
    assert {each["metadata"]["labels"]["grafana_dashboard"] for each in manifests} == {"1"}


@pytest.mark.parametrize("file", WRITTEN)
def test_what_is_committed_is_what_is_written(file: str) -> None:
    assert (HERE / file).read_text() == WRITTEN[file](INFRA)
