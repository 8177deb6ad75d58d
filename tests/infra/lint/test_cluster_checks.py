"""Checks of what infra/k8s and infra/argocd make: each finds what is planted, and nothing in what is there."""

import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from infra.lint.checks.cluster_metrics import asked
from infra.lint.checks.delivery import untried
from infra.lint.cluster import Overlay, overlays
from infra.lint.tree import Tree
from tests.e2e import observed
from tests.infra.clusters import BASE, COMPONENTS, OVERLAYS, cluster
from tests.infra.planted import needs_checkers, replaced, said, said_by_checkers

pytestmark = needs_checkers

SERVER, HERE = f"{BASE}/server.yaml", f"{OVERLAYS}/staging/aws"
MISTAKES = yaml.safe_load(Path(__file__).with_name("mistakes.yaml").read_text())


@pytest.mark.parametrize("check", MISTAKES)
def test_a_check_finds_each_mistake(check: str, tmp_path: Path) -> None:
    tree = cluster(tmp_path, "staging/aws")
    for mistake in MISTAKES[check]:
        replaced(tree, mistake["file"], mistake["right"], mistake["wrong"])
    found = said(check, tree)
    assert [each["told"] for each in MISTAKES[check] if not any(each["told"] in finding for finding in found)] == []


def test_what_is_there_has_none_of_them(tmp_path: Path) -> None:
    tree = cluster(tmp_path, "dev/gcp", "staging/azure")
    found = {check: said(check, tree) for check in MISTAKES}
    left_out = [finding for finding in found.pop("delivery") if "no application of applications" not in finding]
    assert (found, left_out) == ({check: [] for check in found}, [])


def test_prometheus_understands_what_autoscaling_and_rollouts_ask(tmp_path: Path) -> None:
    promtool = observed.prometheus_folder() / "promtool"
    (overlay,) = overlays(cluster(tmp_path, "staging/azure"))
    queries = [query.replace("{{args.", "").replace("}}", "") for _, query in asked(overlay, [])]
    recorded = [{"record": f"asked:{number}", "expr": query} for number, query in enumerate(filter(None, queries))]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": recorded}]}))
    told = subprocess.run(
        [promtool, "check", "rules", str(tmp_path / "rules.yml")], capture_output=True, text=True, check=False
    )
    assert (len(recorded), told.returncode) == (8, 0), told.stderr


def test_servers_that_no_load_balancer_finds_are_found(tmp_path: Path) -> None:
    tree, service = cluster(tmp_path, "dev/gcp"), f"{COMPONENTS}/gcp/service.yaml"
    replaced(tree, service, '"443"', '"444"')
    assert ["no port 444 to make a group of endpoints of" in found for found in said("availability", tree)] == [True]
    replaced(tree, service, "cloud.google.com/neg:", "cloud.google.com/nego:")
    replaced(tree, f"{COMPONENTS}/gcp/replacements.yaml", "cloud.google.com/neg]", "cloud.google.com/nego]")
    assert ["nothing leads a request to the servers" in found for found in said("availability", Tree(tree.root))] == [True]


def test_a_version_that_was_not_tried_is_found() -> None:
    def running(place: str, version: str) -> Overlay:
        pod = {"spec": {"containers": [{"image": f"registry.example.com:5000/genai-platform:{version}"}]}}
        deployment = {"kind": "Deployment", "metadata": {"name": "genai-server"}, "spec": {"template": pod}}
        return Overlay(Path(OVERLAYS, place, "kustomization.yaml"), (deployment,))

    versions = {"dev/gcp": "0.10.0", "staging/gcp": "0.9.0", "production/gcp": "0.9.1", "production/aws": "7.0.0"}
    found = [str(finding) for finding in untried({place: running(place, version) for place, version in versions.items()})]
    told = "0.9.1 is newer than what staging has: it was not tried there"
    assert found == [f"{OVERLAYS}/production/gcp/kustomization.yaml:1: {told}"]


def test_an_overlay_that_does_not_render_and_a_field_that_is_not_there_are_found(tmp_path: Path) -> None:
    tree = cluster(tmp_path, "staging/aws", "dev/aws")
    replaced(tree, SERVER, "enableServiceLinks: false", "enableServiceLink: false")
    replaced(tree, f"{HERE}/values.yaml", "  zone: ", "  zones: ")
    found = defaultdict(list)
    for line in said_by_checkers("kustomize", tree, tmp_path):
        found[line.partition("/kustomization.yaml")[0]].append(line)
    assert "zone" in found[HERE][0]
    assert any("enableServiceLink" in line for line in found[f"{OVERLAYS}/dev/aws"])
    assert "there is no such overlay" in found[f"{OVERLAYS}/production/gcp"][0]


def test_a_patch_that_older_kubectls_cannot_read_is_found(tmp_path: Path) -> None:
    tree = cluster(tmp_path, "dev/gcp")
    service = tree.root / COMPONENTS / "gcp/service.yaml"
    service.write_text(f"{service.read_text()}---\n{(tree.root / COMPONENTS / 'gcp/front-ends.yaml').read_text()}")
    found = said_by_checkers("kustomize", tree, tmp_path)
    assert f"{COMPONENTS}/gcp/service.yaml:1: several documents in one patch, which kubectl up to 1.33 cannot read" in found
