"""What Terraform could not bring into an order: things of a stack that wait for each other, through however many modules."""

from collections.abc import Iterator
from pathlib import Path

from infra.lint import hcl
from infra.lint.finding import Finding
from infra.lint.stacks import modules, stacks
from infra.lint.tree import Tree

#: The place of a module in a stack, and what it is there: `("platform", "keys")`, `var.name` or `aws_kms_key.rest`.
Node = tuple[tuple[str, ...], str]


def check(tree: Tree) -> Iterator[Finding]:
    """The first circle of each stack."""
    known = {module.path.resolve(): module for module in modules(tree)}
    for stack in stacks(tree):
        edges: dict[Node, set[Node]] = {}
        _expand(stack.module, (), known, edges)
        if circle := _circle(edges):
            names = " -> ".join(".".join([*(f"module.{part}" for part in place), name]) for place, name in circle)
            yield Finding(tree.relative(stack.module.path), 0, f"these wait for each other: {names}")


def _expand(module: hcl.Module, place: tuple[str, ...], known: dict[Path, hcl.Module], edges: dict[Node, set[Node]]) -> None:
    """Add what the module is made of in this place, and the modules that it calls."""
    for name, (_, attribute) in module.locals.items():
        edges[place, f"local.{name}"] = _needs(module, place, [attribute])
    for kind, table in (("output", module.outputs), ("", module.things)):
        for label, block in table.items():
            name = f"output.{label}" if kind else ".".join(label).removeprefix("resource.")
            edges[place, name] = _needs(module, place, block.everything())
    for name, call in module.calls.items():
        inner = (*place, name)
        target = known.get(module.source(call))
        if target is None:
            continue
        _expand(target, inner, known, edges)
        for variable in target.variables:
            given = call.attributes.get(variable)
            edges[inner, f"var.{variable}"] = _needs(module, place, [given] if given else [])
        # how often a module is there, and what it waits for, holds for all that it makes
        whole = [attribute for attribute in call.attributes.values() if attribute.name in ("count", "for_each", "depends_on")]
        if needed := _needs(module, place, whole):
            for node, needs in edges.items():
                if node[0][: len(inner)] == inner and not node[1].startswith(("var.", "local.", "output.")):
                    needs |= needed


def _needs(module: hcl.Module, place: tuple[str, ...], attributes: Iterator[hcl.Attribute] | list[hcl.Attribute]) -> set[Node]:
    found: set[Node] = set()
    for attribute in attributes:
        for first, *rest in hcl.references(attribute.text):
            names = [step for step in rest if step != hcl.INDEX]
            if first in ("var", "local"):
                found.add((place, f"{first}.{names[0]}"))
            elif first == "module" and len(names) > 1:
                found.add(((*place, names[0]), f"output.{names[1]}"))
            elif first in ("data", "ephemeral") and len(names) > 1:
                found.add((place, f"{first}.{names[0]}.{names[1]}"))
            elif names and ("resource", first, names[0]) in module.things:
                found.add((place, f"{first}.{names[0]}"))
    return found


def _circle(edges: dict[Node, set[Node]]) -> list[Node]:
    """A way that ends where it began; empty where there is none."""
    done: set[Node] = set()
    for start in edges:
        way: list[Node] = []
        left: list[tuple[Node, Iterator[Node]]] = [(start, iter(sorted(edges[start])))]
        while left and start not in done:
            node, further = left[-1]
            if not way or way[-1] != node:
                way.append(node)
            following = next((each for each in further if each in edges and each not in done), None)
            if following is None:
                done.add(node)
                left.pop()
                way.pop()
            elif following in way:
                return [*way[way.index(following) :], following]
            else:
                left.append((following, iter(sorted(edges[following]))))
    return []
