"""Terraform's variables, locals, outputs and modules: each is declared, given and used, and each reference leads somewhere."""

from collections.abc import Iterator
from pathlib import Path

from infra.lint import hcl
from infra.lint.finding import Finding
from infra.lint.stacks import modules
from infra.lint.tree import TERRAFORM, Tree

_KINDS = {"terraform", "provider", "variable", "locals", "resource", "data", "ephemeral", "module", "output"}
_CALL_ARGUMENTS = {"source", "version", "providers", "count", "for_each", "depends_on"}


def check(tree: Tree) -> Iterator[Finding]:
    """Every mistake that can be known from the files alone."""
    known = {module.path.resolve(): module for module in modules(tree)}
    called: set[Path] = set()
    for module in known.values():
        for path, line, reason in module.broken:
            yield Finding(tree.relative(path), line, f"it cannot be parsed: {reason}")
        for block, line, message in _module(module, known):
            yield Finding(tree.relative(block.path), line, message)
        called |= {module.source(call) for call in module.calls.values()}
    for directory, module in known.items():
        if directory.is_relative_to((tree.root / TERRAFORM / "modules").resolve()) and directory not in called:
            yield Finding(tree.relative(directory), 0, "nothing calls this module")
        if not any(block.attributes.get("required_version") for block in module.of("terraform")):
            yield Finding(tree.relative(directory), 0, "no block terraform says its required_version")


def _module(module: hcl.Module, known: dict[Path, hcl.Module]) -> Iterator[tuple[hcl.Block, int, str]]:
    used: set[tuple[str, ...]] = set()
    for block in module.blocks:
        if block.kind not in _KINDS:
            yield block, block.line, f"there is no block {block.kind!r}"
        for attribute in block.everything():
            for reference in hcl.references(attribute.text):
                used.add(reference[:2])
                if wrong := _wrong(reference, module, known):
                    yield block, attribute.line, wrong
    yield from _declarations(module, used)
    for call in module.calls.values():
        yield from _call(module, call, known)


def _declarations(module: hcl.Module, used: set[tuple[str, ...]]) -> Iterator[tuple[hcl.Block, int, str]]:
    for name, block in module.variables.items():
        if ("var", name) not in used:
            yield block, block.line, f"the variable {name} is not used"
        for part in sorted({"type", "description"} - set(block.attributes)):
            yield block, block.line, f"the variable {name} has no {part}"
    for name, block in module.outputs.items():
        if "description" not in block.attributes:
            yield block, block.line, f"the output {name} has no description"
    for name, (block, attribute) in module.locals.items():
        if ("local", name) not in used:
            yield block, attribute.line, f"the local {name} is not used"
    for kind, table in (("variable", module.variables), ("output", module.outputs), ("module", module.calls)):
        if len(table) < len(list(module.of(kind))):
            twice = [block for block in module.of(kind) if block not in table.values()]
            yield twice[0], twice[0].line, f"the {kind} {twice[0].labels[0]} is declared twice"


def _call(module: hcl.Module, call: hcl.Block, known: dict[Path, hcl.Module]) -> Iterator[tuple[hcl.Block, int, str]]:
    name = call.labels[0]
    target = known.get(module.source(call))
    if target is None:
        yield call, call.line, f"module {name}: there is no module at its source"
        return
    given = set(call.attributes) - _CALL_ARGUMENTS
    for argument in sorted(given - set(target.variables)):
        yield call, call.attributes[argument].line, f"module {name}: {target.path.name} has no variable {argument}"
    for variable, block in target.variables.items():
        if "default" not in block.attributes and variable not in given:
            yield call, call.line, f"module {name}: the variable {variable} is not given"


def _wrong(reference: tuple[str, ...], module: hcl.Module, known: dict[Path, hcl.Module]) -> str | None:
    """What is wrong with a reference; None where nothing is."""
    first, second, *more = reference
    names = [step for step in (second, *more) if step != hcl.INDEX]
    if first == "var":
        return None if second in module.variables else f"there is no variable {second}"
    if first == "local":
        return None if second in module.locals else f"there is no local {second}"
    if first == "module":
        call = module.calls.get(second)
        if call is None:
            return f"there is no module {second}"
        target = known.get(module.source(call))
        if target and len(names) > 1 and names[1] not in target.outputs:
            return f"the module {target.path.name} has no output {names[1]}"
        return None
    if first in ("data", "ephemeral") and len(names) > 1:
        there = (first, names[0], names[1]) in module.things
        return None if there else f"there is no {first} {names[0]}.{names[1]}"
    if first.startswith(("aws_", "azurerm_", "google_", "random_")):
        return None if ("resource", first, second) in module.things else f"there is no resource {first}.{second}"
    return None
