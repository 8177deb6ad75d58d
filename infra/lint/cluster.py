"""The overlays of infra/k8s as a cluster would be given them, for the checks that look at what comes out."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from infra.lint.finding import Finding
from infra.lint.tools import ask
from infra.lint.tree import Tree

ENVIRONMENTS = ("dev", "staging", "production")
#: Where overlays are made for: the environments, and the second region of production, which waits for a failover.
PLACES = (*ENVIRONMENTS, "second")
CLOUDS = ("aws", "azure", "gcp")
#: Kinds that make pods, by where their template is.
_TEMPLATES = {"Deployment", "StatefulSet", "DaemonSet", "Job"}
Manifest = dict[str, Any]


class NotRendered(Exception):
    """kustomize makes nothing of a directory; the message is what it says."""


class Overlay(NamedTuple):
    """One directory of overlays, rendered. `path` is its kustomization, as findings name it."""

    path: Path
    manifests: tuple[Manifest, ...]

    @property
    def place(self) -> str:
        """Environment and cloud, as `staging/aws`."""
        return "/".join(self.path.parts[-3:-1])

    def of(self, *kinds: str) -> Iterator[Manifest]:
        """The manifests of these kinds."""
        return (manifest for manifest in self.manifests if manifest["kind"] in kinds)

    def settings(self) -> Mapping[str, str]:
        """The variables that its pods get from the settings' ConfigMap."""
        found = [each["data"] for each in self.of("ConfigMap") if each["metadata"]["name"].startswith("genai-settings")]
        return found[0] if found else {}

    def finding(self, manifest: Manifest, message: str) -> Finding:
        return Finding(self.path, 0, f"{named(manifest)}: {message}")


def named(manifest: Manifest) -> str:
    """A manifest as messages name it."""
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def overlays(tree: Tree, of: str = "infra/k8s") -> Iterator[Overlay]:
    """Every overlay below `of` that kustomize can render; `infra.lint.checks.kustomize` tells of the others."""
    for directory in directories(tree, of):
        try:
            yield Overlay(tree.relative(directory / "kustomization.yaml"), rendered(tree, directory))
        except NotRendered:
            continue


def directories(tree: Tree, of: str = "infra/k8s") -> Iterator[Path]:
    """The directory of each place and cloud, whether it is there or not."""
    for environment in PLACES:
        for cloud in CLOUDS:
            yield tree.root / of / "overlays" / environment / cloud


@cache
def rendered(tree: Tree, directory: Path) -> tuple[Manifest, ...]:
    """What `kubectl kustomize` makes of a directory.

    Raises:
        NotRendered: it makes nothing of it.
        ToolMissing: kubectl is not there.
    """
    if not (directory / "kustomization.yaml").is_file():
        raise NotRendered("there is no such overlay")
    answer = ask(tree, ["kubectl", "kustomize", str(directory)])
    if answer.returncode != 0:
        raise NotRendered(answer.stderr.strip().splitlines()[-1] if answer.stderr.strip() else "kustomize failed")
    return tuple(each for each in yaml.safe_load_all(answer.stdout) if each is not None)


def pod_of(manifest: Manifest) -> Manifest | None:
    """The pod's specification in a manifest that makes pods; None in others."""
    return manifest["spec"]["template"]["spec"] if manifest["kind"] in _TEMPLATES else None


def labels_of(manifest: Manifest) -> Mapping[str, str]:
    """The labels of the pods that a manifest makes."""
    return manifest["spec"]["template"]["metadata"].get("labels", {})  # type: ignore[no-any-return]


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a selector by `matchLabels`, or a service's plain one, takes pods with these labels. An empty one takes all."""
    wanted = selector.get("matchLabels", {}) if not selector or "matchLabels" in selector else selector
    return all(labels.get(name) == value for name, value in wanted.items())
