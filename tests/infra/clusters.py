"""Copies of infra/k8s and infra/argocd with one overlay each, for tests of the checks that render them."""

import shutil
from pathlib import Path

from infra.lint.cluster import CLOUDS, PLACES
from infra.lint.tree import Tree
from tests.infra.planted import copied

BASE, COMPONENTS, OVERLAYS = "infra/k8s/base", "infra/k8s/components", "infra/k8s/overlays"


def cluster(directory: Path, *places: str) -> Tree:
    """A tree with these overlays (`staging/aws`) and no others: each that is rendered takes its time."""
    tree = copied(directory, "infra/k8s", "infra/argocd", "infra/prometheus", "infra/grafana")
    for below in ("infra/k8s", "infra/argocd"):
        for place in (f"{environment}/{cloud}" for environment in PLACES for cloud in CLOUDS):
            if place not in places:
                shutil.rmtree(tree.root / below / "overlays" / place)
    return tree
