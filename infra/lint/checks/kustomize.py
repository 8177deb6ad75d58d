"""Every overlay of infra/k8s and infra/argocd renders, by older kustomize as well, and Kubernetes' own kinds are as its
published schemas say: strictly."""

from collections.abc import Iterator

import yaml

from infra.lint.cluster import NotRendered, Overlay, directories, overlays, rendered
from infra.lint.finding import Finding
from infra.lint.tree import Tree

#: The oldest that is served by all three clouds' managed clusters, and the newest whose schemas the validator carries.
VERSIONS = ("1.33", "1.37")


def check(tree: Tree) -> Iterator[Finding]:
    """What kustomize or a schema refuses."""
    yield from _patches(tree)
    for directory in (*directories(tree), *directories(tree, "infra/argocd")):
        try:
            rendered(tree, directory)
        except NotRendered as problem:
            yield Finding(tree.relative(directory) / "kustomization.yaml", 0, str(problem))
    seen: set[str] = set()
    for overlay in overlays(tree):
        yield from _against_schemas(overlay, seen)


def _patches(tree: Tree) -> Iterator[Finding]:
    """Patches of several documents: kustomize up to that of kubectl 1.33 does not read them, the newest does."""
    for file in (*tree.files("kustomization.yaml", below="infra/k8s"), *tree.files("kustomization.yaml", below="infra/argocd")):
        for patch in tree.yaml(file)[0].get("patches", ()):
            path = file.parent / patch["path"] if "path" in patch else file
            if not path.is_file():
                continue  # what kustomize says of it
            text = patch.get("patch") or path.read_text(encoding="utf-8")
            if len([each for each in yaml.safe_load_all(text) if each is not None]) > 1:
                yield Finding(tree.relative(path), 0, "several documents in one patch, which kubectl up to 1.33 cannot read")


def _against_schemas(overlay: Overlay, seen: set[str]) -> Iterator[Finding]:
    import kubernetes_validate

    for manifest in overlay.manifests:
        if (told := repr(manifest)) in seen:
            continue
        seen.add(told)
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(manifest, version, strict=True)
            except kubernetes_validate.SchemaNotFoundError:
                break  # a custom resource: `infra.lint.checks.custom_resources`
            except kubernetes_validate.ValidationError as problem:
                where = ".".join(map(str, problem.path))
                yield overlay.finding(manifest, f"{where}: {problem.message} (Kubernetes {version})")
                break
