"""Custom resources have the form that `infra/lint/custom_resources.yaml` gives them.

Their operators' schemas come in no package. The file there is of our own, written after the operators' reference pages: for
each kind the version that we use, the fields that we use, and no others. It finds a misspelt field and a missing one; whether
a value means what was meant, the operator says.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from infra.lint.cluster import named, overlays
from infra.lint.finding import Finding
from infra.lint.tree import Tree

SCHEMAS = Path(__file__).parents[1] / "custom_resources.yaml"
#: Groups of Kubernetes' own: their kinds are `infra.lint.checks.kustomize`'s.
_OWN = ("apps/", "autoscaling/", "batch/", "networking.k8s.io/", "policy/", "rbac.authorization.k8s.io/", "v1")


def check(tree: Tree) -> Iterator[Finding]:
    """Kinds, versions and fields that are not in the file."""
    known = yaml.safe_load(SCHEMAS.read_text(encoding="utf-8"))
    seen: set[str] = set()
    for path, manifest in _all(tree):
        if manifest["apiVersion"].startswith(_OWN) or (told := repr(manifest)) in seen:
            continue
        seen.add(told)
        for problem in problems(manifest, known):
            yield Finding(path, 0, f"{named(manifest)}: {problem}")


def problems(manifest: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with one custom resource."""
    from jsonschema import Draft202012Validator

    kind = f"{manifest['apiVersion']} {manifest['kind']}"
    if kind not in known["kinds"]:
        yield f"{kind} is not described in {SCHEMAS.name}"
        return
    schema = {"$defs": known["$defs"], "type": "object", "required": ["spec"], "properties": {"spec": known["kinds"][kind]}}
    for error in Draft202012Validator(schema).iter_errors(manifest):
        yield f"{'.'.join(map(str, error.absolute_path))}: {error.message}"


def _all(tree: Tree) -> Iterator[tuple[Path, dict[str, Any]]]:
    for overlay in (*overlays(tree), *overlays(tree, "infra/argocd")):
        for manifest in overlay.manifests:
            yield overlay.path, manifest
    for file in tree.files("root.yaml", below="infra/argocd"):
        for manifest in tree.yaml(file):
            yield tree.relative(file), manifest
