"""Rights that Terraform gives: action by action, and no role that may do everything."""

from collections.abc import Iterator

from infra.lint import hcl
from infra.lint.finding import Finding
from infra.lint.stacks import modules
from infra.lint.tree import Tree

#: Roles of Google and Azure that are a whole project's or subscription's.
_BASIC = frozenset({"roles/owner", "roles/editor", "Owner", "Contributor", "User Access Administrator"})
_ROLES = ("role", "role_definition_name")


def check(tree: Tree) -> Iterator[Finding]:
    """Actions with a wildcard in what an identity of AWS may do, and basic roles of the others.

    A policy of a resource, which names its principals, speaks of that resource alone; one that denies may deny everything."""
    for module in modules(tree):
        for block in module.blocks:
            if block.kind == "data" and block.labels[:1] == ("aws_iam_policy_document",):
                for statement in _statements(block):
                    for action in _wide(statement):
                        message = f"{block.labels[1]}: the action {action} is more than one: name those that are needed"
                        yield Finding(tree.relative(block.path), statement.attributes["actions"].line, message)
            for attribute in block.everything():
                for role in hcl.strings(attribute.text) if attribute.name in (*_ROLES, "roles") else ():
                    if role in _BASIC:
                        yield Finding(tree.relative(block.path), attribute.line, f"{role} may do nearly everything")


def _statements(document: hcl.Block) -> Iterator[hcl.Block]:
    """Also those that are made by `dynamic`."""
    yield from document.of("statement")
    for dynamic in document.of("dynamic"):
        if dynamic.labels == ("statement",):
            yield from dynamic.of("content")


def _wide(statement: hcl.Block) -> list[str]:
    effect = statement.attributes.get("effect")
    if "actions" not in statement.attributes or (effect is not None and effect.literal == "Deny"):
        return []
    if any(statement.of("principals")):
        return []
    return [action for action in hcl.strings(statement.attributes["actions"].text) if "*" in action]
