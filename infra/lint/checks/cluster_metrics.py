"""Every series that autoscaling, delivery and rules of infra/k8s ask for is made by the application or a recording rule."""

import re
from collections.abc import Iterator, Mapping

from infra.k8s.observed import WRITTEN
from infra.lint.cluster import Manifest, Overlay, named, overlays
from infra.lint.finding import Finding
from infra.lint.tree import Tree

_SERIES = re.compile(r"\bgenai[a-z0-9_:]*")
_SELECTOR = re.compile(r"\b(genai[a-z0-9_:]*)\{([^}]*)\}")
_LABEL = re.compile(r'([A-Za-z_]\w*)\s*(?:=~|!~|!=|=)\s*"')
#: Labels that are not the application's: of the target, of Argo Rollouts (`podTargetLabels`), and of a histogram's buckets.
_OF_TARGETS = {"job", "instance", "namespace", "pod", "container", "service", "endpoint", "le"} | {
    *("app_kubernetes_io_component", "rollouts_pod_template_hash"),
}


def check(tree: Tree) -> Iterator[Finding]:
    """Unknown series, and rules and dashboards that are behind infra/prometheus and infra/grafana."""
    for name, written in WRITTEN.items():
        file = tree.root / "infra/k8s" / name
        if file.read_text(encoding="utf-8") != written(tree.root / "infra"):
            yield Finding(tree.relative(file), 0, "it is not what `python -m infra.k8s.observed` writes")
    for overlay in overlays(tree):
        rules = [rule for each in overlay.of("PrometheusRule") for group in each["spec"]["groups"] for rule in group["rules"]]
        known = set(tree.application.metrics) | {rule["record"] for rule in rules if "record" in rule}
        for where, query in asked(overlay, rules):
            for series in sorted(set(_SERIES.findall(re.sub(r'"[^"]*"', '""', query))) - known):
                yield Finding(overlay.path, 0, f"{where}: there is no series {series}")
            for series, label in unlabelled(query, tree.application.labels):
                yield Finding(overlay.path, 0, f"{where}: {series} has no label {label}")
        for rollout in overlay.of("Rollout"):
            yield from _analysed(overlay, rollout)


def unlabelled(query: str, labels: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, str]]:
    """(series, label) that a query selects by and the application never gives: it would find nothing, and say nothing of it.

    `labels` are those of the series that are known; of others, as a recording rule's, nothing is said."""
    for series, selector in _SELECTOR.findall(query):
        if series in labels:
            unknown = set(_LABEL.findall(selector)) - set(labels[series]) - _OF_TARGETS
            yield from ((series, label) for label in sorted(unknown))


def asked(overlay: Overlay, rules: list[Manifest]) -> Iterator[tuple[str, str]]:
    """(who asks, the query) of these rules, of autoscaling and of rollouts."""
    for rule in rules:
        yield rule.get("record") or rule["alert"], rule["expr"]
    for scaled in overlay.of("ScaledObject"):
        for trigger in scaled["spec"]["triggers"]:
            yield named(scaled), trigger["metadata"].get("query", "")
    for template in overlay.of("AnalysisTemplate"):
        for metric in template["spec"]["metrics"]:
            yield f"{named(template)}: {metric['name']}", metric["provider"]["prometheus"]["query"]


def _analysed(overlay: Overlay, rollout: Manifest) -> Iterator[Finding]:
    templates = {each["metadata"]["name"]: each for each in overlay.of("AnalysisTemplate")}
    steps = rollout["spec"]["strategy"]["canary"]["steps"]
    analyses = [step["analysis"] for step in steps if "analysis" in step]
    if not analyses:
        yield overlay.finding(rollout, "no step looks at what the new version does")
    for analysis in analyses:
        given = {argument["name"] for argument in analysis.get("args", ())}
        for each in analysis["templates"]:
            template = templates.get(each["templateName"])
            if template is None:
                yield overlay.finding(rollout, f"there is no AnalysisTemplate {each['templateName']}")
            elif missing := {argument["name"] for argument in template["spec"].get("args", ())} - given:
                yield overlay.finding(rollout, f"the analysis is not told {sorted(missing)}")
