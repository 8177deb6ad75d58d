"""What infra/k8s says of an installation is what Terraform's stack of it will tell: an overlay's image, values and settings."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from infra.lint.cluster import CLOUDS, PLACES
from infra.lint.deployments import told
from infra.lint.evaluate import GAP, UNKNOWN, matches
from infra.lint.finding import Finding
from infra.lint.stacks import Stack, stacks
from infra.lint.tree import Tree, line_of

#: How Terraform's directories name a cloud.
_STACKS = {"gcp": "google"}
#: An overlay's environment -> its stack's, and the output there.
_OUTPUTS = {"second": ("production", "second_deployment")}


def check(tree: Tree) -> Iterator[Finding]:
    """Values that differ, that Terraform tells and nobody takes, and the other way round. What a cloud makes up may be any.

    An overlay without a stack of Terraform's is somebody's own cluster.
    """
    found = {(stack.cloud, stack.environment): stack for stack in stacks(tree)}
    for environment in PLACES:
        for cloud in CLOUDS:
            overlay = tree.root / f"infra/k8s/overlays/{environment}/{cloud}"
            of, output = _OUTPUTS.get(environment, (environment, "deployment"))
            stack = found.get((_STACKS.get(cloud, cloud), of))
            if overlay.is_dir() and stack is not None:
                yield from _compared(tree, overlay, stack, output)


def _compared(tree: Tree, overlay: Path, stack: Stack, output: str) -> Iterator[Finding]:
    deployment = told(stack, output)
    if not isinstance(deployment, dict) or not all(isinstance(deployment.get(part), dict) for part in ("values", "settings")):
        yield Finding(tree.relative(stack.module.path), 0, f"its output {output} has not both values and settings")
        return
    file = overlay / "values.yaml"
    yield from _differing(tree, file, tree.yaml(file)[0]["data"], deployment["values"], alone=True)
    file = overlay / "settings.env"
    lines = file.read_text(encoding="utf-8").splitlines()
    yield from _differing(tree, file, dict(line.split("=", 1) for line in lines if line), deployment["settings"], alone=False)
    file = overlay / "kustomization.yaml"
    image = tree.yaml(file)[0]["images"][0]["newName"]
    yield from _differing(tree, file, {"newName": image}, {"newName": deployment.get("image", UNKNOWN)}, alone=True)
    if isinstance(deployment.get("argocd"), dict):
        file = tree.root / "infra/argocd/overlays" / overlay.relative_to(overlay.parents[1]) / "values.yaml"
        yield from _differing(tree, file, tree.yaml(file)[0]["data"], deployment["argocd"], alone=True)


def _differing(tree: Tree, file: Path, said: Mapping[str, str], known: Mapping[str, Any], *, alone: bool) -> Iterator[Finding]:
    """`alone`: the file says nothing but what Terraform tells."""
    text = file.read_text(encoding="utf-8")
    for name, value in known.items():
        line = line_of(text, rf"^\s*{re.escape(name)}[:=]")
        if name not in said:
            yield Finding(tree.relative(file), line, f"{name} is missing, which Terraform's stack tells")
        elif not matches(value, said[name]):
            yield Finding(tree.relative(file), line, f"{name} is {said[name]}, and by Terraform's stack {_shown(value)}")
    for name in said if alone else ():
        if name not in known:
            yield Finding(
                tree.relative(file), line_of(text, rf"^\s*{re.escape(name)}:"), f"{name} is not told by Terraform's stack"
            )


def _shown(value: Any) -> str:
    return str(value).replace(GAP, "…")
