"""Pods of infra/k8s are reached, and reach others, by what a NetworkPolicy names and by nothing else."""

from collections.abc import Iterator
from ipaddress import ip_network

from infra.lint.cluster import Manifest, Overlay, labels_of, overlays, selects
from infra.lint.finding import Finding
from infra.lint.tree import Tree

#: What a policy that lets out into the whole world must leave out: private networks, and the nodes' metadata.
_PRIVATE = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16")))


def check(tree: Tree) -> Iterator[Finding]:
    """Doors that stand open, and doors that lead nowhere."""
    for overlay in overlays(tree):
        policies = list(overlay.of("NetworkPolicy"))
        if not any(_denies_all(policy["spec"]) for policy in policies):
            yield Finding(overlay.path, 0, "no NetworkPolicy denies what the others do not allow")
        for policy in policies:
            for message in _of_policy(overlay, policy["spec"]):
                yield overlay.finding(policy, message)


def _denies_all(spec: Manifest) -> bool:
    return (
        not spec["podSelector"] and set(spec["policyTypes"]) == {"Ingress", "Egress"} and not {"ingress", "egress"} & set(spec)
    )


def _of_policy(overlay: Overlay, spec: Manifest) -> Iterator[str]:
    pods = [labels_of(each) for each in overlay.of("Deployment", "Job")]
    if not any(selects(spec["podSelector"], labels) for labels in pods):
        yield "it selects no pods"
    offered = {
        port["containerPort"]
        for each in overlay.of("Deployment")
        for container in each["spec"]["template"]["spec"]["containers"]
        for port in container.get("ports", ())
        if selects(spec["podSelector"], labels_of(each))
    }
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for rule in spec.get(direction, ()):
            if not rule.get(peers):
                yield f"{direction} is open to everybody: it names nobody"
            if not rule.get("ports"):
                yield f"{direction} is open on every port: it names none"
            ports = {port["port"] for port in rule.get("ports", ())}
            if direction == "ingress" and not ports <= offered:
                yield f"no pod listens on {sorted(ports - offered)}"
            for peer in rule.get(peers, ()):
                if "ipBlock" in peer:
                    yield from _of_block(peer["ipBlock"], ports, direction)


def _of_block(block: Manifest, ports: set[int], direction: str) -> Iterator[str]:
    network = ip_network(block["cidr"])
    if network.prefixlen > 0:
        return
    if direction == "ingress" or ports != {443}:
        yield f"{direction} is open to the whole world on {sorted(ports)}; only going out to 443 may be"
    left_out = [ip_network(each) for each in block.get("except", ())]
    for private in _PRIVATE:
        if not any(private.subnet_of(each) for each in left_out):  # type: ignore[arg-type]
            yield f"{block['cidr']} leaves {private} in"
