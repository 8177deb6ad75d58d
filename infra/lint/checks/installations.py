"""What infra/k8s and infra/terraform both say of an installation is the same: its network and its name in the world."""

import re
from collections.abc import Iterator
from pathlib import Path

from infra.lint.cluster import CLOUDS, ENVIRONMENTS
from infra.lint.finding import Finding
from infra.lint.tree import Tree, line_of

#: How Terraform's directories name a cloud.
_STACKS = {"gcp": "google"}
#: The name in an overlay's values.yaml -> the first argument or local of a live stack that says the same.
_SAME = {"network": "cidr", "host": "domain"}


def check(tree: Tree) -> Iterator[Finding]:
    """Values that differ. An overlay without a stack of Terraform's is somebody's own cluster."""
    for environment in ENVIRONMENTS:
        for cloud in CLOUDS:
            values = tree.root / f"infra/k8s/overlays/{environment}/{cloud}/values.yaml"
            stack = tree.root / f"infra/terraform/live/{_STACKS.get(cloud, cloud)}/{environment}/main.tf"
            if values.is_file() and stack.is_file():
                yield from _compared(tree, values, stack.read_text(encoding="utf-8"))


def _compared(tree: Tree, values: Path, stack: str) -> Iterator[Finding]:
    text = values.read_text(encoding="utf-8")
    said = tree.yaml(values)[0]["data"]
    for name, argument in _SAME.items():
        found = re.search(rf'^\s*{argument}\s*=\s*"([^"]+)"', stack, re.MULTILINE)
        if found is not None and found[1] != said[name]:
            message = f"{name} is {said[name]}, and in Terraform's stack {found[1]}"
            yield Finding(tree.relative(values), line_of(text, rf"^  {name}:"), message)
