"""Live stacks share nothing: each has its own state, account or project, key and network, and names no other's."""

import ipaddress
from collections.abc import Callable, Iterator
from itertools import combinations

from infra.lint import hcl
from infra.lint.finding import Finding
from infra.lint.stacks import CLOUDS, ENVIRONMENTS, Stack, stacks
from infra.lint.tree import TERRAFORM, Tree

#: What the backend of a cloud must say: argument -> the value that it must have, or None for any.
BACKENDS: dict[str, tuple[str, dict[str, bool | None]]] = {
    "aws": ("s3", dict.fromkeys(("bucket", "key", "kms_key_id")) | {"encrypt": True, "use_lockfile": True}),
    "azure": (
        "azurerm",
        dict.fromkeys(("subscription_id", "storage_account_name", "container_name", "key")) | {"use_azuread_auth": True},
    ),
    "google": ("gcs", dict.fromkeys(("bucket", "prefix", "kms_encryption_key"))),
}
#: Providers say whose account they may touch.
ACCOUNTS = {"aws": ("aws", "allowed_account_ids"), "azure": ("azurerm", "subscription_id"), "google": ("google", "project")}
_STATES = {"aws": "bucket", "azure": "storage_account_name", "google": "bucket"}
_KEYS = {"aws": "kms_key_id", "azure": "subscription_id", "google": "kms_encryption_key"}


def check(tree: Tree) -> Iterator[Finding]:
    """Each stack by itself, then each beside every other."""
    found = stacks(tree)
    there = {(stack.cloud, stack.environment) for stack in found}
    for cloud in CLOUDS:
        for environment in ENVIRONMENTS:
            if (cloud, environment) not in there:
                yield Finding(tree.relative(tree.root / TERRAFORM), 0, f"there is no stack live/{cloud}/{environment}")
    for stack in found:
        for block, message in _alone(stack):
            yield Finding(tree.relative(block.path if block else stack.module.path), block.line if block else 0, message)
    for one, other in combinations(found, 2):
        for name, of in _OWN.items():
            if shared := of(one) & of(other):
                yield Finding(tree.relative(other.module.path), 0, f"it has the {name} {min(shared)} of {one.name}")
        for first, second in combinations(_networks(one) | _networks(other), 2):
            if first.overlaps(second) and {first, second} & _networks(one) and {first, second} & _networks(other):
                yield Finding(tree.relative(other.module.path), 0, f"its network {second} overlaps {first} of {one.name}")
    for stack in found:
        yield from _crossing(tree, stack, found)


def _alone(stack: Stack) -> Iterator[tuple[hcl.Block | None, str]]:
    kind, wanted = BACKENDS[stack.cloud]
    backend = _backend(stack)
    if backend is None or backend.labels != (kind,):
        yield backend, f"its state is not kept by the backend {kind}"
        return
    for name, value in wanted.items():
        attribute = backend.attributes.get(name)
        if attribute is None or (value is not None and attribute.value is not value):
            yield backend, f"the backend needs {name}" + ("" if value is None else f" = {str(value).lower()}")
    provider, argument = ACCOUNTS[stack.cloud]
    for block in stack.module.of("provider"):
        if block.labels == (provider,) and argument not in block.attributes:
            yield block, f"the provider needs {argument}"
    environment = stack.module.locals.get("environment")
    if environment is None or environment[1].literal != stack.environment:
        yield None, f"its local environment is not {stack.environment}"
    for block in stack.module.blocks:
        for attribute in block.everything():
            if "terraform_remote_state" in (attribute.text, *block.labels):
                yield block, "it reads a state of its own or another's: what is needed is given"
                break


def _crossing(tree: Tree, stack: Stack, others: list[Stack]) -> Iterator[Finding]:
    """Names of other stacks: an account, a state, or a path into their directories."""
    foreign = {
        name: other for other in others if other is not stack for own in _OWN.values() for name in own(other) - own(stack)
    }
    for block in stack.module.blocks:
        for attribute in block.everything():
            for text in hcl.strings(attribute.text):
                for name, other in foreign.items():
                    if name in text:
                        yield Finding(tree.relative(block.path), attribute.line, f"it names {name} of {other.name}")
            if attribute.name == "source" and block.kind == "module" and "/live/" in str(stack.module.source(block)):
                yield Finding(tree.relative(block.path), attribute.line, "its source is in a live stack")


def _backend(stack: Stack) -> hcl.Block | None:
    return next((backend for block in stack.module.of("terraform") for backend in block.of("backend")), None)


def _said(block: hcl.Block | None, *names: str) -> set[str]:
    attributes = block.attributes if block else {}
    return {str(attributes[name].literal) for name in names if name in attributes and attributes[name].literal is not None}


def _account(stack: Stack) -> set[str]:
    names = {"aws": "account", "azure": "subscription_id", "google": "project"}
    own = stack.module.locals.get(names[stack.cloud])
    return {str(own[1].literal)} if own and own[1].literal is not None else set()


def _networks(stack: Stack) -> set[ipaddress.IPv4Network]:
    """The networks that the stack gives to its modules."""
    return {
        ipaddress.IPv4Network(str(attribute.literal))
        for call in stack.module.calls.values()
        for attribute in call.attributes.values()
        if attribute.name.endswith("cidr") and attribute.literal is not None
    }


#: What no two stacks may have in common.
_OWN: dict[str, Callable[[Stack], set[str]]] = {
    "state": lambda stack: _said(_backend(stack), _STATES[stack.cloud]),
    "key of the state": lambda stack: _said(_backend(stack), _KEYS[stack.cloud]),
    "account": _account,
}
