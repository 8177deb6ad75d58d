"""What Argo CD delivers: one repository, charts of exact versions, in waves that wait for each other, tried beforehand."""

import re
from collections.abc import Iterator

from infra.lint.cluster import PLACES, Manifest, Overlay, directories, overlays
from infra.lint.finding import Finding
from infra.lint.tree import Tree

_EXACT = re.compile(r"v?\d+\.\d+\.\d+")
_ARGOCD = "infra/argocd"
#: Where a version goes through, in this order.
_ORDER = PLACES


def check(tree: Tree) -> Iterator[Finding]:
    """Applications that lead nowhere, come too early or from elsewhere, and versions that skip an environment."""
    platforms = {overlay.place: overlay for overlay in overlays(tree)}
    for overlay in overlays(tree, _ARGOCD):
        yield from _applications(overlay, platforms)
    yield from _roots(tree)
    for overlay in platforms.values():
        yield from _waves(overlay)
    yield from untried(platforms)


def wave(manifest: Manifest) -> int:
    """The wave in which Argo CD applies a manifest."""
    return int(manifest["metadata"].get("annotations", {}).get("argocd.argoproj.io/sync-wave", "0"))


def _applications(overlay: Overlay, platforms: dict[str, Overlay]) -> Iterator[Finding]:
    projects = {each["metadata"]["name"]: each["spec"] for each in overlay.of("AppProject")}
    applications = list(overlay.of("Application"))
    last = max((wave(each) for each in applications if "chart" in each["spec"]["source"]), default=0)
    for application in applications:
        source, destination = application["spec"]["source"], application["spec"]["destination"]
        project = projects.get(application["spec"]["project"])
        if project is None:
            yield overlay.finding(application, f"there is no project {application['spec']['project']}")
            continue
        if source["repoURL"] not in project["sourceRepos"]:
            yield overlay.finding(application, f"its project takes nothing from {source['repoURL']}")
        if destination["namespace"] not in {each["namespace"] for each in project["destinations"]}:
            yield overlay.finding(application, f"its project brings nothing into {destination['namespace']}")
        if "chart" in source:
            if not _EXACT.fullmatch(source["targetRevision"]):
                yield overlay.finding(application, f"{source['targetRevision']} is no exact version of the chart")
            continue
        if source["path"] != f"infra/k8s/overlays/{overlay.place}" or overlay.place not in platforms:
            yield overlay.finding(application, f"{source['path']} is not the overlay of {overlay.place}")
        if wave(application) <= last:
            yield overlay.finding(application, f"wave {wave(application)} is not after the operators' {last}")


def _roots(tree: Tree) -> Iterator[Finding]:
    repositories: set[str] = set()
    for directory in directories(tree, _ARGOCD):
        file = directory / "root.yaml"
        if not file.is_file():
            yield Finding(tree.relative(file), 0, "no application of applications")
            continue
        source = tree.yaml(file)[0]["spec"]["source"]
        repositories.add(source["repoURL"])
        if source["path"] != str(tree.relative(directory)):
            yield Finding(tree.relative(file), 0, f"it points to {source['path']}")
        if len(repositories) > 1:
            yield Finding(tree.relative(file), 0, f"several repositories: {', '.join(sorted(repositories))}")


def _waves(overlay: Overlay) -> Iterator[Finding]:
    """Secrets, then certificate and schema, then what needs them. Hooks of Argo CD's `PostSync` come behind all waves."""
    migrations = [each for each in overlay.of("Job") if each["metadata"]["name"] == "genai-migrations"]
    if not migrations or migrations[0]["metadata"].get("annotations", {}).get("argocd.argoproj.io/hook") != "Sync":
        yield Finding(overlay.path, 0, "no job migrates the database at each sync")
        return
    before = [*overlay.of("Namespace", "ServiceAccount", "SecretStore", "ExternalSecret", "Issuer", "Certificate")]
    behind = [*overlay.of("Deployment", "Rollout")]
    late = [each for each in before if wave(each) >= wave(migrations[0])]
    early = [each for each in behind if wave(each) <= wave(migrations[0])]
    yield from (overlay.finding(each, "it comes after the migrations, which need it") for each in late)
    yield from (overlay.finding(each, "it comes before the migrations that it needs") for each in early)


def untried(platforms: dict[str, Overlay]) -> Iterator[Finding]:
    """Versions that are newer than what an environment before has. `platforms` are overlays by `staging/aws`."""
    versions = {place: _version(overlay) for place, overlay in platforms.items()}
    for place, version in versions.items():
        environment, cloud = place.split("/")
        for former in _ORDER[: _ORDER.index(environment)]:
            tried = versions.get(f"{former}/{cloud}")
            if version is not None and tried is not None and version > tried:
                shown = ".".join(map(str, version))
                yield Finding(platforms[place].path, 0, f"{shown} is newer than what {former} has: it was not tried there")
        if environment == "second" and version != versions.get(f"production/{cloud}", version):
            yield Finding(platforms[place].path, 0, "its version is not production's, in whose place it has to stand")


def _version(overlay: Overlay) -> tuple[int, ...] | None:
    images = {each["spec"]["template"]["spec"]["containers"][0]["image"] for each in overlay.of("Deployment", "Job")}
    tags = {image.rpartition(":")[2] for image in images}
    found = re.fullmatch(r"v?(\d+)\.(\d+)\.(\d+).*", tags.pop()) if len(tags) == 1 else None
    return tuple(map(int, found.groups())) if found else None
