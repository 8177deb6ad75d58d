"""Every overlay of infra/k8s and infra/argocd renders, and Kubernetes' own kinds are as its published schemas say: strictly."""

from collections.abc import Iterator

from infra.lint.cluster import NotRendered, Overlay, directories, overlays, rendered
from infra.lint.finding import Finding
from infra.lint.tree import Tree

#: The oldest that is served by all three clouds' managed clusters, and the newest whose schemas the validator carries.
VERSIONS = ("1.33", "1.37")


def check(tree: Tree) -> Iterator[Finding]:
    """What kustomize or a schema refuses."""
    for directory in (*directories(tree), *directories(tree, "infra/argocd")):
        try:
            rendered(tree, directory)
        except NotRendered as problem:
            yield Finding(tree.relative(directory) / "kustomization.yaml", 0, str(problem))
    seen: set[str] = set()
    for overlay in overlays(tree):
        yield from _against_schemas(overlay, seen)


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
