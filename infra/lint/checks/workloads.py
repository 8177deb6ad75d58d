"""What every pod of infra/k8s has to be: of an exact version, bounded, probed, and without privileges."""

import re
from collections.abc import Iterator

from infra.lint.application import ROOT
from infra.lint.cluster import Manifest, Overlay, overlays, pod_of
from infra.lint.finding import Finding
from infra.lint.tree import Tree

_TAG = re.compile(r"(?:[^/]+/)*[^/:]+:(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]*)")
_EXACT = re.compile(r"v?\d+\.\d+\.\d+([-.+][A-Za-z0-9.-]+)?")
_OF_CLUSTERS = ("Namespace", "IngressClass")
_PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
#: What a probe must not ask: a server that is not ready, since its database is away, is not to be killed for it; one that lives
#: has not loaded its models yet.
_NOT_FOR = {"livenessProbe": "/api/v1/health/ready", "readinessProbe": "/api/v1/health/live"}
_RESOURCES = ("cpu", "memory", "ephemeral-storage")


def check(tree: Tree) -> Iterator[Finding]:
    """What a pod lacks, or has too much of."""
    routes = set(tree.application.routes)
    for overlay in overlays(tree):
        for manifest in overlay.manifests:
            if (pod := pod_of(manifest)) is None:
                continue
            for message in (*_of_pod(pod), *_of_containers(pod, routes, served=manifest["kind"] != "Job")):
                yield overlay.finding(manifest, message)
        yield from _namespaces(overlay)


def _of_pod(pod: Manifest) -> Iterator[str]:
    context = pod.get("securityContext", {})
    if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
        yield "it may run as root: runAsNonRoot, and a runAsUser that is not 0"
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "no seccompProfile of RuntimeDefault"
    if pod.get("automountServiceAccountToken") is not False:
        yield "the cluster's token is mounted: automountServiceAccountToken: false"
    yield from (f"{name} is the node's" for name in ("hostNetwork", "hostPID", "hostIPC") if pod.get(name))
    for volume in pod.get("volumes", ()):
        if "hostPath" in volume:
            yield f"the volume {volume['name']} is the node's"
        if "emptyDir" in volume and "sizeLimit" not in (volume["emptyDir"] or {}):
            yield f"the volume {volume['name']} has no sizeLimit"


def _of_containers(pod: Manifest, routes: set[str], *, served: bool) -> Iterator[str]:
    for container in (*pod.get("initContainers", ()), *pod["containers"]):
        found = [*_of_image(container["image"]), *_of_rights(container.get("securityContext", {})), *_of_bounds(container)]
        found += _of_probes(container, routes)
        found += [f"no {probe}" for probe in _PROBES if served and probe not in container]
        found += _of_command(container.get("command", []))
        yield from (f"{container['name']}: {message}" for message in found)


def _of_image(image: str) -> Iterator[str]:
    found = _TAG.fullmatch(image.partition("@")[0])
    if found is None or not _EXACT.fullmatch(found["tag"]):
        yield f"the image {image} has no exact version"


def _of_rights(context: Manifest) -> Iterator[str]:
    if context.get("allowPrivilegeEscalation") is not False or context.get("privileged"):
        yield "it may gain privileges: allowPrivilegeEscalation: false, and never privileged"
    if context.get("readOnlyRootFilesystem") is not True:
        yield "its root file system can be written"
    if context.get("capabilities") != {"drop": ["ALL"]}:
        yield "it keeps capabilities: drop ALL, and add none"
    if context.get("runAsUser") == 0 or context.get("runAsNonRoot") is False:
        yield "it runs as root"


def _of_bounds(container: Manifest) -> Iterator[str]:
    for kind in ("requests", "limits"):
        given = container.get("resources", {}).get(kind, {})
        yield from (f"no {kind} for {resource}" for resource in _RESOURCES if resource not in given)


def _of_probes(container: Manifest, routes: set[str]) -> Iterator[str]:
    ports = {port.get("name"): port["containerPort"] for port in container.get("ports", ())}
    for probe in _PROBES:
        asked = container.get(probe, {})
        for way in ("httpGet", "tcpSocket"):
            port = asked.get(way, {}).get("port")
            if port is not None and port not in ports and port not in ports.values():
                yield f"{probe} asks the port {port}, which is none of its ports"
        if (path := asked.get("httpGet", {}).get("path")) is not None and path not in routes:
            yield f"{probe} asks {path}, which is no route of the platform"
        if path is not None and path == _NOT_FOR.get(probe):
            yield f"{probe} asks {path}, which answers another question"


def _of_command(command: list[str]) -> Iterator[str]:
    shown = " ".join(command) or "nothing"
    match command:
        case ["python", "-m", module, *_]:
            file = ROOT.joinpath(*module.split(".")).with_suffix(".py")
        case ["python", script]:
            file = ROOT / script
        case ["genai", *_]:
            return
        case _:
            yield f"{shown} is no command of the platform's"
            return
    if not file.is_file():
        yield f"there is no {file.name} for {shown}"


def _namespaces(overlay: Overlay) -> Iterator[Finding]:
    namespaces = list(overlay.of("Namespace"))
    for namespace in namespaces:
        if namespace["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce") != "restricted":
            yield overlay.finding(namespace, "pod security is not enforced as `restricted`")
    names = {each["metadata"]["name"] for each in namespaces}
    for manifest in overlay.manifests:
        if manifest["kind"] not in _OF_CLUSTERS and manifest["metadata"].get("namespace") not in names:
            yield overlay.finding(manifest, "it is in no namespace of the overlay")
