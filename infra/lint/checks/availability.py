"""Pods of infra/k8s are spread, scaled, found, and replaced without a cut: what refers to them meets them."""

import json
import re
from collections.abc import Iterator

from infra.lint.cluster import Manifest, Overlay, labels_of, overlays, selects
from infra.lint.finding import Finding
from infra.lint.tree import Tree

#: Seconds that a process needs for its end, at most, once open answers have had their time: the cut takes 5, the rest closes
#: what is open.
ENDING_S = 30
#: Seconds until the slowest load balancer has let go of a pod: the Application Gateway's ingress controller asks for 90.
_NOTICED_S = 90
_SHUTDOWN = (("NOTICE", "0"), ("GRACE", "120"))
_SPREAD = ("topology.kubernetes.io/zone", "kubernetes.io/hostname")


def check(tree: Tree) -> Iterator[Finding]:
    """Deployments that a drained node stops, services and load balancers that lead nowhere or hang up too early."""
    routes = set(tree.application.routes)
    for overlay in overlays(tree):
        for deployment in overlay.of("Deployment"):
            for message in (*_replaced(overlay, deployment), *_scaled(overlay, deployment), *_drained(overlay, deployment)):
                yield overlay.finding(deployment, message)
        yield from _services(overlay)
        yield from _groups(overlay)
        yield from _ingresses(overlay, routes)
        if not list(overlay.of("Ingress")) and not any(map(_has_group, overlay.of("Service"))):
            yield Finding(
                overlay.path, 0, "nothing leads a request to the servers: neither an Ingress nor a group of endpoints"
            )


def _replaced(overlay: Overlay, deployment: Manifest) -> Iterator[str]:
    labels, pod = labels_of(deployment), deployment["spec"]["template"]["spec"]
    budgets = [each["spec"] for each in overlay.of("PodDisruptionBudget") if selects(each["spec"]["selector"], labels)]
    if len(budgets) != 1:
        yield f"{len(budgets)} PodDisruptionBudgets take its pods, and there should be one"
    rules = pod.get("topologySpreadConstraints", ())
    spread = {rule["topologyKey"] for rule in rules if selects(rule["labelSelector"], labels)}
    yield from (f"its pods are not spread over {key}" for key in _SPREAD if key not in spread)


def _scaled(overlay: Overlay, deployment: Manifest) -> Iterator[str]:
    name = deployment["metadata"]["name"]
    targets = [each["spec"]["scaleTargetRef"] for each in overlay.of("ScaledObject")]
    kinds = [target["kind"] for target in targets if target["name"] == name]
    rolled = any(each["spec"]["workloadRef"]["name"] == name for each in overlay.of("Rollout"))
    if len(kinds) != 1:
        yield f"{len(kinds)} ScaledObjects scale it, and there should be one"
    elif kinds[0] != ("Rollout" if rolled else "Deployment"):
        yield f"its ScaledObject scales a {kinds[0]}, which has no pods"
    if deployment["spec"].get("replicas") != (0 if rolled else None):
        yield "its number of replicas is the autoscaler's to say; where a Rollout has the pods it is 0"


def _drained(overlay: Overlay, deployment: Manifest) -> Iterator[str]:
    """Of what answers requests: it goes on until load balancers have noticed, and then until the longest answer has ended."""
    pod, settings = deployment["spec"]["template"]["spec"], overlay.settings()
    containers = pod["containers"]
    ports = {str(port["containerPort"]) for each in containers for port in each.get("ports", ())}
    if settings.get("GENAI_PORT") not in ports:
        return
    longest = float(settings.get("GENAI_TIMEOUTS__TOTAL", "120"))
    notice, grace = (float(settings.get(f"GENAI_SHUTDOWN__{name}_S", default)) for name, default in _SHUTDOWN)
    sleeps = max(each.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0) for each in containers)
    if sleeps + notice < _NOTICED_S:
        yield f"load balancers still ask it when it stops: preStop and notice are {sleeps + notice:g} s, not {_NOTICED_S} s"
    if grace < longest:
        yield f"it cuts answers off: GENAI_SHUTDOWN__GRACE_S is {grace:g} s, GENAI_TIMEOUTS__TOTAL {longest:g} s"
    if (given := pod.get("terminationGracePeriodSeconds", 30)) < (needed := sleeps + notice + grace + ENDING_S):
        yield f"it is killed while it drains: terminationGracePeriodSeconds is {given}, and it may need {needed:g}"


def _services(overlay: Overlay) -> Iterator[Finding]:
    pods = [(labels_of(each), each["spec"]["template"]["spec"]) for each in overlay.of("Deployment")]
    for service in overlay.of("Service"):
        taken = [pod for labels, pod in pods if selects(service["spec"]["selector"], labels)]
        if not taken:
            yield overlay.finding(service, "it selects no pods")
        for port in service["spec"]["ports"]:
            target = port.get("targetPort", port["port"])
            for pod in taken:
                offered = [each for container in pod["containers"] for each in container.get("ports", ())]
                if not any(target in (each.get("name"), each["containerPort"]) for each in offered):
                    yield overlay.finding(service, f"targetPort {target} is no port of its pods")


def _has_group(service: Manifest) -> bool:
    return "cloud.google.com/neg" in service["metadata"].get("annotations", {})


def _groups(overlay: Overlay) -> Iterator[Finding]:
    """Groups of endpoints for a load balancer that is not the cluster's: of ports that the service has."""
    for service in overlay.of("Service"):
        told = json.loads(service["metadata"].get("annotations", {}).get("cloud.google.com/neg", "{}"))
        ports = {str(port["port"]) for port in service["spec"]["ports"]}
        for port in sorted(set(told.get("exposed_ports", {})) - ports):
            yield overlay.finding(service, f"it has no port {port} to make a group of endpoints of")


def _ingresses(overlay: Overlay, routes: set[str]) -> Iterator[Finding]:
    longest = float(overlay.settings().get("GENAI_TIMEOUTS__TOTAL", "120"))
    offered = {(each["metadata"]["name"], port["name"]) for each in overlay.of("Service") for port in each["spec"]["ports"]}
    for ingress in overlay.of("Ingress"):
        waits, paths = _patience(ingress)
        if not waits or min(waits) <= longest:
            shown = " and ".join(f"{wait} s" for wait in waits) or "nobody knows how long"
            yield overlay.finding(ingress, f"the load balancer waits {shown}, and an answer may take {longest:g} s")
        if not paths:
            yield overlay.finding(ingress, "the load balancer does not ask whether a server is ready")
        yield from (overlay.finding(ingress, f"{path} is no route of the platform") for path in paths if path not in routes)
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                if (backend["name"], backend["port"].get("name")) not in offered:
                    yield overlay.finding(ingress, f"there is no port {backend['port']} of a service {backend['name']}")


def _patience(ingress: Manifest) -> tuple[list[int], list[str]]:
    """How long the load balancer waits for an answer, in seconds, and what it asks a server's health by, whichever it is."""
    waits: list[int] = []
    paths: list[str] = []
    for name, value in ingress["metadata"].get("annotations", {}).items():
        waits += [int(found) for found in re.findall(r"idle_timeout\.timeout_seconds=(\d+)", value)]
        waits += [int(value)] if name.endswith("/request-timeout") else []
        paths += [value] if name.endswith(("/healthcheck-path", "/health-probe-path")) else []
    return waits, paths
